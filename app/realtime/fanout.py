"""Fan-out: passes over all live subscriptions of a hub, one write of shared bytes to each."""

import asyncio
import logging
from abc import abstractmethod
from collections.abc import Callable
from contextvars import Context

from app.realtime import metrics
from app.realtime.encoding import Batch, Encode, EncodedEvent, Payload
from app.realtime.events import Cursor
from app.realtime.hub import Hub
from app.realtime.writer import ConnectionListener, EndKind

logger = logging.getLogger(__name__)

MAX_CACHED_PAYLOADS = 16  # of batches older than the ring, for others who catch up
MAX_JOIN_BYTES = 96 * 1024  # of a cached join; so much may wait for a client that does not read
MAX_CACHED_JOINS = 16  # for each project
STREAM_EVENTS = frozenset({"sync.heartbeat", "sync.reset"})  # also in the stream of one run

_writes = metrics.WRITES
_events = metrics.WRITTEN
_background = Context()  # passes inherit no context of the request that happened to wake them


class FanoutPosition:
    """A position of the ring, with the payload that brings its subscriptions to the next one.

    Subscriptions in step share it, so that a pass has nothing to work out for each of them.
    `key` is what makes payloads differ: the encoding, and the run for streams of one run.
    """

    __slots__ = ("count", "cursor", "finishes", "key", "next", "payload", "position", "rights")

    def __init__(
        self, key: tuple[Encode, str | None], position: int, cursor: Cursor | None, rights: int
    ) -> None:
        self.key = key
        self.position = position
        self.cursor = cursor  # None: unchanged since the subscription joined
        self.rights = rights  # the version of the hub's rights that was checked
        self.payload: Payload = None
        self.count = 0  # events in the payload
        self.finishes = False  # whether the stream of a run ends with the payload
        self.next: FanoutPosition | None = None


class FanoutMember(ConnectionListener):
    """What a pass needs of a subscription; `at` is None while it is not live."""

    __slots__ = ("at", "key", "write")  # a pass reads them of thousands

    key: tuple[Encode, str | None]
    at: FanoutPosition | None
    write: Callable[[Payload], None]

    @abstractmethod
    def leave_fanout(self) -> None:
        """Leave the fan-out and keep the position."""

    @abstractmethod
    def advance(self) -> None:
        """Go on with what the state asks for: end, catch up, or be live."""

    @abstractmethod
    def check_rights(self) -> bool:
        """Whether all of the ring may be delivered; if not, deliver what may be, and end."""

    @abstractmethod
    def end(self, kind: EndKind, reason: str = "") -> None:
        """Deliver no more."""


class JoinPayload:
    """Everything from a cursor, or from none, up to a position of the ring."""

    __slots__ = ("count", "cursor", "payloads", "position")

    def __init__(self, payloads: list[Payload], count: int, cursor: Cursor, position: int) -> None:
        self.payloads = payloads
        self.count = count  # events
        self.cursor = cursor
        self.position = position


class JoinRecording:
    """A join while it is delivered for the first time; others who ask for the same wait for it."""

    def __init__(self, key: tuple[Encode, str | None]) -> None:
        self.key = key
        self.done = asyncio.Event()
        self._payloads: list[Payload] = []
        self._size = self._count = 0
        self._reusable = True

    def add(self, batch: Batch, payload: Payload) -> None:
        self._count += len(batch)
        self._size += sum(event.size for event in batch)
        if self._size > MAX_JOIN_BYTES or batch[0].type == "sync.reset":
            self._reusable = False
            self._payloads.clear()
        elif self._reusable:
            self._payloads.append(payload)

    def finish(self, cursor: Cursor, position: int) -> JoinPayload | None:
        """Return the whole join, or None if it is too large or not for others."""
        if not self._reusable:
            return None
        return JoinPayload(self._payloads, self._count, cursor, position)


class Fanout:
    """Writes what a hub's ring holds to all live subscriptions.

    A pass walks over them in slices; what is published meanwhile goes out with the next pass. All
    at the same position get the same payload, which is encoded once. `slice_` is how many are
    written to before the event loop may do something else.
    """

    def __init__(self, hub: Hub, slice_: int) -> None:
        self._hub = hub
        self._loop = asyncio.get_running_loop()
        self._slice = slice_
        self._members: set[FanoutMember] = set()
        self._scheduled = self._walking = self._again = False
        self._positions: dict[tuple[tuple[Encode, str | None], int], FanoutPosition] = {}
        self._payloads: dict[tuple[Encode, int, int, int], Payload] = {}
        self._heartbeats: dict[Encode, tuple[EncodedEvent, Payload]] = {}
        self._joins: dict[tuple[Encode, str | None], JoinPayload] = {}
        self._recordings: dict[tuple[Encode, str | None], asyncio.Event] = {}
        hub.listeners.add(self.wake)

    def add(self, member: FanoutMember) -> None:
        self._members.add(member)

    def discard(self, member: FanoutMember) -> None:
        self._members.discard(member)

    def wake(self) -> None:
        """Begin a pass in this iteration of the event loop, or another one after the current."""
        if self._walking:
            self._again = True
        elif self._members and not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._begin_pass, context=_background)

    def write_pending(self, member: FanoutMember) -> None:
        """Write to one subscription what it lacks of the ring, while it reads fast enough."""
        while member.at is not None and member.at.position < self._hub.ring.end:
            self._write([member])

    def position_of(
        self, key: tuple[Encode, str | None], position: int, rights: int
    ) -> FanoutPosition:
        """Return the shared entry for a position and a version of the rights."""
        place = key, position
        known = self._positions.get(place)
        if known is None or known.rights != rights:
            known = self._positions[place] = FanoutPosition(key, position, None, rights)
        return known

    def payload_of(self, encode: Encode, batch: Batch) -> Payload:
        """Encode a batch, once for all who lack the same durable events."""
        first, last = batch[0].revision, batch[-1].revision
        if not first or last - first != len(batch) - 1:
            return encode(batch)
        key = encode, self._hub.restarts, first, last
        payload = self._payloads.get(key)
        if payload is None:
            if len(self._payloads) >= MAX_CACHED_PAYLOADS:
                self._payloads.clear()
            payload = self._payloads[key] = encode(batch)
        return payload

    def heartbeat(self, encode: Encode, now: float) -> Payload:
        """Return `sync.heartbeat` with the hub's cursor, encoded once for all at once."""
        event = self._hub.position_event("sync.heartbeat", now)
        known = self._heartbeats.get(encode)
        if known is None or known[0] is not event:
            known = self._heartbeats[encode] = event, encode([event])
        return known[1]

    def drop_caches(self) -> None:
        """Release what was kept for subscribers who come at once; called about every second."""
        self._payloads.clear()
        self._heartbeats.clear()
        self._joins.clear()
        self._drop_positions()

    # Joins that many subscribers share

    async def wait_for_join(self, key: tuple[Encode, str | None]) -> None:
        """Wait while another subscription joins from the same cursor; not for a slow client."""
        if done := self._recordings.get(key):
            await done.wait()

    def find_join(self, key: tuple[Encode, str | None]) -> JoinPayload | None:
        """Return what another subscriber received who came with the same cursor just now."""
        join = self._joins.get(key)
        return join if join and join.position >= self._hub.ring.base else None

    def record_join(self, key: tuple[Encode, str | None]) -> JoinRecording:
        """Begin to record a join; `end_recording` must follow, whatever happens."""
        recording = JoinRecording(key)
        self._recordings.setdefault(key, recording.done)
        return recording

    def keep_join(self, recording: JoinRecording, cursor: Cursor, position: int) -> None:
        """Keep a recorded join until the next `drop_caches`."""
        if join := recording.finish(cursor, position):
            if len(self._joins) >= MAX_CACHED_JOINS:
                self._joins.clear()
            self._joins[recording.key] = join

    def end_recording(self, recording: JoinRecording) -> None:
        """Let those go on who wait for it."""
        recording.done.set()
        if self._recordings.get(recording.key) is recording.done:
            del self._recordings[recording.key]

    # Passes

    def _begin_pass(self) -> None:
        self._scheduled = False
        self._walking = True
        self._step(list(self._members), 0)

    def _step(self, members: list[FanoutMember], index: int) -> None:
        self._write(members[index : index + self._slice])
        index += self._slice
        if index < len(members):
            self._loop.call_soon(self._step, members, index, context=_background)
            return
        self._walking = False
        if self._again:
            self._again = False
            self.wake()
        else:
            self._drop_positions()

    def _drop_positions(self) -> None:
        """Release payloads that every live subscription has received."""
        if len(self._positions) > 1:
            end = self._hub.ring.end
            self._positions = {
                key: known for key, known in self._positions.items() if known.position == end
            }

    def _write(self, members: list[FanoutMember]) -> None:
        """Write once to each member that lacks something and reads fast enough."""
        writes = events = count = 0
        current: FanoutPosition | None = None
        following: FanoutPosition | None = None
        payload: Payload = None
        for member in members:
            at = member.at
            if at is not current or at is None:
                if at is None or not (at.next is not None or self._fill(member, at)):
                    continue
                current, following, payload, count = at, at.next, at.payload, at.count
                assert following is not None
                if following.position < self._hub.ring.end:
                    self._again = True  # a part of what it lacks, or it is behind the others
            member.at = following  # before the write, which may find the connection congested
            if count:
                writes += 1
                events += count
                try:
                    member.write(payload)
                except Exception:  # one connection's fault must not end the pass for the others
                    logger.exception("a subscription could not be written to")
                    member.end("unavailable")
            if at.finishes:
                member.end("finished")
        _writes.inc(writes)
        _events.inc(events)

    def _fill(self, member: FanoutMember, at: FanoutPosition) -> bool:
        """Encode what follows a position; return False if there is nothing for this member."""
        hub = self._hub
        if not hub.ready or at.position < hub.ring.base:
            member.leave_fanout()
            member.advance()
            return False
        if at.position == hub.ring.end:
            return False
        if at.rights != hub.rights.version:
            if member.check_rights():  # each member is checked; then they share a position again
                same = self.position_of(at.key, at.position, hub.rights.version)
                same.cursor = same.cursor or at.cursor
                member.at = same
                self._write([member])
            return False
        batch, position = hub.ring.take(at.position)
        revision = next((event.revision for event in reversed(batch) if event.revision), 0)
        following = self.position_of(at.key, position, at.rights)
        following.cursor = Cursor(hub.epoch, revision) if revision else at.cursor
        encode, run_id = at.key
        if run_id is not None:
            batch = of_run(batch, run_id)
            at.finishes = any(event.type == "run.finished" for event in batch)
        at.count = len(batch)
        at.payload = encode(batch) if batch else None
        at.next = following
        return True


def of_run(batch: Batch, run_id: str) -> list[EncodedEvent]:
    """Return the events of a batch that belong into the stream of one run."""
    return [event for event in batch if event.run_id == run_id or event.type in STREAM_EVENTS]
