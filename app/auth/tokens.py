"""API tokens: issued once, listed without their secret, revoked."""

from asyncpg import Record

from app.auth.model import IssuedToken, NewToken, Token
from app.auth.session import TOKEN_PREFIX, new_secret, secret_hash, tell_revoked
from app.problems import NotFound
from app.store.engine import DB, Tx
from app.store.ids import new_id

COLUMNS = "id, name, created_at, expires_at, last_used_at"


def _values(row: Record) -> dict[str, object]:
    return {name: row[name] for name in Token.__struct_fields__}


async def issue_token(tx: Tx, user_id: str, new: NewToken) -> IssuedToken:
    """Only the hash of the secret is kept; it expires by the database's clock, or never."""
    secret = TOKEN_PREFIX + new_secret()
    row = await tx.fetchrow(
        "insert into api_token (id, user_id, name, secret_hash, expires_at)"
        " select $1, id, $3, $4, clock_timestamp() + $5 * interval '1 day'"
        f" from user_account where id = $2 returning {COLUMNS}",
        new_id(), user_id, new.name.strip(), secret_hash(secret), new.expires_in_days,
    )  # fmt: skip
    if row is None:
        raise NotFound("There is no such account.")
    return IssuedToken(**_values(row), token=secret)  # type: ignore[arg-type]


async def list_tokens(user_id: str) -> list[Token]:
    """The newest first; revoked ones are left out, expired ones are shown as such by their date."""
    rows = await DB.fetch(
        f"select {COLUMNS} from api_token where user_id = $1 and revoked_at is null"
        " order by id desc",
        user_id,
    )
    return [Token(**_values(row)) for row in rows]  # type: ignore[arg-type]


async def revoke_token(tx: Tx, user_id: str, token_id: str) -> None:
    """Raise `NotFound` for another user's token as for one that never was."""
    revoked = await tx.execute(
        "update api_token set revoked_at = clock_timestamp()"
        " where id = $1 and user_id = $2 and revoked_at is null",
        token_id, user_id,
    )  # fmt: skip
    if not revoked:
        raise NotFound("There is no such token.")
    tell_revoked(tx, user_id)
