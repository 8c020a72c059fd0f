"""The streams of one project and the passes over them: one write of the same bytes to each."""

import asyncio
import logging
from typing import TYPE_CHECKING

from app.realtime import frames, metrics
from app.realtime.frames import Encoding, Frame, joined
from app.realtime.model import Cursor

if TYPE_CHECKING:
    from app.realtime.hub import Hub
    from app.realtime.stream import Stream

logger = logging.getLogger(__name__)

SLICE = 250  # streams written to before the loop may do something else
KEPT = 1.0  # seconds that a frame saying the cursor is good for
BATCHES = 64  # joined batches kept for a second


class Place:
    """A position of the ring, with what is written to the streams of one encoding that are there.

    Streams in step hold the same place: a pass has nothing to work out for each of them.
    """

    __slots__ = ("body", "count", "cursor", "encoding", "next", "position", "rights")

    def __init__(
        self, encoding: Encoding, position: int, cursor: Cursor | None, rights: int
    ) -> None:
        self.encoding: Encoding = encoding
        self.position = position
        self.cursor = cursor  # None: as it was
        self.rights = rights  # version of the hub's rights under which one came here
        self.body = b""  # what follows, once it is known
        self.count = 0  # events in it
        self.next: Place | None = None  # where its reader is then


class Fan:
    """Writes what the ring holds to all streams of a hub.

    A pass walks over them in slices; what comes meanwhile goes out with the next one. Streams at
    the same position get the same bytes object, which is made once.
    """

    def __init__(self, hub: "Hub") -> None:
        self._hub = hub
        self._streams: set[Stream] = set()
        self._walking = self._again = False
        self._places: dict[tuple[Encoding, int], Place] = {}  # where streams came lately
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
        while stream.place is not None and stream.place.position < self._hub.ring.end:
            self._write([stream])

    def beat(self, stream: "Stream", now: float) -> None:
        """Tell a stream that lacks nothing how far that is, and have its right checked again."""
        follower = stream.follower
        follower.beat = now + follower.pace.heartbeat
        self._hub.recheck(follower)
        if stream.place is not None and stream.place.position == self._hub.ring.end:
            metrics.WRITES.inc()
            metrics.WRITTEN.inc()
            stream.push(joined(stream.encoding, [self.placed("sync.heartbeat", now)]))

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
        end = self._hub.ring.end
        self._places = {key: place for key, place in self._places.items() if key[1] == end}

    def _step(self, streams: "list[Stream]", index: int) -> None:
        self._write(streams[index : index + SLICE])
        index += SLICE
        if index < len(streams):
            asyncio.get_running_loop().call_soon(self._step, streams, index)
            return
        self._walking = False
        if self._again:
            self._again = False
            asyncio.get_running_loop().call_soon(self.wake)

    def place_of(self, encoding: Encoding, position: int, rights: int) -> Place:
        """The place that all share who are at a position and were checked so far."""
        key = encoding, position
        place = self._places.get(key)
        if place is None or place.rights != rights:
            place = self._places[key] = Place(encoding, position, None, rights)
        return place

    def _write(self, streams: "list[Stream]") -> None:
        """One write to each of the streams that lacks something and is able to read.

        It goes into the sockets themselves, past transports that hold nothing.
        """
        writes = events = count = size = 0
        here: Place | None = None
        there: Place | None = None
        body = b""
        for stream in streams:
            place = stream.place
            if place is not here or place is None:
                if place is None or not (place.body or self._fill(stream, place)):
                    continue
                here, there, body, count = place, place.next, place.body, place.count
                size = len(body)
                if there is not None and there.position < self._hub.ring.end:
                    self._again = True  # a piece of what it lacks, or behind the others
            stream.place = there
            writes += 1
            events += count
            try:
                sent = stream.send(body)
            except OSError:  # full, or gone: the transport knows what to do about it
                sent = 0
            except Exception:  # one connection's fault must not end the pass for the others
                logger.exception("a stream could not be written to")
                stream.follower.end("unavailable")
                continue
            if sent < size:
                self._hand_on(stream, body[sent:])
        metrics.WRITES.inc(writes)
        metrics.WRITTEN.inc(events)

    def _hand_on(self, stream: "Stream", body: bytes) -> None:
        """Let the transport write what the socket did not take."""
        try:
            stream.push(body)
        except Exception:  # as above
            logger.exception("a stream could not be written to")
            stream.follower.end("unavailable")

    def _fill(self, stream: "Stream", place: Place) -> bool:
        """Work out what follows a place; False: nothing, or not for this stream."""
        hub = self._hub
        if not hub.ready or place.position < hub.ring.base:
            stream.step_out()
            stream.look()
            return False
        if place.position == hub.ring.end:
            return False
        if place.rights != hub.rights.version:
            if stream.may_read():  # each is asked; then they meet again
                stream.place = self._at(place, hub.rights.version)
                return self._tell(stream)
            return False
        batch, position = hub.ring.take(place.position)
        revision = next((frame.revision for frame in reversed(batch) if frame.revision), 0)
        following = self.place_of(place.encoding, position, place.rights)
        following.cursor = Cursor(hub.epoch, revision) if revision else place.cursor
        place.next, place.count = following, len(batch)
        place.body = joined(place.encoding, batch)
        return True

    def _at(self, place: Place, rights: int) -> Place:
        same = self.place_of(place.encoding, place.position, rights)
        same.cursor = same.cursor or place.cursor
        return same

    def _tell(self, stream: "Stream") -> bool:
        """Write to a stream that has changed its place in the middle of a pass."""
        self._write([stream])
        return False
