"""Subscriptions over a WebSocket."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Annotated, Any, Protocol

import msgspec
from litestar.exceptions import WebSocketDisconnect

from app.problems import NotFound, Problem
from app.realtime.encoding import (
    Payload,
    json_frames,
    json_messages,
    msgpack_frames,
    msgpack_messages,
)
from app.realtime.hubs import Hubs
from app.realtime.subscription import Subscriber, Subscription
from app.realtime.transports.asgi import CLOSE_TIMEOUT_SECONDS, AsgiWriter, Message
from app.realtime.writer import DirectConnection, Ending, Writer, direct_connection
from app.store.concurrency import spawn

BAD_FRAME, UNAUTHORISED, ROLE_LOST, NO_PROJECT = 4400, 4401, 4403, 4404
NO_HELLO, TOO_SLOW, RESTARTING = 4408, 4409, 1012
CLOSE_CODES = {
    "restart": RESTARTING,
    "unavailable": RESTARTING,
    "revoked": ROLE_LOST,
    "deleted": NO_PROJECT,
    "unauthorised": UNAUTHORISED,
    "slow": TOO_SLOW,
}
MAX_FRAME_BYTES = 65_536  # from a client
MAX_REASON_BYTES = 120  # of UTF-8 in a close frame; the protocol allows 123
MAX_SCENE_ID_CHARACTERS = 64  # of presence, which everybody receives
MAX_FRAMES_PER_SECOND = 20.0  # read from a client; more wait in the kernel
JSON, MSGPACK = "reelroom.v1.json", "reelroom.v1.msgpack"


class Socket(Protocol):
    """The three parts of an ASGI connection; Litestar's `WebSocket` has them."""

    @property
    def scope(self) -> Any: ...
    @property
    def receive(self) -> Callable[[], Awaitable[Any]]: ...
    @property
    def send(self) -> Callable[[Any], Awaitable[None]]: ...


class Hello(msgspec.Struct, tag="hello", forbid_unknown_fields=True):
    """The first frame; without `after` the subscription begins with a snapshot."""

    after: str | None = None


class Presence(msgspec.Struct, tag="presence", rename="camel", forbid_unknown_fields=True):
    """The client looks at a scene, or at none."""

    scene_id: Annotated[str, msgspec.Meta(max_length=MAX_SCENE_ID_CHARACTERS)] | None = None


class Ping(msgspec.Struct, tag="ping", forbid_unknown_fields=True):
    """The client wants a pong."""


ClientFrame = Hello | Presence | Ping
_json = msgspec.json.Decoder(ClientFrame)
_msgpack = msgspec.msgpack.Decoder(ClientFrame)
PONG = {"type": "pong"}
PONG_JSON, PONG_MSGPACK = msgspec.json.encode(PONG).decode(), msgspec.msgpack.encode(PONG)


class BadFrame(Exception):
    """A frame of a client that is malformed, too long, or not expected."""


class Disconnected(Exception):
    """The client closed the WebSocket or vanished."""


async def serve_socket(hubs: Hubs, socket: Socket, project_id: str, subscriber: Subscriber) -> None:
    """Accept, serve the project's events until either side ends it, and close with a code.

    The caller has authorised and checked the Origin, and `refuse`s a project that may not be
    seen. Return from the handler when this returns.
    """
    session = await _accept(socket)
    try:
        hello = await _hello(session, hubs.limits.hello)
        await _serve(hubs, session, project_id, subscriber, hello.after)
    except Disconnected:
        return
    except BadFrame as error:
        await session.close(BAD_FRAME, str(error))
    except NotFound:
        await session.close(NO_PROJECT)
    except Problem:
        await session.close(RESTARTING)
    except TimeoutError:
        await session.close(NO_HELLO)


async def _serve(
    hubs: Hubs, session: "WebSocketSession", project_id: str, subscriber: Subscriber,
    after: str | None,
) -> None:  # fmt: skip
    """Listen, while the subscription writes."""
    writer = _direct_writer(session) or WebSocketWriter(session)
    subscription = await hubs.subscribe(project_id, subscriber, after, writer)
    try:
        await subscription.join()
        listening = _listen(session, subscription)
        if isinstance(writer, WebSocketWriter):
            await writer.until_closed(listening)
        else:
            await listening
    finally:
        subscription.end("left")
    if subscription.ending and subscription.ending.kind == "left":
        await session.close(_close_code(subscription.ending))


def _direct_writer(session: "WebSocketSession") -> Writer | None:
    connection = direct_connection(session.scope)
    if connection is None:
        return None
    encode = msgpack_frames if session.packed else json_frames
    return connection.websocket_writer(encode, _DirectClose(session, connection))


class _DirectClose:
    """Sends the close frame of a WebSocket whose messages were not written through `send`."""

    def __init__(self, session: "WebSocketSession", connection: DirectConnection) -> None:
        self._session = session
        self._connection = connection

    def __call__(self, ending: Ending) -> None:
        if ending.kind == "slow":
            self._connection.abort()
        elif ending.kind != "left":
            spawn(self._close(_close_code(ending)), name="WebSocket close")

    async def _close(self, code: int) -> None:
        if not await self._session.close(code):
            self._connection.abort()


def _close_code(ending: Ending) -> int:
    return CLOSE_CODES.get(ending.kind, BAD_FRAME if ending.reason else 1000)


async def refuse(socket: Socket, code: int = NO_PROJECT) -> None:
    """Accept and close at once, so that a browser learns the code."""
    await (await _accept(socket)).close(code)


class WebSocketSession:
    """An accepted WebSocket that uses one of the two encodings."""

    def __init__(self, socket: Socket, *, packed: bool) -> None:
        self.scope = socket.scope
        self.send = socket.send
        self.packed = packed
        self._receive = socket.receive
        self._allowance = MAX_FRAMES_PER_SECOND
        self._refilled_at = asyncio.get_running_loop().time()

    async def receive(self) -> ClientFrame:
        """Return the next frame of the client. Raises `BadFrame` or `Disconnected`."""
        await self._throttle()
        message = await self._receive_message()
        raw = message.get("bytes" if self.packed else "text")
        if raw is None or len(raw) > MAX_FRAME_BYTES:
            raise BadFrame("too long, or not of the chosen subprotocol")
        try:
            frame: ClientFrame = _msgpack.decode(raw) if self.packed else _json.decode(raw)
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
            raise BadFrame(str(error)) from error
        return frame

    async def until_disconnected(self) -> None:
        """Drop what the client still sends until it is gone. Raises `Disconnected`."""
        while True:
            await self._receive_message()
            await asyncio.sleep(0)  # many may have been received already

    async def pong(self, timeout: float) -> None:
        """Answer a ping. Raises `TimeoutError` after so many seconds, or `Disconnected`."""
        message: Any = {"type": "websocket.send"}
        message["bytes" if self.packed else "text"] = PONG_MSGPACK if self.packed else PONG_JSON
        try:
            async with asyncio.timeout(timeout):
                await self.send(message)
        except TimeoutError:
            raise
        except (OSError, RuntimeError, WebSocketDisconnect) as error:
            raise Disconnected from error

    async def close(self, code: int, reason: str = "") -> bool:
        """Close if that is still possible; return False when the client is gone or stuck."""
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_SECONDS):
                await self.send(close_message(code, reason))
        except (TimeoutError, OSError, RuntimeError):
            return False
        return True

    async def _receive_message(self) -> Any:
        try:
            message = await self._receive()
        except WebSocketDisconnect as error:
            raise Disconnected from error
        if message["type"] == "websocket.disconnect":
            raise Disconnected
        return message

    async def _throttle(self) -> None:
        now = asyncio.get_running_loop().time()
        gained = (now - self._refilled_at) * MAX_FRAMES_PER_SECOND
        self._allowance = min(MAX_FRAMES_PER_SECOND, self._allowance + gained)
        self._refilled_at = now
        if self._allowance < 1:
            await asyncio.sleep((1 - self._allowance) / MAX_FRAMES_PER_SECOND)
        self._allowance -= 1


def close_message(code: int, reason: str = "") -> Message:
    """Return ASGI's message that closes with a code and at most `MAX_REASON_BYTES` of reason."""
    reason = reason.encode(errors="replace")[:MAX_REASON_BYTES].decode(errors="ignore")
    return {"type": "websocket.close", "code": code, "reason": reason}


class WebSocketWriter(AsgiWriter):
    """Writes each event as one message."""

    def __init__(self, session: WebSocketSession) -> None:
        super().__init__(session.send)
        self.encode = msgpack_messages if session.packed else json_messages
        self._field = "bytes" if session.packed else "text"

    def messages(self, payload: Payload) -> Iterator[Message]:
        for body in payload:
            yield {"type": "websocket.send", self._field: body}

    def last_messages(self, ending: Ending) -> list[Message]:
        return [close_message(_close_code(ending))]


async def _accept(socket: Socket) -> WebSocketSession:
    offered = socket.scope.get("subprotocols") or []
    chosen = next((name for name in offered if name in (JSON, MSGPACK)), None)
    await socket.receive()  # the request to connect
    await socket.send({"type": "websocket.accept", "subprotocol": chosen, "headers": []})
    return WebSocketSession(socket, packed=chosen == MSGPACK)


async def _hello(session: WebSocketSession, timeout: float) -> Hello:
    async with asyncio.timeout(timeout):
        frame = await session.receive()
    if not isinstance(frame, Hello):
        raise BadFrame("hello comes first")
    return frame


async def _listen(session: WebSocketSession, subscription: Subscription) -> None:
    """Read the client's frames; a bad one, or none any more, ends the subscription.

    A subscription that has ended otherwise closes the WebSocket itself: wait for that.
    """
    try:
        while True:
            frame = await session.receive()
            if subscription.ending is not None:
                await session.until_disconnected()
            match frame:
                case Ping():
                    await session.pong(subscription.limits.stall)
                case Presence(scene_id):
                    user_id = subscription.subscriber.user_id
                    subscription.hub.presence.move(subscription, user_id, scene_id)
                case Hello():
                    raise BadFrame("hello comes once")
    except BadFrame as error:
        subscription.end("left", str(error) or "bad frame")
    except (Disconnected, TimeoutError):
        subscription.end("left")
