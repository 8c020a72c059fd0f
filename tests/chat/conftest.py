"""What the turn's tests share: a server in a process of its own, with a scripted model."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from app.lifecycle.check import check
from app.store.database import Tx
from tests.conftest import NewDatabase
from tests.harness.database import DB, connect
from tests.model_server import ModelServer
from tests.people import Person

TOKEN = "of-the-local-admin"
PATIENCE = 30.0  # seconds for a process to say that it is ready


class Process:
    """A `reelroom serve` that may be stopped, killed and continued."""

    def __init__(self, process: asyncio.subprocess.Process, url: str, log: Path) -> None:
        self.process, self.url, self.log = process, url, log

    def person(self) -> Person:
        """The local admin as seen through this process."""
        headers = {"authorization": f"Bearer {TOKEN}"}
        person = Person(base_url=self.url, timeout=60, headers=headers)
        person.id, person.token = "local", TOKEN
        return person

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    async def kill(self) -> None:
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()


class House:
    """A database, a model, and server processes on them.

    The tests' own pool speaks with the session's database, where the offline server works on
    every run. Whatever needs another model or dies on purpose is therefore a real process with a
    database of its own.
    """

    def __init__(self, database: str, model: ModelServer, folder: Path) -> None:
        self.database, self.model, self.folder = database, model, folder
        self.processes: list[Process] = []
        self._people: list[Person] = []

    async def start(self, *, offline: bool = False, **environment: str) -> Process:
        dropped = ("DATABASE_URL", "REDIS_URL", "OPENAI_", "PORT", "HOST")
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(dropped)}
        model = {"OPENAI_API_KEY": "x", "OPENAI_BASE_URL": self.model.url}
        settings = {
            "DATABASE_URL": self.database,
            "PORT": "0",
            "REELROOM_LOCAL_TOKEN": TOKEN,
            "REELROOM_DATA_DIR": str(self.folder),
            **({} if offline else model),
            **environment,
        }
        log = self.folder / f"serve-{len(self.processes)}.log"
        with log.open("wb") as errors:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "app", "serve",
                env=inherited | settings, stdout=asyncio.subprocess.PIPE, stderr=errors,
            )  # fmt: skip
        assert process.stdout
        async with asyncio.timeout(PATIENCE):
            line = (await process.stdout.readline()).decode()
        assert "is ready" in line, log.read_text()
        url = line.split()[-1].split("/", 3)
        self.processes.append(Process(process, "/".join(url[:3]), log))
        return self.processes[-1]

    async def person(self, process: Process) -> Person:
        self._people.append(process.person())
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
        async with self.reading() as reader:
            assert [str(violation) for violation in await check(reader)] == []

    async def close(self) -> None:
        for person in self._people:
            await person.aclose()
        for process in self.processes:
            if process.process.returncode is None:
                process.signal(signal.SIGCONT)
            await process.kill()


@pytest.fixture
async def house(new_database: NewDatabase, tmp_path: Path) -> AsyncIterator[House]:
    """An empty house; all invariants hold when it is left."""
    async with ModelServer() as model:
        house = House(await new_database(), model, tmp_path)
        try:
            yield house
            await house.check()
        finally:
            await house.close()


@pytest.fixture(scope="session")
async def model_house(
    new_database: NewDatabase, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[House]:
    """A house with one process for all tests of what a model may do wrong."""
    async with ModelServer() as model:
        house = House(await new_database(), model, tmp_path_factory.mktemp("house"))
        try:
            await house.start()
            yield house
        finally:
            await house.close()


@pytest.fixture
async def modelled(model_house: House) -> AsyncIterator[Person]:
    """The local admin of `model_house`; its invariants hold after every test."""
    async with model_house.processes[0].person() as person:
        yield person
    model = model_house.model
    left, open_streams = len(model._script), model.open_streams
    model._script.clear()  # the next test has its own
    assert (left, open_streams) == (0, 0)
    await model_house.check()


@pytest.fixture(autouse=True)
async def connections_come_back(request: pytest.FixtureRequest) -> AsyncIterator[None]:
    """After every test the pool of this process is idle: no connection was lost."""
    yield
    if "server" not in request.fixturenames:
        return
    async with asyncio.timeout(10):
        while DB.pool.get_idle_size() != DB.pool.get_size():
            await asyncio.sleep(0.02)
