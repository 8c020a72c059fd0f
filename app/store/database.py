"""The pool of PostgreSQL connections, transactions, and the mapping of database errors."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Protocol, cast

import asyncpg
import msgspec
from asyncpg import Connection, Record
from piccolo.engine.postgres import PostgresEngine

from app.problems import DatabaseError, Problem, ServiceUnavailable
from app.signals import Signals
from app.store.concurrency import run_to_completion

ACQUIRE_TIMEOUT_SECONDS = 5.0  # for a free connection; then the request is answered with 503
COMMAND_TIMEOUT_SECONDS = 10.0  # of one statement, measured by the client
CLOSE_TIMEOUT_SECONDS = 5.0  # wait for connections in use when the pool closes
SERVER_SETTINGS = {
    "application_name": "reelroom",
    "idle_in_transaction_session_timeout": "10s",
    "lock_timeout": "3s",
    "statement_timeout": "15s",
    "tcp_user_timeout": "10s",
    "jit": "off",
}

logger = logging.getLogger(__name__)

AfterCommit = Callable[[], None]


class Reader(Protocol):
    """The methods to read with, of a `Database` or of one of its connections."""

    async def fetch(self, sql: str, *values: Any) -> list[Record]: ...
    async def fetchrow(self, sql: str, *values: Any) -> Record | None: ...
    async def fetchval(self, sql: str, *values: Any) -> Any: ...


class SchemaEngine(PostgresEngine):
    """The engine that the tables are bound to.

    It compiles queries and serves Piccolo's command line. The app uses `Database` instead, since
    Piccolo's transactions leak a connection when a commit fails or a task is cancelled.
    """

    async def check_version(self) -> None:
        """Skip Piccolo's check: importing the app must not open a connection."""


SCHEMA = SchemaEngine(config={})


class Tx:
    """One connection, with or without an open transaction.

    The functions in `after_commit` run once, right after the commit. `signals` are those of the
    database.
    """

    def __init__(self, connection: Connection, signals: Signals | None = None) -> None:
        self.connection = connection
        self.signals = signals or Signals()
        self.after_commit: list[AfterCommit] = []

    def send_after_commit(self, message: Any) -> None:
        """Send a signal right after the commit; a rollback discards it."""
        self.after_commit.append(lambda: self.signals.send(message))

    async def fetch(self, sql: str, *values: Any) -> list[Record]:
        return await self.connection.fetch(sql, *values)

    async def fetchrow(self, sql: str, *values: Any) -> Record | None:
        return await self.connection.fetchrow(sql, *values)

    async def fetchval(self, sql: str, *values: Any) -> Any:
        return await self.connection.fetchval(sql, *values)

    async def execute(self, sql: str, *values: Any) -> int:
        """Run one statement and return the number of rows that it affected."""
        tag = await self.connection.execute(sql, *values)
        last = tag.rpartition(" ")[2]
        return int(last) if last.isdigit() else 0

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[None]:
        """Roll back only the block when it raises, including its `after_commit` functions."""
        count = len(self.after_commit)
        try:
            async with self.connection.transaction():
                yield
        except BaseException:
            del self.after_commit[count:]
            raise


class Database:
    """The pool of connections to one PostgreSQL server, and the signals of its transactions.

    `fetch`, `fetchrow` and `fetchval` each take a connection for one statement. `acquire` bounds
    the wait for a free connection and `command` one statement, both in seconds; `settings` are
    PostgreSQL's own for each session.
    """

    def __init__(
        self,
        signals: Signals | None = None,
        *,
        acquire: float = ACQUIRE_TIMEOUT_SECONDS,
        command: float = COMMAND_TIMEOUT_SECONDS,
        settings: dict[str, str] = SERVER_SETTINGS,
    ) -> None:
        self.signals = signals or Signals()
        self._acquire = acquire
        self._command = command
        self._settings = settings
        self._pool: asyncpg.Pool | None = None
        self.reads_standby = False  # whether the last connection led to a hot standby

    @property
    def pool(self) -> asyncpg.Pool:
        """The open pool. Raises `ServiceUnavailable` before `opened` and after it."""
        if self._pool is None:
            raise ServiceUnavailable("The database pool is not open.", retry_after=1)
        return self._pool

    @asynccontextmanager
    async def opened(self, dsn: str, *, connections: int = 10) -> AsyncIterator["Database"]:
        """Keep a pool of at most `connections` open until the block ends.

        PostgreSQL need not answer yet: until it does, requests get `ServiceUnavailable` or
        `DatabaseError`.
        """
        if self._pool is not None:
            raise RuntimeError("this database is open already")
        self._pool = await asyncpg.create_pool(
            dsn,
            min_size=0,
            max_size=connections,
            command_timeout=self._command,
            timeout=self._acquire,
            server_settings=self._settings,
            init=set_type_codecs,
            reset=_skip_reset,
            max_inactive_connection_lifetime=300,
        )
        try:
            yield self
        finally:
            pool, self._pool = self.pool, None
            try:
                async with asyncio.timeout(CLOSE_TIMEOUT_SECONDS):
                    await pool.close()
            except TimeoutError:
                pool.terminate()

    async def fetch(self, sql: str, *values: Any) -> list[Record]:
        async with self.reading() as tx:
            return await tx.fetch(sql, *values)

    async def fetchrow(self, sql: str, *values: Any) -> Record | None:
        async with self.reading() as tx:
            return await tx.fetchrow(sql, *values)

    async def fetchval(self, sql: str, *values: Any) -> Any:
        async with self.reading() as tx:
            return await tx.fetchval(sql, *values)

    @asynccontextmanager
    async def reading(self, *, snapshot: bool = False) -> AsyncIterator[Tx]:
        """Acquire a connection to read with; with `snapshot` all statements see the same state."""
        async with self._connection() as connection:
            tx = Tx(connection, self.signals)
            try:
                if snapshot:
                    async with connection.transaction(isolation="repeatable_read", readonly=True):
                        yield tx
                else:
                    yield tx
            except DRIVER_ERRORS as error:
                raise problem_of(error) from error

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Tx]:
        """Run the block in one transaction, then the `after_commit` functions.

        Cancellation rolls back, unless the commit has begun, which is completed first. Raises
        `DatabaseError` or `ServiceUnavailable` when PostgreSQL is unavailable or busy. A commit
        whose result is unknown, since the connection was lost, raises `DatabaseError` as well.
        """
        async with self._connection() as connection:
            tx = Tx(connection, self.signals)
            try:
                open_ = connection.transaction()
                await open_.start()
                try:
                    yield tx
                except BaseException:
                    if not connection.is_closed():
                        await run_to_completion(open_.rollback())
                    raise
                await run_to_completion(_commit(open_, tx))
            except DRIVER_ERRORS as error:
                raise problem_of(error) from error

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        """Acquire a connection of the pool and release it, also when the task is cancelled."""
        pool = self.pool
        try:
            connection = await pool.acquire(timeout=self._acquire)
        except TimeoutError as error:
            raise ServiceUnavailable("All database connections are busy.", retry_after=1) from error
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise DatabaseError(retry_after=2) from error
        try:
            self.reads_standby = connection.get_settings().in_hot_standby == "on"
            yield cast(Connection, connection)
        finally:
            await _release(pool, connection, self._command)  # asyncpg shields it from cancellation


async def _release(pool: asyncpg.Pool, connection: Any, seconds: float) -> None:
    """Release a connection; the pool drops it if it does not respond, which is only logged."""
    try:
        await pool.release(connection, timeout=seconds)
    except DRIVER_ERRORS as error:
        logger.warning("a database connection was dropped: %s", type(error).__name__)


async def _commit(open_: Any, tx: Tx) -> None:
    """Commit and run the `after_commit` functions."""
    await open_.commit()
    for function in tx.after_commit:
        function()


DRIVER_ERRORS = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # a connection that the server killed while it was idle
    OSError,
    asyncio.TimeoutError,
)
BUSY_ERRORS = (
    asyncpg.LockNotAvailableError,
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.QueryCanceledError,
)
CONNECTION_ERRORS = (
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
    """Return the problem for an error of the driver; an unexpected error is returned unchanged."""
    if isinstance(error, BUSY_ERRORS):
        return ServiceUnavailable("The project is busy; try again.", retry_after=1)
    if isinstance(error, CONNECTION_ERRORS) and not isinstance(error, Problem):
        return DatabaseError(retry_after=2)
    if isinstance(error, asyncpg.UndefinedTableError):  # the next start migrates
        return DatabaseError("The database has no schema yet; try again.", retry_after=2)
    return error


async def set_type_codecs(connection: Connection) -> None:
    """Convert jsonb columns to Python values and uuids to text."""
    await connection.set_type_codec(
        "jsonb", schema="pg_catalog", encoder=_json_text, decoder=msgspec.json.decode
    )
    await connection.set_type_codec("uuid", schema="pg_catalog", encoder=str, decoder=str)


async def _skip_reset(connection: Connection) -> None:
    """Skip the statement that resets a session between two uses, since no session is changed.

    asyncpg still rolls back an open transaction.
    """


def _json_text(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
