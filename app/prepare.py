"""Opens the database of a command, embedded or external, and prepares its schema."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

import asyncpg
import msgspec
import platformdirs

from app.settings import Settings
from app.store import embedded
from app.store.binaries import EmbeddedError
from app.store.cluster import AlreadyRunningError, read_major

CONNECT_TIMEOUT_SECONDS = 5.0

UNAVAILABLE_ERRORS = (  # temporary: the connection is attempted again
    OSError,
    TimeoutError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.QueryCanceledError,
)
CONFIGURATION_ERRORS = (  # permanent: DATABASE_URL must be corrected
    asyncpg.ClientConfigurationError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.InsufficientPrivilegeError,
    ValueError,
)


class CommandError(Exception):
    """The command cannot run as given; it prints the message and exits with status 2."""


class DatabaseUnavailable(Exception):
    """The database accepts no connections at the moment."""


class Service(Protocol):
    """A server that uses the database; `url` is its own address."""

    url: str

    def fail(self, failure: Exception) -> None:
        """Shut down with this error, since the embedded PostgreSQL has ended."""


def data_dir(settings: Settings) -> Path:
    """Return the folder of the embedded database and of the backups."""
    return Path(settings.reelroom_data_dir or platformdirs.user_data_dir("reelroom", False))


@contextmanager
def open_database(
    settings: Settings, service: Service | None = None, *, create: bool = False
) -> Iterator[Settings]:
    """Yield the settings with a `database_url`, starting the embedded PostgreSQL if none is set.

    An embedded database that does not exist is created for a `service`, or with `create`. Other
    commands raise `CommandError`: the server's database is probably in another folder.

    When another process already runs the embedded PostgreSQL, its database is used, and `host`
    and `port` are those of its server. A `service` raises `AlreadyRunningError` instead. The
    address of a `service` is published in the data folder, and the service fails when PostgreSQL
    ends.
    """
    if settings.database_url is not None:
        yield settings
        return
    folder = data_dir(settings)
    if service is None and not create and read_major(folder / "database") is None:
        raise CommandError(
            f"there is no database in {folder}: start `reelroom` first, or set REELROOM_DATA_DIR"
            " or DATABASE_URL to what the server has"
        )
    try:
        server = embedded.start(folder, pg_bin=settings.pg_bin)
    except AlreadyRunningError as running:
        dsn = embedded.running_dsn(folder)
        if service is not None or dsn is None:
            raise
        address = urlsplit(running.url or "")
        yield msgspec.structs.replace(
            settings,
            database_url=dsn,
            host=address.hostname or settings.host,
            port=address.port or settings.port,
        )
        return
    except OSError as error:
        raise CommandError(f"the data folder {folder} can't be used: {error.strerror}") from error
    try:
        if service is not None:
            server.announce(service.url + "/")
            arguments = [server, service, folder / "postgres.log"]
            threading.Thread(target=_fail_with_postgres, args=arguments, daemon=True).start()
        yield msgspec.structs.replace(settings, database_url=server.dsn)
    finally:
        server.stop()


def _fail_with_postgres(server: embedded.Embedded, service: Service, log: Path) -> None:
    server.wait()
    service.fail(EmbeddedError(f"PostgreSQL has ended by itself, see {log}"))


async def prepare_database(settings: Settings, *, migrates: bool) -> str | None:
    """Bring the schema up to date and return the path of a login link in local mode, else None.

    Without `migrates` a schema that is not up to date raises `CommandError`, as does a
    `DATABASE_URL` that cannot be used. Raises `DatabaseUnavailable` when the database does not
    answer.
    """
    from app.auth.local import begin_local_mode
    from app.problems import DatabaseError, ServiceUnavailable
    from app.store.database import Database
    from app.store.migration import migrate, pending

    dsn = settings.database_url
    assert dsn is not None
    try:
        connection = await asyncpg.connect(dsn, timeout=CONNECT_TIMEOUT_SECONDS)
        await connection.close()
        if migrates:
            await migrate(dsn, backups=data_dir(settings) / "backups")
        elif names := await pending(dsn):
            raise CommandError(
                f"the database lacks {', '.join(names)}: run `reelroom migrate` first"
            )
        async with Database().opened(dsn, connections=1) as db, db.transaction() as tx:
            return await begin_local_mode(tx, settings)
    except CONFIGURATION_ERRORS as error:
        raise CommandError(f"DATABASE_URL can't be used: {error}") from error
    except (*UNAVAILABLE_ERRORS, DatabaseError, ServiceUnavailable) as error:
        reason = str(error) or type(error).__name__
        raise DatabaseUnavailable(f"the database does not answer ({reason})") from error
