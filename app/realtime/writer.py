"""The interface of what puts a subscription's bytes on its connection."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Literal

import msgspec

from app.realtime.encoding import Encode, Payload

EndKind = Literal[
    "left", "restart", "revoked", "deleted", "unauthorised", "slow", "finished", "unavailable"
]


class Ending(msgspec.Struct, frozen=True):
    """Why a subscription delivers no more; `reason` is what clients are given with it."""

    kind: EndKind
    reason: str = ""


class ConnectionListener(ABC):
    """Receives what happens to a connection. All methods return at once."""

    __slots__ = ()

    @abstractmethod
    def on_congested(self) -> None:
        """Called when the client reads too slowly: write no more until `on_drained`."""

    @abstractmethod
    def on_drained(self) -> None:
        """Called when the client has read enough for more to be written."""

    @abstractmethod
    def on_lost(self) -> None:
        """Called once, when the connection is gone."""

    @abstractmethod
    def on_shutdown(self) -> None:
        """Called when the server is about to stop."""


class Writer(ABC):
    """Puts payloads on one connection, in order and without ever waiting.

    `encode` makes a payload of a batch. `write` takes one; beyond what the connection can buffer it
    calls the listener's `on_congested`, after which nothing should be written until
    `on_drained`. What is written nevertheless is kept and sent in order.
    """

    kind: Literal["asgi", "uvicorn"]
    encode: Encode
    write: Callable[[Payload], None]

    def wrap(self, body: bytes) -> Payload:
        """Return the payload that carries these bytes, such as a comment in an event stream."""
        return body

    @abstractmethod
    def open(self, listener: ConnectionListener) -> None:
        """Report to the listener from now on; `on_lost` at once if the connection is gone."""

    @abstractmethod
    def progress(self) -> int:
        """Return a number that differs when a congested client has taken something since."""

    @abstractmethod
    def close(self, ending: Ending) -> None:
        """Send what the ending calls for and close; called once, never waits."""


class DirectConnection(ABC):
    """A connection whose server lets us write finished bytes to it, beside ASGI's `send`.

    A server that has one puts it into the scope of each request and each WebSocket, under
    `scope["extensions"][DIRECT_CONNECTION]`; without it everything goes through `send`.
    """

    @abstractmethod
    def event_stream_writer(self, final_bytes: Callable[[Ending], bytes]) -> Writer | None:
        """Take the connection over for the response to this request, before it has begun.

        `final_bytes` gives the last bytes of the stream. None when it cannot be taken over.
        """

    @abstractmethod
    def websocket_writer(self, encode: Encode, on_close: Callable[[Ending], None]) -> Writer | None:
        """Write this WebSocket's messages from now on; `on_close` sends the close frame.

        `encode` makes finished frames. None when it cannot be taken over.
        """

    @abstractmethod
    def release(self) -> None:
        """Let the request's handler return while its event stream goes on."""

    @abstractmethod
    def abort(self) -> None:
        """Reset the connection, dropping what was not sent."""


DIRECT_CONNECTION = "reelroom.connection"


def direct_connection(scope: Any) -> DirectConnection | None:
    """Return the connection that the scope carries, if its server is one that has it."""
    found = (scope.get("extensions") or {}).get(DIRECT_CONNECTION)
    return found if isinstance(found, DirectConnection) else None
