"""The pool of PostgreSQL connections, and transactions that always give theirs back."""

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

ACQUIRE_SECONDS = 5.0  # wait for a free connection before a request is refused with 503
COMMAND_SECONDS = 10.0  # one statement, measured on our side
CLOSE_SECONDS = 5.0  # for connections in use to come back when the pool closes
SERVER_SETTINGS = {
    "application_name": "reelroom",
    "idle_in_transaction_session_timeout": "10s",
    "lock_timeout": "3s",
    "statement_timeout": "15s",
    "tcp_user_timeout": "10s",
    "jit": "off",
}

log = logging.getLogger(__name__)

AfterCommit = Callable[[], None]


class Reader(Protocol):
    """What both the pool and a transaction can do."""

    async def fetch(self, sql: str, *values: Any) -> list[Record]: ...
    async def fetchrow(self, sql: str, *values: Any) -> Record | None: ...
    async def fetchval(self, sql: str, *values: Any) -> Any: ...


class SchemaEngine(PostgresEngine):
    """The engine that the tables are bound to.

    It compiles queries and serves Piccolo's command line; the product's connections are
    `Database`'s, since Piccolo's own transactions lose a connection when a commit fails or a
    task is cancelled.
    """

    async def check_version(self) -> None:
        """Skip Piccolo's check: importing the app must not open a connection."""


SCHEMA = SchemaEngine(config={})


class Tx:
    """One connection, with or without an open transaction.

    What is appended to `after_commit` runs once, after the commit and only then. `signals` are
    those of the database: `after_commit` work sends to them.
    """

    def __init__(self, connection: Connection, signals: Signals | None = None) -> None:
        self.connection = connection
        self.signals = signals or Signals()
        self.after_commit: list[AfterCommit] = []

    def send_after_commit(self, message: Any) -> None:
        """Send a signal once the transaction has committed."""
        self.after_commit.append(lambda: self.signals.send(message))

    async def fetch(self, sql: str, *values: Any) -> list[Record]:
        return await self.connection.fetch(sql, *values)

    async def fetchrow(self, sql: str, *values: Any) -> Record | None:
        return await self.connection.fetchrow(sql, *values)

    async def fetchval(self, sql: str, *values: Any) -> Any:
        return await self.connection.fetchval(sql, *values)

    async def execute(self, sql: str, *values: Any) -> int:
        """Run one statement and return the number of rows that it touched."""
        tag = await self.connection.execute(sql, *values)
        last = tag.rpartition(" ")[2]
        return int(last) if last.isdigit() else 0

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[None]:
        """Undo what fails inside alone, with the work that it had queued for after the commit."""
        kept = len(self.after_commit)
        try:
            async with self.connection.transaction():
                yield
        except BaseException:
            del self.after_commit[kept:]
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
        acquire: float = ACQUIRE_SECONDS,
        command: float = COMMAND_SECONDS,
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
        """Hold a pool of at most so many connections open until the block ends.

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
            init=_prepare,
            reset=_keep_session,
            max_inactive_connection_lifetime=300,
        )
        try:
            yield self
        finally:
            pool, self._pool = self.pool, None
            try:
                async with asyncio.timeout(CLOSE_SECONDS):
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
        """A connection to read with; with `snapshot` all statements see the same moment."""
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
        """One transaction: everything in the block or nothing; then its `after_commit` work.

        Cancellation rolls back, unless the commit has begun: that is finished first. Raises
        `DatabaseError` or `ServiceUnavailable` when PostgreSQL is away, busy or refuses. A commit
        whose answer was lost raises `DatabaseError` as well: only an idempotency key can tell
        whether it took effect.
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
        """A pooled connection, given back whatever happens to the task."""
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
            await _release(
                pool, connection, self._command
            )  # asyncpg shields it from cancellation itself


async def _release(pool: asyncpg.Pool, connection: Any, seconds: float) -> None:
    """Give a connection back. The pool drops one that does not answer; that is no new error."""
    try:
        await pool.release(connection, timeout=seconds)
    except DRIVER_ERRORS as error:
        log.warning("a database connection was given up: %s", type(error).__name__)


async def _commit(open_: Any, tx: Tx) -> None:
    """Commit and run the `after_commit` work, even when the caller is cancelled meanwhile."""
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


async def _prepare(connection: Connection) -> None:
    """Have jsonb columns read as Python values and uuids as text."""
    await connection.set_type_codec(
        "jsonb", schema="pg_catalog", encoder=_json_text, decoder=msgspec.json.decode
    )
    await connection.set_type_codec("uuid", schema="pg_catalog", encoder=str, decoder=str)


async def _keep_session(connection: Connection) -> None:
    """Skip the statement that resets a session between two uses: nothing is set in one.

    asyncpg rolls back an open transaction all the same.
    """


def _json_text(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
