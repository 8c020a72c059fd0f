"""A real PostgreSQL with the schema, a real Redis, and projects to follow."""

import shutil
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import ConnectionError as NotYet

from app.realtime.bus.local import LocalBus
from tests.conftest import free_port
from tests.harness.database import DB
from tests.realtime.studio import USER, Process, Project, delivery, open_project, process


@pytest.fixture(params=[True, False], ids=["direct", "asgi"], autouse=True)
def direct(request: pytest.FixtureRequest) -> bool:
    """Every test runs on both deliveries: finished bytes on the transport, and ASGI's `send`."""
    delivery["direct"] = bool(request.param)
    return delivery["direct"]


@pytest.fixture
async def database(pool: None, database_url: str) -> AsyncIterator[str]:
    """The database of this process; our projects obey no rule of the product, so they go again."""
    yield database_url
    async with DB.transaction() as tx:
        ours = "(select id from project where owner_id = $1)"
        await tx.execute(f"delete from project_event where project_id in {ours}", USER)
        await tx.execute("delete from project where owner_id = $1", USER)


class RedisServer:
    """A redis-server of our own that can be stopped and started on the same port."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._folder = folder
        self.child: subprocess.Popen[bytes] | None = None

    @property
    def admin(self) -> Redis:
        return Redis(port=self.port, socket_timeout=2)

    def start(self) -> None:
        program = shutil.which("redis-server")
        assert program, "the tests need redis-server"
        self.child = subprocess.Popen(
            [program, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "",
             "--appendonly", "no", "--dir", str(self._folder)],
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        while True:
            assert self.child.poll() is None, "redis-server ended"
            with self.admin as admin:
                try:
                    admin.ping()
                except NotYet:
                    continue
                return

    def stop(self) -> None:
        if self.child:
            self.child.kill()
            self.child.wait()
            self.child = None


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
async def here(database: str) -> AsyncIterator[Process]:
    """One process without Redis."""
    async with process(LocalBus()) as one:
        yield one


@pytest.fixture
async def new_project(database: str) -> Callable[[], Awaitable[Project]]:
    return open_project


@pytest.fixture
async def project(database: str) -> Project:
    assert DB.pool
    return await open_project()
