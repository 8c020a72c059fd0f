"""Shortcuts: calls of hot routes that bypass Litestar's parameter binding.

Many clients open these routes at the same time, after each deployment. Through Litestar's binding
an event stream takes 1.7 times the processor time to open, a WebSocket 1.3 times.
"""

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

SHORTCUT_KEY = "shortcut"  # in a handler's opt
INTERNAL_ERROR_CLOSE_CODE = 4500
NO_QUERY = re.compile(b"")
_UUID = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_PART = re.compile(r"\{(\w+):uuid\}")


class RawConnection(NamedTuple):
    """The ASGI arguments of one connection; Litestar's WebSocket has these attributes too."""

    scope: Any
    receive: Callable[[], Awaitable[Any]]
    send: Callable[[Any], Awaitable[None]]


class Shortcut(msgspec.Struct, frozen=True):
    """The function called in place of a handler for requests that match `query`.

    `call` receives the connection, the path's ids as text, and the named groups of `query`.
    Requests with another query string, another spelling of an id or another method are passed to
    Litestar, which validates them.
    """

    call: Callable[..., Awaitable[None]]
    query: re.Pattern[bytes] = NO_QUERY


class Shortcuts:
    """ASGI middleware between the guard and the Litestar app that calls the shortcuts.

    The access that the handler declares is checked as usual. The guard answers HTTP requests that
    raise a `Problem`.
    """

    def __init__(self, app: Litestar) -> None:
        self.app = app
        self._tables = {"http": _ShortcutTable(), "websocket": _ShortcutTable()}
        for path, handler in handlers_of(app):
            if isinstance(handler, HTTPRouteHandler) and handler.http_methods == {"GET"}:
                self._tables["http"].add(path, handler)
            elif isinstance(handler, WebsocketRouteHandler):
                self._tables["websocket"].add(path, handler)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        table = self._tables.get(scope["type"])
        found = table.find(scope) if table else None
        if found is None:
            await self.app(scope, receive, send)
            return
        handler, shortcut, values = found
        scope["app"] = scope["litestar_app"] = self.app
        scope["route_handler"] = handler
        if scope["type"] == "http":
            await check_access(scope, handler)
            await shortcut.call(RawConnection(scope, receive, send), **values)
            return
        try:
            await check_access(scope, handler)
            await shortcut.call(RawConnection(scope, receive, send), **values)
        except WebSocketException as error:
            await send({"type": "websocket.close", "code": error.code, "reason": error.detail})
        except OSError:
            logger.debug("the client of %s left before it was answered", scope["path"])
        except Exception:
            logger.exception("a socket on %s failed", scope["path"])
            await send({"type": "websocket.close", "code": INTERNAL_ERROR_CLOSE_CODE, "reason": ""})


Found = tuple[BaseRouteHandler, Shortcut, dict[str, str | None]]


class _ShortcutTable:
    """The shortcuts of one kind of connection."""

    def __init__(self) -> None:
        self._entries: list[tuple[re.Pattern[str], BaseRouteHandler, Shortcut]] = []

    def add(self, path: str, handler: BaseRouteHandler) -> None:
        if shortcut := handler.opt.get(SHORTCUT_KEY):
            if "{" in _PART.sub("", path):
                raise ValueError(f"{path}: a shortcut takes ids alone")
            pattern = re.compile(_PART.sub(rf"(?P<\1>{_UUID})", path))
            self._entries.append((pattern, handler, shortcut))

    def find(self, scope: Any) -> Found | None:
        if scope.get("method", "GET") != "GET" or scope.get("root_path"):
            return None
        for pattern, handler, shortcut in self._entries:
            if path := pattern.fullmatch(scope["path"]):
                query = shortcut.query.fullmatch(scope["query_string"])
                if query is None:
                    return None
                values: dict[str, str | None] = path.groupdict()
                for name, text in query.groupdict().items():
                    values[name] = None if text is None else text.decode("ascii")
                return handler, shortcut, values
        return None
