"""A small app behind the guard, with one route of each kind."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

import httpx
import msgspec
import pytest
from litestar import Litestar, Response, WebSocket, get, post, websocket
from litestar.datastructures import State
from litestar.params import JSONBody, QueryParameter
from litestar.response import Stream

from app.auth.model import Caller
from app.http.envelope import ActionResult, Envelope, answer, declare
from app.http.errors import HANDLERS
from app.http.guard import Guard
from app.http.origin import bearer_of
from app.http.policy import CREDENTIALS_KEY, check_routes, require_access
from app.http.request import AnyRequest
from app.http.strict import StrictRequest
from app.problems import RateLimited
from app.settings import Settings
from tests.harness.in_process import serving

SECRET = "canary-of-a-secret"


class Part(msgspec.Struct, rename="camel", kw_only=True, forbid_unknown_fields=True):
    at_frame: Annotated[int, msgspec.Meta(ge=0, le=100)]


class Thing(msgspec.Struct, rename="camel", kw_only=True, forbid_unknown_fields=True):
    title: Annotated[str, msgspec.Meta(min_length=1, max_length=10)]
    shot_count: int = 0
    kind: Literal["wide", "close"] = "wide"
    parts: list[Part] = []


@get("/api/things", **declare("thing.list", "public"))
async def list_things(
    request: AnyRequest, limit: Annotated[int, QueryParameter(ge=1, le=100)] = 10
) -> Response[Envelope[int]]:
    return answer(request.scope, ActionResult(data=limit))


@post("/api/things", status_code=201, **declare("thing.create", "public"))
async def create_thing(request: AnyRequest, data: JSONBody[Thing]) -> Response[Envelope[Thing]]:
    return answer(request.scope, ActionResult(data=data), 201)


@post("/api/things/cancel", status_code=200, **declare("thing.cancel", "public"))
async def cancel_thing(request: AnyRequest) -> Response[Envelope[str]]:
    return answer(request.scope, ActionResult(data="cancelled"))


@get("/api/broken", **declare("thing.break", "public"))
async def broken(request: AnyRequest) -> Response[Envelope[None]]:
    raise LookupError(f"{SECRET} in /home/app/db.py: select * from user_account")


@get("/api/busy", **declare("thing.wait", "public"))
async def busy(request: AnyRequest) -> Response[Envelope[None]]:
    raise RateLimited(retry_after=7)


@get("/api/mine", **declare("thing.read", "account"))
async def mine(request: AnyRequest) -> Response[Envelope[str]]:
    return answer(request.scope, ActionResult(data="mine"))


@get("/api/figures", **declare("figures.read", "admin"))
async def figures(request: AnyRequest) -> Response[Envelope[str]]:
    return answer(request.scope, ActionResult(data="figures"))


@get("/api/endless", **declare("thing.stream", "public"))
async def endless() -> Stream:
    async def parts() -> AsyncIterator[bytes]:
        yield b"first\n"
        await asyncio.Event().wait()

    return Stream(parts(), headers={"cache-control": "no-cache, no-transform"})


@get("/", media_type="text/html", **declare("client.read", "public"))
async def page() -> str:
    return "<!doctype html>"


@get("/preview", media_type="text/html", **declare("preview.read", "public"))
async def preview() -> Response[str]:
    return Response(
        "<!doctype html>",
        headers={"content-security-policy": "sandbox allow-scripts; frame-ancestors 'self'"},
    )


@websocket("/api/socket", **declare("thing.follow", "account"))
async def follow(socket: WebSocket[Any, Any, Any]) -> None:
    await socket.accept(subprotocols="reelroom.v1.json")
    await socket.send_text("hello")
    await socket.close()


class RoleTokens:
    """Credentials whose bearer token is the caller's role: `user` or `admin`."""

    async def find_caller(self, scope: Any) -> Caller | None:
        token = bearer_of(scope)
        if token == "user":
            return Caller(user_id="1", name="U", role="user")
        return Caller(user_id="2", name="A", role="admin") if token == "admin" else None


ROUTES = [
    list_things, create_thing, cancel_thing, broken, busy, mine, figures, endless, page,
    preview, follow,
]  # fmt: skip


def small_app(**more: Any) -> Litestar:
    return Litestar(
        **{
            "route_handlers": ROUTES,
            "guards": [require_access],
            "exception_handlers": HANDLERS,
            "request_class": StrictRequest,
            "state": State({CREDENTIALS_KEY: RoleTokens()}),
            "openapi_config": None,
            "logging_config": None,
            **more,
        }
    )


@pytest.fixture(scope="session")
async def address() -> AsyncIterator[str]:
    app = small_app()
    check_routes(app)
    settings = Settings(reelroom_allowed_origins="https://studio.example, http://127.0.0.1:5173")
    async with serving(Guard(app, settings)) as url:
        yield url


@pytest.fixture
async def client(address: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=address, timeout=10) as client:
        yield client
