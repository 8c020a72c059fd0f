"""uvicorn's two protocols, whose connections a stream can write to without going through ASGI."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.protocol import OPEN, Protocol

from app.http.connection import Connection
from app.realtime.handshake import handshake_of, scope_of, welcome
from app.realtime.wire import DIRECT, Noted, Owner, bound, cut

NOISE = 64 * 1024  # bytes that a client may say to a stream of events, which listens to nothing
GOODBYE = 5.0  # seconds that a reader gets to take the last bytes


class Owned(asyncio.Protocol):
    """A protocol whose owner, once there is one, hears how fast its reader is."""

    owner: Owner | None = None
    gone = False

    def pause_writing(self) -> None:
        super().pause_writing()
        if self.owner:
            self.owner.pause()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self.owner:
            self.owner.resume()


class DirectHttp(Owned, Connection):
    """An HTTP connection that a response may take over once it has begun."""

    claimed = False  # what the client says from now on is noise
    noise = 0

    def on_message_begin(self) -> None:
        super().on_message_begin()
        cast(Any, self.scope)[DIRECT] = self

    def claim(self, scope: Any) -> bool:
        mine = self._answered or self.cycle
        if self.gone or mine is None or mine.scope is not scope:
            return False
        self.claimed = True
        self.cycle, self._answered = mine, None
        self.cycle.keep_alive = False
        if self.pipeline:  # behind a stream nobody's turn ever comes
            self.pipeline.clear()
            self.flow.resume_reading()
        self._head_came()  # nor does anybody wait for the rest of another one
        return True

    def take(self, owner: Owner) -> None:
        if self.gone:
            owner.lost()
            return
        self.owner = owner
        self.cycle.transport = cast(Any, Outlet(self.transport, owner.write))
        bound(self.transport)

    def release(self) -> None:
        self.server_state.total_requests += 1
        self.cycle.response_complete = True
        cast(Any, self.scope).pop(DIRECT, None)
        self._forget()

    def finish(self, last: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(last + b"0\r\n\r\n")
            self.transport.close()
        if self.transport.get_write_buffer_size():
            self.loop.call_later(GOODBYE, self._give_up)

    def data_received(self, data: bytes) -> None:
        if not self.claimed:
            super().data_received(data)
            return
        self.noise += len(data)
        if self.noise > NOISE:
            self.transport.abort()

    def handle_websocket_upgrade(self) -> None:
        cast(Any, self.scope).pop(DIRECT, None)
        if self.cycle is not None and not self.cycle.response_complete:
            self.transport.abort()  # an answer that is under way would go into the socket
            return
        asked = handshake_of(self.scope, self.url)
        if asked and self.ws_protocol_class is DirectSocket:
            self.connections.discard(self)
            socket = DirectSocket(self.config, self.server_state, self.app_state)
            self.transport.set_protocol(socket)
            socket.begin(self.transport, scope_of(self.scope, asked, self.app_state), asked.key)
        else:
            super().handle_websocket_upgrade()
        self._forget()

    def connection_lost(self, exc: Exception | None) -> None:
        try:
            super().connection_lost(exc)
        finally:  # the socket's number may be another's soon
            self.gone = True
            if self.owner:
                self.owner.lost()
                self.owner = None
        if self.scope:
            cast(Any, self.scope).pop(DIRECT, None)

    def shutdown(self) -> None:
        if self.owner:
            self.owner.leave()
        else:
            super().shutdown()

    def _give_up(self) -> None:
        """A transport that closes waits for its reader without end."""
        if not self.gone:
            cut(self.transport)

    def _forget(self) -> None:
        """What an open stream needs no more is most of what a request holds."""
        for name in ("cycle", "scope", "headers", "parser", "url"):
            setattr(self, name, None)


class Outlet:
    """What uvicorn writes the head of a response to: its owner writes it with what follows."""

    def __init__(self, transport: asyncio.Transport, write: Callable[[bytes], None]) -> None:
        self._transport = transport
        self.write = write

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class Inbox:
    """As much of an `asyncio.Queue` as uvicorn uses for one reader, at a tenth of its size."""

    __slots__ = ("_items", "_waiting")

    def __init__(self) -> None:
        self._items: list[Any] = []
        self._waiting: asyncio.Future[None] | None = None

    def put_nowait(self, item: Any) -> None:
        self._items.append(item)
        if self._waiting and not self._waiting.done():
            self._waiting.set_result(None)

    def empty(self) -> bool:
        return not self._items

    async def get(self) -> Any:
        while not self._items:
            self._waiting = asyncio.get_running_loop().create_future()
            try:
                await self._waiting
            finally:
                self._waiting = None
        return self._items.pop(0)


class DirectSocket(Owned, WebSocketsSansIOProtocol):
    """A WebSocket; its messages out may be written behind uvicorn's back, which keeps no state."""

    _key: bytes | None = None  # of a handshake that we answer ourselves

    def __init__(self, *values: Any, **named: Any) -> None:
        super().__init__(*values, **named)
        self.queue = cast(Any, Inbox())

    def begin(self, transport: asyncio.Transport, scope: Any, key: bytes) -> None:
        """Serve a WebSocket that was asked for rightly: what was parsed is not parsed again."""
        self.connections.add(self)
        self.transport = transport
        self.server, self.client, self.scheme = scope["server"], scope["client"], scope["scheme"]
        self._key = key
        self.conn.parser = Protocol.parse(self.conn)  # past the request: of frames
        next(self.conn.parser)
        self.handshake_initiated = True
        bound(transport)
        scope[DIRECT] = self
        self.scope = scope
        self.queue.put_nowait({"type": "websocket.connect"})
        task = self.loop.create_task(self.run_asgi())
        task.add_done_callback(self.on_task_complete)
        self.tasks.add(task)

    async def send(self, message: Any) -> None:
        if self._key and message["type"] == "websocket.accept" and not self.disconnected:
            self._accept(self._key, message)
        else:
            await super().send(message)

    def _accept(self, key: bytes, message: Any) -> None:
        self._key = None
        if self.transport.is_closing():
            return
        headers = [*self.default_headers, *message.get("headers", ())]
        self.conn.state = OPEN
        self.handshake_complete = True
        self.transport.write(welcome(key, headers, message.get("subprotocol")))
        self.start_keepalive()

    def handle_connect(self, event: Any) -> None:
        super().handle_connect(event)
        if self.response.status_code == 101:
            cast(Any, self.scope)[DIRECT] = self
            bound(self.transport)

    def claim(self, scope: Any) -> bool:
        return True

    def take(self, owner: Owner) -> None:
        if self.gone:
            owner.lost()
            return
        self.owner = owner
        self.request = self.response = cast(Any, None)
        self.transport = cast(Any, Noted(self.transport, owner))  # pings are answered through it

    def release(self) -> None:
        """Its handler goes on listening."""

    def finish(self, last: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(last)

    def connection_lost(self, exc: Exception | None) -> None:
        try:
            super().connection_lost(exc)
            self.conn.parser = cast(Any, None)  # it refers to its connection, and that to it
        finally:  # the socket's number may be another's soon
            self.gone = True
            if self.owner:
                self.owner.lost()
                self.owner = cast(Noted, self.transport).owner = None
        if self.handshake_initiated and hasattr(self, "scope"):
            cast(Any, self.scope).pop(DIRECT, None)
