"""What a commit, a turn and a snapshot cost, over HTTP and in turn with another checkout.

    python -m tests.bench storage [--baseline DIR]

A commit is one edit of a scene: a transaction with the scene, its iteration and an event of the
log. A turn is a run of the offline model with all of its commits. The snapshot is that of a project
with 20 scenes and 100 messages. `server` and `PostgreSQL` are microseconds of processor time for
one request, `wall` those until it was answered, one request after the other. A request that does
nothing shows how much of it all is HTTP.
"""

import argparse
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx

from tests.harness.process import ROOT, Reelroom

SCENES, MESSAGES = 20, 100  # of the project whose snapshot is read
CODE_LINE = 'const word = "a line of a scene, as long as they often are";\n'
CODE_LINES = 50  # 3 KB of code
PROMPT = 'Add a title "Hello" for 2 seconds'
TOKEN = "bench"
REQUESTS = {"no work": 200, "commit": 100, "turn": 10, "snapshot": 200}  # in one round

Figures = dict[str, list[float]]


class Checkout:
    """A server of one checkout with a database of its own, and the projects that are measured."""

    def __init__(self, name: str, server: Reelroom) -> None:
        self.name = name
        self._data = server.data
        headers = {"authorization": f"Bearer {TOKEN}", "origin": server.url}
        self.client = httpx.Client(base_url=server.url, headers=headers, timeout=60)
        self._pids = server.family()
        self._edits = 0
        self._turns = self._new_project()
        self._shown = self._new_project()
        added = [self.do("POST", f"{self._shown}/scenes", {}) for _ in range(SCENES)]
        self._scene = f"/api/scenes/{added[0]['id']}"
        for _ in range(MESSAGES // 2):  # a turn has a prompt and an answer
            self._run(self._shown, "Hello")
        snapshot = self.do("GET", f"{self._shown}/snapshot")
        found = len(snapshot["scenes"]), len(snapshot["messages"])
        assert found == (SCENES, MESSAGES), found

    def do(self, method: str, path: str, body: Any = None) -> Any:
        """Return the data of an answer, which must be a success."""
        answer = self.client.request(method, path, json=body)
        assert answer.is_success, answer.text
        return answer.json()["data"]

    def measure(self, name: str) -> dict[str, float]:
        """Return what one request of a kind costs in microseconds."""
        request, count = self._request(name), REQUESTS[name]
        request()
        server, other, began = *self._cpu(), time.perf_counter()
        for _ in range(count):
            request()
        wall = time.perf_counter() - began
        server_after, other_after = self._cpu()
        costs = server_after - server, other_after - other, wall
        names = "server", "PostgreSQL", "wall"
        return {key: cost / count * 1e6 for key, cost in zip(names, costs, strict=True)}

    def _request(self, name: str) -> Callable[[], object]:
        return {
            "no work": lambda: self.client.get("/health/live"),
            "commit": self._edit,
            "turn": lambda: self._run(self._turns, PROMPT),
            "snapshot": lambda: self.client.get(f"{self._shown}/snapshot"),
        }[name]

    def _new_project(self) -> str:
        return f"/api/projects/{self.do('POST', '/api/projects', {})['id']}"

    def _edit(self) -> None:
        self._edits += 1
        self.do("PATCH", self._scene, {"tsxCode": f"// {self._edits}\n{CODE_LINE * CODE_LINES}"})

    def _run(self, project: str, prompt: str) -> None:
        """Wait for the end of a turn on its event stream."""
        headers = {"accept": "text/event-stream"}
        with self.client.stream(
            "POST", f"{project}/runs", json={"prompt": prompt}, headers=headers
        ) as answer:
            events = [line for line in answer.iter_lines() if line.startswith("event:")]
        assert events[-1] == "event: run.finished", events

    def _cpu(self) -> tuple[float, float]:
        """Return the processor time of the server and of PostgreSQL, whose connections stay."""
        postgres = postgres_pids(self._data)
        assert len(postgres) > 1, "PostgreSQL's processes were not found"
        return cpu_seconds(*filter(_is_server, self._pids)), cpu_seconds(*postgres)


def _is_server(pid: int) -> bool:
    return b"-m\0app" in Path(f"/proc/{pid}/cmdline").read_bytes()


def postgres_pids(data: Path) -> list[int]:
    """Return the processes of the embedded PostgreSQL that has its files in a folder."""
    (file,) = data.rglob("postmaster.pid")
    postmaster = int(file.read_text().split()[0])
    parents = {
        int(path.parent.name): int(path.read_text().rpartition(")")[2].split()[1])
        for path in Path("/proc").glob("[0-9]*/stat")
    }
    return [postmaster, *(pid for pid, parent in parents.items() if parent == postmaster)]


def cpu_seconds(*pids: int) -> float:
    """Return the processor time that all threads of these processes have used."""
    tasks = [task for pid in pids for task in Path(f"/proc/{pid}/task").iterdir()]
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench storage")
    parser.add_argument("--baseline", type=Path, help="another checkout")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    folders = {"reelroom": ROOT} | ({"baseline": options.baseline} if options.baseline else {})
    figures: dict[str, dict[str, Figures]] = {
        kind: {name: defaultdict(list) for name in folders} for kind in REQUESTS
    }
    with ExitStack() as stack:
        checkouts = [_started(stack, name, folder) for name, folder in folders.items()]
        for number in range(options.rounds):
            for kind in REQUESTS:
                for checkout in checkouts if number % 2 else reversed(checkouts):
                    for column, cost in checkout.measure(kind).items():
                        figures[kind][checkout.name][column].append(cost)
    _print_table(figures)


def _started(stack: ExitStack, name: str, source: Path) -> Checkout:
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    settings = {"REELROOM_DATA_DIR": str(folder / "data"), "REELROOM_LOCAL_TOKEN": TOKEN}
    server = Reelroom("serve", cwd=folder, PYTHONPATH=str(source.absolute()), **settings)
    stack.enter_context(server)
    return Checkout(name, server.ready())


def _print_table(figures: dict[str, dict[str, Figures]]) -> None:
    print("| request | checkout | server us | PostgreSQL us | wall us |\n|---|---|---|---|---|")
    for kind, checkouts in figures.items():
        for name, columns in checkouts.items():
            cells = [f"{statistics.median(costs):,.0f}" for costs in columns.values()]
            print(f"| {kind} | {name} | {' | '.join(cells)} |")
