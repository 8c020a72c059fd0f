"""A shortcut obeys the rules of the handler that it replaces."""

import re
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import httpx
import pytest
from litestar import WebSocket, get, websocket
from litestar.params import FromPath
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from app.http.envelope import declare
from app.http.guard import Guard
from app.http.policy import check_routes
from app.http.shortcut import RawConnection, Shortcut, Shortcuts
from app.problems import NotFound, ServiceUnavailable
from app.settings import Settings
from app.store.ids import new_id
from tests.harness.in_process import serving
from tests.http.conftest import small_app

ERRORS: dict[str | None, Exception] = {
    "gone": NotFound("There is no such thing."),
    "busy": ServiceUnavailable("Come again.", retry_after=7),
    "bug": RuntimeError("a secret"),
}


async def short(connection: RawConnection, thing_id: str, what: str | None) -> None:
    if what in ERRORS:
        raise ERRORS[what]
    headers = [(b"content-type", b"text/plain")]
    await connection.send({"type": "http.response.start", "status": 200, "headers": headers})
    await connection.send(
        {"type": "http.response.body", "body": f"short {thing_id} {what}".encode()}
    )


async def short_socket(connection: RawConnection, thing_id: str, what: str | None) -> None:
    raise ERRORS[what]


QUERY = re.compile(rb"(?:what=(?P<what>[a-z]+))?")


@get(
    "/api/things/{thing_id:uuid}",
    **declare("thing.read", "admin"),
    shortcut=Shortcut(short, QUERY),
)
async def long(thing_id: FromPath[UUID]) -> str:
    return f"long {thing_id}"


@websocket(
    "/api/things/{thing_id:uuid}/socket",
    **declare("thing.socket", "account"),
    shortcut=Shortcut(short_socket, QUERY),
)
async def long_socket(socket: WebSocket[Any, Any, Any], thing_id: FromPath[UUID]) -> None:
    await socket.accept()
    await socket.send_text("long")
    await socket.close()


@pytest.fixture
async def things() -> AsyncIterator[httpx.AsyncClient]:
    app = small_app(route_handlers=[long, long_socket])
    check_routes(app)
    async with serving(Guard(Shortcuts(app), Settings())) as url:
        headers = {"authorization": "Bearer admin"}
        async with httpx.AsyncClient(base_url=url, headers=headers) as client:
            yield client


async def test_only_plain_requests_take_the_shortcut(things: httpx.AsyncClient) -> None:
    one = new_id()
    for path, text in [
        (one, f"short {one} None"),
        (f"{one}?what=x", f"short {one} x"),
        (f"{one}?what=X", f"long {one}"),
        (f"{one}?other=x", f"long {one}"),
        (one.upper(), f"long {one}"),
    ]:
        assert (await things.get(f"/api/things/{path}")).text == text
    assert (await things.post(f"/api/things/{one}", json={})).status_code == 405
    assert (await things.get("/api/things/1")).status_code == 404


@pytest.mark.parametrize(
    ("token", "what", "status", "code"),
    [
        ("anonymous", "x", 401, "UNAUTHORIZED"),
        ("user", "x", 403, "FORBIDDEN"),
        ("admin", "gone", 404, "NOT_FOUND"),
        ("admin", "busy", 503, "SERVICE_UNAVAILABLE"),
        ("admin", "bug", 500, "INTERNAL_ERROR"),
    ],
)
async def test_a_shortcut_refuses_with_the_usual_errors(
    things: httpx.AsyncClient, token: str, what: str, status: int, code: str
) -> None:
    headers = {"authorization": f"Bearer {token}", "x-request-id": "mine"}
    answer = await things.get(f"/api/things/{new_id()}?what={what}", headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert answer.json()["meta"]["operation"] == "thing.read"
    assert answer.json()["meta"]["requestId"] == answer.headers["x-request-id"] == "mine"
    assert answer.headers.get("retry-after") == ("7" if what == "busy" else None)
    assert answer.headers["cache-control"] == "no-store"
    assert "secret" not in answer.text


@pytest.mark.parametrize(("token", "code"), [("anonymous", 4401), ("user", 4500)])
async def test_a_socket_that_fails_is_closed_with_a_code(
    things: httpx.AsyncClient, token: str, code: int
) -> None:
    url = f"{things.base_url}/api/things/{new_id()}/socket?what=bug".replace("http", "ws", 1)
    async with connect(url, additional_headers={"authorization": f"Bearer {token}"}) as line:
        with pytest.raises(ConnectionClosed):
            await line.recv()
        assert line.close_code == code
        assert "secret" not in (line.close_reason or "")


async def test_a_shortcut_accepts_only_ids() -> None:
    @get(
        "/api/names/{name:str}",
        **declare("name.read", "public"),
        shortcut=Shortcut(short),
    )
    async def name() -> str:
        return ""

    with pytest.raises(ValueError, match="ids alone"):
        Shortcuts(small_app(route_handlers=[name]))
