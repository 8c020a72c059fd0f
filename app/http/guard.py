"""The outermost layer: names each request, refuses what no route should see, seals each answer."""

import logging
import re
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import msgspec

from app.http.body import BODY_SECONDS, body_problem, check_text, length_of, read_body
from app.http.envelope import failure
from app.http.errors import note_problem
from app.http.headers import completed, headers_for
from app.http.origin import CHANGING, host_of, host_problem, origin_problem, values_of
from app.http.request import REQUEST_KEY, RequestInfo
from app.problems import InternalError, InvalidInput, Problem
from app.settings import Settings
from app.store.ids import new_id

log = logging.getLogger(__name__)
access = logging.getLogger("app.access")

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Any, Any, Any], Awaitable[None]]

HEADERS_MOST = 100
HEADER_BYTES_MOST = 64 * 1024
OWN_CLOSE_CODES = range(4400, 4600)  # these tell a browser why; it sees them only once accepted
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_SECRET_PATH = re.compile(r"(/login/|/invites/)[^/]+")  # what follows opens something
_QUIET = ("/health/", "/metrics")
_PATH_MOST = 300  # characters of a path in the log
_PROTOCOL = re.compile(r"reelroom\.[a-z0-9.]+")


class HeadersTooLarge(InvalidInput):
    """The request's headers are larger than their limit."""

    status = 431


class Guard:
    """Wrap the whole app. It never buffers an answer; of requests it holds at most one small body.

    `uploads` are ends of paths, such as `/images`, that also take multipart bodies of any size,
    which are streamed through and limited by their route. Any other body must arrive within
    `body_seconds`.
    """

    def __init__(
        self,
        app: App,
        settings: Settings,
        *,
        uploads: tuple[str, ...] = (),
        body_seconds: float = BODY_SECONDS,
    ) -> None:
        self.app = app
        self.body_seconds = body_seconds
        self.loopback = settings.loopback
        self.allowed = settings.allowed_origins
        self.uploads = uploads

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _http(self, scope: Any, receive: Receive, send: Send) -> None:
        info = introduce(scope)
        wanted = headers_for(scope)
        began = 0  # the status, once it is on its way

        async def seal(message: Message) -> None:
            nonlocal began
            if message["type"] == "http.response.start":
                began = message["status"]
                headers = completed(list(message.get("headers", ())), wanted, info.request_id)
                message = {**message, "headers": headers}
            await send(message)

        try:
            length = self.check(scope)
            upload = bool(self.uploads) and scope["path"].endswith(self.uploads)
            if problem := body_problem(scope, length, upload=upload):
                raise problem
            if scope["method"] in CHANGING and length != 0 and not _is_upload(scope):
                body = await read_body(receive, self.body_seconds)
                if body is None:
                    return
                check_text(body)
                receive = replaying(body, receive)
            await self.app(scope, receive, seal)
        except Problem as problem:
            if began:
                raise
            note_problem(scope, problem)
            await refuse(scope, seal, problem)
        except Exception:
            if began:
                raise
            log.exception("request %s failed outside every route", info.request_id)
            await refuse(scope, seal, InternalError())
        finally:
            note(scope, info, began)

    async def _websocket(self, scope: Any, receive: Receive, send: Send) -> None:
        info = introduce(scope)
        accepted = False

        async def accept(message: Message) -> None:
            nonlocal accepted
            accepted = True
            headers = completed(list(message.get("headers", ())), (), info.request_id)
            await send({**message, "headers": headers})

        async def seal(message: Message) -> None:
            if message["type"] == "websocket.accept":
                await accept(message)
                return
            if message["type"] == "websocket.close" and not accepted and _tells_why(message):
                await accept({"type": "websocket.accept", "subprotocol": _protocol_of(scope)})
            await send(message)

        try:
            self.check(scope)
        except Problem as problem:
            await refuse_handshake(scope, receive, send, problem)
            return
        await self.app(scope, receive, seal)

    def check(self, scope: Any) -> int | None:
        """Raise the problem of a request's head; return the length of its body."""
        headers = scope["headers"]
        size = sum(len(name) + len(value) + 4 for name, value in headers)
        if len(headers) > HEADERS_MOST or size > HEADER_BYTES_MOST:
            raise HeadersTooLarge
        host = host_of(scope)
        if problem := host_problem(host, loopback=self.loopback, allowed=self.allowed):
            raise problem
        if "\x00" in scope["path"] or b"%00" in scope["query_string"]:
            raise InvalidInput("An address must not contain the character U+0000.")
        if problem := origin_problem(scope, host, self.allowed):
            raise problem
        return length_of(scope) if scope["type"] == "http" else 0


def introduce(scope: Any) -> RequestInfo:
    """Give the request its id, its own when that is well-formed, and start its clock."""
    given = values_of(scope, b"x-request-id")
    own = len(given) == 1 and _REQUEST_ID.fullmatch(given[0])
    info = RequestInfo(request_id=given[0] if own else new_id(), began=time.perf_counter())
    scope.setdefault("state", {})[REQUEST_KEY] = info
    return info


def note(scope: Any, info: RequestInfo, status: int) -> None:
    """Write the one line that the log has of each request; status 0: the client left before."""
    level = logging.DEBUG if scope["path"].startswith(_QUIET) else logging.INFO
    if not access.isEnabledFor(level):
        return
    path = _SECRET_PATH.sub(r"\1…", scope["path"])[:_PATH_MOST]
    fields = {
        "request_id": info.request_id,
        "method": scope["method"],
        "path": path,
        "status": status,
        "milliseconds": round((time.perf_counter() - info.began) * 1000, 1),
    }
    access.log(level, "request", extra=fields)


def replaying(body: bytes, receive: Receive) -> Receive:
    """A body that has been read, then whatever the connection says next."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


async def refuse(scope: Any, send: Send, problem: Problem) -> None:
    body = msgspec.json.encode(failure(scope, problem))
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
    ]
    if problem.retry_after is not None:
        headers.append((b"retry-after", str(problem.retry_after).encode()))
    await send({"type": "http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def refuse_handshake(scope: Any, receive: Receive, send: Send, problem: Problem) -> None:
    """Answer a WebSocket handshake with the problem's status, where the server can; else 403."""
    await receive()
    if "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close", "code": 1008})
        return

    async def rename(message: Message) -> None:
        await send({**message, "type": message["type"].replace("http.", "websocket.http.", 1)})

    await refuse(scope, rename, problem)


def _is_upload(scope: Any) -> bool:
    return any(
        value.lower().startswith("multipart/form-data")
        for value in values_of(scope, b"content-type")
    )


def _tells_why(message: Message) -> bool:
    return message.get("code", 1000) in OWN_CLOSE_CODES


def _protocol_of(scope: Any) -> str | None:
    """One that the client offered: browsers give up on an accept without any."""
    offered: list[str] = scope.get("subprotocols", [])
    return next(filter(_PROTOCOL.fullmatch, offered), None)
