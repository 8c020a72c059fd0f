"""A worker whose runs are cancelled as soon as it claims them."""

import asyncio
import sys

import asyncpg

from app.auth.model import Caller
from app.brain.offline import OfflineModel
from app.chat import runs
from app.chat.leases import LeasedRun
from app.chat.runner import Runner
from app.chat.runs import Turn
from tests.chat.crash import USER, DiscardingSink
from tests.harness.database import DB


class Stopped(Runner):
    def _begin(self, lease: LeasedRun) -> None:
        super()._begin(lease)
        self.cancel(lease.run.id)


async def main(dsn: str, project_id: str) -> None:
    """Print the status of the run, and the number of jobs that the worker still counts."""
    watcher = await asyncpg.connect(dsn)
    async with DB.opened(dsn):
        runner = Stopped(DB, OfflineModel(), DiscardingSink())
        caller = Caller(user_id=USER, name="Crash", request_id="crash")
        async with DB.transaction() as tx:
            await runs.begin(tx, caller, project_id, Turn(prompt="Add a title"))
        async with runner.running():
            for _ in range(200):
                status = await watcher.fetchval("select status from run")
                if status not in ("queued", "running") and not runner._jobs:
                    break
                await asyncio.sleep(0.01)
            print(status, len(runner._jobs))
    await watcher.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
