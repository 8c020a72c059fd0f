"""Local mode: one admin without a password, and the one-time link that logs a browser in."""

from app.auth.model import LOCAL_ID
from app.auth.session import begin_session, new_secret, secret_hash
from app.settings import Settings
from app.store.engine import Tx, transaction
from app.store.ids import new_id

LINK_MINUTES = 10
LINK_KIND = "link:"  # in front of the stored hash: no hash of a cookie is equal to it

MAKE_ADMIN = """
    insert into user_account (id, name, role)
    select $1, 'Local admin', 'admin' where $2 or not exists (select from user_account)
    on conflict do nothing
"""


async def begin_local_mode(settings: Settings) -> str | None:
    """Make the local admin of a server that has no user yet; return the path of a login link.

    None when the server can be reached from elsewhere or others have registered. With
    `REELROOM_LOCAL_TOKEN` the admin is made in any case, for the token to speak for. May be called
    by several processes at once, and at every start.
    """
    if not settings.loopback:
        return None
    async with transaction() as tx:
        await tx.execute(MAKE_ADMIN, LOCAL_ID, settings.reelroom_local_token is not None)
        alone = await tx.fetchval(
            "select count(*) = 1 and min(id) = $1 from user_account", LOCAL_ID
        )
        return await login_link(tx, LOCAL_ID) if alone else None


async def login_link(tx: Tx, user_id: str) -> str:
    """The path of a link that logs in once, within ten minutes, whichever process it meets.

    It is kept as a session that no cookie can name; only its hash is stored.
    """
    secret = new_secret()
    await tx.execute(
        "insert into login_session (id, user_id, secret_hash, expires_at)"
        f" values ($1, $2, $3, clock_timestamp() + interval '{LINK_MINUTES} minutes')",
        new_id(), user_id, LINK_KIND + secret_hash(secret),
    )  # fmt: skip
    return f"/login/{secret}"


async def use_link(tx: Tx, secret: str, *, instead_of: str | None) -> str | None:
    """Exchange a link for a session's secret; None when it is unknown, used or expired."""
    user_id = await tx.fetchval(
        "update login_session set revoked_at = clock_timestamp() where secret_hash = $1"
        " and revoked_at is null and expires_at > clock_timestamp() returning user_id",
        LINK_KIND + secret_hash(secret),
    )
    return user_id and await begin_session(tx, user_id, instead_of=instead_of)
