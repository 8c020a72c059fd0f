"""The latest events of a project, in the one order in which every subscriber receives them."""

from app.realtime.encoding import EncodedEvent

MAX_EVENTS = 4096  # of a project that a process keeps
MAX_BYTES = 4_000_000  # of these events
BATCH_BYTES = 64_000  # handed out at once, about


class Ring:
    """Encoded events at positions that only grow; a reader is a position.

    Durable events are contiguous in their revisions, and whole transactions enter and leave. At
    most about `max_events` events and `max_bytes` bytes are kept.
    """

    def __init__(
        self, head: int, *, max_events: int = MAX_EVENTS, max_bytes: int = MAX_BYTES
    ) -> None:
        self._events: list[EncodedEvent] = []
        self._base = 0  # position of _events[0]
        self._positions: list[int] = []  # of the event of each revision from floor + 1 on
        self._bytes = 0
        self._max_events, self._max_bytes = max_events, max_bytes
        self.floor = head  # every durable event after this revision is in the ring
        self.head = head

    @property
    def base(self) -> int:
        """The position of the oldest event."""
        return self._base

    @property
    def end(self) -> int:
        """The position after the newest event."""
        return self._base + len(self._events)

    def clear(self, head: int) -> None:
        """Drop all events. Positions go on after the old ones, so that no old one is valid."""
        self._base = self.end + 1
        self._events.clear()
        self._positions.clear()
        self._bytes = 0
        self.floor = self.head = head

    def append(self, events: list[EncodedEvent]) -> None:
        """Add live events, or all events of one transaction."""
        for event in events:
            if event.revision:
                self._positions.append(self._base + len(self._events))
                self.head = event.revision
            self._events.append(event)
            self._bytes += event.size
        if len(self._events) > self._max_events or self._bytes > self._max_bytes:
            self._evict()

    def take(self, position: int) -> tuple[list[EncodedEvent], int]:
        """Return the events from a position on, up to where a transaction ends, and the position
        after them; about `BATCH_BYTES` bytes at most.
        """
        size = 0
        taken: list[EncodedEvent] = []
        for index in range(position - self._base, len(self._events)):
            event = self._events[index]
            taken.append(event)
            size += event.size
            if size > BATCH_BYTES and event.ends_commit:
                break
        return taken, position + len(taken)

    def durable_after(self, revision: int) -> list[EncodedEvent]:
        """Return all durable events after a revision, which must not be below the floor."""
        start = revision - self.floor
        if start >= len(self._positions):
            return []
        first = self._positions[start] - self._base
        return [event for event in self._events[first:] if event.revision]

    def start_of(self, revision: int) -> int | None:
        """Return the position of the transaction that made a revision, or None if it is gone."""
        if not self.floor < revision <= self.head:
            return None
        position = self._positions[revision - self.floor - 1]
        while position > self._base and not self._events[position - self._base - 1].ends_commit:
            position -= 1
        return position

    def _evict(self) -> None:
        """Drop an eighth more than needed, so that it happens seldom, up to a transaction's end."""
        keep, keep_bytes = self._max_events * 7 // 8, self._max_bytes * 7 // 8
        gone, size, floor = 0, self._bytes, self.floor
        while gone < len(self._events) and (
            len(self._events) - gone > keep or size > keep_bytes or self._splits_commit(gone)
        ):
            event = self._events[gone]
            size -= event.size
            floor = event.revision or floor
            gone += 1
        del self._events[:gone]
        del self._positions[: floor - self.floor]
        self._base += gone
        self._bytes, self.floor = size, floor

    def _splits_commit(self, index: int) -> bool:
        return index > 0 and not self._events[index - 1].ends_commit
