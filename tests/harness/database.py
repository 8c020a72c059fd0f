"""The database of the tests: what they read and write themselves, beside the server under test."""

import asyncpg

from app.store.engine import DB, connected, prepare

__all__ = ["DB", "connect", "connected"]  # DB is open for the whole session: see the fixture `pool`


async def connect(dsn: str) -> asyncpg.Connection:
    """Open a connection of its own, with the same types as those of a pool."""
    connection = await asyncpg.connect(dsn)
    await prepare(connection)
    return connection
