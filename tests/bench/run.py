"""The cost of a run: the time to its first event, and of twenty concurrent runs.

The first event is compared with a bare Litestar handler that streams one event, in turn with it in
the same run; the difference is what authorising, one durable transaction and the log add.
"""

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from app.lifecycle.check import check
from app.store import embedded
from app.store.migration import migrate
from tests.harness.database import DB, connected

PROMPT = 'Add a title "Hello" for 2 seconds'


class Server:
    """A measured process."""

    def __init__(self, kind: str, environment: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench._server", kind],
            env={**os.environ, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout
        self.url = self.process.stdout.readline().strip()

    def worst_block(self) -> float:
        """The longest that the event loop was blocked since the last call, in milliseconds."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())

    def memory(self) -> float:
        """Resident megabytes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) / 1024


@contextmanager
def server(kind: str, **environment: str) -> Iterator[Server]:
    made = Server(kind, environment)
    try:
        yield made
    finally:
        made.process.communicate(timeout=30)


async def first_event(client: httpx.AsyncClient, path: str) -> float:
    """Milliseconds from the request to the first `event:` line; the rest is read, not counted."""
    began = time.perf_counter()
    first = 0.0
    headers = {"accept": "text/event-stream"}
    async with client.stream("POST", path, json={"prompt": PROMPT}, headers=headers) as answer:
        async for line in answer.aiter_lines():
            if not first and line.startswith("event:"):
                first = (time.perf_counter() - began) * 1000
    return first


async def measure(product: Server, plain: Server, rounds: int, runs: int) -> None:
    headers = {"authorization": "Bearer bench"}
    async with (
        httpx.AsyncClient(base_url=product.url, headers=headers, timeout=60) as client,
        httpx.AsyncClient(base_url=plain.url, timeout=60) as other,
    ):
        print(f"idle memory of the server            {product.memory():8.1f} MB")
        path = await new_project(client)
        for _ in range(5):
            await first_event(client, path)
            await first_event(other, "/")
        ours, theirs = [], []
        for _ in range(rounds):
            ours.append(await first_event(client, path))
            theirs.append(await first_event(other, "/"))
        a, b = statistics.median(ours), statistics.median(theirs)
        print(f"first event of a run, median         {a:8.2f} ms  ({rounds} rounds)")
        print(f"first event of a bare handler        {b:8.2f} ms")
        print(f"ratio, and what the run path adds    {a / b:8.2f} x  {a - b:.2f} ms")
        product.worst_block()
        paths = [await new_project(client) for _ in range(runs)]
        product.worst_block()
        began = time.perf_counter()
        ends = await asyncio.gather(*(turn(client, path) for path in paths))
        wall = time.perf_counter() - began
        failed = sum(end != "succeeded" for end in ends)
        print(f"{runs} turns at once in {runs} projects      {wall:8.2f} s   {failed} failed")
        print(f"event loop blocked at most           {product.worst_block():8.1f} ms")
        print(f"memory after                         {product.memory():8.1f} MB")


async def new_project(client: httpx.AsyncClient) -> str:
    made = (await client.post("/api/projects", json={})).json()
    return f"/api/projects/{made['data']['id']}/runs"


async def turn(client: httpx.AsyncClient, path: str) -> Any:
    answer = await client.post(path, json={"prompt": PROMPT})
    run = answer.json()["data"]["run"]["id"]
    while True:
        status = (await client.get(f"/api/runs/{run}")).json()["data"]["status"]
        if status not in ("queued", "running"):
            return status
        await asyncio.sleep(0.05)


async def prove(dsn: str) -> None:
    async with connected(dsn, connections=2), DB.reading(snapshot=True) as reader:
        found = await check(reader)
    print(f"invariants                           {found or 'all hold'}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench run")
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--runs", type=int, default=20)
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        embedded.start(Path(folder) / "postgres") as postgres,
    ):
        asyncio.run(migrate(postgres.dsn))
        settings = {"DATABASE_URL": postgres.dsn, "REELROOM_LOCAL_TOKEN": "bench"}
        asyncio.run(make_local(postgres.dsn))
        with server("product", **settings) as product, server("bare") as plain:
            asyncio.run(measure(product, plain, options.rounds, options.runs))
        asyncio.run(prove(postgres.dsn))


async def make_local(dsn: str) -> None:
    from app.auth.local import begin_local_mode
    from app.settings import Settings

    async with connected(dsn, connections=2) as db, db.transaction() as tx:
        await begin_local_mode(tx, Settings(reelroom_local_token="bench"))
