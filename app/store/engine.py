"""Names that go away: the database of a process as a global, until `create_app` passes it on."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.store.database import (
    SCHEMA,
    AfterCommit,
    Database,
    Reader,
    Tx,
    problem_of,
)
from app.store.database import (
    _skip_reset as keep_session,
)
from app.store.database import (
    set_type_codecs as prepare,
)

__all__ = [
    "DB",
    "SCHEMA",
    "AfterCommit",
    "Reader",
    "Tx",
    "connected",
    "keep_session",
    "prepare",
    "problem_of",
    "reading",
    "transaction",
]

DB = Database()
transaction = DB.transaction
reading = DB.reading
_dsn = ""


@asynccontextmanager
async def connected(dsn: str, *, connections: int = 10) -> AsyncIterator[Database]:
    """Open the global database, or share it when it is open."""
    global _dsn
    if DB._pool is not None:
        if _dsn != dsn:
            raise RuntimeError("one process speaks with one database")
        yield DB
        return
    _dsn = dsn
    async with DB.opened(dsn, connections=connections):
        yield DB
