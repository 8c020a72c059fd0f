"""Fixtures: projects that consist of their log, and processes with hubs that serve them."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial

import pytest

from app.realtime.bus.local import LocalBus
from app.realtime.bus.redis import RedisBus
from app.realtime.limits import Limits
from tests.harness.database import DB
from tests.harness.in_process import Delivery
from tests.harness.redis import RedisServer
from tests.realtime.hub_server import (
    USER,
    NewProcess,
    Process,
    Project,
    TwoProcesses,
    open_project,
    serving_hubs,
)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that serves on both deliveries, unless its module is marked `one_delivery`."""
    if "delivery" in metafunc.fixturenames:
        alone = metafunc.definition.get_closest_marker("one_delivery")
        deliveries = ["uvicorn"] if alone else ["uvicorn", "asgi"]
        metafunc.parametrize("delivery", deliveries, scope="function")


@pytest.fixture
def process(delivery: Delivery) -> NewProcess:
    """A function that serves one more process, with the delivery of the test."""
    return partial(serving_hubs, delivery=delivery)


@pytest.fixture
def two(process: NewProcess) -> TwoProcesses:
    """A function that serves a process that commits, and one that gets hints over Redis."""

    @asynccontextmanager
    async def serve(
        redis: RedisServer, limits: Limits | None = None
    ) -> AsyncIterator[tuple[Process, Process]]:
        async with (
            process(RedisBus(redis.url), limits) as worker,
            process(RedisBus(redis.url), limits, receives_commits=False) as web,
        ):
            yield worker, web

    return serve


@pytest.fixture
async def database(pool: None, database_url: str) -> AsyncIterator[str]:
    """The database of `DB`; the projects of these tests are deleted after each test.

    They break the product's invariants, which other tests check.
    """
    yield database_url
    async with DB.transaction() as tx:
        own = "(select id from project where owner_id = $1)"
        await tx.execute(f"delete from project_event where project_id in {own}", USER)
        await tx.execute("delete from project where owner_id = $1", USER)


@pytest.fixture
async def here(database: str, process: NewProcess) -> AsyncIterator[Process]:
    """One process without Redis."""
    async with process(LocalBus()) as one:
        yield one


@pytest.fixture
async def new_project(database: str) -> Callable[[], Awaitable[Project]]:
    return open_project


@pytest.fixture
async def project(database: str) -> Project:
    return await open_project()
