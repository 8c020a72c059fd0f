"""A subscriber's way through a project's log: join, catch up, live, behind, ended."""

import asyncio
import logging
import random
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import TypeGuard

import msgspec

from app.problems import DatabaseError, Forbidden, InvalidInput, NotFound, Problem
from app.realtime import metrics
from app.realtime.encoding import Batch, Encode, EncodedEvent, Payload, split
from app.realtime.events import Cursor
from app.realtime.fanout import Fanout, FanoutMember, FanoutPosition, JoinRecording, of_run
from app.realtime.hub import EncodedSnapshot, Hub, reset_event
from app.realtime.limits import Limits
from app.realtime.rights import Loss, visible
from app.realtime.ring import BATCH_BYTES
from app.realtime.writer import Ending, EndKind, Writer
from app.store.concurrency import spawn

logger = logging.getLogger(__name__)

MAX_SNAPSHOT_ATTEMPTS = 5  # to read one that fits the published log
BATCHES_PER_TURN = 4  # written while catching up before the event loop may do something else
RECHECK_TIMEOUT_SECONDS = 5.0  # for the session and role of a subscriber


class Subscriber(msgspec.Struct, frozen=True, kw_only=True):
    """Who subscribes, in which role, and when that was known.

    `seen` is the project's epoch and revision when the role was read: a loss after it ends the
    subscription. `recheck` is called when `seen` is missing or too old, and with each heartbeat. It
    returns whether the session is valid, and raises `Forbidden` or `NotFound` when the account
    has less than this role; any other `Problem` changes nothing.
    """

    user_id: str
    role: str
    seen: Cursor | None = None
    recheck: Callable[[], Awaitable[bool]] | None = None


class Reader:
    """A cursor in a hub's log: whether it can be served, what follows, and what may be seen."""

    def __init__(self, hub: Hub, subscriber: Subscriber, after: str | None, limits: Limits) -> None:
        self.hub = hub
        self.subscriber = subscriber
        self.after = after
        self.limits = limits
        self.ending: Ending | None = None
        self.cursor: Cursor | None = None  # everything up to it was handed out
        self._malformed = False
        self._restarts = -1
        self._checked = -1  # the revision as of which the role is known to hold
        self._checked_restarts = -1
        if after is not None:
            try:
                self.cursor = Cursor.parse(after)
            except InvalidInput:
                self._malformed = True

    def end(self, kind: EndKind, reason: str = "") -> None:
        """Hand out no more; the first ending stays."""
        if self.ending is None:
            self.ending = Ending(kind, reason)

    async def open(self) -> str | None:
        """Wait for the hub and check the role; return why the cursor cannot be served, or None.

        Raises `NotFound`, and `Problem` when the database fails.
        """
        await self.hub.start()
        self._restarts = self.hub.restarts
        await self._check_role()
        if self._malformed:
            return "malformed"
        if self.cursor is None:
            return None
        if self.cursor.epoch != self.hub.epoch:
            return "epoch"
        if self.cursor.revision > self.hub.head:
            await self.hub.refresh()
        if self.cursor.epoch != self.hub.epoch:
            return "epoch"
        return "future" if self.cursor.revision > self.hub.head else None

    async def page(self) -> list[Batch] | None:
        """Return the next page from the log while `is_behind`; None when it was trimmed."""
        assert self.cursor
        page = await self.hub.page(self.cursor.revision)
        head = self.hub.head
        if page and page[-1][-1].commit > head:
            published = [[event for event in part if event.commit <= head] for part in page]
            page = [part for part in published if part]
        return page or None

    def is_restarted(self) -> bool:
        """Whether the hub's history was replaced since `open`."""
        return not self.hub.ready or self._restarts != self.hub.restarts

    def is_behind(self) -> bool:
        """Whether the ring no longer has everything after the cursor."""
        assert self.cursor
        return self.cursor.revision < self.hub.ring.floor

    def loss(self) -> Loss | None:
        """Return the right that the subscriber has lost since it was known to hold, if any."""
        subscriber = self.subscriber
        return self.hub.rights.loss(subscriber.user_id, subscriber.role, self._checked)

    def allow(self, batch: Batch) -> Batch:
        """Return the part of a batch that may be delivered, and move the cursor over it."""
        loss = self.loss()
        if loss:
            self.end(loss.kind, loss.reason)
            if self.cursor and self.cursor.revision >= loss.since:
                return []
            batch = visible(batch, loss.since)
        for event in reversed(batch):
            if event.revision:
                self.cursor = Cursor(self.hub.epoch, event.revision)
                break
        return batch

    async def recheck(self) -> None:
        """Check whether the session and the role still hold; end if they do not."""
        if self.subscriber.recheck is None:
            return
        try:
            valid = await self.subscriber.recheck()
        except (Forbidden, NotFound):
            self.end("revoked", "role")
        except Problem as error:
            logger.warning("project %s: recheck failed: %s", self.hub.project_id, error)
        else:
            if not valid:
                self.end("unauthorised", "session")

    async def _check_role(self) -> None:
        """Have the role known as of a revision since which the hub has every loss."""
        hub, seen = self.hub, self.subscriber.seen
        head, restarted = hub.head, self._checked_restarts != hub.restarts
        if self._checked < 0 and self._is_recent(seen):
            self._checked = seen.revision
        elif self._checked < 0 or restarted:
            try:
                async with asyncio.timeout(RECHECK_TIMEOUT_SECONDS):
                    await self.recheck()
            except TimeoutError:
                logger.warning("project %s: recheck timed out", hub.project_id)
            self._checked = head
        self._checked_restarts = hub.restarts

    def _is_recent(self, seen: Cursor | None) -> TypeGuard[Cursor]:
        """Whether the hub has every loss since the role was read."""
        return seen is not None and seen.epoch == self.hub.epoch and seen.revision >= self.hub.since


class Subscription(Reader, FanoutMember):
    """One subscriber with a connection.

    It *joins* with a snapshot or *catches up* from its cursor, out of the log and the ring; then it
    is *live*: the hub's fan-out writes to it. One that reads too slowly is *behind*: left out of
    the passes until it has read, then caught up from the ring or, if that has moved on, from the
    log. It is *ended* once; `on_end` is called then, before the writer closes.
    """

    run_id: str | None = None

    def __init__(
        self,
        hub: Hub,
        fanout: Fanout,
        subscriber: Subscriber,
        after: str | None,
        limits: Limits,
        writer: Writer,
        on_end: Callable[["Subscription"], None],
        request_recheck: Callable[["Subscription"], None],
    ) -> None:
        super().__init__(hub, subscriber, after, limits)
        self.writer = writer
        self.key: tuple[Encode, str | None] = writer.encode, self.run_id
        self.write: Callable[[Payload], None] = writer.write
        self.at: FanoutPosition | None = None
        self.position = -1  # in the ring, while not live; what is before it was delivered
        self.over = False
        self.congested_since: float | None = None  # or since the client has last taken something
        self._progress = -1
        self._fanout = fanout
        self._on_end: Callable[[Subscription], None] | None = on_end
        self._request_recheck = request_recheck
        self._joining = False  # a task decides what is written next
        self._drained: asyncio.Event | None = None
        now = asyncio.get_running_loop().time()
        self._heartbeat_phase = hub.heartbeat_phase()
        self._next_heartbeat = next_heartbeat(now, self._heartbeat_phase, self.limits.heartbeat)
        self._expires_at = now + random.uniform(*limits.lifetime)

    # Joining and catching up

    async def join(self) -> None:
        """Deliver everything up to the ring's end; from then on the fan-out does.

        A client that reads too slowly gets the rest from a task: this waits for the log, never for
        the client.
        """
        if self.over:
            return
        recording = None
        if self.position < 0 and self.run_id is None:
            self._joining = True
            try:
                await self._fanout.wait_for_join(self._join_key)
            finally:
                self._joining = False
            if self._join_like_another():
                return
            recording = self._fanout.record_join(self._join_key)
        self._joining = True
        await self._catch_up(self._batches(), recording, wait_for_client=False)

    @property
    def _join_key(self) -> tuple[Encode, str | None]:
        return self.writer.encode, self.after

    def _join_like_another(self) -> bool:
        """Join with what another subscriber received who came with the same cursor just now."""
        hub, seen, join = self.hub, self.subscriber.seen, self._fanout.find_join(self._join_key)
        if join is None or self.ending or not hub.ready or not self._is_recent(seen):
            return False
        self._checked = seen.revision
        self._restarts = self._checked_restarts = hub.restarts
        if self.loss():
            return False
        self.cursor, self.position = join.cursor, join.position
        metrics.JOINS.labels("opening").inc()
        metrics.WRITES.inc()
        metrics.WRITTEN.inc(join.count)
        hub.presence.join(self, self.subscriber.user_id)
        for payload in join.payloads:
            self.write(payload)
        self.advance()
        return True

    async def _catch_up(
        self,
        batches: AsyncGenerator[Batch, None],
        recording: JoinRecording | None,
        *,
        wait_for_client: bool,
    ) -> None:
        done, written, batch_number = True, 0, 0
        try:
            while not self.over:
                if self.congested_since is not None and not wait_for_client:
                    done = False
                    rest = self._catch_up(batches, None, wait_for_client=True)
                    spawn(rest, name="subscription catching up")
                    return
                await self._wait_until_drained()
                if batch_number % BATCHES_PER_TURN == BATCHES_PER_TURN - 1:
                    await asyncio.sleep(0)  # a client that reads fast must not occupy the loop
                batch = None if self.over else await anext(batches, None)
                if batch is None or self.over:
                    break
                batch_number += 1
                written += len(batch)
                payload = self._fanout.payload_of(self.writer.encode, batch)
                self.write(payload)
                if recording:
                    recording.add(batch, payload)
            if recording and self.cursor and not self.ending:
                self._fanout.keep_join(recording, self.cursor, self.position)
        except BaseException:
            self.end("unavailable")
            raise
        finally:
            if recording:
                self._fanout.end_recording(recording)
            metrics.WRITES.inc(batch_number)
            metrics.WRITTEN.inc(written)
            if done:
                await batches.aclose()
                self._joining = False
                self.advance()

    async def _wait_until_drained(self) -> None:
        """Wait for a client that is behind; `tick` ends one that stays so."""
        if self.congested_since is not None and not self.ending:
            self._drained = asyncio.Event()
            await self._drained.wait()
            self._drained = None

    async def _batches(self) -> AsyncGenerator[Batch, None]:
        """Yield what may be delivered up to the end of the ring, where `position` is then."""
        try:
            async for batch in self._join_batches():
                if allowed := self.allow(batch):
                    yield allowed
                if self.ending:
                    return
        except Problem as error:
            logger.warning("project %s: a subscription ends: %s", self.hub.project_id, error)
            self.end("unavailable")

    async def _join_batches(self) -> AsyncIterator[Batch]:
        again, from_snapshot = self.position >= 0, False
        why: str | None = None
        while self.ending is None:
            why = await self.open() or why
            if self.ending:
                return
            if self.cursor is None or why:
                from_snapshot = True
                async for batch in self._snapshot_batches(why):
                    yield batch
            elif not again:
                metrics.JOINS.labels("log" if self.is_behind() else "ring").inc()
            replayed, why = 0, None
            while self.ending is None and not self.is_restarted() and self.is_behind():
                if replayed > self.limits.replay_events or self._is_far_behind():
                    why = "too_far"
                    break
                page = await self.page()
                if self.is_restarted():
                    break
                if page is None:
                    why = "trimmed"
                    break
                replayed += sum(map(len, page))
                for part in page:
                    yield part
                    if self.is_restarted():
                        break
            if why is None and not self.is_restarted():
                break
        if self.ending is None:
            for batch in self._hand_over(silent=again and not from_snapshot):
                yield batch

    def _is_far_behind(self) -> bool:
        assert self.cursor
        return self.hub.head - self.cursor.revision > self.limits.replay_events

    async def _snapshot_batches(self, why: str | None) -> AsyncIterator[Batch]:
        hub = self.hub
        metrics.JOINS.labels("reset" if why else "snapshot").inc()
        first = [reset_event(hub.project_id, why)] if why else []
        snapshot = await self._fitting_snapshot()
        self._restarts = hub.restarts
        self._malformed = False
        self.cursor = Cursor(snapshot.epoch, snapshot.revision)
        yield [*first, hub.snapshot_event(snapshot)]

    async def _fitting_snapshot(self) -> EncodedSnapshot:
        """Return a snapshot of a revision that the hub has published, so that the ring goes on."""
        hub = self.hub
        for _ in range(MAX_SNAPSHOT_ATTEMPTS):
            snapshot = await hub.snapshot()
            if snapshot.epoch != hub.epoch or snapshot.revision > hub.head:
                await hub.refresh()
            if snapshot.epoch == hub.epoch and snapshot.revision <= hub.head:
                return snapshot
        raise DatabaseError("The snapshot does not fit the log.", retry_after=2)

    def _hand_over(self, *, silent: bool) -> list[Batch]:
        """Return what the ring has after the cursor and the running turns; set the position.

        Nothing is awaited in here, which makes the hand-over from the log to the ring free of gaps
        and repeats. `silent` leaves out `sync.ready` for one that had only fallen behind.
        """
        assert self.cursor
        hub = self.hub
        batches = split(hub.ring.durable_after(self.cursor.revision), BATCH_BYTES)
        self.position = hub.ring.end
        last: list[EncodedEvent] = hub.live.snapshots()
        if not silent:
            now = asyncio.get_running_loop().time()
            last.append(hub.position_event("sync.ready", now))
            hub.presence.join(self, self.subscriber.user_id)
            if hub.presence.event:
                last.append(hub.presence.event)
        return [*batches, last] if last else batches

    # Live and behind

    def advance(self) -> None:
        """Go on with what the state asks for: end, catch up, or be live; called after a change."""
        if self.over or self._joining:
            return
        self.leave_fanout()
        if self.ending is not None:
            self._finish()
        elif self._must_catch_up():
            self._joining = True
            spawn(self.join(), name="subscription catching up")
        elif self.congested_since is None:
            version = -1 if self.loss() else self.hub.rights.version  # -1 makes a pass check it
            self.at = self._fanout.position_of(self.key, self.position, version)
            self._fanout.add(self)
            self._fanout.write_pending(self)

    def leave_fanout(self) -> None:
        if self.at is not None:
            self.position = self.at.position
            self.cursor = self.at.cursor or self.cursor
            self.at = None

    def check_rights(self) -> bool:
        if self.loss() is None:
            return True
        self.leave_fanout()
        batch, _ = self.hub.ring.take(self.position)
        self._joining = True
        if allowed := self.allow(batch):
            self.write(self.writer.encode(allowed))
        self._joining = False
        self.advance()
        return False

    def _must_catch_up(self) -> bool:
        """Whether the ring has no valid position for it any more."""
        if self.is_restarted():
            return True
        if self.position < self.hub.ring.base:
            metrics.FELL_BEHIND.inc()
            return True
        return False

    def tick(self, now: float) -> bool:
        """End a client that does not read, expire, or send a heartbeat; called every second.

        Return whether a heartbeat was sent.
        """
        if self.ending is not None:
            return False
        if now >= self._expires_at:
            self.end("restart")
        elif self.congested_since is not None:
            progress = self.writer.progress()
            if progress != self._progress:
                self._progress, self.congested_since = progress, now
            if now - self.congested_since > self.limits.stall:
                metrics.SLOW_KILLS.inc()
                self.end("slow")
            elif self.loss():
                self.allow([])
                self.advance()
        return self.ending is None and now >= self._next_heartbeat and self._send_heartbeat(now)

    def _send_heartbeat(self, now: float) -> bool:
        """Have the rights checked again, and state the cursor if nothing is missing before it."""
        self._next_heartbeat = next_heartbeat(now, self._heartbeat_phase, self.limits.heartbeat)
        self._request_recheck(self)
        if self.at is None or self.at.position != self.hub.ring.end:
            return False
        self.write(self._fanout.heartbeat(self.writer.encode, now))
        return True

    def on_congested(self) -> None:
        self.leave_fanout()
        if self.congested_since is None:
            self.congested_since = asyncio.get_running_loop().time()

    def on_drained(self) -> None:
        self.congested_since = None
        if self._drained:
            self._drained.set()
        self.advance()

    # Ended

    def end(self, kind: EndKind, reason: str = "") -> None:
        """Deliver no more; the first ending stays."""
        super().end(kind, reason)
        if self._drained:
            self._drained.set()
        self.advance()

    def on_lost(self) -> None:
        super().end("left")
        if not self.over:
            self._finish()

    def on_shutdown(self) -> None:
        self.end("restart")

    def _finish(self) -> None:
        assert self.ending
        self.leave_fanout()
        self.over = True
        if self._drained:
            self._drained.set()
        self._fanout.discard(self)
        on_end, self._on_end = self._on_end, None
        if on_end:
            on_end(self)
        self.writer.close(self.ending)
        self.write = _discard


class RunSubscription(Subscription):
    """A subscriber of one run: its events from the first to `run.finished`, then the end.

    `begun` is a revision of the transaction that began the run. While the ring still has it, the
    subscriber receives every live event too, however soon the run is over.
    """

    def __init__(
        self,
        hub: Hub,
        fanout: Fanout,
        subscriber: Subscriber,
        after: str | None,
        limits: Limits,
        writer: Writer,
        on_end: Callable[[Subscription], None],
        request_recheck: Callable[[Subscription], None],
        *,
        run_id: str,
        begun: int | None = None,
    ) -> None:
        self.run_id = run_id
        self._begun = begun
        super().__init__(hub, fanout, subscriber, after, limits, writer, on_end, request_recheck)

    def allow(self, batch: Batch) -> Batch:
        assert self.run_id
        allowed = of_run(super().allow(batch), self.run_id)
        if any(event.type == "run.finished" for event in allowed):
            Reader.end(self, "finished")
        return allowed

    async def _join_batches(self) -> AsyncIterator[Batch]:
        again = self.position >= 0
        why = await self.open()
        if self.ending:
            return
        metrics.JOINS.labels("run").inc()
        if why:
            yield [reset_event(self.hub.project_id, why)]
        if why or self.cursor is None:
            self.cursor, self._malformed = Cursor(self.hub.epoch, 0), False
            if self._begun and await self._start_at(self._begun):
                return
        elif not again and await self.hub.run_is_over(self.run_id or "", self.cursor.revision):
            Reader.end(self, "finished")
        async for batch in self._replay():
            yield batch

    async def _start_at(self, begun: int) -> bool:
        """Take a position before the run's first event, if the ring has it."""
        if self.hub.head < begun:
            await self.hub.reach(begun)
        position = self.hub.ring.start_of(begun)
        if position is None or self.is_restarted():
            return False
        self.position = position
        return True

    async def _replay(self) -> AsyncIterator[Batch]:
        while self.ending is None and not self.is_restarted():
            assert self.cursor
            assert self.run_id
            published = self.hub.head  # a read that starts now has all of the run up to here
            page = await self.hub.run_page(self.run_id, self.cursor.revision)
            batch = [event for event in page if event.commit <= published]
            if batch:
                yield batch
            elif published >= self.hub.ring.floor:
                self.cursor = Cursor(self.hub.epoch, max(published, self.cursor.revision))
                for part in self._hand_over(silent=True):
                    yield part
                return


def next_heartbeat(now: float, phase: float, interval: float) -> float:
    """Return when a heartbeat is due, half an interval to a whole one after `now`, in seconds.

    It is `phase` seconds after a multiple of half the interval: heartbeats with a common phase are
    due together, and one that was sent a little late is followed by one on time.
    """
    half = interval / 2
    return now + half + (phase - now) % half


def _discard(payload: Payload) -> None:
    """Drop what would be written to a subscription that has ended."""
