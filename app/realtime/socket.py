"""Following over a WebSocket."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Annotated, Any, Protocol

import msgspec
from litestar.exceptions import WebSocketDisconnect

from app.problems import NotFound, Problem
from app.realtime import metrics
from app.realtime.follow import Follower
from app.realtime.frames import Frame
from app.realtime.hubs import Hubs
from app.realtime.stream import Stream
from app.realtime.watcher import Ending, Watcher
from app.realtime.wire import Wire, cut, wire_of
from app.store.tasks import spawn

BAD_FRAME, UNAUTHORISED, ROLE_LOST, NO_PROJECT = 4400, 4401, 4403, 4404
NO_HELLO, TOO_SLOW, RESTARTING = 4408, 4409, 1012
CODES = {
    "restart": RESTARTING,
    "unavailable": RESTARTING,
    "revoked": ROLE_LOST,
    "deleted": NO_PROJECT,
    "unauthorised": UNAUTHORISED,
    "slow": TOO_SLOW,
}
FRAME_MOST = 65_536  # bytes
REASON_MOST = 120  # bytes of UTF-8 in a close frame; the protocol takes 123
SCENE_ID_MOST = 64  # characters; it is told to everybody
RATE = 20.0  # frames a second from a client; more wait in the kernel
BREATHE = 16  # sends after which others get the loop
GOODBYE = 1.0  # seconds to get a close frame out
JSON, MSGPACK = "reelroom.v1.json", "reelroom.v1.msgpack"


class Socket(Protocol):
    """As much of a Litestar WebSocket as is used here: the three ends of ASGI."""

    @property
    def scope(self) -> Any: ...
    @property
    def receive(self) -> Callable[[], Awaitable[Any]]: ...
    @property
    def send(self) -> Callable[[Any], Awaitable[None]]: ...


class Hello(msgspec.Struct, tag="hello", forbid_unknown_fields=True):
    after: str | None = None


class Presence(msgspec.Struct, tag="presence", rename="camel", forbid_unknown_fields=True):
    scene_id: Annotated[str, msgspec.Meta(max_length=SCENE_ID_MOST)] | None = None


class Ping(msgspec.Struct, tag="ping", forbid_unknown_fields=True):
    pass


ClientFrame = Hello | Presence | Ping
_json = msgspec.json.Decoder(ClientFrame)
_msgpack = msgspec.msgpack.Decoder(ClientFrame)
PONG = {"type": "pong"}
PONG_JSON, PONG_MSGPACK = msgspec.json.encode(PONG).decode(), msgspec.msgpack.encode(PONG)


class BadFrame(Exception):
    """A client frame that is none of the contract's."""


class Gone(Exception):
    """The client closed or vanished."""


async def serve_socket(hubs: Hubs, socket: Socket, project_id: str, watcher: Watcher) -> None:
    """Accept, follow the project until either side ends it, and close with the contract's code.

    The caller has authorised and has checked the Origin; a project that may not be seen is
    `refuse`d. Return from the handler when this returns.
    """
    line = await _accept(socket)
    try:
        hello = await _hello(line, hubs.pace.hello)
        if (wire := wire_of(socket.scope)) is not None:
            follower = await hubs.enter(project_id, watcher, hello.after, woken=False)
            await _serve_wire(hubs, line, wire, follower)
            return
        async with hubs.follow(project_id, watcher, hello.after) as follower:
            reading = spawn(_listen(line, follower), name="socket reader")
            try:
                await _deliver(line, follower)
            finally:
                reading.cancel()
        await line.close(_code(follower))
    except Gone:
        return
    except BadFrame as error:
        await line.close(BAD_FRAME, str(error))
    except NotFound:
        await line.close(NO_PROJECT)
    except Problem:
        await line.close(RESTARTING)
    except TimeoutError:
        await line.close(NO_HELLO)


async def _serve_wire(hubs: Hubs, line: "Line", wire: Wire, follower: Follower) -> None:
    """Listen, while the hub writes."""

    def end(stream: Stream) -> None:
        hubs.leave(follower)
        if follower.ending and follower.ending.kind not in ("left", "slow"):
            spawn(say_goodbye(), name="socket goodbye")

    async def say_goodbye() -> None:
        if not await line.close(_code(follower)) and not stream.gone:
            cut(wire.transport)

    try:
        stream = Stream(follower, wire, "msgpack" if line.packed else "json", end)
        await stream.join()
        await _listen(line, follower)
    except BaseException:
        follower.end("unavailable")
        hubs.leave(follower)
        raise
    if follower.ending and follower.ending.kind == "left":
        await line.close(_code(follower))


def _code(follower: Follower) -> int:
    ending = follower.ending or Ending("left")
    return CODES.get(ending.kind, BAD_FRAME if ending.reason else 1000)


async def refuse(socket: Socket, code: int = NO_PROJECT) -> None:
    """Accept and close at once, so that a browser learns the code."""
    await (await _accept(socket)).close(code)


class Line:
    """An accepted socket that speaks one of the two encodings."""

    def __init__(self, socket: Socket, *, packed: bool) -> None:
        self._socket = socket
        self.packed = packed
        self._tokens, self._filled = RATE, asyncio.get_running_loop().time()

    async def receive(self) -> ClientFrame:
        """The next client frame. Raises `BadFrame` or `Gone`."""
        await self._throttle()
        try:
            message: Any = await self._socket.receive()
        except WebSocketDisconnect as error:
            raise Gone from error
        if message["type"] == "websocket.disconnect":
            raise Gone
        raw = message.get("bytes" if self.packed else "text")
        if raw is None or len(raw) > FRAME_MOST:
            raise BadFrame("too long, or not of the chosen subprotocol")
        try:
            frame: ClientFrame = _msgpack.decode(raw) if self.packed else _json.decode(raw)
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
            raise BadFrame(str(error)) from error
        return frame

    async def send(self, batch: list[Frame], stall: float) -> None:
        """Send each frame; raises `TimeoutError` when one is stuck for `stall` seconds."""
        for index, frame in enumerate(batch, 1):
            body = frame.msgpack if self.packed else frame.text
            await self._send(body, stall)
            if index % BREATHE == 0:
                await asyncio.sleep(0)

    async def pong(self, stall: float) -> None:
        await self._send(PONG_MSGPACK if self.packed else PONG_JSON, stall)

    async def close(self, code: int, reason: str = "") -> bool:
        """Close as far as it is still possible; False: gone, or stuck."""
        reason = reason.encode(errors="replace")[:REASON_MOST].decode(errors="ignore")
        try:
            async with asyncio.timeout(GOODBYE):
                await self._socket.send({"type": "websocket.close", "code": code, "reason": reason})
        except (TimeoutError, OSError, RuntimeError):
            return False
        return True

    async def _send(self, body: str | bytes, stall: float) -> None:
        message: Any = {"type": "websocket.send"}
        message["text" if isinstance(body, str) else "bytes"] = body
        try:
            async with asyncio.timeout(stall):
                await self._socket.send(message)
        except TimeoutError:
            raise
        except (OSError, RuntimeError, WebSocketDisconnect) as error:
            raise Gone from error

    async def _throttle(self) -> None:
        now = asyncio.get_running_loop().time()
        self._tokens = min(RATE, self._tokens + (now - self._filled) * RATE)
        self._filled = now
        if self._tokens < 1:
            await asyncio.sleep((1 - self._tokens) / RATE)
        self._tokens -= 1


async def _accept(socket: Socket) -> Line:
    offered = socket.scope.get("subprotocols") or []
    chosen = next((name for name in offered if name in (JSON, MSGPACK)), None)
    await socket.receive()  # that it wants to connect
    await socket.send({"type": "websocket.accept", "subprotocol": chosen, "headers": []})
    return Line(socket, packed=chosen == MSGPACK)


async def _hello(line: Line, within: float) -> Hello:
    async with asyncio.timeout(within):
        frame = await line.receive()
    if not isinstance(frame, Hello):
        raise BadFrame("hello comes first")
    return frame


async def _deliver(line: Line, follower: Follower) -> None:
    try:
        async with aclosing(follower.batches()) as batches:
            async for batch in batches:
                metrics.WRITES.inc(len(batch))
                metrics.WRITTEN.inc(len(batch))
                await line.send(batch, follower.pace.stall)
    except TimeoutError:
        metrics.SLOW_KILLS.inc()
        follower.ending = Ending("slow")


async def _listen(line: Line, follower: Follower) -> None:
    """Read the client's frames; what it says wrong or not at all ends the follower."""
    try:
        while True:
            match await line.receive():
                case Ping():
                    await line.pong(follower.pace.stall)
                case Presence(scene_id):
                    user_id = follower.watcher.user_id
                    follower.hub.presence.move(follower, user_id, scene_id)
                case Hello():
                    raise BadFrame("hello comes once")
    except BadFrame as error:
        follower.end("left", str(error) or "bad frame")
    except (Gone, TimeoutError):
        follower.end("left")
