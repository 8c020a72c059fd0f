"""The way around Litestar's binding for routes that everybody comes to at once."""

import logging
import re
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import msgspec
from litestar import Litestar
from litestar.exceptions import WebSocketException
from litestar.handlers import BaseRouteHandler, HTTPRouteHandler, WebsocketRouteHandler

from app.http.policy import check_access, handlers_of

logger = logging.getLogger(__name__)

SHORTCUT = "shortcut"  # in a handler's opt
CLOSED_BY_BUG = 4500
NO_QUERY = re.compile(b"")
_UUID = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_PART = re.compile(r"\{(\w+):uuid\}")


class Ends(NamedTuple):
    """As much of a connection as a shortcut needs; Litestar's own have it too."""

    scope: Any
    receive: Callable[[], Awaitable[Any]]
    send: Callable[[Any], Awaitable[None]]


class Shortcut(msgspec.Struct, frozen=True):
    """What answers in a handler's place when a request is plain.

    `call` gets the connection, the path's ids as text, and the named groups of `query`. A request
    with another query, another spelling of an id, or another method is Litestar's, which knows
    what is wrong with it.
    """

    call: Callable[..., Awaitable[None]]
    query: re.Pattern[bytes] = NO_QUERY


class Shortcuts:
    """Wrap the Litestar app, in front of which the guard stands.

    The handler's declaration stays the truth: who may call it, its operation, its documentation.
    Problems of HTTP requests are the guard's to answer.
    """

    def __init__(self, app: Litestar) -> None:
        self.app = app
        self._ways = {"http": _Ways(), "websocket": _Ways()}
        for path, handler in handlers_of(app):
            if isinstance(handler, HTTPRouteHandler) and handler.http_methods == {"GET"}:
                self._ways["http"].add(path, handler)
            elif isinstance(handler, WebsocketRouteHandler):
                self._ways["websocket"].add(path, handler)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        ways = self._ways.get(scope["type"])
        found = ways.find(scope) if ways else None
        if found is None:
            await self.app(scope, receive, send)
            return
        handler, shortcut, values = found
        scope["app"] = scope["litestar_app"] = self.app
        scope["route_handler"] = handler
        if scope["type"] == "http":
            await check_access(scope, handler)
            await shortcut.call(Ends(scope, receive, send), **values)
            return
        try:
            await check_access(scope, handler)
            await shortcut.call(Ends(scope, receive, send), **values)
        except WebSocketException as error:
            await send({"type": "websocket.close", "code": error.code, "reason": error.detail})
        except OSError:
            logger.debug("the client of %s left before it was answered", scope["path"])
        except Exception:
            logger.exception("a socket on %s failed", scope["path"])
            await send({"type": "websocket.close", "code": CLOSED_BY_BUG, "reason": ""})


Found = tuple[BaseRouteHandler, Shortcut, dict[str, str | None]]


class _Ways:
    """The shortcuts of one kind of connection."""

    def __init__(self) -> None:
        self._ways: list[tuple[re.Pattern[str], BaseRouteHandler, Shortcut]] = []

    def add(self, path: str, handler: BaseRouteHandler) -> None:
        if shortcut := handler.opt.get(SHORTCUT):
            if "{" in _PART.sub("", path):
                raise ValueError(f"{path}: a shortcut takes ids alone")
            pattern = re.compile(_PART.sub(rf"(?P<\1>{_UUID})", path))
            self._ways.append((pattern, handler, shortcut))

    def find(self, scope: Any) -> Found | None:
        if scope.get("method", "GET") != "GET" or scope.get("root_path"):
            return None
        for pattern, handler, shortcut in self._ways:
            if path := pattern.fullmatch(scope["path"]):
                query = shortcut.query.fullmatch(scope["query_string"])
                if query is None:
                    return None
                values: dict[str, str | None] = path.groupdict()
                for name, text in query.groupdict().items():
                    values[name] = None if text is None else text.decode("ascii")
                return handler, shortcut, values
        return None
