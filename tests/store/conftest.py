"""One embedded server for all tests of the store, and an empty database of its own for each."""

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import asyncpg
import pytest

from app.store.embedded import Embedded, start

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedded]:
    with start(tmp_path_factory.mktemp("postgres"), durable=False) as server:
        yield server


@pytest.fixture
async def new_database(embedded: Embedded) -> AsyncIterator[Callable[[], Awaitable[str]]]:
    """Return a function that makes one more empty database and returns its DSN."""
    connection = await asyncpg.connect(embedded.dsn)
    names: list[str] = []

    async def make() -> str:
        names.append(f"store_{next(_numbers)}")
        await connection.execute(
            f"create database {names[-1]} template template0 strategy file_copy"
        )
        return f"{embedded.dsn.rpartition('/')[0]}/{names[-1]}"

    yield make
    for name in names:
        await connection.execute(f"drop database {name} with (force)")
    await connection.close()


@pytest.fixture
async def dsn(new_database: Callable[[], Awaitable[str]]) -> str:
    return await new_database()
