"""The PostgreSQL pool, and transactions that always give their connection back."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Literal, Protocol, TypeVar, cast

import asyncpg
import msgspec
from asyncpg import Connection, Record
from piccolo.engine.postgres import PostgresEngine, PostgresTransaction

from app.problems import DatabaseError, Problem, ServiceUnavailable
from app.store.tasks import to_the_end

ACQUIRE = 5.0  # seconds to wait for a connection before a request is told to come back
COMMAND = 10.0  # seconds that one statement may take as we see it
SERVER_SETTINGS = {
    "application_name": "reelroom",
    "idle_in_transaction_session_timeout": "10s",
    "lock_timeout": "3s",
    "statement_timeout": "15s",
    "tcp_user_timeout": "10s",
    "jit": "off",
}

log = logging.getLogger(__name__)

Result = TypeVar("Result")
AfterCommit = Callable[[], None]


class Reader(Protocol):
    """What both the pool and a transaction can do."""

    async def fetch(self, sql: str, *values: Any) -> list[Record]: ...
    async def fetchrow(self, sql: str, *values: Any) -> Record | None: ...
    async def fetchval(self, sql: str, *values: Any) -> Any: ...


class PiccoloTransaction(PostgresTransaction):
    """Piccolo's own loses its connection when a commit fails or its task is cancelled."""

    async def begin(self) -> None:
        try:
            await self.transaction.start()
        except BaseException:
            await self._give_back()
            raise

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> Literal[False]:
        if self._parent is not None:
            return False
        try:
            self.engine.current_transaction.reset(self.context)
            await to_the_end(self.transaction.rollback() if error else self.transaction.commit())
        finally:
            await self._give_back()
        return False

    async def _give_back(self) -> None:
        pool = self.engine.pool
        await to_the_end(pool.release(self.connection) if pool else self.connection.close())


class Engine(PostgresEngine):
    """Piccolo's engine, with a pool whose acquire is bounded and whose import opens nothing."""

    async def check_version(self) -> None:
        """Skip Piccolo's check: importing the app must not open a connection."""

    def transaction(self, allow_nested: bool = True) -> PiccoloTransaction:
        return PiccoloTransaction(engine=self, allow_nested=allow_nested)

    @property
    def live_pool(self) -> asyncpg.Pool:
        if self.pool is None:
            raise ServiceUnavailable("The database pool is not open.", retry_after=1)
        return self.pool

    async def fetch(self, sql: str, *values: Any) -> list[Record]:
        async with reading() as tx:
            return await tx.fetch(sql, *values)

    async def fetchrow(self, sql: str, *values: Any) -> Record | None:
        async with reading() as tx:
            return await tx.fetchrow(sql, *values)

    async def fetchval(self, sql: str, *values: Any) -> Any:
        async with reading() as tx:
            return await tx.fetchval(sql, *values)


class Tx:
    """One open transaction. What is put into `after_commit` runs once, after a commit only."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.after_commit: list[AfterCommit] = []

    async def fetch(self, sql: str, *values: Any) -> list[Record]:
        return await self.connection.fetch(sql, *values)

    async def fetchrow(self, sql: str, *values: Any) -> Record | None:
        return await self.connection.fetchrow(sql, *values)

    async def fetchval(self, sql: str, *values: Any) -> Any:
        return await self.connection.fetchval(sql, *values)

    async def execute(self, sql: str, *values: Any) -> int:
        """Run one statement; return how many rows it touched."""
        tag = await self.connection.execute(sql, *values)
        last = tag.rpartition(" ")[2]
        return int(last) if last.isdigit() else 0

    async def executemany(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        await self.connection.executemany(sql, rows)

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[None]:
        """What fails inside is undone alone, with the work it had queued for after the commit."""
        kept = len(self.after_commit)
        try:
            async with self.connection.transaction():
                yield
        except BaseException:
            del self.after_commit[kept:]
            raise


DB = Engine(config={})


@asynccontextmanager
async def _connection() -> AsyncIterator[Connection]:
    """A pooled connection; released under a shield, whatever happens to the task."""
    pool = DB.live_pool
    try:
        connection = await pool.acquire(timeout=ACQUIRE)
    except TimeoutError as error:
        raise ServiceUnavailable("All database connections are busy.", retry_after=1) from error
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise DatabaseError(retry_after=2) from error
    try:
        yield cast(Connection, connection)
    finally:
        await _release(pool, connection)  # asyncpg shields it from cancellation itself


async def _release(pool: asyncpg.Pool, connection: Any) -> None:
    """Give a connection back; the pool drops one that does not answer, which is no new error."""
    try:
        await pool.release(connection, timeout=COMMAND)
    except DRIVER_ERRORS as error:
        log.warning("a database connection was given up: %s", type(error).__name__)


@asynccontextmanager
async def reading(*, snapshot: bool = False) -> AsyncIterator[Tx]:
    """A connection to read with; with `snapshot` all statements see one moment."""
    async with _connection() as connection:
        try:
            if snapshot:
                async with connection.transaction(isolation="repeatable_read", readonly=True):
                    yield Tx(connection)
            else:
                yield Tx(connection)
        except DRIVER_ERRORS as error:
            raise problem_of(error) from error


@asynccontextmanager
async def transaction() -> AsyncIterator[Tx]:
    """One transaction: everything in the block or nothing; then its `after_commit` work.

    Cancellation rolls back, unless the commit has begun: that is finished first. Raises
    `DatabaseError` or `ServiceUnavailable` when PostgreSQL is away, busy or refuses; a commit
    whose answer was lost raises `DatabaseError` too, and only an idempotency key can tell which
    it was.
    """
    async with _connection() as connection:
        tx = Tx(connection)
        try:
            open_ = connection.transaction()
            await open_.start()
            try:
                yield tx
            except BaseException:
                if not connection.is_closed():
                    await to_the_end(open_.rollback())
                raise
            await to_the_end(_commit(open_, tx))
        except DRIVER_ERRORS as error:
            raise problem_of(error) from error


async def _commit(open_: Any, tx: Tx) -> None:
    """Together, so that a caller who is cancelled meanwhile does not leave it untold."""
    await open_.commit()
    for work in tx.after_commit:
        work()


DRIVER_ERRORS = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # a connection that the server killed while it was idle
    OSError,
    asyncio.TimeoutError,
)
BUSY = (
    asyncpg.LockNotAvailableError,
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.QueryCanceledError,
)
GONE = (
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.DiskFullError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
    asyncio.TimeoutError,
)


def problem_of(error: Exception) -> Exception:
    """The problem that a client is told; an error that is our own bug stays what it is."""
    if isinstance(error, BUSY):
        return ServiceUnavailable("The project is busy; try again.", retry_after=1)
    if isinstance(error, GONE) and not isinstance(error, Problem):
        return DatabaseError(retry_after=2)
    if isinstance(error, asyncpg.UndefinedTableError):  # it came up empty; a start migrates it
        return DatabaseError("The database has no schema yet; try again.", retry_after=2)
    return error


async def retrying(action: Callable[[], Awaitable[Result]], tries: int = 3) -> Result:
    """Repeat a read or a keyed write that failed only because PostgreSQL was away or busy."""
    for attempt in range(1, tries):
        try:
            return await action()
        except (DatabaseError, ServiceUnavailable):
            await asyncio.sleep(0.05 * 2**attempt)
    return await action()


@asynccontextmanager
async def connected(dsn: str, *, connections: int = 10) -> AsyncIterator[Engine]:
    """Hold the pool open. The database need not answer yet: requests are told 503 until it does.

    Several apps of one process, such as two servers under test, share the pool of the first.
    """
    if DB.pool is not None:
        if DB.config["dsn"] != dsn:
            raise RuntimeError("one process speaks with one database")
        yield DB
        return
    DB.config["dsn"] = dsn
    pool = asyncpg.create_pool(
        dsn,
        min_size=0,
        max_size=connections,
        command_timeout=COMMAND,
        timeout=ACQUIRE,
        server_settings=SERVER_SETTINGS,
        init=prepare,
        reset=keep_session,
        max_inactive_connection_lifetime=300,
    )
    DB.pool = await pool
    try:
        yield DB
    finally:
        pool_, DB.pool = DB.live_pool, None
        try:
            async with asyncio.timeout(5):
                await pool_.close()
        except TimeoutError:
            pool_.terminate()


async def prepare(connection: Connection) -> None:
    """Read jsonb columns as Python values and uuids as text."""
    await connection.set_type_codec(
        "jsonb", schema="pg_catalog", encoder=_json_text, decoder=msgspec.json.decode
    )
    await connection.set_type_codec("uuid", schema="pg_catalog", encoder=str, decoder=str)


async def keep_session(connection: Connection) -> None:
    """Spare the statement that resets a session: we set nothing in one.

    An open transaction is rolled back by asyncpg all the same.
    """


def _json_text(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
