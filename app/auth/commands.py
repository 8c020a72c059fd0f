"""The commands `reelroom user` and `reelroom token`, for the operator of the machine."""

import getpass
import sys

from app.auth import accounts, passwords
from app.auth.local import create_login_link
from app.auth.model import LOCAL_ID, NewAccount, NewToken
from app.auth.tokens import issue_token
from app.problems import InvalidInput
from app.settings import Settings
from app.store.database import Database


async def manage_user(
    settings: Settings, action: str, email: str | None, name: str, admin: bool
) -> None:
    """Create an account, set its password, or print a login link. Raises `Problem`."""
    assert settings.database_url is not None
    async with Database().opened(settings.database_url, connections=2) as db:
        if action == "login":
            async with db.transaction() as tx:
                account = await accounts.get_by_id_or_email(tx, email or LOCAL_ID)
                path = await create_login_link(tx, account.id)
            host = f"[{settings.host}]" if ":" in settings.host else settings.host
            _print(f"http://{host}:{settings.port}{path}")
            return
        if email is None:
            raise InvalidInput("an e-mail address is needed")
        password = _read_password()
        passwords.check_new(password)
        hashed = await passwords.hash_of(password)
        async with db.transaction() as tx:
            if action == "create":
                new = NewAccount(email=email, password=password, name=name or email)
                created = await accounts.create_user(tx, new, hashed, "admin" if admin else "user")
                _print(f"{created.id} {created.email}")
            else:
                account = await accounts.get_by_id_or_email(tx, email)
                await accounts.set_password(tx, account.id, hashed)
                _print("the password is set, and all sessions of the account have ended")


async def print_new_token(settings: Settings, email: str, name: str) -> None:
    """Issue an API token for an account and print it. Raises `Problem`."""
    assert settings.database_url is not None
    async with Database().opened(settings.database_url, connections=2) as db:
        async with db.transaction() as tx:
            account = await accounts.get_by_id_or_email(tx, email)
            issued = await issue_token(tx, account.id, NewToken(name=name))
    _print(issued.token)


def _read_password() -> str:
    """Read a password from the terminal without echo, or from the first line of a pipe."""
    if sys.stdin.isatty():
        return getpass.getpass("Password: ")
    return sys.stdin.readline().rstrip("\n")


def _print(text: str) -> None:
    sys.stdout.write(f"{text}\n")
