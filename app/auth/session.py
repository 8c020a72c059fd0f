"""Login sessions, and the secrets of sessions and API tokens."""

import hashlib
import secrets
from typing import Any

from litestar.datastructures import Cookie
from piccolo.querystring import QueryString

from app.auth.model import AccessRevoked
from app.auth.tables import LoginSession
from app.http.origin import SESSION_COOKIE
from app.store.columns import NOW
from app.store.database import Tx
from app.store.ids import new_id
from app.store.query import Param, built

TOKEN_PREFIX = "rr_"  # marks API tokens, so that secret scanners recognise a leaked one
SESSION_TTL_DAYS = 30

INSERT_SESSION = built(
    LoginSession.insert(
        LoginSession(
            id=Param("id"),
            user_id=Param("user_id"),
            secret_hash=Param("secret_hash"),
            expires_at=QueryString(
                "clock_timestamp() + {} * interval '1 minute'", Param("minutes")
            ),
        )
    )
)
END_SESSION = built(
    LoginSession.update({LoginSession.revoked_at: NOW})
    .where(LoginSession.secret_hash == Param("secret_hash"), LoginSession.revoked_at.is_null())
    .returning(LoginSession.user_id)
)


def new_secret() -> str:
    """Return 256 random bits as text that is safe in a cookie, a header and a URL."""
    return secrets.token_urlsafe(32)


def secret_hash(secret: str) -> str:
    """Return what the database stores of a secret.

    A secret has full entropy, so a fast hash without salt is enough.
    """
    return hashlib.sha256(secret.encode()).hexdigest()


async def begin_session(tx: Tx, user_id: str, *, replaces: str | None) -> str:
    """Open a session and return its secret.

    The session whose secret is `replaces`, if any, ends: a login never continues an existing
    session, which an attacker may have planted in the browser.
    """
    if replaces is not None:
        await end_session(tx, replaces)
    secret = new_secret()
    await insert_session(tx, user_id, secret_hash(secret), minutes=SESSION_TTL_DAYS * 24 * 60)
    return secret


async def insert_session(tx: Tx, user_id: str, stored: str, *, minutes: int) -> None:
    """Store a session under `stored`, the hash of its secret, for so many minutes."""
    values = {"id": new_id(), "user_id": user_id, "secret_hash": stored, "minutes": minutes}
    await tx.execute(*INSERT_SESSION(**values))


async def end_session(tx: Tx, secret: str) -> None:
    """End the session with this secret; an unknown secret is ignored."""
    user_id = await tx.fetchval(*END_SESSION(secret_hash=secret_hash(secret)))
    if user_id is not None:
        tx.send_after_commit(AccessRevoked(user_id))


def session_cookie(scope: Any, secret: str | None) -> Cookie:
    """Return the cookie that carries a session, or without a secret the one that removes it."""
    return Cookie(
        key=SESSION_COOKIE,
        value=secret or "",
        max_age=SESSION_TTL_DAYS * 24 * 3600 if secret else 0,
        path="/",
        httponly=True,
        samesite="lax",
        secure=scope["scheme"] == "https",
    )
