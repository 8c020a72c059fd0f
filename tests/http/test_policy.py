"""The app does not start with an undeclared route, and enforces what each route declares."""

from typing import Annotated, Any

import httpx
import msgspec
import pytest
from litestar import Litestar, Request, Router, WebSocket, asgi, get, post, websocket
from litestar.connection import ASGIConnection
from litestar.datastructures import State
from litestar.openapi import OpenAPIConfig
from litestar.params import FromQuery, JSONBody
from litestar.static_files import create_static_files_router
from litestar.types import Receive, Scope, Send

from app.http.envelope import declare
from app.http.policy import UndeclaredRoute, check_routes, require_access
from app.problems import Forbidden
from tests.http.conftest import small_app


@get("/bare")
async def bare() -> str:
    return ""


@get("/misspelt", opt={"operation": "thing.read", "access": "everybody"})
async def misspelt() -> str:
    return ""


@get("/nameless", opt={"access": "account", "operation": "reading"})
async def nameless() -> str:
    return ""


@websocket("/socket")
async def bare_socket(socket: WebSocket[Any, Any, Any]) -> None: ...


@asgi("/raw", copy_scope=True)
async def bare_asgi(scope: Scope, receive: Receive, send: Send) -> None: ...


@get("/many", **declare("thing.list", "public"))
async def lax(limit: FromQuery[Annotated[int, msgspec.Meta(le=5)]] = 1) -> int:
    return limit


@post("/body", **declare("thing.create", "public"))
async def with_body(data: JSONBody[dict[str, str]]) -> str:
    return ""


@get("/private", **declare("thing.read", "account"))
async def private() -> str:
    return ""


@pytest.mark.parametrize(
    ("handler", "fault"),
    [
        (bare, "opt['access'] is None"),
        (misspelt, "opt['access'] is 'everybody'"),
        (nameless, "opt['operation'] is 'reading'"),
        (bare_socket, "/socket"),
        (bare_asgi, "/raw"),
        (lax, "ignores the Meta of 'limit'"),
    ],
)
def test_a_faulty_route_stops_the_start(handler: Any, fault: str) -> None:
    with pytest.raises(UndeclaredRoute) as found:
        check_routes(small_app(route_handlers=[handler]))
    assert fault in str(found.value)


def test_an_undeclared_folder_of_files_stops_the_start(tmp_path: Any) -> None:
    folder = create_static_files_router("/files", [tmp_path])
    with pytest.raises(UndeclaredRoute):
        check_routes(small_app(route_handlers=[folder]))
    declared = create_static_files_router(
        "/files", [tmp_path], opt={"access": "public", "operation": "client.read"}
    )
    check_routes(small_app(route_handlers=[declared]))


def test_a_lax_request_class_or_an_unguarded_route_stops_the_start() -> None:
    with pytest.raises(UndeclaredRoute, match="StrictRequest"):
        check_routes(small_app(route_handlers=[with_body], request_class=Request))
    with pytest.raises(UndeclaredRoute, match="require_access"):
        check_routes(small_app(route_handlers=[private], guards=[]))
    with pytest.raises(UndeclaredRoute, match="credentials"):
        check_routes(small_app(route_handlers=[private], state=State()))
    check_routes(small_app(route_handlers=[private, with_body]))


def test_the_description_of_the_api_is_declared_like_any_route() -> None:
    def described(**opt: str) -> Litestar:
        pages = Router("/schema", route_handlers=[], opt=opt)
        config = OpenAPIConfig(title="T", version="1", openapi_router=pages)
        return small_app(route_handlers=[private], openapi_config=config)

    with pytest.raises(UndeclaredRoute, match="/schema"):
        check_routes(described())
    check_routes(described(access="account", operation="schema.read"))


def test_all_routes_of_the_small_app_are_declared() -> None:
    check_routes(small_app())


@pytest.mark.parametrize(
    ("path", "anonymous", "user", "admin"),
    [("/api/things", 200, 200, 200), ("/api/mine", 401, 200, 200), ("/api/figures", 401, 403, 200)],
)
async def test_the_declaration_of_each_route_is_enforced(
    client: httpx.AsyncClient, path: str, anonymous: int, user: int, admin: int
) -> None:
    assert (await client.get(path)).status_code == anonymous
    for name, status in (("anonymous", anonymous), ("user", user), ("admin", admin)):
        answer = await client.get(path, headers={"authorization": f"bearer {name}"})
        assert answer.status_code == status
    assert (await client.get(f"{path}?token=admin")).status_code == anonymous


async def test_a_route_that_declares_nothing_is_closed() -> None:
    scope = {
        "type": "http",
        "headers": [(b"authorization", b"Bearer admin")],
        "litestar_app": small_app(),
    }
    connection: Any = ASGIConnection(scope)  # type: ignore[arg-type]
    with pytest.raises(Forbidden):
        await require_access(connection, bare)
