"""The outermost layer: assigns request ids, refuses invalid requests, adds required headers."""

import logging
import re
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import msgspec

from app.http.body import (
    BODY_TIMEOUT_SECONDS,
    body_problem,
    check_text,
    length_of,
    read_body,
)
from app.http.envelope import failure
from app.http.errors import log_problem
from app.http.headers import add_headers, required_headers
from app.http.origin import CHANGING_METHODS, host_of, host_problem, origin_problem, values_of
from app.http.request import REQUEST_KEY, RequestInfo
from app.problems import InternalError, InvalidInput, Problem
from app.settings import Settings
from app.store.ids import new_id

logger = logging.getLogger(__name__)
access_logger = logging.getLogger("app.access")

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Any, Any, Any], Awaitable[None]]

MAX_HEADERS = 100
MAX_HEADER_BYTES = 64 * 1024
# Close codes that state the reason. A browser receives them only after an accepted handshake.
OWN_CLOSE_CODES = range(4400, 4600)
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_SECRET_PATH = re.compile(r"(/login/|/invites/)[^/]+")  # the secret must not be logged
_QUIET_PATHS = ("/health/", "/metrics")
_MAX_LOGGED_PATH_LENGTH = 300  # characters
_PROTOCOL = re.compile(r"reelroom\.[a-z0-9.]+")


class HeadersTooLarge(InvalidInput):
    """The request's headers are larger than their limit."""

    status = 431


class Guard:
    """ASGI middleware around the whole app.

    It buffers no answer, and only the body of a request, which must arrive within `body_seconds`.
    """

    def __init__(
        self, app: App, settings: Settings, *, body_seconds: float = BODY_TIMEOUT_SECONDS
    ) -> None:
        self.app = app
        self.loopback = settings.loopback
        self.allowed = settings.allowed_origins
        self.body_seconds = body_seconds

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _http(self, scope: Any, receive: Receive, send: Send) -> None:
        info = assign_request_id(scope)
        required = required_headers(scope)
        status = 0  # once the answer has begun

        async def send_completed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = add_headers(list(message.get("headers", ())), required, info.request_id)
                message = {**message, "headers": headers}
            await send(message)

        try:
            length = self.check(scope)
            if problem := body_problem(scope, length):
                raise problem
            if scope["method"] in CHANGING_METHODS and length != 0:
                body = await read_body(receive, self.body_seconds)
                if body is None:
                    return
                check_text(body)
                receive = replay_body(body, receive)
            await self.app(scope, receive, send_completed)
        except Problem as problem:
            if status:
                raise
            log_problem(scope, problem)
            await refuse(scope, send_completed, problem)
        except Exception:
            if status:
                raise
            logger.exception("request %s failed outside every route", info.request_id)
            await refuse(scope, send_completed, InternalError())
        finally:
            log_access(scope, info, status)

    async def _websocket(self, scope: Any, receive: Receive, send: Send) -> None:
        info = assign_request_id(scope)
        accepted = False

        async def accept(message: Message) -> None:
            nonlocal accepted
            accepted = True
            headers = add_headers(list(message.get("headers", ())), (), info.request_id)
            await send({**message, "headers": headers})

        async def send_completed(message: Message) -> None:
            if message["type"] == "websocket.accept":
                await accept(message)
                return
            if message["type"] == "websocket.close" and not accepted and _has_own_code(message):
                await accept({"type": "websocket.accept", "subprotocol": _protocol_of(scope)})
            await send(message)

        try:
            self.check(scope)
        except Problem as problem:
            await refuse_handshake(scope, receive, send, problem)
            return
        await self.app(scope, receive, send_completed)

    def check(self, scope: Any) -> int | None:
        """Raise the problem of an invalid head; return the declared length of the body in bytes."""
        headers = scope["headers"]
        size = sum(len(name) + len(value) + 4 for name, value in headers)
        if len(headers) > MAX_HEADERS or size > MAX_HEADER_BYTES:
            raise HeadersTooLarge
        host = host_of(scope)
        if problem := host_problem(host, loopback=self.loopback, allowed=self.allowed):
            raise problem
        if "\x00" in scope["path"] or b"%00" in scope["query_string"]:
            raise InvalidInput("An address must not contain the character U+0000.")
        if problem := origin_problem(scope, host, self.allowed):
            raise problem
        return length_of(scope) if scope["type"] == "http" else 0


def assign_request_id(scope: Any) -> RequestInfo:
    """Give the request the id of its header, or a new one, and record when it began."""
    ids = values_of(scope, b"x-request-id")
    own = len(ids) == 1 and _REQUEST_ID.fullmatch(ids[0])
    info = RequestInfo(request_id=ids[0] if own else new_id(), began=time.perf_counter())
    scope.setdefault("state", {})[REQUEST_KEY] = info
    return info


def log_access(scope: Any, info: RequestInfo, status: int) -> None:
    """Log the request; status 0 means that the client disconnected before the answer began."""
    level = logging.DEBUG if scope["path"].startswith(_QUIET_PATHS) else logging.INFO
    if not access_logger.isEnabledFor(level):
        return
    path = _SECRET_PATH.sub(r"\1…", scope["path"])[:_MAX_LOGGED_PATH_LENGTH]
    fields = {
        "request_id": info.request_id,
        "method": scope["method"],
        "path": path,
        "status": status,
        "milliseconds": round((time.perf_counter() - info.began) * 1000, 1),
    }
    access_logger.log(level, "request", extra=fields)


def replay_body(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that yields a body already read, then the connection's next messages."""
    is_replayed = False

    async def receive_again() -> Message:
        nonlocal is_replayed
        if is_replayed:
            return await receive()
        is_replayed = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive_again


async def refuse(scope: Any, send: Send, problem: Problem) -> None:
    """Answer a request with a problem's envelope."""
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
    """Refuse a WebSocket handshake with the problem's status, or 403 if the server cannot."""
    await receive()
    if "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close", "code": 1008})
        return

    async def send_renamed(message: Message) -> None:
        await send({**message, "type": message["type"].replace("http.", "websocket.http.", 1)})

    await refuse(scope, send_renamed, problem)


def _has_own_code(message: Message) -> bool:
    return message.get("code", 1000) in OWN_CLOSE_CODES


def _protocol_of(scope: Any) -> str | None:
    """Return a subprotocol that the client offered: browsers fail on an accept without one."""
    offered: list[str] = scope.get("subprotocols", [])
    return next(filter(_PROTOCOL.fullmatch, offered), None)
