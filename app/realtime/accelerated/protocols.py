"""Uvicorn's two protocols, with connections that a subscription can write to past ASGI.

They reach into private parts of uvicorn and websockets, so they are only used with the
versions in `versions.py`. Without this folder everything is delivered through ASGI.
"""

import asyncio
from collections.abc import Callable
from typing import Any, cast
from weakref import ref

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from app.http.connection import Connection
from app.realtime.accelerated.writers import (
    EventStreamWriter,
    WebSocketWriter,
    abort,
    bound_buffers,
)
from app.realtime.encoding import Encode
from app.realtime.writer import (
    DIRECT_CONNECTION,
    ConnectionListener,
    DirectConnection,
    Ending,
    Writer,
)

MAX_IGNORED_BYTES = 64 * 1024  # that a client may send after the request of an event stream


class _Reporting(asyncio.Protocol):
    """A protocol that reports to a listener, once there is one."""

    transport: Any
    listener: ConnectionListener | None = None
    lost = False

    def report_to(self, listener: ConnectionListener | None) -> None:
        """Report to the listener from now on; `on_lost` at once if the connection is gone."""
        if listener is not None and self.lost:
            listener.on_lost()
        else:
            self.listener = listener

    def abort_unless_lost(self) -> None:
        """Reset the connection; a transport that closes would wait for its client without end."""
        if not self.lost:
            abort(self.transport)

    def pause_writing(self) -> None:
        super().pause_writing()
        if self.listener:
            self.listener.on_congested()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self.listener:
            self.listener.on_drained()

    def report_loss(self) -> None:
        """Report that the connection is gone."""
        self.lost = True
        listener, self.listener = self.listener, None
        if listener:
            listener.on_lost()


class HttpConnection(DirectConnection):
    """The connection of one request, as its scope carries it.

    It refers weakly, since what refers to itself is only freed by the garbage collector.
    """

    __slots__ = ("_cycle", "_protocol")

    def __init__(self, protocol: "AcceleratedHttpProtocol", cycle: Any) -> None:
        self._protocol = ref(protocol)
        self._cycle = ref(cycle)

    def event_stream_writer(self, final_bytes: Callable[[Ending], bytes]) -> Writer | None:
        protocol, cycle = self._protocol(), self._cycle()
        if protocol is None or cycle is None or not protocol.take_over(cycle):
            return None
        return EventStreamWriter(protocol, final_bytes)

    def websocket_writer(self, encode: Encode, on_close: Callable[[Ending], None]) -> Writer | None:
        return None

    def release(self) -> None:
        if protocol := self._protocol():
            protocol.release()

    def abort(self) -> None:
        if protocol := self._protocol():
            protocol.abort_unless_lost()


class AcceleratedHttpProtocol(_Reporting, Connection):
    """An HTTP connection that a response can take over before it begins."""

    _taken_over = False  # whatever the client sends from now on is ignored
    _ignored = 0  # bytes

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        if self.cycle is not None and self.cycle.scope is self.scope:
            extensions = cast(Any, self.scope).setdefault("extensions", {})
            extensions[DIRECT_CONNECTION] = HttpConnection(self, self.cycle)

    def take_over(self, cycle: Any) -> bool:
        """Reserve the connection for the response of this cycle; False when it is too late."""
        if self.lost or self._taken_over or cycle.response_started or cycle.disconnected:
            return False
        self._taken_over = True
        self.cycle, self._answered = cycle, None
        cycle.keep_alive = False
        if self.pipeline:  # requests after an event stream's are never answered
            self.pipeline.clear()
        self.flow.resume_reading()  # so that the end of the connection is noticed
        self._on_head()  # nor is the rest of another one awaited
        return True

    def release(self) -> None:
        """Count the request and drop what uvicorn keeps for it, which is most of its memory."""
        self.server_state.total_requests += 1
        self.cycle.response_complete = True
        self._forget()

    def data_received(self, data: bytes) -> None:
        if not self._taken_over:
            super().data_received(data)
            return
        self._ignored += len(data)
        if self._ignored > MAX_IGNORED_BYTES:
            self.transport.abort()

    def handle_websocket_upgrade(self) -> None:
        if self.cycle is not None and not self.cycle.response_complete:
            self.transport.abort()  # the response that is under way would go into the WebSocket
            return
        super().handle_websocket_upgrade()
        self._forget()

    def connection_lost(self, exc: Exception | None) -> None:
        try:
            super().connection_lost(exc)
        finally:
            self.report_loss()

    def shutdown(self) -> None:
        if self.listener:
            self.listener.on_shutdown()
        else:
            super().shutdown()

    def _forget(self) -> None:
        for name in ("cycle", "scope", "headers", "parser", "url"):
            setattr(self, name, None)


class WebSocketConnection(DirectConnection):
    """The connection of one WebSocket, as its scope carries it; it refers weakly, as above."""

    __slots__ = ("_protocol",)

    def __init__(self, protocol: "AcceleratedWebSocketProtocol") -> None:
        self._protocol = ref(protocol)

    def event_stream_writer(self, final_bytes: Callable[[Ending], bytes]) -> Writer | None:
        return None

    def websocket_writer(self, encode: Encode, on_close: Callable[[Ending], None]) -> Writer | None:
        protocol = self._protocol()
        return WebSocketWriter(protocol, encode, on_close) if protocol else None

    def release(self) -> None:
        """Do nothing: the handler of a WebSocket goes on to listen."""

    def abort(self) -> None:
        if protocol := self._protocol():
            protocol.abort_unless_lost()


class AcceleratedWebSocketProtocol(_Reporting, WebSocketsSansIOProtocol):
    """A WebSocket whose outgoing messages may be written past uvicorn."""

    def handle_connect(self, event: Any) -> None:
        super().handle_connect(event)
        if self.response.status_code == 101:
            bound_buffers(self.transport)
            extensions = cast(Any, self.scope).setdefault("extensions", {})
            extensions[DIRECT_CONNECTION] = WebSocketConnection(self)

    def connection_lost(self, exc: Exception | None) -> None:
        try:
            super().connection_lost(exc)
            self.conn.parser = cast(Any, None)  # it refers to its connection, and that to it
        finally:
            self.report_loss()
