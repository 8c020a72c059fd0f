"""An empty database for each test of the store, whose migration is under test."""

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable

import asyncpg
import pytest

from app.store.embedded import Embedded

_numbers = itertools.count(1)


@pytest.fixture
async def empty_database(postgres: Embedded) -> AsyncIterator[Callable[[], Awaitable[str]]]:
    """Return a function that creates one more empty database and returns its DSN."""
    connection = await asyncpg.connect(postgres.dsn)
    names: list[str] = []

    async def make() -> str:
        names.append(f"store_{next(_numbers)}")
        await connection.execute(
            f"create database {names[-1]} template template0 strategy file_copy"
        )
        return f"{postgres.dsn.rpartition('/')[0]}/{names[-1]}"

    yield make
    for name in names:
        await connection.execute(f"drop database {name} with (force)")
    await connection.close()


@pytest.fixture
async def dsn(empty_database: Callable[[], Awaitable[str]]) -> str:
    return await empty_database()
