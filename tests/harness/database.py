"""The database of the tests: what they read and write themselves, beside the server under test."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from app.store.database import Database, set_type_codecs

DB = Database()  # open for the whole session: see the fixture `pool`


@asynccontextmanager
async def connected(dsn: str, *, connections: int = 10) -> AsyncIterator[Database]:
    """Hold `DB` open until the block ends."""
    async with DB.opened(dsn, connections=connections):
        yield DB


async def connect(dsn: str) -> asyncpg.Connection:
    """Open a connection of its own, with the same types as those of a pool."""
    connection = await asyncpg.connect(dsn)
    await set_type_codecs(connection)
    return connection
