"""Applies migrations, each in one transaction; an advisory lock serializes the runners."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from pathlib import Path

import asyncpg
from asyncpg import Connection

from app.store.backup import discard_backup, write_backup
from app.store.fingerprint import has_rows, list_losses, list_tables, take_fingerprint
from app.store.migration_rules import (
    Source,
    check_folder,
    check_source,
    list_sources,
    read_source,
)

logger = logging.getLogger(__name__)

APP_NAME = "reelroom"
PACKAGED = Path(__file__).parent / "migrations"
MIGRATIONS = PACKAGED if PACKAGED.is_dir() else Path(__file__).parents[2] / "migrations"

LOCK_TIMEOUT_SECONDS = 5.0  # for a table; other sessions queue behind the waiting migration
MAX_LOCK_RETRIES = 5
RETRY_PAUSE_SECONDS = 0.5  # multiplied by the number of the attempt, with jitter

# The first table is that of Piccolo's command `piccolo migrations check`.
CREATE_RECORDS = """
    create table if not exists migration (
        id serial primary key,
        name varchar(200) not null default '',
        app_name varchar(200) not null default '',
        ran_on timestamp not null default current_timestamp
    );
    create table if not exists migration_digest (name text primary key, sha256 text not null);
"""
LIST_APPLIED = """
    select migration.name, sha256 from migration
    left join migration_digest using (name) where app_name = $1 order by 1
"""
BUSY_ERRORS = (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError)


class MigrationError(Exception):
    """A migration was not applied; the schema is unchanged."""


def script(sql: str) -> Callable[[], Awaitable[None]]:
    """Register SQL as a migration's step, which `migrate` reads from the file's source.

    Piccolo's runner can list migrations but not run them, which raises `MigrationError`: it takes
    no lock and records a migration outside its transaction, so that a crash between the two leaves
    a database that no later run can repair.
    """

    async def refuse() -> None:
        raise MigrationError(f"run `reelroom migrate` instead; not run: {sql.strip()[:60]} …")

    return refuse


async def migrate(
    dsn: str,
    folder: Path = MIGRATIONS,
    *,
    backups: Path | None = None,
    lock_timeout: float = LOCK_TIMEOUT_SECONDS,
    retry_pause: float = RETRY_PAUSE_SECONDS,
) -> list[str]:
    """Apply the pending migrations in order and return their names.

    Concurrent runners wait for each other. A migration and its record are one transaction, so that
    the next run continues after a crash. A migration that is marked as reviewed, since it can lose
    data, needs `backups`, the folder for a copy of all rows, unless there are none. Waiting for a
    locked table ends after `lock_timeout` seconds and is retried after increasing pauses. Raises
    `MigrationError`.
    """
    guard = await _connect(dsn)
    try:
        await guard.execute("select pg_advisory_lock(hashtext('reelroom migrations'))")
        await guard.execute(CREATE_RECORDS)
        todo = await _read_pending(guard, folder)
        for source in todo:
            await _apply_with_retries(dsn, source, backups, lock_timeout, retry_pause)
        return [source.name for source in todo]
    finally:
        await guard.close()


async def pending(dsn: str, folder: Path = MIGRATIONS) -> list[str]:
    """Return the names of the migrations that `migrate` would apply.

    Migrations of a newer release are ignored: migrations only add, so this release still works.
    Raises `MigrationError` when the files or the database do not allow a migration.
    """
    connection = await _connect(dsn)
    try:
        return [source.name for source in await _read_pending(connection, folder, newer=True)]
    finally:
        await connection.close()


async def _connect(dsn: str) -> Connection:
    limits = {"statement_timeout": "0", "idle_session_timeout": "0"}
    settings = {"application_name": "reelroom migrate", **limits}
    return await asyncpg.connect(dsn, server_settings=settings, statement_cache_size=0)


async def _read_pending(
    connection: Connection, folder: Path, *, newer: bool = False
) -> list[Source]:
    applied: dict[str, str | None] = {}
    if await connection.fetchval("select to_regclass('migration_digest')"):
        applied = {
            one["name"]: one["sha256"] for one in await connection.fetch(LIST_APPLIED, APP_NAME)
        }
    if newer:
        known = max(path.name[:4] for path in list_sources(folder))
        if unknown := [name for name in applied if name > known]:
            logger.warning("this database is of a newer release: it has %s", ", ".join(unknown))
        applied = {name: digest for name, digest in applied.items() if name <= known}
    return _choose_pending(applied, folder)


def _choose_pending(applied: dict[str, str | None], folder: Path) -> list[Source]:
    paths = {path.name[:4]: path for path in list_sources(folder)}
    faults = check_folder(folder)
    for name, digest in applied.items():
        if name not in paths:
            faults.append(
                f"{name} is applied but unknown here: this database is of a newer release"
            )
        elif digest is None:
            faults.append(f"{name} was recorded by another tool; what it ran is unknown")
        elif read_source(paths[name]).digest != digest:
            faults.append(f"{paths[name].stem} was changed after it was applied")
    new = [path for name, path in paths.items() if name not in applied]
    for path in new:
        faults += check_source(path)
        if applied and path.name[:4] < max(applied):
            faults.append(f"{path.stem} comes before {max(applied)}, which is applied")
    if faults:
        raise MigrationError("no migration was applied:\n  " + "\n  ".join(faults))
    return [read_source(path) for path in new]


async def _apply_with_retries(
    dsn: str, source: Source, backups: Path | None, lock_timeout: float, retry_pause: float
) -> None:
    """Apply one migration; while its tables are locked, release all locks and retry."""
    for attempt in range(MAX_LOCK_RETRIES + 1):
        if attempt:
            await asyncio.sleep(retry_pause * attempt * random.uniform(0.5, 1.5))
        connection = await _connect(dsn)
        try:
            return await _apply(connection, source, backups, lock_timeout)
        except BUSY_ERRORS as error:
            busy = error
        finally:
            await connection.close()
    raise MigrationError(f"{source.name}: its tables stay in use ({busy})") from busy


async def _apply(
    connection: Connection, source: Source, backups: Path | None, lock_timeout: float
) -> None:
    backup: Path | None = None
    try:
        async with connection.transaction():
            await connection.execute(f"set local lock_timeout = '{int(lock_timeout * 1000)}ms'")
            await _record(connection, source)
            tables = await list_tables(connection) if source.rewrites else []
            if tables:
                titles = ", ".join(table["title"] for table in tables)
                await connection.execute(f"lock table {titles} in share row exclusive mode")
            if not await has_rows(connection, tables):
                return await _run(connection, source)
            if source.reviewed:
                if backups is None:
                    raise MigrationError(
                        f"{source.name} can lose data and needs a folder for backups"
                    )
                backup = await write_backup(connection, tables, backups, source)
            before = await take_fingerprint(connection)
            await _run(connection, source)
            after = await take_fingerprint(connection, before.joined)
            if losses := list(list_losses(before, after, source.may_change)):
                raise MigrationError(f"{source.name} was rolled back: {'; '.join(losses)}")
    except BUSY_ERRORS:
        if backup:
            discard_backup(backup)
        raise


async def _record(connection: Connection, source: Source) -> None:
    """Record the migration before its statements run.

    A second runner waits here if the first lost its advisory lock with its connection.
    """
    try:
        await connection.execute(
            "insert into migration_digest values ($1, $2)", source.id, source.digest
        )
    except asyncpg.UniqueViolationError as error:
        raise MigrationError(f"{source.name} was applied by another runner meanwhile") from error
    await connection.execute(
        "insert into migration (name, app_name) values ($1, $2)", source.id, APP_NAME
    )


async def _run(connection: Connection, source: Source) -> None:
    for statement in source.statements:
        try:
            await connection.execute(statement.sql)
        except BUSY_ERRORS:
            raise
        except asyncpg.PostgresError as error:
            code = statement.code[:80]
            raise MigrationError(f"{source.name} was rolled back: {error} (in: {code})") from error
