"""The last frames of a project, in the one order in which everybody is told them."""

from app.realtime.frames import Frame

FRAMES = 4096
BYTES = 4_000_000
PIECE = 64_000  # bytes that are handed out at once, about


class Ring:
    """Frames at positions that only grow; readers are positions.

    Durable frames are contiguous in their revisions and enter and leave by whole transactions.
    """

    def __init__(self, head: int, *, frames: int = FRAMES, size: int = BYTES) -> None:
        self._frames: list[Frame] = []
        self._base = 0  # position of _frames[0]
        self._places: list[int] = []  # position of the frame of each revision from floor + 1
        self._bytes = 0
        self._most, self._most_bytes = frames, size
        self.floor = head  # every durable frame after this revision is here
        self.head = head

    @property
    def base(self) -> int:
        return self._base

    @property
    def end(self) -> int:
        return self._base + len(self._frames)

    def clear(self, head: int) -> None:
        """Forget everything; positions go on behind where they were, so that none is still good."""
        self._base = self.end + 1
        self._frames.clear()
        self._places.clear()
        self._bytes = 0
        self.floor = self.head = head

    def append(self, frames: list[Frame]) -> None:
        """Live frames, or the whole of one transaction."""
        for frame in frames:
            if frame.revision:
                self._places.append(self._base + len(self._frames))
                self.head = frame.revision
            self._frames.append(frame)
            self._bytes += frame.size
        if len(self._frames) > self._most or self._bytes > self._most_bytes:
            self._evict()

    def take(self, position: int) -> tuple[list[Frame], int]:
        """What follows a position, a piece that ends where a transaction does; the new position."""
        size = 0
        taken: list[Frame] = []
        for index in range(position - self._base, len(self._frames)):
            frame = self._frames[index]
            taken.append(frame)
            size += frame.size
            if size > PIECE and frame.ends_commit:
                break
        return taken, position + len(taken)

    def durable_after(self, revision: int) -> list[Frame]:
        """All durable frames after a revision that is not below the floor."""
        start = revision - self.floor
        if start >= len(self._places):
            return []
        first = self._places[start] - self._base
        return [frame for frame in self._frames[first:] if frame.revision]

    def start_of(self, revision: int) -> int | None:
        """The position of the transaction that made a revision; None: it is not here."""
        if not self.floor < revision <= self.head:
            return None
        position = self._places[revision - self.floor - 1]
        while position > self._base and not self._frames[position - self._base - 1].ends_commit:
            position -= 1
        return position

    def _evict(self) -> None:
        """Drop an eighth more than needed, so that it happens seldom, up to a commit's end."""
        keep, keep_bytes = self._most * 7 // 8, self._most_bytes * 7 // 8
        gone, size, floor = 0, self._bytes, self.floor
        while gone < len(self._frames) and (
            len(self._frames) - gone > keep or size > keep_bytes or self._inside(gone)
        ):
            frame = self._frames[gone]
            size -= frame.size
            floor = frame.revision or floor
            gone += 1
        del self._frames[:gone]
        del self._places[: floor - self.floor]
        self._base += gone
        self._bytes, self.floor = size, floor

    def _inside(self, index: int) -> bool:
        return index > 0 and not self._frames[index - 1].ends_commit


def pieces(batch: list[Frame], size: int = PIECE) -> list[list[Frame]]:
    """A long batch in parts of about a size in bytes, each the end of a transaction."""
    result: list[list[Frame]] = []
    start, counted = 0, 0
    for index, frame in enumerate(batch, 1):
        counted += frame.size
        if counted > size and frame.ends_commit:
            result.append(batch[start:index])
            start, counted = index, 0
    return [*result, batch[start:]] if start < len(batch) else result
