"""A real PostgreSQL, a real Redis and a real server, all on the tests' own event loop."""

import asyncio
import itertools
import os
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import httpx
import pytest
import uvicorn
from hypothesis import settings as hypothesis_settings

from app.lifecycle.check import check
from app.main import create_app
from app.realtime.accelerated.protocols import (
    AcceleratedHttpProtocol,
    AcceleratedWebSocketProtocol,
)
from app.settings import Settings
from app.store.database import Database
from app.store.embedded import Embedded, start
from app.store.migration import migrate
from tests.harness.database import DB, connected
from tests.people import Person, make_person

MUST = os.environ.get("CI") == "true"  # then a missing server is a failure, not a skip
_numbers = itertools.count(1)

hypothesis_settings.register_profile("reelroom", deadline=None, print_blob=True)
hypothesis_settings.load_profile("reelroom")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="also run what takes minutes")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--long"):
        for item in items:
            if "long" in item.keywords:
                item.add_marker(pytest.mark.skip(reason="only with --long"))


def missing(what: str) -> None:
    """Skip, or fail where nothing may be missing."""
    if MUST:
        pytest.fail(f"{what} is not installed")
    pytest.skip(f"{what} is not installed")


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedded]:
    """One server for the whole session."""
    with start(tmp_path_factory.mktemp("postgres"), durable=False) as server:
        yield server


@pytest.fixture(scope="session")
async def template(postgres: Embedded) -> str:
    """A migrated database to be copied; nobody connects to it."""
    connection = await asyncpg.connect(postgres.dsn)
    await connection.execute("create database template_reelroom template template0")
    await connection.close()
    await migrate(f"{postgres.dsn.rpartition('/')[0]}/template_reelroom")
    return "template_reelroom"


NewDatabase = Callable[[], Awaitable[str]]


@pytest.fixture(scope="session")
async def new_database(postgres: Embedded, template: str) -> NewDatabase:
    """A function that makes one more migrated database and returns its DSN."""

    async def make() -> str:
        name = f"reelroom_{next(_numbers)}"
        connection = await asyncpg.connect(postgres.dsn)
        await connection.execute(f"create database {name} template {template} strategy file_copy")
        await connection.close()
        return f"{postgres.dsn.rpartition('/')[0]}/{name}"

    return make


@pytest.fixture(scope="session")
async def database_url(new_database: NewDatabase) -> str:
    """The address of this process's database."""
    return await new_database()


@pytest.fixture(scope="session")
async def pool(database_url: str) -> AsyncIterator[Database]:
    """The database of this process, held open; every server of this process shares it."""
    async with connected(database_url, connections=20):
        yield DB


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`REDIS_URL`, else a server of our own."""
    if given := os.environ.get("REDIS_URL"):
        yield given
        return
    binary = shutil.which("redis-server")
    if binary is None:
        missing("redis-server")
    assert binary is not None
    with started_redis(binary, tmp_path_factory.mktemp("redis")) as url:
        yield url


class started_redis:  # noqa: N801  reads as a verb where it is used
    """A Redis of our own on a free port; `process` may be stopped, killed and started again."""

    def __init__(self, binary: str, folder: Path) -> None:
        self.binary, self.folder = binary, folder
        self.port = free_port()

    def __enter__(self) -> str:
        self.start()
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        words = ["--port", str(self.port), "--save", "", "--bind", "127.0.0.1"]
        self.process = subprocess.Popen(
            [self.binary, *words], cwd=self.folder, stdout=subprocess.DEVNULL
        )
        while True:
            assert self.process.poll() is None, "redis did not start"
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()


def _own_ports() -> Iterator[int]:
    """Below the range of ephemeral ports, and no other worker's."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    low, many = 20_000 + 1500 * (worker % 8), 1500
    return itertools.cycle(low + (os.getpid() + step) % many for step in range(many))


_ports = _own_ports()


def free_port() -> int:
    """A port that nobody listens on, nor was given it just now."""
    for port in _ports:
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError("no free port")


Serving = Callable[..., AbstractAsyncContextManager[str]]


@asynccontextmanager
async def serving(settings: Settings, *, run_jobs: bool = True) -> AsyncIterator[str]:
    """The whole app under uvicorn on this loop, with the session's database; yields its address."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
    config = uvicorn.Config(
        create_app(settings, database=DB, run_jobs=run_jobs),
        log_level="warning",
        http=AcceleratedHttpProtocol,
        ws=AcceleratedWebSocketProtocol,
        ws_per_message_deflate=False,
        timeout_graceful_shutdown=3,
    )
    server = QuietServer(config)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started:
        assert not task.done(), "the server did not start"
        await asyncio.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await task


class QuietServer(uvicorn.Server):
    """pytest keeps its own signal handlers."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@pytest.fixture(scope="session")
async def server(pool: None, database_url: str) -> AsyncIterator[str]:
    """One server with the offline model for all tests that need nothing special."""
    async with serving(Settings(database_url=database_url)) as url:
        yield url


NewPerson = Callable[..., Awaitable[Person]]


@pytest.fixture
async def person(server: str) -> AsyncIterator[Person]:
    """Somebody with an account of their own, signed in by token."""
    async with await make_person(server) as somebody:
        yield somebody


@pytest.fixture
async def new_person(server: str) -> AsyncIterator[NewPerson]:
    made: list[Person] = []

    async def make(url: str = server) -> Person:
        made.append(await make_person(url))
        return made[-1]

    yield make
    for one in made:
        await one.aclose()


@pytest.fixture(autouse=True)
async def invariants_hold(request: pytest.FixtureRequest) -> AsyncIterator[None]:
    """After every test that used the server all invariants of the data hold."""
    began = datetime.now(UTC)
    yield
    if "server" in request.fixturenames and "breaks_invariants" not in request.keywords:
        async with DB.reading(snapshot=True) as reader:
            assert [str(violation) for violation in await check(reader, since=began)] == []


@pytest.fixture
async def client(server: str) -> AsyncIterator[httpx.AsyncClient]:
    """Nobody in particular."""
    async with httpx.AsyncClient(base_url=server, timeout=20) as client:
        yield client
