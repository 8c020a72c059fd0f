"""API tokens: issuing, listing and revoking them."""

from asyncpg import Record

from app.auth.model import AccessRevoked, IssuedToken, NewToken, Token
from app.auth.session import TOKEN_PREFIX, new_secret, secret_hash
from app.auth.tables import ApiToken
from app.problems import NotFound
from app.store.columns import NOW
from app.store.database import Reader, Tx
from app.store.ids import new_id
from app.store.query import Param, built, named

TOKEN = (
    ApiToken.id,
    ApiToken.name,
    ApiToken.created_at,
    ApiToken.expires_at,
    ApiToken.last_used_at,
)
# It reads the account as well, so that an unknown one inserts nothing.
INSERT_TOKEN = named("""
    insert into api_token (id, user_id, name, secret_hash, expires_at)
    select :id, id, :name, :secret_hash, clock_timestamp() + :days * interval '1 day'
    from user_account where id = :user_id
    returning id, name, created_at, expires_at, last_used_at
""")
LIST_TOKENS = built(
    ApiToken.select(*TOKEN)
    .where(ApiToken.user_id == Param("user_id"), ApiToken.revoked_at.is_null())
    .order_by(ApiToken.id, ascending=False)
)
REVOKE_TOKEN = built(
    ApiToken.update({ApiToken.revoked_at: NOW}).where(
        ApiToken.id == Param("id"),
        ApiToken.user_id == Param("user_id"),
        ApiToken.revoked_at.is_null(),
    )
)


async def issue_token(tx: Tx, user_id: str, new: NewToken) -> IssuedToken:
    """Store a new token and return it with its secret; raise `NotFound` for an unknown account.

    Only the hash of the secret is stored. The token expires by the database's clock, or never.
    """
    secret = TOKEN_PREFIX + new_secret()
    row = await tx.fetchrow(
        *INSERT_TOKEN(
            id=new_id(),
            user_id=user_id,
            name=new.name.strip(),
            secret_hash=secret_hash(secret),
            days=new.expires_in_days,
        )
    )
    if row is None:
        raise NotFound("There is no such account.")
    return IssuedToken(**_values(row), token=secret)  # type: ignore[arg-type]


async def list_tokens(reader: Reader, user_id: str) -> list[Token]:
    """Return a user's tokens, the newest first; expired ones are included, revoked ones are not."""
    rows = await reader.fetch(*LIST_TOKENS(user_id=user_id))
    return [Token(**_values(row)) for row in rows]  # type: ignore[arg-type]


async def revoke_token(tx: Tx, user_id: str, token_id: str) -> None:
    """Revoke a token; raise `NotFound` alike for another user's token and for none at all."""
    if not await tx.execute(*REVOKE_TOKEN(id=token_id, user_id=user_id)):
        raise NotFound("There is no such token.")
    tx.send_after_commit(AccessRevoked(user_id))


def _values(row: Record) -> dict[str, object]:
    return {name: row[name] for name in Token.__struct_fields__}
