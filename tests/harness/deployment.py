"""A database, a scripted model, and server processes on them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from app.lifecycle.check import check
from app.store.database import Tx
from tests.harness.database import connect
from tests.harness.model_server import ModelServer
from tests.harness.person import Person
from tests.harness.process import LOCAL_TOKEN, Reelroom


class Deployment:
    """The processes of a test that uses another model than the offline one, or kills servers.

    The database is not that of the tests' own pool, where the session's server claims every run.
    """

    def __init__(self, database: str, model: ModelServer, folder: Path) -> None:
        self.database, self.model, self.folder = database, model, folder
        self.processes: list[Reelroom] = []
        self._people: list[Person] = []
        self._stack = ExitStack()

    async def start(self, *, offline: bool = False, **settings: str) -> Reelroom:
        """Start one more process and wait until it serves."""
        model = {"OPENAI_API_KEY": "x", "OPENAI_BASE_URL": self.model.url}
        process = Reelroom(
            "serve",
            cwd=self.folder,
            **{
                "DATABASE_URL": self.database,
                "REELROOM_LOCAL_TOKEN": LOCAL_TOKEN,
                "REELROOM_DATA_DIR": str(self.folder),
                **({} if offline else model),
                **settings,
            },
        )
        self._stack.enter_context(process)
        await asyncio.to_thread(process.ready)
        self.processes.append(process)
        return process

    def person(self, process: Reelroom) -> Person:
        """The local admin as a client of this process."""
        self._people.append(process.local_admin())
        return self._people[-1]

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Tx]:
        connection = await connect(self.database)
        try:
            yield Tx(connection)
        finally:
            await connection.close()

    async def fetch(self, sql: str, *values: Any) -> list[dict[str, Any]]:
        async with self.reading() as reader:
            return [dict(row) for row in await reader.fetch(sql, *values)]

    async def until(self, sql: str, *values: Any, seconds: float = 60) -> list[dict[str, Any]]:
        """The rows of a query as soon as there are any."""
        async with asyncio.timeout(seconds):
            while not (rows := await self.fetch(sql, *values)):
                await asyncio.sleep(0.05)
        return rows

    async def check(self) -> None:
        """Assert that all invariants of the data hold."""
        async with self.reading() as reader:
            assert [str(violation) for violation in await check(reader)] == []

    async def close(self) -> None:
        for person in self._people:
            await person.aclose()
        self._stack.close()
