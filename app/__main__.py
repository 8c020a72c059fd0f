"""The command line."""

import argparse
import asyncio
import signal
import socket
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import platformdirs

from app.settings import WORKERS_MOST, Settings
from app.store import embedded
from app.store.binaries import EmbeddedError
from app.store.cluster import AlreadyRunningError
from app.store.engine import connected
from app.store.migration import MigrationError, migrate, pending

GRACE = 8  # seconds that open connections get at shutdown
FRAME_MOST = 64 * 1024  # bytes of a WebSocket frame from a client
READY = "Reelroom is ready: {url}"


class Refused(Exception):
    """Said on the way out; the command ends with status 2."""


def main(arguments: list[str] | None = None) -> None:
    """Entry point of `reelroom` and `python -m app`."""
    signal.signal(signal.SIGTERM, _leave)
    options = _parser().parse_args(arguments)
    try:
        settings = Settings.read()
        sys.exit(options.command(settings, options))
    except (Refused, EmbeddedError, MigrationError) as refusal:
        sys.exit(_say(f"reelroom: {refusal}", 2))
    except msgspec.ValidationError as error:
        sys.exit(_say(f"reelroom: a setting is wrong: {error}", 2))
    except KeyboardInterrupt:
        sys.exit(0)


def _leave(number: int, frame: Any) -> None:
    raise SystemExit(0)


def _say(text: str, status: int) -> int:
    print(text, file=sys.stderr)
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="reelroom", description="The server behind AI video studios."
    )
    parser.set_defaults(command=serve, workers=None, no_runs=False)
    commands = parser.add_subparsers(metavar="command")

    one = commands.add_parser("serve", help="serve the studio (the default)")
    one.add_argument("--workers", type=int, help="processes; more than one needs REDIS_URL")
    one.add_argument("--no-runs", action="store_true", help="leave the runs to `reelroom worker`")
    one.set_defaults(command=serve)

    one = commands.add_parser("migrate", help="bring the database's schema up to date")
    one.set_defaults(command=migrate_database)

    one = commands.add_parser("worker", help="work on runs without serving")
    one.set_defaults(command=work)

    one = commands.add_parser("check", help="prove the invariants of the data")
    one.set_defaults(command=check_data)

    one = commands.add_parser("user", help="make an account, set a password, get a login link")
    one.add_argument("action", choices=["create", "password", "login"])
    one.add_argument(
        "email", nargs="?", help="for login: an e-mail or an id; default the local admin"
    )
    one.add_argument("--name", default="")
    one.add_argument("--admin", action="store_true")
    one.set_defaults(command=manage_user)

    one = commands.add_parser("token", help="issue an API token")
    one.add_argument("email", help="an e-mail or a user id")
    one.add_argument("--name", default="command line")
    one.set_defaults(command=issue_token)
    return parser


def data_dir(settings: Settings) -> Path:
    return Path(settings.reelroom_data_dir or platformdirs.user_data_dir("reelroom", False))


@contextmanager
def database(settings: Settings, *, alone: bool = False) -> Iterator[Settings]:
    """The settings with a `database_url`: the given one, or that of our own PostgreSQL.

    When a Reelroom already serves from the data folder its database is used, unless `alone`.
    """
    if settings.database_url is not None:
        yield settings
        return
    folder = data_dir(settings)
    try:
        server = embedded.start(folder, pg_bin=settings.pg_bin)
    except AlreadyRunningError:
        dsn = embedded.running_dsn(folder)
        if alone or dsn is None:
            raise
        yield msgspec.structs.replace(settings, database_url=dsn)
        return
    try:
        yield msgspec.structs.replace(settings, database_url=server.dsn)
    finally:
        server.stop()


def serve(settings: Settings, options: argparse.Namespace) -> int:
    workers = options.workers or settings.web_concurrency
    if not 1 <= workers <= WORKERS_MOST:
        raise Refused(f"--workers takes 1 to {WORKERS_MOST}.")
    if settings.redis_url is None:
        if workers > 1:
            raise Refused(
                f"{workers} workers need REDIS_URL: without Redis one process can't tell another"
                " what it does. Set REDIS_URL, or run one worker."
            )
        if options.no_runs:
            raise Refused("--no-runs needs REDIS_URL: the runs would be worked on elsewhere.")
    own = settings.database_url is None
    with _listener(settings) as listener, database(settings, alone=True) as ready:
        link = asyncio.run(_prepare(ready, migrates=own or settings.loopback))
        url = f"http://{_shown(settings.host)}:{listener.getsockname()[1]}"
        line = READY.format(url=url + (link or "/"))
        if workers > 1:
            _serve_many(ready, listener, workers, line, not options.no_runs)
        else:
            _serve_one(ready, listener, line, not options.no_runs)
    return 0


async def _prepare(settings: Settings, *, migrates: bool) -> str | None:
    """Migrate in local mode, insist on it elsewhere; return the path of a local login link."""
    from app.auth.local import begin_local_mode

    dsn = settings.database_url
    assert dsn is not None
    if migrates:
        await migrate(dsn, backups=data_dir(settings) / "backups")
    elif waiting := await pending(dsn):
        raise Refused(f"the database lacks {', '.join(waiting)}: run `reelroom migrate` first")
    async with connected(dsn, connections=2):
        return await begin_local_mode(settings)


@contextmanager
def _listener(settings: Settings) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        listener = socket.create_server((settings.host, settings.port), family=family, backlog=2048)
    except OSError as error:
        raise Refused(
            f"can't listen on {settings.host}:{settings.port}: {error.strerror}"
        ) from error
    with listener:
        listener.set_inheritable(True)
        yield listener


def _shown(host: str) -> str:
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, host)
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def _config(settings: Settings, app: Any, **more: Any) -> Any:
    import uvicorn

    return uvicorn.Config(
        app,
        http="httptools",
        ws="websockets-sansio",
        ws_max_size=FRAME_MOST,
        ws_per_message_deflate=False,
        timeout_graceful_shutdown=GRACE,
        proxy_headers=bool(settings.allowed_origins),
        server_header=False,
        access_log=False,
        log_config=None,
        log_level=settings.log_level.lower(),
        **more,
    )


def _serve_one(settings: Settings, listener: socket.socket, line: str, works: bool) -> None:
    import uvicorn

    from app.logs import set_up
    from app.main import create_app

    set_up(settings.log_level)

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if self.started:
                print(line, flush=True)

    server = Server(_config(settings, create_app(settings, works=works)))
    server.run(sockets=[listener])
    if not server.started:
        raise Refused("the server did not start; its log says why")


def _serve_many(
    settings: Settings, listener: socket.socket, workers: int, line: str, works: bool
) -> None:
    from uvicorn.supervisors import Multiprocess

    settings.hand_down()
    factory = "app.main:create_app" if works else "app.main:create_web_app"
    config = _config(settings, factory, factory=True, workers=workers)
    threading.Thread(
        target=_tell_when_ready, args=(listener.getsockname()[1], settings.host, line), daemon=True
    ).start()
    Multiprocess(config, [listener]).run()


def _tell_when_ready(port: int, host: str, line: str) -> None:
    url = f"http://{_shown(host)}:{port}/health/live"
    for _ in range(600):
        try:
            with urllib.request.urlopen(url, timeout=1) as answer:
                if answer.status == 200:
                    print(line, flush=True)
                    return
        except OSError:
            time.sleep(0.1)


def migrate_database(settings: Settings, options: argparse.Namespace) -> int:
    with database(settings) as ready:
        assert ready.database_url is not None
        names = asyncio.run(migrate(ready.database_url, backups=data_dir(settings) / "backups"))
    print(f"applied: {', '.join(names)}" if names else "the schema is up to date")
    return 0


def work(settings: Settings, options: argparse.Namespace) -> int:
    if settings.database_url is None or settings.redis_url is None:
        raise Refused("a worker apart from the server needs DATABASE_URL and REDIS_URL")
    from app.logs import set_up
    from app.main import run_worker

    set_up(settings.log_level)
    asyncio.run(run_worker(settings))
    return 0


def check_data(settings: Settings, options: argparse.Namespace) -> int:
    from app.lifecycle.check import check

    async def look(dsn: str) -> int:
        async with connected(dsn, connections=2) as db:
            found = await check(db)
        for violation in found:
            print(violation)
        print(f"{len(found)} violations" if found else "all invariants hold")
        return 1 if found else 0

    with database(settings) as ready:
        assert ready.database_url is not None
        return asyncio.run(look(ready.database_url))


def manage_user(settings: Settings, options: argparse.Namespace) -> int:
    from app.auth.commands import manage

    with database(settings) as ready:
        return asyncio.run(
            manage(ready, options.action, options.email, options.name, options.admin)
        )


def issue_token(settings: Settings, options: argparse.Namespace) -> int:
    from app.auth.commands import issue

    with database(settings) as ready:
        return asyncio.run(issue(ready, options.email, options.name))


if __name__ == "__main__":
    main()
