"""The database before it is used: whose it is, whether it answers, and its schema."""

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

ANSWER = 5.0  # seconds that the database may take to take a connection

AWAY = (
    OSError,
    TimeoutError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.QueryCanceledError,
)
WRONG = (
    asyncpg.ClientConfigurationError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.InsufficientPrivilegeError,
    ValueError,
)


class Refused(Exception):
    """Said on the way out; the command ends with status 2."""


class DatabaseAway(Exception):
    """The database takes no connections now."""


class Service(Protocol):
    """Who serves from the database."""

    url: str

    def fail(self, failure: Exception) -> None:
        """Called when the database is gone for good."""


def data_dir(settings: Settings) -> Path:
    return Path(settings.reelroom_data_dir or platformdirs.user_data_dir("reelroom", False))


@contextmanager
def database(
    settings: Settings, service: Service | None = None, *, makes: bool = False
) -> Iterator[Settings]:
    """The settings with a `database_url`: the given one, or that of our own PostgreSQL.

    Our own is made if it is not there yet, for a service and for whom `makes` it; everybody else
    is `Refused`: an empty one would only hide that the server's is in another folder.

    When a Reelroom already serves from the data folder its database is used; unless a service of
    our own is to use it: then those who come after us are told its address, and it ends when
    PostgreSQL does.
    """
    if settings.database_url is not None:
        yield settings
        return
    folder = data_dir(settings)
    if service is None and not makes and read_major(folder / "database") is None:
        raise Refused(
            f"there is no database in {folder}: start `reelroom` first, or set REELROOM_DATA_DIR"
            " or DATABASE_URL to what the server has"
        )
    try:
        server = embedded.start(folder, pg_bin=settings.pg_bin)
    except AlreadyRunningError as running:
        dsn = embedded.running_dsn(folder)
        if service is not None or dsn is None:
            raise
        at = urlsplit(running.url or "")
        yield msgspec.structs.replace(
            settings,
            database_url=dsn,
            host=at.hostname or settings.host,
            port=at.port or settings.port,
        )
        return
    except OSError as error:
        raise Refused(f"the data folder {folder} can't be used: {error.strerror}") from error
    try:
        if service is not None:
            server.announce(service.url + "/")
            watch = [server, service, folder / "postgres.log"]
            threading.Thread(target=_end_with_postgres, args=watch, daemon=True).start()
        yield msgspec.structs.replace(settings, database_url=server.dsn)
    finally:
        server.stop()


def _end_with_postgres(server: embedded.Embedded, service: Service, log: Path) -> None:
    server.wait()
    service.fail(EmbeddedError(f"PostgreSQL has ended by itself, see {log}"))


async def prepare(settings: Settings, *, migrates: bool) -> str | None:
    """Migrate in local mode, insist on it elsewhere; return the path of a local login link.

    Raises `DatabaseAway`, and `Refused` when the database will never do.
    """
    from app.auth.local import begin_local_mode
    from app.problems import DatabaseError, ServiceUnavailable
    from app.store.database import Database
    from app.store.migration import migrate, pending

    dsn = settings.database_url
    assert dsn is not None
    try:
        connection = await asyncpg.connect(dsn, timeout=ANSWER)
        await connection.close()
        if migrates:
            await migrate(dsn, backups=data_dir(settings) / "backups")
        elif waiting := await pending(dsn):
            raise Refused(f"the database lacks {', '.join(waiting)}: run `reelroom migrate` first")
        async with Database().opened(dsn, connections=1) as db, db.transaction() as tx:
            return await begin_local_mode(tx, settings)
    except WRONG as error:
        raise Refused(f"DATABASE_URL can't be used: {error}") from error
    except (*AWAY, DatabaseError, ServiceUnavailable) as error:
        said = str(error) or type(error).__name__
        raise DatabaseAway(f"the database does not answer ({said})") from error
