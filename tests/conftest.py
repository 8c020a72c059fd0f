"""A real PostgreSQL, a real Redis and a real server, all on the tests' own event loop."""

import asyncio
import itertools
import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import httpx
import pytest
from hypothesis import settings as hypothesis_settings

from app.lifecycle.check import check
from app.settings import Settings
from app.store.database import Database
from app.store.embedded import Embedded, start
from app.store.migration import migrate
from tests.harness.database import DB, connected
from tests.harness.deployment import Deployment
from tests.harness.in_process import serving_reelroom
from tests.harness.model_server import ModelServer
from tests.harness.person import Person
from tests.harness.person import new_person as person_at
from tests.harness.redis import RedisServer
from tests.harness.studio import Studio

IN_CI = os.environ.get("CI") == "true"  # a missing server is a failure, not a skip
PROGRAMS = {"postgres", "redis_server", "redis_url", "chromium"}  # fixtures that start them
_numbers = itertools.count(1)

hypothesis_settings.register_profile("reelroom", deadline=None, print_blob=True)
hypothesis_settings.load_profile("reelroom")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="also run what takes minutes")
    parser.addoption("--quick", action="store_true", help="run only what is not slow")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--long"):
        for item in items:
            if "long" in item.keywords:
                item.add_marker(pytest.mark.skip(reason="only with --long"))
    if config.getoption("--quick"):
        slow = [item for item in items if is_slow(item)]
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if item not in set(slow)]


def is_slow(item: pytest.Item) -> bool:
    """Whether the fixtures of a test start other programs, or it is marked `slow`."""
    fixtures = getattr(item, "fixturenames", [])
    return "slow" in item.keywords or not PROGRAMS.isdisjoint(fixtures)


def missing(what: str) -> None:
    """Skip the test, or fail it where every server is required."""
    if IN_CI:
        pytest.fail(f"{what} is not installed")
    pytest.skip(f"{what} is not installed")


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedded]:
    """One PostgreSQL for the whole session."""
    with start(tmp_path_factory.mktemp("postgres"), durable=False) as server:
        yield server


@pytest.fixture(scope="session")
async def template(postgres: Embedded) -> str:
    """A migrated database that is only copied; no test connects to it."""
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
    """The DSN of the database behind `DB`."""
    return await new_database()


@pytest.fixture(scope="session")
async def pool(database_url: str) -> AsyncIterator[Database]:
    """`DB`, open for the whole session; every server of this process shares it."""
    async with connected(database_url, connections=20):
        yield DB


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One Redis for the whole session; a test that stops it starts it again."""
    if shutil.which("redis-server") is None:
        missing("redis-server")
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="session")
def redis_url(request: pytest.FixtureRequest) -> str:
    """`REDIS_URL`, else the address of the session's Redis."""
    given = os.environ.get("REDIS_URL")
    return given or str(request.getfixturevalue("redis_server").url)


@pytest.fixture(scope="session")
async def server(pool: None, database_url: str) -> AsyncIterator[str]:
    """One server with the offline model, which most tests share."""
    async with serving_reelroom(Settings(database_url=database_url)) as url:
        yield url


NewPerson = Callable[..., Awaitable[Person]]


@pytest.fixture
async def person(server: str) -> AsyncIterator[Person]:
    """The client of a new account, signed in by token."""
    async with await person_at(server) as client:
        yield client


@pytest.fixture
async def new_person(server: str) -> AsyncIterator[NewPerson]:
    """A function that makes one more account."""
    made: list[Person] = []

    async def make(url: str = server) -> Person:
        made.append(await person_at(url))
        return made[-1]

    yield make
    for one in made:
        await one.aclose()


@pytest.fixture
async def studio(server: str) -> AsyncIterator[Studio]:
    """The server and accounts of one test; their logs give their snapshots at the end."""
    one = Studio(server)
    try:
        yield one
        await one.check()
    finally:
        await one.close()


@pytest.fixture
async def client(server: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client that is not signed in."""
    async with httpx.AsyncClient(base_url=server, timeout=20) as client:
        yield client


@pytest.fixture
async def deployment(new_database: NewDatabase, tmp_path: Path) -> AsyncIterator[Deployment]:
    """A deployment without processes yet; all invariants hold at the end."""
    async with ModelServer() as model:
        one = Deployment(await new_database(), model, tmp_path)
        try:
            yield one
            await one.check()
        finally:
            await one.close()


@pytest.fixture(scope="session")
async def model_deployment(
    new_database: NewDatabase, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Deployment]:
    """A deployment of one process, for all tests of the faults of a model."""
    async with ModelServer() as model:
        one = Deployment(await new_database(), model, tmp_path_factory.mktemp("deployment"))
        try:
            await one.start()
            yield one
        finally:
            await one.close()


@pytest.fixture
async def modelled(model_deployment: Deployment) -> AsyncIterator[Person]:
    """The local admin of `model_deployment`; its invariants hold after every test."""
    async with model_deployment.processes[0].local_admin() as person:
        yield person
    model = model_deployment.model
    assert (model.forget_script(), model.open_streams) == (0, 0)
    await model_deployment.check()


@pytest.fixture(autouse=True)
async def invariants_hold(request: pytest.FixtureRequest) -> AsyncIterator[None]:
    """Assert after every test that used the server that all invariants of the data hold."""
    began = datetime.now(UTC)
    yield
    if "server" in request.fixturenames:
        async with DB.reading(snapshot=True) as reader:
            assert [str(violation) for violation in await check(reader, since=began)] == []


@pytest.fixture(autouse=True)
def redis_runs_again(request: pytest.FixtureRequest) -> Iterator[None]:
    """Start the session's Redis after every test that used it, if it does not run."""
    yield
    if "redis_server" in request.fixturenames:
        request.getfixturevalue("redis_server").start()


@pytest.fixture(autouse=True)
async def connections_come_back(request: pytest.FixtureRequest) -> AsyncIterator[None]:
    """Assert after every test that used the server that its pool lost no connection."""
    yield
    if "server" not in request.fixturenames:
        return
    async with asyncio.timeout(10):
        while DB.pool.get_idle_size() != DB.pool.get_size():
            await asyncio.sleep(0.02)
