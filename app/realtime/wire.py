"""A connection whose server lets us write finished bytes to it; without one ASGI's `send` does."""

import socket
import struct
from collections.abc import Callable, MutableMapping
from typing import Any, Protocol, cast

DIRECT = "reelroom.wire"  # where a scope holds its connection, when the server is ours
SEND_BUFFER = 64 * 1024  # bytes in the kernel for one reader, which doubles it for its own books
HIGH, LOW = 16 * 1024, 4 * 1024  # bytes in the process at which a reader is let be, and told again
USER_TIMEOUT = 20_000  # milliseconds without an acknowledgement
KEEPALIVE = (20, 5, 3)  # seconds idle, seconds between probes, probes
OPTIONS = [
    (socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER),
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
]
if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux
    OPTIONS += [
        (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT),
        (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE[0]),
        (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEPALIVE[1]),
        (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, KEEPALIVE[2]),
    ]
RESET = struct.pack("ii", 1, 0)  # linger for no time: what is unsent is dropped


class Owner(Protocol):
    """Who writes to a connection."""

    @property
    def write(self) -> Callable[[bytes], None]:
        """Write when it suits."""

    def shares(self) -> None:
        """Somebody else is about to write: what comes next must not overtake it."""

    def pause(self) -> None:
        """The reader is behind: write no more until `resume`."""

    def resume(self) -> None: ...

    def lost(self) -> None:
        """The connection is gone."""

    def leave(self) -> None:
        """The server stops: come to an end."""


class Wire(Protocol):
    """One connection."""

    @property
    def transport(self) -> Any: ...

    def claim(self, scope: MutableMapping[str, Any]) -> bool:
        """Keep it for the stream that answers this request; False: others use it as well."""

    def take(self, owner: Owner) -> None:
        """Tell the owner from now on what becomes of the connection: at once, when it is lost."""

    def release(self) -> None:
        """Let go of the request: its handler returns, and the connection stays with its owner."""

    def finish(self, last: bytes) -> None:
        """Write the last bytes and close, as soon as the reader has them or gives up."""


class Noted:
    """A transport that tells the owner of the connection when others write to it."""

    __slots__ = ("_transport", "owner")

    def __init__(self, transport: Any, owner: Owner) -> None:
        self._transport = transport
        self.owner: Owner | None = owner

    def write(self, data: bytes) -> None:
        if self.owner:
            self.owner.shares()
        self._transport.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


def wire_of(scope: MutableMapping[str, Any]) -> Wire | None:
    """The connection of a request or a socket, if this server shows it; to the first who asks."""
    wire = cast(Wire | None, scope.pop(DIRECT, None))
    return wire if wire is not None and wire.claim(scope) else None


def line_of(transport: Any) -> int | None:
    """The socket's number, if bytes may be written to it past an empty transport.

    It is good until `connection_lost`, which every transport calls before it closes the socket.
    """
    line = transport.get_extra_info("socket")
    if line is None or transport.get_extra_info("sslcontext") is not None:
        return None
    return int(line.fileno())


def bound(transport: Any) -> None:
    """Bound what a reader that does not read may hold, in the kernel and here."""
    transport.set_write_buffer_limits(high=HIGH, low=LOW)
    shown = transport.get_extra_info("socket")
    if shown is None or shown.family not in (socket.AF_INET, socket.AF_INET6):
        return
    # What a transport shows makes and unmakes a socket for each option.
    line = socket.socket(shown.family, socket.SOCK_STREAM, 0, fileno=shown.fileno())
    try:
        for level, option, value in OPTIONS:
            line.setsockopt(level, option, value)
    finally:
        line.detach()


def cut(transport: Any) -> None:
    """Drop a connection that is not lost yet, with what was not sent: the client sees a reset."""
    line = transport.get_extra_info("socket")
    if line is not None and line.fileno() >= 0:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    transport.abort()
