"""What is told first to all who come to the same place at once: joined once for all of them."""

import asyncio
from typing import TYPE_CHECKING, NamedTuple

from app.realtime.frames import Encoding, Frame
from app.realtime.model import Cursor

if TYPE_CHECKING:
    from app.realtime.hub import Hub

MOST = 96 * 1024  # bytes of one; a reader that does not read holds no more
KEPT = 16  # of one project

Key = tuple[Encoding, str | None]


class Opening(NamedTuple):
    """Everything from a cursor, or from nothing, to a place of the ring."""

    body: bytes
    events: int  # in it
    cursor: Cursor  # where its reader is then
    position: int  # in the ring


class Making:
    """An opening while it is told for the first time."""

    def __init__(self, encoding: Encoding, after: str | None) -> None:
        self.key = encoding, after
        self.over = asyncio.Event()
        self._bodies: list[bytes] = []
        self._size = self._count = 0
        self._whole = True

    def add(self, batch: list[Frame], body: bytes) -> None:
        self._count += len(batch)
        self._size += len(body)
        if self._size > MOST or batch[0].type == "sync.reset":
            self._whole = False
            self._bodies.clear()
        elif self._whole:
            self._bodies.append(body)

    def opening(self, cursor: Cursor, position: int) -> Opening | None:
        """None: it is not for others."""
        if not self._whole:
            return None
        return Opening(b"".join(self._bodies), self._count, cursor, position)


class Openings:
    """The openings that a hub has told of late; behind them the ring goes on."""

    def __init__(self, hub: "Hub") -> None:
        self._hub = hub
        self._kept: dict[Key, Opening] = {}
        self._making: dict[Key, asyncio.Event] = {}

    async def wait(self, encoding: Encoding, after: str | None) -> None:
        """While somebody is told it for the first time; not for one who reads too slowly."""
        if over := self._making.get((encoding, after)):
            await over.wait()

    def make(self, encoding: Encoding, after: str | None) -> Making:
        """Tell it for the first time: `done` follows, whatever happens."""
        making = Making(encoding, after)
        self._making.setdefault(making.key, making.over)
        return making

    def done(self, making: Making) -> None:
        """Let go of who waits for it."""
        making.over.set()
        if self._making.get(making.key) is making.over:
            del self._making[making.key]

    def find(self, encoding: Encoding, after: str | None) -> Opening | None:
        """What somebody was told who came with the same cursor, or without one as well."""
        opening = self._kept.get((encoding, after))
        return opening if opening and opening.position >= self._hub.ring.base else None

    def keep(self, making: Making, cursor: Cursor, position: int) -> None:
        """For those who come before the next `clear`."""
        if opening := making.opening(cursor, position):
            if len(self._kept) >= KEPT:
                self._kept.clear()
            self._kept[making.key] = opening

    def clear(self) -> None:
        self._kept.clear()
