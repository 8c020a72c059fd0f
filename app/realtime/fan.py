"""The streams of one project and the passes over them: one write of the same bytes to each."""

import asyncio
from typing import TYPE_CHECKING

from app.realtime import frames, metrics
from app.realtime.frames import Encoding, Frame, joined
from app.realtime.model import Cursor

if TYPE_CHECKING:
    from app.realtime.hub import Hub
    from app.realtime.stream import Stream

SLICE = 250  # streams written to before the loop may do something else
KEPT = 1.0  # seconds that a frame saying the cursor is good for
BATCHES = 64  # joined batches kept for a second

Piece = tuple[bytes, int, Cursor | None, int]  # bytes, position behind them, its cursor, events


class Fan:
    """Writes what the ring holds to all streams of a hub.

    A pass walks over them in slices; what comes meanwhile goes out with the next one. Streams at
    the same position get the same bytes object, which is made once.
    """

    def __init__(self, hub: "Hub") -> None:
        self._hub = hub
        self._streams: set[Stream] = set()
        self._walking = self._again = False
        self._pieces: dict[tuple[Encoding, int], Piece] = {}  # of this pass
        self._batches: dict[tuple[Encoding, int, int, int], bytes] = {}
        self._placed: tuple[tuple[str, str], float, Frame] | None = None

    def add(self, stream: "Stream") -> None:
        self._streams.add(stream)

    def discard(self, stream: "Stream") -> None:
        self._streams.discard(stream)

    def wake(self) -> None:
        """Something is new in the ring, or the ring itself is."""
        if self._walking:
            self._again = True
        elif self._streams:
            self._walking = True
            self._step(list(self._streams), 0)

    def pump(self, stream: "Stream") -> None:
        """Write to one stream what it lacks, as far as it reads."""
        while stream.live and stream.follower.position < self._hub.ring.end:
            self._write([stream])
        if not self._walking:
            self._pieces.clear()

    def beat(self, stream: "Stream", now: float) -> None:
        """Tell a stream that lacks nothing how far that is, and have its right checked again."""
        follower = stream.follower
        follower.beat = now + follower.pace.heartbeat
        self._hub.recheck(follower)
        if stream.live and follower.position == self._hub.ring.end:
            metrics.WRITES.inc()
            metrics.WRITTEN.inc()
            stream.write(joined(stream.encoding, [self.placed("sync.heartbeat", now)]))

    def placed(self, kind: str, now: float) -> Frame:
        """A frame that says the hub's cursor, the same for all who ask within a second."""
        key = kind, str(self._hub.cursor)
        if self._placed is None or self._placed[0] != key or now - self._placed[1] > KEPT:
            frame = frames.placed(kind, self._hub.project_id, self._hub.cursor)
            self._placed = key, now, frame
        return self._placed[2]

    def bytes_of(self, encoding: Encoding, batch: list[Frame]) -> bytes:
        """A batch as one write; durable events in a row are joined once for all who lack them."""
        first, last = batch[0].revision, batch[-1].revision
        if not first or last - first != len(batch) - 1:
            return joined(encoding, batch)
        key = encoding, self._hub.generation, first, last
        body = self._batches.get(key)
        if body is None:
            if len(self._batches) >= BATCHES:
                self._batches.clear()
            body = self._batches[key] = joined(encoding, batch)
        return body

    def tidy(self) -> None:
        """Let go of what was joined for those who come at once."""
        self._batches.clear()

    def _step(self, streams: "list[Stream]", index: int) -> None:
        self._write(streams[index : index + SLICE])
        index += SLICE
        if index < len(streams):
            asyncio.get_running_loop().call_soon(self._step, streams, index)
            return
        self._walking = False
        self._pieces.clear()
        if self._again:
            self._again = False
            asyncio.get_running_loop().call_soon(self.wake)

    def _write(self, streams: "list[Stream]") -> None:
        """One write to each of the streams that lacks something and is able to read."""
        hub, pieces = self._hub, self._pieces
        ring, rights = hub.ring, hub.rights.version
        writes = events = 0
        for stream in streams:
            if not stream.live:
                continue
            follower = stream.follower
            if not hub.ready or follower.position < ring.base:
                stream.look()
                continue
            if follower.position == ring.end:
                continue
            if stream.rights != rights:
                if not stream.may_read():
                    continue
                stream.rights = rights
            key = stream.encoding, follower.position
            body, follower.position, cursor, count = pieces.get(key) or self._piece(key)
            if cursor is not None:
                follower.cursor = cursor
            writes += 1
            events += count
            stream.write(body)
        metrics.WRITES.inc(writes)
        metrics.WRITTEN.inc(events)

    def _piece(self, key: tuple[Encoding, int]) -> Piece:
        encoding, start = key
        batch, position = self._hub.ring.take(start)
        if position < self._hub.ring.end:
            self._again = True
        revision = next((frame.revision for frame in reversed(batch) if frame.revision), 0)
        cursor = Cursor(self._hub.epoch, revision) if revision else None
        piece = self._pieces[key] = joined(encoding, batch), position, cursor, len(batch)
        return piece
