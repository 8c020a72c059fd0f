"""Authentication of requests by an API token, the local token or a session cookie."""

import hmac
from functools import partial
from typing import Any, Literal, cast

from asyncpg import Record
from litestar.types import Scope

from app.auth.model import LOCAL_ID, Caller
from app.auth.session import TOKEN_PREFIX, secret_hash
from app.http.origin import bearer_of, session_of
from app.http.policy import CREDENTIALS_KEY, for_connection
from app.http.request import info_of
from app.problems import Unauthorized
from app.settings import Settings
from app.store.concurrency import BatchLoader, spawn
from app.store.database import Database
from app.store.query import Statement, named

MAX_SECRET_LENGTH = 512  # characters; longer ones are refused without a look-up
CALLER_KEY = "reelroom.caller"  # in scope["state"]
PUBLIC = "public"

SecretTable = Literal["login_session", "api_token"]
SECRET_TABLES: tuple[SecretTable, ...] = ("login_session", "api_token")


def _for_each_table(sql: str) -> dict[SecretTable, Statement]:
    return {table: named(sql.format(table=table)) for table in SECRET_TABLES}


FIND_SECRETS = _for_each_table("""
    select account.id, account.name, account.role, known.id as known_id, known.secret_hash,
        known.last_used_at is null
            or known.last_used_at < clock_timestamp() - interval '1 minute' as is_use_unrecorded
    from {table} known join user_account account on account.id = known.user_id
    where known.secret_hash = any(:hashes::text[]) and known.revoked_at is null
        and (known.expires_at is null or known.expires_at > clock_timestamp())
""")
# `skip locked`: another process records the use at this moment.
RECORD_USE = _for_each_table("""
    update {table} set last_used_at = clock_timestamp() where id in (
        select id from {table} where id = any(:ids::uuid[])
            and (last_used_at is null or last_used_at < clock_timestamp() - interval '1 minute')
        for update skip locked
    )
""")
FIND_VALID = _for_each_table("""
    select id from {table} where id = any(:ids::uuid[]) and revoked_at is null
        and (expires_at is null or expires_at > clock_timestamp())
""")
FIND_ACCOUNTS = named("select id, name, role from user_account where id = any(:ids::text[])")


class Credentials:
    """Finds the caller of each connection in the database.

    No result is cached, but connections that arrive at the same time share one query.
    """

    def __init__(self, db: Database, settings: Settings) -> None:
        self._db = db
        # The token of local mode is not accepted when other machines can reach the server.
        self._local_token = settings.reelroom_local_token if settings.loopback else None
        self._by_secret = {
            table: BatchLoader[str, Record](f"{table} found", partial(self._find_secrets, table))
            for table in SECRET_TABLES
        }
        self._valid = {
            table: BatchLoader[str, bool](f"{table} valid", partial(self._find_valid, table))
            for table in SECRET_TABLES
        }
        self._accounts = BatchLoader[str, Record]("local account", self._find_accounts)

    async def provide_caller(self, scope: Scope) -> Caller:
        """Return the `caller` of a route, who is anonymous only where the route is public.

        Raises `Unauthorized`, in the form that this kind of connection needs.
        """
        found = await self.find_caller(scope)
        if found is not None:
            return found
        if scope["route_handler"].opt.get("access") == PUBLIC:
            request_id = info_of(scope).request_id
            return Caller(user_id="", name="", request_id=request_id, anonymous=True)
        raise for_connection(scope, Unauthorized())

    async def find_caller(self, scope: Any) -> Caller | None:
        """Return who makes this request, looked up once; None without valid credentials.

        The cookies of a request with a bearer token are ignored.
        """
        state = scope["state"]
        if CALLER_KEY not in state:
            state[CALLER_KEY] = await self._look_up(scope)
        return cast(Caller | None, state[CALLER_KEY])

    async def is_valid(self, caller: Caller) -> bool:
        """Return False once the caller's session or token has expired or was revoked."""
        if caller.session_id is not None:
            return bool(await self._valid["login_session"].get(caller.session_id))
        if caller.token_id is not None:
            return bool(await self._valid["api_token"].get(caller.token_id))
        return True

    async def _look_up(self, scope: Any) -> Caller | None:
        request_id = info_of(scope).request_id
        token = bearer_of(scope)
        if token is None:
            secret = session_of(scope)
            return await self._known("login_session", secret, request_id) if secret else None
        if self._is_local_token(token):
            return await self._local_admin(request_id)
        if not token.startswith(TOKEN_PREFIX):
            return None
        return await self._known("api_token", token, request_id)

    def _is_local_token(self, token: str) -> bool:
        known = self._local_token
        return known is not None and hmac.compare_digest(token.encode(), known.encode())

    async def _local_admin(self, request_id: str) -> Caller | None:
        row = await self._accounts.get(LOCAL_ID)
        if row is None:
            return None
        return Caller(user_id=row["id"], name=row["name"], role=row["role"], request_id=request_id)

    async def _known(self, table: SecretTable, secret: str, request_id: str) -> Caller | None:
        if len(secret) > MAX_SECRET_LENGTH:
            return None
        row = await self._by_secret[table].get(secret_hash(secret))
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

    async def _find_secrets(self, table: SecretTable, hashes: list[str]) -> dict[str, Record]:
        rows = await self._db.fetch(*FIND_SECRETS[table](hashes=hashes))
        if unrecorded := [row["known_id"] for row in rows if row["is_use_unrecorded"]]:
            spawn(self._record_use(table, unrecorded), name=f"record the use of {table}")
        return {row["secret_hash"]: row for row in rows}

    async def _record_use(self, table: SecretTable, ids: list[str]) -> None:
        async with self._db.transaction() as tx:
            await tx.execute(*RECORD_USE[table](ids=ids))

    async def _find_valid(self, table: SecretTable, ids: list[str]) -> dict[str, bool]:
        rows = await self._db.fetch(*FIND_VALID[table](ids=ids))
        return {row["id"]: True for row in rows}

    async def _find_accounts(self, ids: list[str]) -> dict[str, Record]:
        return {row["id"]: row for row in await self._db.fetch(*FIND_ACCOUNTS(ids=ids))}


def credentials_of(scope: Any) -> Credentials:
    """Return the credentials of the app that serves this connection."""
    return cast(Credentials, scope["litestar_app"].state[CREDENTIALS_KEY])
