"""A run whose process is killed before its nth statement, and the recovery by another process.

`python -m tests.chat.crash DSN project:n …` prints for each project how many statements were
sent, or `crashed`. Every run and every recovery is a process of its own, forked from one that has
already imported the app.
"""

import asyncio
import os
import signal
import sys
from functools import partial
from typing import Any

import asyncpg

from app.auth.model import Caller
from app.brain.offline import OfflineModel
from app.chat import runs
from app.chat.runner import Runner
from app.chat.runs import Turn
from app.realtime.events import LiveEvent
from app.realtime.live import LiveRun
from app.runs.model import RunQueued
from tests.harness.database import DB

PROMPT = 'Add a title "One" and add a title "Two"'
USER = "crash"
COUNT_OPEN_RUNS = "select count(*) from run where status in ('queued', 'running')"


class Counting(asyncpg.Connection):
    """Kills the process instead of sending statement number `dies_at`; never for 0."""

    sent = 0
    dies_at = 0

    def count(self) -> None:
        Counting.sent += 1
        if Counting.sent == Counting.dies_at:
            os.kill(os.getpid(), signal.SIGKILL)

    async def execute(self, *values: Any, **more: Any) -> Any:
        self.count()
        return await super().execute(*values, **more)

    async def executemany(self, *values: Any, **more: Any) -> Any:
        self.count()
        return await super().executemany(*values, **more)

    async def fetch(self, *values: Any, **more: Any) -> Any:
        self.count()
        return await super().fetch(*values, **more)

    async def fetchrow(self, *values: Any, **more: Any) -> Any:
        self.count()
        return await super().fetchrow(*values, **more)

    async def fetchval(self, *values: Any, **more: Any) -> Any:
        self.count()
        return await super().fetchval(*values, **more)


class DiscardingSink:
    """A sink that drops everything."""

    def publish_live(self, event: LiveEvent, run: LiveRun) -> None: ...

    def flush(self, project_id: str) -> None: ...

    def forget_run(self, run_id: str) -> None: ...


async def work(dsn: str, project_id: str | None) -> None:
    """Begin a run in the project, if one is given; work until no run is open."""
    uncounted = await asyncpg.connect(dsn)
    async with DB.opened(dsn):
        runner = Runner(DB, OfflineModel(piece_delay=0), DiscardingSink())
        DB.signals.connect(RunQueued, lambda _: runner.wake())
        Counting.sent = 0
        if project_id is not None:
            caller = Caller(user_id=USER, name="Crash", request_id="crash")
            async with DB.transaction() as tx:
                await runs.begin(tx, caller, project_id, Turn(prompt=PROMPT))
        async with runner.running():
            while await uncounted.fetchval(COUNT_OPEN_RUNS):
                await asyncio.sleep(0.01)
    await uncounted.close()


def run_forked(dsn: str, project_id: str | None, dies_at: int) -> str:
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        Counting.dies_at = dies_at
        asyncio.run(work(dsn, project_id))
        os.write(writer, str(Counting.sent).encode())
        os._exit(0)
    os.close(writer)
    _, status = os.waitpid(child, 0)
    statements = os.read(reader, 100).decode()
    os.close(reader)
    if os.WIFSIGNALED(status):
        return "crashed"
    assert os.WEXITSTATUS(status) == 0
    return statements


async def expire(dsn: str) -> None:
    """Let the leases of killed processes expire at once."""
    connection = await asyncpg.connect(dsn)
    await connection.execute(
        "update run set lease_expires_at = clock_timestamp() where status = 'running'"
    )
    await connection.close()


def main(dsn: str, *points: str) -> None:
    create_pool = asyncpg.create_pool
    asyncpg.create_pool = partial(create_pool, connection_class=Counting)
    for point in points:
        project_id, _, dies_at = point.partition(":")
        print(run_forked(dsn, project_id, int(dies_at)), flush=True)
        asyncio.run(expire(dsn))
        run_forked(dsn, None, 0)


if __name__ == "__main__":
    main(*sys.argv[1:])
