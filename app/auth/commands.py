"""Accounts from the command line: for the operator who sits at the machine."""

import getpass
import sys

from asyncpg import Record

from app.auth import accounts, passwords
from app.auth.local import login_link
from app.auth.model import LOCAL_ID, NewAccount, NewToken
from app.auth.tokens import issue_token
from app.problems import NotFound, Problem
from app.settings import Settings
from app.store.engine import Reader, connected, transaction


async def manage(settings: Settings, action: str, email: str | None, name: str, admin: bool) -> int:
    """Make an account, set its password, or print a login link; return the exit status."""
    assert settings.database_url is not None
    async with connected(settings.database_url, connections=2):
        try:
            return await _manage(settings, action, email, name, admin)
        except Problem as problem:
            return _refuse(problem.message)


async def _manage(
    settings: Settings, action: str, email: str | None, name: str, admin: bool
) -> int:
    if action == "login":
        async with transaction() as tx:
            account = await _find(tx, email or LOCAL_ID)
            link = await login_link(tx, account["id"])
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        _tell(f"http://{host}:{settings.port}{link}")
        return 0
    if email is None:
        return _refuse("an e-mail address is needed")
    password = _ask_password()
    passwords.check_new(password)
    hashed = await passwords.hash_of(password)
    async with transaction() as tx:
        if action == "create":
            new = NewAccount(email=email, password=password, name=name or email)
            made = await accounts.create_user(tx, new, hashed, "admin" if admin else "user")
            _tell(f"{made.id} {made.email}")
        else:
            account = await _find(tx, email)
            await accounts.set_password(tx, account["id"], hashed)
            _tell("the password is set, and all sessions of the account have ended")
    return 0


async def issue(settings: Settings, email: str, name: str) -> int:
    """Print a new API token of an account."""
    assert settings.database_url is not None
    async with connected(settings.database_url, connections=2):
        try:
            async with transaction() as tx:
                account = await _find(tx, email)
                issued = await issue_token(tx, account["id"], NewToken(name=name))
        except Problem as problem:
            return _refuse(problem.message)
    _tell(issued.token)
    return 0


async def _find(reader: Reader, who: str) -> Record:
    row = await reader.fetchrow(
        "select id from user_account where id = $1 or lower(email) = lower($2)",
        who,
        accounts.folded(who),
    )
    if row is None:
        raise NotFound(f"There is no account {who}.")
    return row


def _ask_password() -> str:
    """From the terminal unseen, or the first line of a pipe."""
    if sys.stdin.isatty():
        return getpass.getpass("Password: ")
    return sys.stdin.readline().rstrip("\n")


def _tell(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def _refuse(text: str) -> int:
    sys.stderr.write(f"reelroom: {text}\n")
    return 1
