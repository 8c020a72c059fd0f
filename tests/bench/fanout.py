"""What it costs to deliver one event to many subscribers, beside what a team could pick instead.

Everything is measured in one run, in rounds that take turns, with one load generator: compare the
ratios. Ours is the whole product: subscribers with a token and a role, events that were committed
to PostgreSQL; the others pass on what Redis (nchan: HTTP) hands them.
"""

import argparse
import asyncio
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import msgspec

from app.store import embedded
from app.store.migration import migrate
from tests.bench import _fanout_storm as storm
from tests.bench._fanout_peers import (
    MODULE,
    OTHER_CPU,
    Environment,
    Peer,
    free_port,
    pinned,
    read_port,
    running,
    wait_for,
)  # fmt: skip
from tests.bench._fanout_server import project_id
from tests.bench.run import make_local
from tests.harness.database import DB, connected

NAMES = ["reelroom", "reelroom asgi", "channels", "nchan", "ws", "socket.io", "C floor"]
TITLES = {"sse": "SSE", "ws": "WebSocket"}
HELLO = '{"type":"hello"}'
SAYS_HELLO = (
    "    n_open++;\n}",
    "    n_open++;\n    if (proto == P_WS && *post_body)"
    " ws_send(c, 1, post_body, strlen(post_body));\n}",
)

Row = dict[str, Any]
Figures = dict[str, list[float]]
Case = tuple[str, int, int]  # protocol, clients, projects


def build(source: Path, folder: Path) -> Path:
    """Compile the load generator; teach it to say `hello` if it can't yet."""
    target = folder / "loadgen"
    shutil.copytree(source, target)
    code = (target / "loadgen.c").read_text()
    if "proto == P_WS && *post_body" not in code:
        assert code.count(SAYS_HELLO[0]) == 1, "this load generator is not the one we know"
        (target / "loadgen.c").write_text(code.replace(*SAYS_HELLO))
    subprocess.run(["make", "-s", "-B", "-C", str(target)], check=True)
    return target


async def prepare(dsn: str, projects: int) -> None:
    await migrate(dsn)
    await make_local(dsn)
    async with connected(dsn, connections=2), DB.transaction() as tx:
        for number in range(projects):
            await tx.execute(
                "insert into project (id, owner_id, title, epoch, request_id)"
                " values ($1::uuid, 'local', $2, 'bench', 'bench')",
                project_id(number), f"Bench {number}",
            )  # fmt: skip
            await tx.execute(
                "insert into project_member (project_id, user_id, role)"
                " values ($1, 'local', 'owner')",
                project_id(number),
            )


def generate(
    environment: Environment, peer: Peer, protocol: str, *words: str
) -> list[dict[str, Any]]:
    """Run the load generator once; one object for the set-up, then one for each phase."""
    kind = "sio" if "sio" in peer.protocols else protocol
    command = [
        str(environment.loadgen / "loadgen"), "--proto", kind, "--port", str(peer.port),
        "--path", peer.protocols[kind], "--settle", "500", "--body",
        HELLO if kind == "ws" and peer.name.startswith(("reelroom", "baseline")) else "",
        *peer.options, *peer.feed, *words,
    ]  # fmt: skip
    for pid in peer.pids:
        command += ["--pid", str(pid)]
    before = counters(peer)
    child = pinned(command, OTHER_CPU)
    output, _ = child.communicate(timeout=300)
    rows = [msgspec.json.decode(line) for line in output.splitlines()]
    if any(word.startswith("sat") for word in words):
        print_premise(peer, protocol, rows, before, counters(peer))
    if not rows or rows[0]["failed"]:
        print(f"# {peer.name}: some connections failed: {rows[:1]}", flush=True)
    for row in rows[1:]:
        if is_product(peer) and (row["lost"] or row["gaps"] or row["dups"]):
            raise RuntimeError(f"{peer.name} lost or repeated events: {row}")
    return rows


def is_product(peer: Peer) -> bool:
    return peer.name.startswith(("reelroom", "baseline"))


def counters(peer: Peer) -> dict[str, float]:
    """Read the product's metrics; none for other servers."""
    if not is_product(peer):
        return {}
    with urllib.request.urlopen(f"http://127.0.0.1:{peer.port}/metrics", timeout=5) as answer:
        lines = answer.read().decode().splitlines()
    pairs = [line.rpartition(" ") for line in lines if line.startswith("reelroom_")]
    return {name: float(value) for name, _, value in pairs}


def print_premise(
    peer: Peer, protocol: str, rows: list[Row], before: dict[str, float], after: dict[str, float]
) -> None:
    """Print what was measured: the writer that served, the events, and how they came to it.

    Raises `RuntimeError` when another writer served than the peer's name says.
    """
    if not after:
        return
    writers = [name for name in ("uvicorn", "asgi")
               if f'reelroom_subscriptions{{writer="{name}"}}' in after]  # fmt: skip
    expected = "asgi" if peer.name.endswith(" asgi") else "uvicorn"
    if peer.name.startswith("reelroom") and writers != [expected]:
        raise RuntimeError(f"{peer.name} was served by {writers}")
    grown = {name: value - before.get(name, 0) for name, value in after.items()}
    writes, events = grown["reelroom_writes_total"], grown["reelroom_written_events_total"]
    delivered = sum(row["delivered"] for row in rows[1:])
    reads = {
        name.partition('use="')[2].partition('"')[0]: int(value)
        for name, value in grown.items()
        if name.startswith("reelroom_log_reads_total") and value
    }
    print(
        f"# {peer.name} {protocol}: served by {' and '.join(writers) or 'an older release'},"
        f" {delivered:,} events delivered and none lost, {events / max(writes, 1):.1f} a write,"
        f" batches by origin {reads}",
        flush=True,
    )


def one_round(
    environment: Environment, peer: Peer, protocol: str, clients: int, projects: int, found: Figures
) -> None:
    phases = ["--phase", "sat:1.5:1", "--phase", "sat:1.5:8"]
    if projects == 1:
        phases += ["--phase", f"rate:{10 if clients <= 1000 else 2}:{2 if clients <= 1000 else 4}"]
    rows = generate(
        environment, peer, protocol, "-n", str(clients), "-P", str(projects),
        "--pub-conns", "8" if projects == 1 else "16", *phases,
    )  # fmt: skip
    found["conns/s"].append(rows[0]["conns_s"])
    found["us/conn"].append(rows[0]["server_us_per_conn"])
    for name, row in zip(("us 1", "us 8"), rows[1:3], strict=False):
        if row["server_us_per_msg"]:
            found[name].append(row["server_us_per_msg"])
    for row in rows[3:4]:
        found["p50"].append(row["p50_ms"])
        found["p99"].append(row["p99_ms"])


def measure(
    environment: Environment, names: list[str], cases: list[Case], rounds: int, until: float
) -> None:
    """All cases once, then again while the time lasts: at most `rounds` times."""
    tables: dict[Case, dict[str, Figures]] = {
        case: {name: defaultdict(list) for name in names} for case in cases
    }
    with ExitStack() as stack:
        made = [stack.enter_context(running(name, environment)) for name in names]
        peers = [peer for peer in made if peer]
        for number in range(rounds):
            began = time.monotonic()
            for protocol, clients, projects in cases:
                for peer in peers[number % len(peers) :] + peers[: number % len(peers)]:
                    known = peer.protocols
                    if protocol in known or (protocol == "ws" and "sio" in known):
                        found = tables[protocol, clients, projects][peer.name]
                        one_round(environment, peer, protocol, clients, projects, found)
            took = time.monotonic() - began
            print(f"# round {number + 1} took {took:.0f} s", flush=True)
            if time.monotonic() + took > until:
                break
    for (protocol, clients, projects), table in tables.items():
        what = f"{projects:,} projects x {clients // projects}" if projects > 1 else "1 project"
        show(f"{TITLES[protocol]}, {clients:,} subscribers of {what}", table)


def arrivals(environment: Environment, names: list[str], clients: int, rounds: int) -> None:
    """Print how many may connect in a second, with handshakes and rights; nothing is published."""
    with ExitStack() as stack:
        made = [stack.enter_context(running(name, environment)) for name in names]
        peers = [peer for peer in made if peer]
        for protocol in TITLES:
            print(f"\n## {clients:,} come over {TITLES[protocol]}: the best of {rounds} rounds")
            print("| server | conns/s | us/conn |\n|---|---|---|")
            rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
            for number in range(rounds):
                for peer in peers[number % len(peers) :] + peers[: number % len(peers)]:
                    if protocol in peer.protocols:
                        words = ["-n", str(clients), "--pub", "none", "--phase", "idle:0.3"]
                        rows[peer.name].append(generate(environment, peer, protocol, *words)[0])
            for name, found in rows.items():
                rate = max(row["conns_s"] for row in found)
                cost = min(row["server_us_per_conn"] for row in found)
                print(f"| {name} | {rate:,.0f} | {cost:,.0f} |", flush=True)


def show(title: str, table: dict[str, Figures]) -> None:
    """Medians; the last two columns are the cost against the C floor's."""
    columns = ["conns/s", "us/conn", "us 1", "us 8", "p50", "p99"]
    print(f"\n## {title}")
    print("| server | " + " | ".join(columns) + " | x floor, 1 | x floor, 8 |")
    print("|---" * (len(columns) + 3) + "|")
    floor = {key: middle(values) for key, values in table.get("C floor", {}).items()}
    for name, figures in table.items():
        if not figures:
            continue
        cells = {key: middle(figures.get(key, [])) for key in columns}
        ratios = [
            f"{cells[key] / floor[key]:.2f}" if floor.get(key) else "-" for key in ("us 1", "us 8")
        ]
        shown = [f"{cells[key]:,.0f}" if "conn" in key else f"{cells[key]:.2f}" for key in columns]
        print(f"| {name} | " + " | ".join(shown + ratios) + " |", flush=True)


def middle(values: list[float]) -> float:
    return statistics.median(values) if values else 0.0


def idle_memory(environment: Environment, names: list[str], clients: int) -> None:
    """Fresh servers, warmed by some connections that have gone."""
    print(f"\n## Memory of {clients:,} idle connections, KB each")
    print("| server | SSE | WebSocket |\n|---|---|---|")
    for name in names:
        cells = []
        for protocol in ("sse", "ws"):
            with running(name, environment) as peer:
                if peer is None:
                    break
                if protocol not in peer.protocols and not (
                    protocol == "ws" and "sio" in peer.protocols
                ):
                    cells.append("-")
                    continue
                warm = ["--phase", "idle:0.3", "--pub", "none"]
                generate(environment, peer, protocol, "-n", "200", *warm)
                rows = generate(environment, peer, protocol, "-n", str(clients), *warm)
                cells.append(f"{rows[0]['kb_per_conn_warm']:.1f}")
        else:
            print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


@contextmanager
def environment_of(options: argparse.Namespace) -> Iterator[Environment]:
    if len(os.sched_getaffinity(0)) > 1:
        os.sched_setaffinity(0, {OTHER_CPU})  # and with us PostgreSQL and all that follows
    nginx = options.nginx or shutil.which("nginx")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        loadgen = build(options.loadgen, folder)
        postgres = stack.enter_context(embedded.start(folder / "postgres"))
        asyncio.run(prepare(postgres.dsn, options.projects))
        port = free_port()
        url = f"redis://127.0.0.1:{port}/0"
        words = ["redis-server", "--port", str(port), "--save", "", "--bind", "127.0.0.1"]
        redis = pinned(words, OTHER_CPU)
        stack.callback(redis.terminate)
        wait_for(port, redis)
        driver = pinned(
            [sys.executable, "-m", "tests.bench._fanout_driver", postgres.dsn, url], OTHER_CPU
        )
        stack.callback(driver.terminate)
        yield Environment(
            loadgen=loadgen,
            npm=options.npm,
            baseline=options.baseline,
            nginx=nginx,
            nchan=options.nchan,
            folder=folder,
            dsn=postgres.dsn,
            redis=url,
            driver=read_port(driver),
        )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench fanout")
    parser.add_argument("--loadgen", type=Path, required=True, help="folder of the load generator")
    parser.add_argument("--clients", default="100,1000,5000")
    parser.add_argument("--projects", type=int, default=1000, help="for the case of many projects")
    parser.add_argument("--protocols", default="sse,ws")
    parser.add_argument("--rounds", type=int, default=3, help="at most")
    parser.add_argument(
        "--minutes", type=float, default=22, help="no round begins that takes longer"
    )
    parser.add_argument("--peers", default=",".join(NAMES))
    parser.add_argument("--npm", type=Path, help="folder with node_modules of ws, socket.io, redis")
    parser.add_argument("--baseline", type=Path, help="another checkout, for peers `baseline`")
    parser.add_argument("--nginx", help="program; default: the one in PATH")
    parser.add_argument("--nchan", type=Path, default=MODULE, help="its module")
    parser.add_argument("--skip", default="", help="any of fan,many,arrivals,memory,storm")
    options = parser.parse_args()
    names, skip = options.peers.split(","), options.skip.split(",")
    protocols = options.protocols.split(",")
    cases: list[Case] = []
    if "fan" not in skip:
        cases += [(p, int(n), 1) for n in options.clients.split(",") for p in protocols]
    if "many" not in skip:
        cases += [("sse", 5 * options.projects, options.projects)]
    until = time.monotonic() + 60 * options.minutes
    with environment_of(options) as environment:
        if "arrivals" not in skip:
            arrivals(environment, names, 1000, options.rounds)
        if "memory" not in skip:
            idle_memory(environment, names, 2000)
        if "storm" not in skip:
            storm.measure(environment)
        if cases:
            measure(environment, names, cases, options.rounds, until)
