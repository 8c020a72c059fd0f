"""Accounts: creating them, checking a login, and setting a password."""

from asyncpg import Record
from piccolo.columns.combination import WhereRaw

from app.auth import passwords
from app.auth.model import AccessRevoked, Account, NewAccount, Role
from app.auth.tables import LoginSession, UserAccount
from app.problems import AlreadyExists, NotFound, Unauthorized
from app.store.columns import NOW
from app.store.database import Reader, Tx
from app.store.ids import new_id
from app.store.query import Param, built

WRONG_LOGIN = "The e-mail address or the password is wrong."

ACCOUNT = (
    UserAccount.id,
    UserAccount.email,
    UserAccount.name,
    UserAccount.role,
    UserAccount.created_at,
)
FIND_ACCOUNT = built(UserAccount.select(*ACCOUNT).where(UserAccount.id == Param("id")))
HAS_EMAIL = WhereRaw("lower(user_account.email) = lower({})", Param("email"))
FIND_LOGIN = built(UserAccount.select(*ACCOUNT, UserAccount.password_hash).where(HAS_EMAIL))
FIND_BY_ID_OR_EMAIL = built(
    UserAccount.select(*ACCOUNT).where((UserAccount.id == Param("id")) | HAS_EMAIL)
)
INSERT_ACCOUNT = built(
    UserAccount.insert(
        UserAccount(
            id=Param("id"),
            email=Param("email"),
            name=Param("name"),
            password_hash=Param("password_hash"),
            role=Param("role"),
        )
    )
    .on_conflict(action="DO NOTHING")
    .returning(*ACCOUNT)
)
SET_PASSWORD = built(
    UserAccount.update(
        {UserAccount.password_hash: Param("password_hash"), UserAccount.updated_at: NOW}
    ).where(UserAccount.id == Param("id"))
)
END_ALL_SESSIONS = built(
    LoginSession.update({LoginSession.revoked_at: NOW}).where(
        LoginSession.user_id == Param("user_id"), LoginSession.revoked_at.is_null()
    )
)


def normalized_email(email: str) -> str:
    """Return the one spelling under which an e-mail address is stored and looked up."""
    return email.strip().casefold()


async def get_account(reader: Reader, user_id: str) -> Account:
    """Return the account; raise `NotFound`."""
    row = await reader.fetchrow(*FIND_ACCOUNT(id=user_id))
    if row is None:
        raise NotFound("There is no such account.")
    return _account(row)


async def get_by_id_or_email(reader: Reader, id_or_email: str) -> Account:
    """Return the account with this id or e-mail address; raise `NotFound`."""
    email = normalized_email(id_or_email)
    row = await reader.fetchrow(*FIND_BY_ID_OR_EMAIL(id=id_or_email, email=email))
    if row is None:
        raise NotFound(f"There is no account {id_or_email}.")
    return _account(row)


async def create_user(tx: Tx, new: NewAccount, password_hash: str, role: Role = "user") -> Account:
    """Store a new account; raise `AlreadyExists` when its e-mail address is taken.

    The caller hashes the password before the transaction begins, since that takes 150 ms.
    """
    row = await tx.fetchrow(
        *INSERT_ACCOUNT(
            id=new_id(),
            email=normalized_email(new.email),
            name=new.name.strip(),
            password_hash=password_hash,
            role=role,
        )
    )
    if row is None:
        raise AlreadyExists("An account with this e-mail address already exists.")
    return _account(row)


async def check_login(reader: Reader, email: str, password: str) -> Account:
    """Return the account with this e-mail address and password; raise `Unauthorized`.

    An unknown address and a wrong password give the same message after the same time.
    """
    row = await reader.fetchrow(*FIND_LOGIN(email=normalized_email(email)))
    known = row["password_hash"] if row else None
    if not await passwords.matches(known, password) or row is None:
        raise Unauthorized(WRONG_LOGIN)
    return _account(row)


async def set_password(tx: Tx, user_id: str, password_hash: str) -> None:
    """Replace an account's password and end all its sessions; raise `NotFound`."""
    if not await tx.execute(*SET_PASSWORD(id=user_id, password_hash=password_hash)):
        raise NotFound("There is no such account.")
    await tx.execute(*END_ALL_SESSIONS(user_id=user_id))
    tx.send_after_commit(AccessRevoked(user_id))


def _account(row: Record) -> Account:
    return Account(**{name: row[name] for name in Account.__struct_fields__})
