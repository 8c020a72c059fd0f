"""What is told first to all who come to the same place at once: joined once for all of them."""

from typing import TYPE_CHECKING, NamedTuple

from app.realtime.frames import Encoding, Frame
from app.realtime.model import Cursor

if TYPE_CHECKING:
    from app.realtime.hub import Hub

MOST = 96 * 1024  # bytes of one; a reader that does not read holds no more
KEPT = 16  # of one project

Key = tuple[Encoding, str | None]


class Opening(NamedTuple):
    """Everything from a cursor, or from nothing, to the end of the ring."""

    body: bytes
    events: int  # in it
    cursor: Cursor
    position: int  # in the ring, where its reader is then


class Making:
    """An opening while it is told for the first time."""

    def __init__(self, encoding: Encoding, after: str | None) -> None:
        self.key = encoding, after
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

    def done(self, cursor: Cursor, position: int) -> Opening | None:
        """None: it is not for others."""
        if not self._whole:
            return None
        return Opening(b"".join(self._bodies), self._count, cursor, position)


class Openings:
    """The openings of a hub that are still true: nothing was passed on since they were told."""

    def __init__(self, hub: "Hub") -> None:
        self._hub = hub
        self._told: tuple[int, int] = (-1, -1)  # the ring's end and the generation
        self._kept: dict[Key, Opening] = {}

    def find(self, encoding: Encoding, after: str | None) -> Opening | None:
        """What somebody was told who came with the same cursor, or without one as well."""
        if not self._kept or self._told != self._now():
            return None
        return self._kept.get((encoding, after))

    def keep(self, making: Making, cursor: Cursor, position: int) -> None:
        """For those who come before anything else is passed on."""
        opening = making.done(cursor, position)
        if opening is None or position != self._hub.ring.end:
            return
        if self._told != self._now() or len(self._kept) >= KEPT:
            self._told = self._now()
            self._kept.clear()
        self._kept[making.key] = opening

    def clear(self) -> None:
        self._kept.clear()

    def _now(self) -> tuple[int, int]:
        return self._hub.ring.end, self._hub.generation
