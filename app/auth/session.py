"""Finds who is asking: an API token, the local token, or a session cookie."""

import hashlib
import hmac
import secrets
from collections.abc import Callable
from functools import partial
from typing import Any, cast

from asyncpg import Record
from litestar.datastructures import Cookie
from litestar.types import Scope

from app.auth.model import LOCAL_ID, Caller
from app.http.envelope import info_of
from app.http.origin import SESSION_COOKIE, bearer_of, session_of
from app.http.policy import told
from app.problems import Unauthorized
from app.settings import Settings
from app.store.engine import DB, Tx, transaction
from app.store.gather import Gathered
from app.store.ids import new_id
from app.store.tasks import spawn

TOKEN_PREFIX = "rr_"  # so that a leaked one is recognised
SESSION_DAYS = 30
SECRET_MOST = 512  # characters; anything longer is nobody's
CALLER_KEY = "reelroom.caller"
PUBLIC = "public"
TABLES = ("login_session", "api_token")  # of secrets

FIND = """
    select account.id, account.name, account.role, known.id as known_id, known.secret_hash,
        known.last_used_at is null
            or known.last_used_at < clock_timestamp() - interval '1 minute' as unseen
    from {table} known join user_account account on account.id = known.user_id
    where known.secret_hash = any($1::text[]) and known.revoked_at is null
        and (known.expires_at is null or known.expires_at > clock_timestamp())
"""
FIND_LOCAL = "select id, name, role from user_account where id = any($1::text[])"
SEEN = """
    update {table} set last_used_at = clock_timestamp() where id in (
        select id from {table} where id = any($1::uuid[])
            and (last_used_at is null or last_used_at < clock_timestamp() - interval '1 minute')
        for update skip locked  -- somebody else tells it
    )
"""
VALID = """
    select id from {table} where id = any($1::uuid[]) and revoked_at is null
        and (expires_at is null or expires_at > clock_timestamp())
"""


def new_secret() -> str:
    """256 bits, safe in a cookie, a header and an address."""
    return secrets.token_urlsafe(32)


def secret_hash(secret: str) -> str:
    """What is stored of a secret. It has full entropy, so a fast hash without salt is enough."""
    return hashlib.sha256(secret.encode()).hexdigest()


async def provide_caller(scope: Scope) -> Caller:
    """The `caller` of a route; anonymous only where the route is public, else `Unauthorized`."""
    found = await find_caller(scope)
    if found is not None:
        return found
    if scope["route_handler"].opt.get("access") == PUBLIC:
        request_id = info_of(scope).request_id
        return Caller(user_id="", name="", role="user", request_id=request_id, anonymous=True)
    raise told(scope, Unauthorized())


async def find_caller(scope: Any) -> Caller | None:
    """Who is asking, looked up once for each connection; None without valid credentials.

    A request with a bearer token is judged by it alone, whatever its cookies say.
    """
    state = scope["state"]
    if CALLER_KEY not in state:
        state[CALLER_KEY] = await _look_up(scope)
    return cast(Caller | None, state[CALLER_KEY])


async def _look_up(scope: Any) -> Caller | None:
    request_id = info_of(scope).request_id
    token = bearer_of(scope)
    if token is None:
        secret = session_of(scope)
        return await _known("login_session", secret, request_id) if secret else None
    if _is_local_token(token, scope["litestar_app"].state.settings):
        return await _local(request_id)
    return await _known("api_token", token, request_id) if token.startswith(TOKEN_PREFIX) else None


def _is_local_token(token: str, settings: Settings) -> bool:
    known = settings.reelroom_local_token
    if known is None or not settings.loopback:
        return False
    return hmac.compare_digest(token.encode(), known.encode())


async def _local(request_id: str) -> Caller | None:
    row = await _LOCAL.get(LOCAL_ID)
    if row is None:
        return None
    return Caller(user_id=row["id"], name=row["name"], role=row["role"], request_id=request_id)


async def _known(table: str, secret: str, request_id: str) -> Caller | None:
    if len(secret) > SECRET_MOST:
        return None
    row = await _SECRETS[table].get(secret_hash(secret))
    if row is None:
        return None
    of_session = table == "login_session"
    return Caller(
        user_id=row["id"],
        name=row["name"],
        role=row["role"],
        request_id=request_id,
        session_id=row["known_id"] if of_session else None,
        token_id=None if of_session else row["known_id"],
    )


async def _find(table: str, hashes: list[str]) -> dict[str, Record]:
    found = {row["secret_hash"]: row for row in await DB.fetch(FIND.format(table=table), hashes)}
    if unseen := [row["known_id"] for row in found.values() if row["unseen"]]:
        spawn(_seen(table, unseen), name=f"{table} seen")
    return found


async def _find_local(ids: list[str]) -> dict[str, Record]:
    return {row["id"]: row for row in await DB.fetch(FIND_LOCAL, ids)}


async def _find_valid(table: str, ids: list[str]) -> dict[str, bool]:
    return {row["id"]: True for row in await DB.fetch(VALID.format(table=table), ids)}


async def _seen(table: str, ids: list[str]) -> None:
    async with transaction() as tx:
        await tx.execute(SEEN.format(table=table), ids)


# Told the user's id when a session or a token was taken back, in this process. It only saves time:
# what is open is checked with every heartbeat.
revocations: list[Callable[[str], None]] = []

# Each is asked anew for every connection, but once for all that come together.
_SECRETS = {
    table: Gathered[str, Record](f"{table} found", partial(_find, table)) for table in TABLES
}
_VALID = {
    table: Gathered[str, bool](f"{table} valid", partial(_find_valid, table)) for table in TABLES
}
_LOCAL = Gathered[str, Record]("local account", _find_local)


async def begin_session(tx: Tx, user_id: str, *, instead_of: str | None) -> str:
    """Open a session; return its secret. The one that the browser held ends: ids never live on."""
    if instead_of is not None:
        await end_session(tx, instead_of)
    secret = new_secret()
    await tx.execute(
        "insert into login_session (id, user_id, secret_hash, expires_at)"
        f" values ($1, $2, $3, clock_timestamp() + interval '{SESSION_DAYS} days')",
        new_id(), user_id, secret_hash(secret),
    )  # fmt: skip
    return secret


async def end_session(tx: Tx, secret: str) -> None:
    """End the session with this secret; an unknown one is ignored."""
    user_id = await tx.fetchval(
        "update login_session set revoked_at = clock_timestamp()"
        " where secret_hash = $1 and revoked_at is null returning user_id",
        secret_hash(secret),
    )
    if user_id is not None:
        tell_revoked(tx, user_id)


def tell_revoked(tx: Tx, user_id: str) -> None:
    """Once it is committed, have what this person keeps open checked at once."""

    def tell() -> None:
        for listener in revocations:
            listener(user_id)

    tx.after_commit.append(tell)


def session_cookie(scope: Any, secret: str | None) -> Cookie:
    """The cookie that carries a session; without a secret the one that removes it."""
    return Cookie(
        key=SESSION_COOKIE,
        value=secret or "",
        max_age=SESSION_DAYS * 24 * 3600 if secret else 0,
        path="/",
        httponly=True,
        samesite="lax",
        secure=scope["scheme"] == "https",
    )


async def is_valid(caller: Caller) -> bool:
    """False once the credential that the caller came with has expired or was taken back."""
    if caller.session_id is not None:
        return bool(await _VALID["login_session"].get(caller.session_id))
    if caller.token_id is not None:
        return bool(await _VALID["api_token"].get(caller.token_id))
    return True
