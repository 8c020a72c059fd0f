"""The command line."""

import argparse
import asyncio
import logging
import re
import signal
import sys
from typing import Any

import msgspec

from app import serve as service
from app.prepare import CommandError, data_dir, open_database
from app.settings import Settings
from app.store.binaries import EmbeddedError

SHUTDOWN_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def main(arguments: list[str] | None = None) -> None:
    """Entry point of `reelroom` and `python -m app`."""
    from app.problems import Problem
    from app.store.migration import MigrationError

    for number in SHUTDOWN_SIGNALS:
        signal.signal(number, _exit_on_signal)
    options = _parser().parse_args(arguments)
    try:
        sys.exit(options.command(_read_settings(), options))
    except (CommandError, EmbeddedError, MigrationError) as error:
        sys.exit(_print_error(str(error), 2))
    except Problem as problem:
        sys.exit(_print_error(problem.message, 1))


def _read_settings() -> Settings:
    try:
        settings = Settings.read()
    except msgspec.ValidationError as error:
        reason, _, path = str(error).partition(" - at ")
        raise CommandError(f"{path[3:-1].upper()} is wrong: {reason}") from error
    if settings.log_level.upper() not in logging.getLevelNamesMapping():
        raise CommandError(f"LOG_LEVEL is wrong: {settings.log_level} is no level")
    if settings.redis_url and not re.match("(redis|rediss|unix)://.", settings.redis_url):
        raise CommandError("REDIS_URL is wrong: it begins with redis:// or rediss://")
    return settings


def _exit_on_signal(number: int, frame: Any) -> None:
    """Exit with status 0, ignoring further signals during the shutdown."""
    for other in SHUTDOWN_SIGNALS:
        signal.signal(other, signal.SIG_IGN)
    raise SystemExit(0)


def _print_error(message: str, status: int) -> int:
    print(f"reelroom: {message}", file=sys.stderr)
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="reelroom", description="The server behind AI video studios."
    )
    parser.set_defaults(command=serve, workers=None, no_runs=False)
    commands = parser.add_subparsers(metavar="command")

    one = commands.add_parser("serve", help="serve the studio (the default)")
    one.add_argument("--workers", type=int, help="processes; more than one needs REDIS_URL")
    one.add_argument("--no-runs", action="store_true", help="leave runs to `reelroom worker`")
    one.set_defaults(command=serve)

    one = commands.add_parser("migrate", help="bring the database's schema up to date")
    one.set_defaults(command=migrate_database)

    one = commands.add_parser("worker", help="work on runs without serving")
    one.set_defaults(command=work)

    one = commands.add_parser("check", help="check the invariants of the data")
    one.set_defaults(command=check_data)

    one = commands.add_parser("user", help="create an account, set a password, get a login link")
    one.add_argument("action", choices=["create", "password", "login"])
    one.add_argument(
        "email",
        nargs="?",
        help="the account's e-mail address, or for password and login its id; "
        "default for login: the local admin",
    )
    one.add_argument("--name", default="", help="for create: the display name; default: the e-mail")
    one.add_argument("--admin", action="store_true", help="for create: an administrator's account")
    one.set_defaults(command=manage_user)

    one = commands.add_parser("token", help="issue an API token")
    one.add_argument("email", help="an e-mail or a user id")
    one.add_argument("--name", default="command line", help="name of the token")
    one.set_defaults(command=issue_token)
    return parser


def serve(settings: Settings, options: argparse.Namespace) -> int:
    service.serve(
        settings, workers=options.workers or settings.web_concurrency, run_jobs=not options.no_runs
    )
    return 0


def migrate_database(settings: Settings, options: argparse.Namespace) -> int:
    from app.store.migration import migrate

    with open_database(settings, create=True) as connected:
        assert connected.database_url is not None
        names = asyncio.run(migrate(connected.database_url, backups=data_dir(settings) / "backups"))
    print(f"applied: {', '.join(names)}" if names else "the schema is up to date")
    return 0


def work(settings: Settings, options: argparse.Namespace) -> int:
    if settings.database_url is None or settings.redis_url is None:
        raise CommandError("a worker apart from the server needs DATABASE_URL and REDIS_URL")
    from app.logs import configure_logging
    from app.main import run_worker

    configure_logging(settings.log_level)
    asyncio.run(run_worker(settings))
    return 0


def check_data(settings: Settings, options: argparse.Namespace) -> int:
    from app.lifecycle.check import check
    from app.store.database import Database

    async def check_database(dsn: str) -> int:
        async with (
            Database().opened(dsn, connections=1) as db,
            db.reading(snapshot=True) as reader,
        ):
            violations = await check(reader)
        for violation in violations:
            print(violation)
        print(f"{len(violations)} violations" if violations else "all invariants hold")
        return 1 if violations else 0

    with open_database(settings) as connected:
        assert connected.database_url is not None
        return asyncio.run(check_database(connected.database_url))


def manage_user(settings: Settings, options: argparse.Namespace) -> int:
    from app.auth.commands import manage_user as manage

    with open_database(settings) as connected:
        asyncio.run(manage(connected, options.action, options.email, options.name, options.admin))
    return 0


def issue_token(settings: Settings, options: argparse.Namespace) -> int:
    from app.auth.commands import print_new_token

    with open_database(settings) as connected:
        asyncio.run(print_new_token(connected, options.email, options.name))
    return 0


if __name__ == "__main__":
    main()
