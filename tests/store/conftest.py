"""One embedded server for all tests of the store, and an empty database of its own for each."""

import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import asyncpg
import pytest

from app.store.embedded import Embedded, start

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedded]:
    with start(tmp_path_factory.mktemp("postgres"), durable=False) as server:
        yield server


@pytest.fixture
async def empty_database(embedded: Embedded) -> AsyncIterator[Callable[[], str]]:
    """Return a function that makes one more empty database and returns its DSN."""
    connection = await asyncpg.connect(embedded.dsn)
    base = embedded.dsn.rpartition("/")[0]
    ready = [f"store_{next(_numbers)}"]
    await connection.execute(f"create database {ready[0]} template template0")
    yield lambda: f"{base}/{ready[0]}"
    await connection.close()


@pytest.fixture
def dsn(empty_database: Callable[[], str]) -> str:
    return empty_database()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "migrations"
    path.mkdir()
    return path
