"""Local mode: one admin without a password, and the one-time link that logs a browser in."""

from app.auth.model import LOCAL_ID
from app.auth.session import begin_session, insert_session, new_secret, secret_hash
from app.auth.tables import LoginSession
from app.settings import Settings
from app.store.columns import NOW
from app.store.database import Tx
from app.store.query import Param, built, named

LINK_TTL_MINUTES = 10
LINK_PREFIX = "link:"  # precedes the stored hash, so that no session cookie can match a link

INSERT_LOCAL_ADMIN = named("""
    insert into user_account (id, name, role)
    select :id, 'Local admin', 'admin'
    where :in_any_case or not exists (select from user_account)
    on conflict do nothing
""")
IS_ONLY_ACCOUNT = named("select count(*) = 1 and min(id) = :id from user_account")
USE_LINK = built(
    LoginSession.update({LoginSession.revoked_at: NOW})
    .where(
        LoginSession.secret_hash == Param("secret_hash"),
        LoginSession.revoked_at.is_null(),
        LoginSession.expires_at > NOW,
    )
    .returning(LoginSession.user_id)
)


async def begin_local_mode(tx: Tx, settings: Settings) -> str | None:
    """Create the local admin on a server without accounts; return the path of a login link.

    Returns None when other machines can reach the server, or when there are other accounts. With
    `REELROOM_LOCAL_TOKEN` the admin is created in any case, since the token stands for it. Several
    processes may call this at once, and at every start.
    """
    if not settings.loopback:
        return None
    in_any_case = settings.reelroom_local_token is not None
    await tx.execute(*INSERT_LOCAL_ADMIN(id=LOCAL_ID, in_any_case=in_any_case))
    alone = await tx.fetchval(*IS_ONLY_ACCOUNT(id=LOCAL_ID))
    return await create_login_link(tx, LOCAL_ID) if alone else None


async def create_login_link(tx: Tx, user_id: str) -> str:
    """Return the path of a link that logs in once, within ten minutes, at any process.

    The link is stored as a session that no cookie can name, and only as a hash.
    """
    secret = new_secret()
    await insert_session(tx, user_id, LINK_PREFIX + secret_hash(secret), minutes=LINK_TTL_MINUTES)
    return f"/login/{secret}"


async def use_link(tx: Tx, secret: str, *, replaces: str | None) -> str | None:
    """Exchange a link's secret for that of a new session.

    Returns None when the link is unknown, used or expired. `replaces` is the secret of the
    session that ends.
    """
    user_id = await tx.fetchval(*USE_LINK(secret_hash=LINK_PREFIX + secret_hash(secret)))
    return user_id and await begin_session(tx, user_id, replaces=replaces)
