"""How much memory twelve clients cost that stop reading while 9 MB of updates are committed.

    python -m tests.bench stalled [--baseline DIR]

Each figure is of a fresh server, with one client more that reads everything. `growth` is that of
its resident memory by the updates: without stalled clients it is what requests and the ring cost,
and `a client` is what each stalled one adds. A client is disconnected after 10 s without reading:
`still there` says how many were followed to the end.
"""

import argparse
import socket
import tempfile
import threading
import time
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx

from tests.harness.process import ROOT, Reelroom

CLIENTS = 12
UPDATES = 900
CODE_LINE = 'const word = "a line of a scene, as long as they often are";\n'
CODE_LINES = 165  # 10 KB
TOKEN = "bench"
RECEIVE_BUFFER_BYTES = 4096
MAX_WAIT_SECONDS = 20.0


class Reading(threading.Thread):
    """A client that reads everything, and counts the updates."""

    def __init__(self, url: str, project: str) -> None:
        super().__init__(daemon=True)
        self.updates = 0
        self._url = f"{url}/api/projects/{project}/events"

    def run(self) -> None:
        headers = {"authorization": f"Bearer {TOKEN}"}
        with suppress(httpx.RemoteProtocolError):  # the server is stopped at the end
            with httpx.stream("GET", self._url, headers=headers, timeout=None) as answer:
                for line in answer.iter_lines():
                    self.updates += line == "event: scene.updated"


def growth(source: Path, clients: int) -> tuple[float, int]:
    """Return by how many KB the server grows, and how many stalled clients are still there.

    Raises `RuntimeError` unless every update reaches the client that reads.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        settings = {"REELROOM_DATA_DIR": str(folder / "data"), "REELROOM_LOCAL_TOKEN": TOKEN}
        server = Reelroom("serve", cwd=folder, PYTHONPATH=str(source.absolute()), **settings)
        stack.enter_context(server)
        server.ready()
        headers = {"authorization": f"Bearer {TOKEN}"}
        client = stack.enter_context(
            httpx.Client(base_url=server.url, headers=headers, timeout=MAX_WAIT_SECONDS)
        )
        project = client.post("/api/projects", json={}).json()["data"]["id"]
        scene = client.post(f"/api/projects/{project}/scenes", json={}).json()["data"]["id"]
        update(client, scene, 50)  # warms up what every request needs
        reading = Reading(server.url, project)
        reading.start()
        for _ in range(clients):
            stack.enter_context(stalled(server.url, project))
        wait_for_followers(client, clients + 1)
        pid = next(one for one in server.family() if is_server(one))
        before = resident_kb(pid)
        update(client, scene, UPDATES)
        left = followers(client) - 1
        after = resident_kb(pid)
        until = time.monotonic() + MAX_WAIT_SECONDS
        while reading.updates < UPDATES and time.monotonic() < until:
            time.sleep(0.02)
        if reading.updates != UPDATES:
            raise RuntimeError(f"{reading.updates} of {UPDATES} updates were delivered")
        return after - before, left


def update(client: httpx.Client, scene: str, count: int) -> None:
    for number in range(count):
        code = f"// {number} {time.monotonic_ns()}\n{CODE_LINE * CODE_LINES}"
        client.patch(f"/api/scenes/{scene}", json={"tsxCode": code}).raise_for_status()


def stalled(url: str, project: str) -> socket.socket:
    """Follow a project over SSE and read nothing."""
    host, port = url.removeprefix("http://").split(":")
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
    connection.connect((host, int(port)))
    head = f"GET /api/projects/{project}/events HTTP/1.1\r\nHost: {host}:{port}\r\n"
    connection.sendall(f"{head}Authorization: Bearer {TOKEN}\r\n\r\n".encode())
    return connection


def wait_for_followers(client: httpx.Client, count: int) -> None:
    until = time.monotonic() + MAX_WAIT_SECONDS
    while followers(client) != count:
        assert time.monotonic() < until, "the clients did not join"
        time.sleep(0.02)


def followers(client: httpx.Client) -> int:
    text = client.get("/metrics").text
    return int(float(text.partition("\nreelroom_followers ")[2].partition("\n")[0]))


def is_server(pid: int) -> bool:
    return b"-m\0app" in Path(f"/proc/{pid}/cmdline").read_bytes()


def resident_kb(pid: int) -> int:
    return int(Path(f"/proc/{pid}/status").read_text().split("VmRSS:")[1].split()[0])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench stalled")
    parser.add_argument("--baseline", type=Path, help="another checkout")
    options = parser.parse_args()
    folders = {"reelroom": ROOT} | ({"baseline": options.baseline} if options.baseline else {})
    print("| server | growth without, MB | with 12, MB | still there | a client, KB |")
    print("|---|---|---|---|---|")
    for name, folder in folders.items():
        (without, _), (stalled_, left) = growth(folder, 0), growth(folder, CLIENTS)
        each = (stalled_ - without) / CLIENTS
        print(
            f"| {name} | {without / 1024:.1f} | {stalled_ / 1024:.1f} | {left} | {each:,.0f} |",
            flush=True,
        )
