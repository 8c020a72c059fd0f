"""Accounts: made, logged in, and given a password."""

from asyncpg import Record

from app.auth import passwords
from app.auth.model import Account, NewAccount, Role
from app.auth.session import tell_revoked
from app.problems import AlreadyExists, NotFound, Unauthorized
from app.store.engine import DB, Tx
from app.store.ids import new_id

COLUMNS = "id, email, name, role, created_at"
WRONG = "The e-mail address or the password is wrong."


def folded(email: str) -> str:
    """The one spelling under which an address is kept and found."""
    return email.strip().casefold()


def account_of(row: Record) -> Account:
    return Account(**{name: row[name] for name in Account.__struct_fields__})


async def get_account(user_id: str) -> Account:
    row = await DB.fetchrow(f"select {COLUMNS} from user_account where id = $1", user_id)
    if row is None:
        raise NotFound("There is no such account.")
    return account_of(row)


async def create_user(tx: Tx, new: NewAccount, password_hash: str, role: Role = "user") -> Account:
    """Raise `AlreadyExists` when the address is taken. Hash the password before: it is slow."""
    row = await tx.fetchrow(
        "insert into user_account (id, email, name, password_hash, role)"
        f" values ($1, $2, $3, $4, $5) on conflict do nothing returning {COLUMNS}",
        new_id(), folded(new.email), new.name.strip(), password_hash, role,
    )  # fmt: skip
    if row is None:
        raise AlreadyExists("An account with this e-mail address already exists.")
    return account_of(row)


async def check_login(email: str, password: str) -> Account:
    """The account; `Unauthorized` alike, in words and in time, for unknown and for wrong."""
    row = await DB.fetchrow(
        f"select {COLUMNS}, password_hash from user_account where lower(email) = lower($1)",
        folded(email),
    )
    known = row["password_hash"] if row else None
    if not await passwords.matches(known, password) or row is None:
        raise Unauthorized(WRONG)
    return account_of(row)


async def set_password(tx: Tx, user_id: str, password_hash: str) -> None:
    """Give an account another password, and end its sessions wherever they are open."""
    changed = await tx.execute(
        "update user_account set password_hash = $2, updated_at = clock_timestamp() where id = $1",
        user_id, password_hash,
    )  # fmt: skip
    if not changed:
        raise NotFound("There is no such account.")
    await tx.execute(
        "update login_session set revoked_at = clock_timestamp()"
        " where user_id = $1 and revoked_at is null",
        user_id,
    )
    tell_revoked(tx, user_id)
