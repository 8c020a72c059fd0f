"""The routes of accounts, sessions and API tokens.

Register, login and logout take no Idempotency-Key: a stored answer could not hold the session's
cookie, and a stored hash of their body would be a fast hash of a password. Each may be
sent again safely. The answer to a new token is stored for its key like any other, for 24 hours and
with the secret in it, so that a client that lost the answer can get its token.
"""

from typing import Any
from uuid import UUID

from litestar import Response, Router, delete, get, post
from litestar.di import NamedDependency
from litestar.enums import MediaType
from litestar.params import FromPath, JSONBody
from litestar.response import Redirect

from app.auth import accounts, passwords, tokens
from app.auth.local import use_link
from app.auth.model import Account, Caller, IssuedToken, Login, NewAccount, NewToken, Token
from app.auth.session import begin_session, end_session, session_cookie
from app.http.envelope import ActionResult, Envelope, Page, answer, declare
from app.http.idempotency import change
from app.http.limits import Limiter
from app.http.openapi import CHANGES, READS
from app.http.origin import session_of
from app.http.request import AnyRequest
from app.store.database import Database, Tx

Db = NamedDependency[Database]

MINUTE, HOUR = 60, 3600  # seconds
MAX_LOGINS_PER_ACCOUNT = 10  # in a minute
MAX_LOGINS_PER_ADDRESS = 30  # in a minute
MAX_REGISTRATIONS_PER_ADDRESS = 10  # in an hour
MAX_LINKS_PER_ADDRESS = 30  # in a minute
VOID_LINK_TEXT = (
    "This login link was used before or is too old.\nRun `reelroom user login` for a new one.\n"
)


def limiter_of(request: AnyRequest) -> Limiter:
    """Return the rate limiter of the app that serves this request."""
    limiter: Limiter = request.app.state.limiter
    return limiter


def address_of(request: AnyRequest) -> str:
    """Return the peer's IP address; X-Forwarded-For is not trusted, since clients can set it."""
    return request.client.host if request.client else "unknown"


@post("/api/auth/register", status_code=201, **declare("account.create", "public", **CHANGES))
async def register(
    request: AnyRequest, db: Db, data: JSONBody[NewAccount]
) -> Response[Envelope[Account]]:
    """Make an account and log it in. An address belongs to one account, whatever its case."""
    limiter = limiter_of(request)
    passwords.check_new(data.password)
    await limiter.hit(
        "register.address",
        address_of(request),
        max_hits=MAX_REGISTRATIONS_PER_ADDRESS,
        seconds=HOUR,
    )
    hashed = await passwords.hash_of(data.password)
    async with db.transaction() as tx:
        account = await accounts.create_user(tx, data, hashed)
        secret = await begin_session(tx, account.id, replaces=session_of(request.scope))
    return login_response(request, account, secret, status=201)


@post("/api/auth/login", status_code=200, **declare("session.create", "public", **CHANGES))
async def login(request: AnyRequest, db: Db, data: JSONBody[Login]) -> Response[Envelope[Account]]:
    """Open a new session; the one that the browser held ends."""
    limiter = limiter_of(request)
    await limiter.hit(
        "login.address", address_of(request), max_hits=MAX_LOGINS_PER_ADDRESS, seconds=MINUTE
    )
    email = accounts.normalized_email(data.email)
    await limiter.hit("login.account", email, max_hits=MAX_LOGINS_PER_ACCOUNT, seconds=MINUTE)
    account = await accounts.check_login(db, email, data.password)
    async with db.transaction() as tx:
        secret = await begin_session(tx, account.id, replaces=session_of(request.scope))
    return login_response(request, account, secret, status=200)


def login_response(
    request: AnyRequest, account: Account, secret: str, status: int
) -> Response[Envelope[Account]]:
    cookie = session_cookie(request.scope, secret)
    return answer(
        request.scope, ActionResult(data=account, affected=[account.id], cookies=[cookie]), status
    )


@post("/api/auth/logout", status_code=200, **declare("session.delete", "public", **CHANGES))
async def logout(request: AnyRequest, db: Db) -> Response[Envelope[None]]:
    """End the session of this browser; without one it is over already."""
    if secret := session_of(request.scope):
        async with db.transaction() as tx:
            await end_session(tx, secret)
    return answer(
        request.scope, ActionResult(data=None, cookies=[session_cookie(request.scope, None)])
    )


@get("/api/auth/me", **declare("account.read", "account", **READS))
async def me(
    request: AnyRequest, db: Db, caller: NamedDependency[Caller]
) -> Response[Envelope[Account]]:
    """The account that is asking."""
    return answer(request.scope, ActionResult(data=await accounts.get_account(db, caller.user_id)))


@get("/api/auth/tokens", **declare("token.list", "account", **READS))
async def list_tokens(
    request: AnyRequest, db: Db, caller: NamedDependency[Caller]
) -> Response[Envelope[Page[Token]]]:
    """The caller's API tokens, the newest first, without their secrets."""
    return answer(
        request.scope, ActionResult(data=Page(items=await tokens.list_tokens(db, caller.user_id)))
    )


@post("/api/auth/tokens", status_code=201, **declare("token.create", "account", **CHANGES))
async def create_token(
    request: AnyRequest, caller: NamedDependency[Caller], data: JSONBody[NewToken]
) -> Response[Envelope[IssuedToken]]:
    """Issue an API token; its secret is in this answer only."""

    async def issue(tx: Tx) -> ActionResult[IssuedToken]:
        issued = await tokens.issue_token(tx, caller.user_id, data)
        return ActionResult(data=issued, affected=[issued.id])

    outcome = await change(request, caller.user_id, issue, status=201)
    return outcome.response()


@delete(
    "/api/auth/tokens/{token_id:uuid}",
    status_code=200,
    **declare("token.delete", "account", **CHANGES),
)
async def delete_token(
    request: AnyRequest, caller: NamedDependency[Caller], token_id: FromPath[UUID]
) -> Response[Envelope[None]]:
    """Revoke an API token; requests with it are refused from now on."""

    async def revoke(tx: Tx) -> ActionResult[None]:
        await tokens.revoke_token(tx, caller.user_id, str(token_id))
        return ActionResult(data=None, affected=[str(token_id)])

    outcome = await change(request, caller.user_id, revoke)
    return outcome.response()


@get("/login/{secret:str}", include_in_schema=False, **declare("session.open", "public"))
async def open_link(request: AnyRequest, db: Db, secret: FromPath[str]) -> Response[Any]:
    """Exchange the one-time link for the session's cookie and leave its address behind."""
    await limiter_of(request).hit(
        "link.address", address_of(request), max_hits=MAX_LINKS_PER_ADDRESS, seconds=MINUTE
    )
    async with db.transaction() as tx:
        session = await use_link(tx, secret, replaces=session_of(request.scope))
    headers = {"cache-control": "no-store"}
    if session is None:
        return Response(VOID_LINK_TEXT, status_code=410, media_type=MediaType.TEXT, headers=headers)
    cookie = session_cookie(request.scope, session)
    return Redirect("/", status_code=303, headers=headers, cookies=[cookie])


router = Router(
    "/",
    route_handlers=[
        register, login, logout, me, list_tokens, create_token, delete_token, open_link,
    ],
    tags=["accounts"],
)  # fmt: skip
