"""The auth routes alone, behind the guard, on a real PostgreSQL."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import httpx
import pytest
from litestar import Litestar, Response, get
from litestar.datastructures import State
from litestar.di import NamedDependency, Provide

from app.auth.credentials import Credentials
from app.auth.local import begin_local_mode
from app.auth.model import Caller
from app.auth.routes import router
from app.http.envelope import ActionResult, Envelope, answer, declare
from app.http.errors import HANDLERS
from app.http.guard import Guard
from app.http.limits import Limiter
from app.http.policy import CREDENTIALS_KEY, check_routes, require_access
from app.http.request import AnyRequest
from app.http.strict import StrictRequest
from app.settings import Settings
from tests.harness.database import DB
from tests.harness.in_process import serving

LOCAL_TOKEN = "local-token-of-the-tests"
PASSWORD = "correct horse battery"


@get("/api/whoami", **declare("caller.read", "public"))
async def whoami(
    request: AnyRequest, caller: NamedDependency[Caller]
) -> Response[Envelope[Caller]]:
    return answer(request.scope, ActionResult(data=caller))


def auth_app(settings: Settings, limiter: Limiter | None = None) -> Guard:
    credentials = Credentials(DB, settings)
    app = Litestar(
        route_handlers=[router, whoami],
        guards=[require_access],
        exception_handlers=HANDLERS,
        request_class=StrictRequest,
        dependencies={
            "caller": Provide(credentials.provide_caller),
            "db": Provide(lambda: DB, sync_to_thread=False),
        },
        state=State(
            {
                "settings": settings,
                "db": DB,
                "limiter": limiter or Limiter(),
                CREDENTIALS_KEY: credentials,
            }
        ),
        openapi_config=None,
        logging_config=None,
    )
    check_routes(app)
    return Guard(app, settings)


async def local_mode(settings: Settings) -> str | None:
    """Begin local mode as a start of the server does; return the path of a login link."""
    async with DB.transaction() as tx:
        return await begin_local_mode(tx, settings)


@pytest.fixture
async def emptied(pool: None) -> None:
    """Delete all accounts."""
    async with DB.transaction() as tx:
        await tx.execute("truncate user_account, idempotency_record cascade")


Client = httpx.AsyncClient
Opener = Callable[[], AbstractAsyncContextManager[Client]]


@pytest.fixture
async def address(emptied: None) -> AsyncIterator[str]:
    """A server with a fresh limiter."""
    async with serving(auth_app(Settings(reelroom_local_token=LOCAL_TOKEN))) as url:
        yield url


@pytest.fixture
def browser(address: str) -> Opener:
    """Open a client with its own cookies, that sends its origin as browsers do."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[Client]:
        async with Client(base_url=address, timeout=150, headers={"origin": address}) as client:
            yield client

    return opened


@pytest.fixture
async def client(browser: Opener) -> AsyncIterator[Client]:
    async with browser() as client:
        yield client


async def registered(client: Client, email: str = "ann@example.com", **more: str) -> dict[str, Any]:
    body = {"email": email, "password": PASSWORD, "name": "Ann", **more}
    reply = await client.post("/api/auth/register", json=body)
    assert reply.status_code == 201, reply.text
    account: dict[str, Any] = reply.json()["data"]
    return account
