"""Writes finished bytes to uvicorn's transport, past ASGI."""

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import Any, cast

from app.realtime.encoding import Encode, Payload, chunk, sse_chunk
from app.realtime.writer import ConnectionListener, Ending, Writer

SEND_BUFFER_BYTES = 64 * 1024  # in the kernel for each client; Linux doubles it
HIGH_WATER_BYTES, LOW_WATER_BYTES = 16 * 1024, 4 * 1024  # in the transport: congested, drained
UNACKNOWLEDGED_MILLISECONDS = 20_000  # TCP_USER_TIMEOUT
KEEPALIVE = (20, 5, 3)  # seconds idle, seconds between probes, probes
CLOSE_TIMEOUT_SECONDS = 5.0  # for a client to read the last bytes
LAST_CHUNK = b"0\r\n\r\n"
OPTIONS = [
    (socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES),
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
]
if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux
    OPTIONS += [
        (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNACKNOWLEDGED_MILLISECONDS),
        (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE[0]),
        (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEPALIVE[1]),
        (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, KEEPALIVE[2]),
    ]
RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER: drop what is unsent


class EventStreamWriter(Writer):
    """Writes the chunks of a response with Server-Sent Events."""

    kind = "uvicorn"
    encode = staticmethod(sse_chunk)

    def __init__(self, protocol: Any, final_bytes: Callable[[Ending], bytes]) -> None:
        self._protocol = protocol
        self._final_bytes = final_bytes
        self._transport = protocol.transport
        self.write: Callable[[Payload], None] = self._transport.write

    def wrap(self, body: bytes) -> Payload:
        return chunk(body)

    def open(self, listener: ConnectionListener) -> None:
        if not self._protocol.lost:
            bound_buffers(self._transport)
        self._protocol.report_to(listener)

    def progress(self) -> int:
        return cast(int, self._transport.get_write_buffer_size())

    def close(self, ending: Ending) -> None:
        protocol, transport = self._protocol, self._transport
        protocol.report_to(None)
        if ending.kind == "slow":
            abort(transport)
        elif not transport.is_closing():
            last = self._final_bytes(ending)
            transport.write((chunk(last) if last else b"") + LAST_CHUNK)
            transport.close()
            if transport.get_write_buffer_size():
                asyncio.get_running_loop().call_later(
                    CLOSE_TIMEOUT_SECONDS, protocol.abort_unless_lost
                )


class WebSocketWriter(Writer):
    """Writes finished WebSocket frames; uvicorn keeps no state of what is sent."""

    kind = "uvicorn"

    def __init__(self, protocol: Any, encode: Encode, on_close: Callable[[Ending], None]) -> None:
        self._protocol = protocol
        self._on_close = on_close
        self.encode = encode
        self.write: Callable[[Payload], None] = protocol.transport.write

    def open(self, listener: ConnectionListener) -> None:
        self._protocol.report_to(listener)

    def progress(self) -> int:
        return cast(int, self._protocol.transport.get_write_buffer_size())

    def close(self, ending: Ending) -> None:
        self._protocol.report_to(None)
        self._on_close(ending)


def bound_buffers(transport: Any) -> None:
    """Bound what a client that does not read occupies, in the kernel and in the transport."""
    transport.set_write_buffer_limits(high=HIGH_WATER_BYTES, low=LOW_WATER_BYTES)
    transport_socket = transport.get_extra_info("socket")
    if transport_socket is None or transport_socket.family not in (socket.AF_INET, socket.AF_INET6):
        return
    if transport_socket.fileno() < 0:
        return
    # The transport's own socket object duplicates the descriptor for each option that is set.
    borrowed = socket.socket(
        transport_socket.family, socket.SOCK_STREAM, 0, fileno=transport_socket.fileno()
    )
    try:
        for level, option, value in OPTIONS:
            borrowed.setsockopt(level, option, value)
    finally:
        borrowed.detach()


def abort(transport: Any) -> None:
    """Reset a connection and drop what was not sent."""
    transport_socket = transport.get_extra_info("socket")
    if transport_socket is not None and transport_socket.fileno() >= 0:
        transport_socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
    transport.abort()
