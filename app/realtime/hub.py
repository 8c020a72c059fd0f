"""One project in one process: publishes revision n+1 or nothing, in one order, to its listeners."""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from itertools import groupby

import msgspec

from app.problems import DatabaseError, NotFound, Problem
from app.realtime import log, metrics
from app.realtime.bus.messages import EVERYBODY, Bus, PresenceReport, RunSnapshotRequest
from app.realtime.encoding import (
    Batch,
    EncodedEvent,
    durable_event,
    live_event,
    position_event,
    split,
    stream_event,
)
from app.realtime.events import Cursor, LiveEvent, PresentUser
from app.realtime.limits import Limits
from app.realtime.live import LiveRun, LiveRuns, run_snapshot
from app.realtime.log import SHORT_PAGE_EVENTS, LogReader
from app.realtime.presence import Presence
from app.realtime.publisher import LivePublisher
from app.realtime.rights import Rights
from app.realtime.ring import BATCH_BYTES, Ring
from app.store.concurrency import SingleFlight, spawn
from app.store.database import Database

logger = logging.getLogger(__name__)

CACHED_PAGES = 8  # of the log, for others who ask for the same
PAGE_TTL_SECONDS = 3.0  # after the last request for a page
MAX_HELD_EVENTS = 512  # live events that wait for the log
TEXT_REQUEST_SECONDS = 0.25  # between two requests for the texts of one run
PAUSE_SHARE_AFTER_ONE_EVENT = 0.2  # of a whole one: perhaps nothing else is on its way
BUSY_SECONDS = 0.25  # after a batch of several events in which more are expected
PAUSE_SHARE_WHILE_GATHERING = (
    0.5  # of a whole one, before a batch while several events come together
)
MAX_COLLECTED_ROWS = 200  # of hints during a pause; beyond them the log is read
HEARTBEAT_GROUP = 64  # subscriptions that send their heartbeats together
HEARTBEAT_SPREAD = 0.618  # of half an interval from group to group, which fills it evenly
POSITION_EVENT_TTL_SECONDS = 1.0  # that an event which states the hub's cursor is used again

_log_reads = metrics.LOG_READS.labels("follow")
_rows_handed_over = metrics.LOG_READS.labels("handed")
_rows_from_bus = metrics.LOG_READS.labels("hinted")
_pages_read = metrics.LOG_READS.labels("catch_up")


class EncodedSnapshot(msgspec.Struct, frozen=True):
    """A whole project at a revision; `body` is the JSON object of `project.snapshot`."""

    epoch: str
    revision: int
    body: bytes


LoadSnapshot = Callable[[str], Awaitable[EncodedSnapshot]]
LoadRuns = Callable[[str], Awaitable[list[LiveRun]]]


class HubContext(msgspec.Struct, frozen=True, kw_only=True):
    """What the hubs of a process share.

    `load_snapshot` reads a project in one transaction; `load_runs` its running turns, with their
    decision and open calls and without texts.
    """

    process: str
    database: Database
    bus: Bus
    reader: LogReader
    publisher: LivePublisher
    load_snapshot: LoadSnapshot
    load_runs: LoadRuns
    limits: Limits


class Hub:
    """The log of one project as far as this process has published it, and what is live beside it.

    A hint is only a reason to look at the log, or brings the very next rows. A reader is a position
    in `ring`. `listeners` are called after each change of the ring, `ready` or `restarts`;
    it does not know what they do. `subscribers` is set by `Hubs`.
    """

    def __init__(self, project_id: str, context: HubContext) -> None:
        self.project_id = project_id
        self.epoch = ""
        self.restarts = 0  # how often history was replaced; older positions are void
        self.ready = False
        self.since = 0  # the head when it began: `rights` has every loss after it
        limits = context.limits
        self.ring = Ring(0, max_events=limits.ring_events, max_bytes=limits.ring_bytes)
        self.rights = Rights()
        self.live = LiveRuns(project_id)
        self.listeners: set[Callable[[], None]] = set()
        self.subscribers = 0
        self.subscribed = False  # to the bus
        self._loop = asyncio.get_running_loop()  # asking for it costs a system call
        self.idle_since = self._loop.time()
        self.presence = Presence(
            project_id, self._append_stream_event, self._report_presence, limits
        )
        self._context = context
        self._heartbeat_phase = random.random()
        # The end of the log
        self._wanted = 0  # the highest revision that was hinted at
        self._pause: asyncio.TimerHandle | None = None
        self._reading: asyncio.Task[None] | None = None
        self._failure: Problem | None = None
        self._collected: list[log.Row] = []  # the next rows, from hints
        self._bursting = False  # whether the last batch had several events
        self._published_at = 0.0
        # Live events
        self._held: list[LiveEvent] = []
        self._text_requests: dict[str, float] = {}  # run id to when it may be requested again
        # What is shared by readers who come at once
        self._starts = SingleFlight[None](f"start {project_id}")
        self._pages = SingleFlight[list[Batch]](f"page {project_id}", cached=CACHED_PAGES)
        self._pages_used_at = 0.0
        self._snapshots = SingleFlight[EncodedSnapshot](f"snapshot {project_id}")
        self._snapshot: EncodedSnapshot | None = None
        self._snapshot_event: tuple[EncodedSnapshot, EncodedEvent] | None = None
        self._position_event: tuple[tuple[str, int, int], float, EncodedEvent] | None = None

    @property
    def head(self) -> int:
        """The last revision that was published."""
        return self.ring.head

    @property
    def cursor(self) -> Cursor:
        """The cursor of a reader that has everything published so far."""
        return Cursor(self.epoch, self.ring.head)

    # Start, refresh, restart

    async def start(self) -> None:
        """Find out where the log ends and which turns run, once.

        Raises `NotFound` for an unknown project, and `Problem` when the database fails.
        """
        while not self.ready:
            await self._starts.get(self.restarts, self._start)

    async def refresh(self) -> None:
        """Compare with the log itself and publish what was missed. Raises as `start` does."""
        await self.start()
        seen = self.restarts, self.head
        head = await log.head_of(self._context.database, self.project_id)
        if head is None:
            raise NotFound
        self.compare(head, seen, "refresh")
        await self.start()
        await self.reach(head.revision)

    def compare(self, head: log.Head, seen: tuple[int, int], cause: str) -> None:
        """Compare with where the log ends; `seen` is (restarts, head) from before it was read."""
        if not self.ready or seen[0] != self.restarts:
            return
        if head.epoch != self.epoch or head.revision < seen[1]:
            self.restart()
        elif head.revision > self.head:
            metrics.GAPS.labels(cause).inc()
            self.hint(head.revision)

    def restart(self) -> None:
        """History was replaced, as by a restored backup: all readers begin with a snapshot."""
        metrics.GAPS.labels("epoch").inc()
        self.ready = False
        self.restarts += 1
        self._wanted = 0
        self._collected = []
        self._snapshot = None
        self._pages.clear()
        self._notify()

    async def _start(self) -> None:
        if not self.subscribed:
            await self._context.bus.subscribe(self.project_id)
            self.subscribed = True
        head = await log.head_of(self._context.database, self.project_id)
        if head is None:
            raise NotFound
        runs = await self._context.load_runs(self.project_id)
        self.epoch, self.since = head.epoch, head.revision
        self.ring.clear(head.revision)
        self.rights = Rights()
        self._seed_runs(runs)
        self.ready = True
        self._release_held()
        self.hint()
        self._notify()

    def _seed_runs(self, runs: list[LiveRun]) -> None:
        self.live.seed(runs)
        for run in runs:
            if event := self._context.publisher.snapshot_of(run.run_id):
                self.live.admit(event)
            else:
                self._request_texts(run.run_id)

    # The end of the log

    def hint(
        self, revision: int = 0, rows: Sequence[log.Row] = (), *, from_bus: bool = False
    ) -> None:
        """Learn that the log has grown to a revision, perhaps by these rows.

        Rows are published as they are when they are the very next ones of the same history;
        everything else is read from the log. Old news is ignored.
        """
        self._wanted = max(self._wanted, revision)
        if self._wanted <= self.head:
            return
        if rows and self._continues(rows):
            (_rows_from_bus if from_bus else _rows_handed_over).inc()
            self._collected += rows
        if self._pause is None and self._idle and not self._gather():
            self._advance()

    async def reach(self, revision: int) -> None:
        """Publish the log up to a revision, or as far as it goes. Raises `DatabaseError`."""
        while self.ready and self.head < revision:
            before = self.head
            self._wanted = max(self._wanted, revision)
            if self._pause:
                self._pause.cancel()
            self._end_pause()
            if self.head >= revision:
                return
            if self._reading:
                await asyncio.shield(self._reading)
            if self.head == before:
                if self._failure:
                    raise DatabaseError(retry_after=2) from self._failure
                return

    @property
    def _idle(self) -> bool:
        return self._reading is None or self._reading.done()

    def _continues(self, rows: Sequence[log.Row]) -> bool:
        """Whether these are the revisions right after what is known, of the same history."""
        last = self._collected[-1].revision if self._collected else self.head
        expected = self.ready and self._idle and len(self._collected) < MAX_COLLECTED_ROWS
        return expected and self._follow(rows, last)

    def _follow(self, rows: Sequence[log.Row], last: int) -> bool:
        return all(
            row.revision == last + index and row.epoch == self.epoch
            for index, row in enumerate(rows, 1)
        )

    def _advance(self) -> None:
        """Publish the rows that were collected, and read what else there is."""
        if self._collected and self.ready and self._idle:
            self._publish(self._collected)
        if self._pause is None:
            self._read_on()

    def _read_on(self) -> None:
        if self.ready and self._idle and self._wanted > self.head:
            self._reading = spawn(self._read(), name=f"read {self.project_id}")

    def _gather(self) -> bool:
        """Wait for the events that come with this one, if several came together just now."""
        now = self._loop.time()
        if not self._bursting or now - self._published_at > BUSY_SECONDS:
            return False
        self._begin_pause(PAUSE_SHARE_WHILE_GATHERING)
        return self._pause is not None

    def _begin_pause(self, share: float) -> None:
        """Wait a little between batches to many subscribers, so that the next one carries more."""
        limits = self._context.limits
        shortest, longest = limits.pause_range
        pause = min(longest, share * limits.pause_per_subscriber * self.subscribers)
        if pause > shortest and self._pause is None:
            self._pause = self._loop.call_later(pause, self._end_pause)

    def _end_pause(self) -> None:
        self._pause = None
        if self._idle:
            self._advance()

    async def _read(self) -> None:
        self._failure = None
        while self.ready and self.head < self._wanted and self._pause is None:
            restarts, wanted = self.restarts, self._wanted
            try:
                _log_reads.inc()
                rows = await self._context.reader.get(self.project_id, self.head)
            except Problem as error:
                metrics.LOG_FAILURES.inc()
                logger.warning("project %s: the log could not be read: %s", self.project_id, error)
                self._failure = error
                return
            if restarts != self.restarts:
                return
            if not rows:
                if self._wanted > wanted:
                    continue  # hinted at during the read, which may have been too early
                self._wanted = self.head
                return
            if not self._follow(rows, self.head):
                self.restart()
                return
            self._publish(rows, pauses=len(rows) < SHORT_PAGE_EVENTS)

    def _publish(self, rows: Sequence[log.Row], *, pauses: bool = True) -> None:
        """Append whole transactions that come right after the head to the ring."""
        self._collected = []
        # What workers of this process streamed before these commits goes out before them.
        self._context.publisher.flush(self.project_id)
        self._snapshot, now = None, time.time()
        for _, group in groupby(rows, key=_commit_of):
            commit = []
            for row in group:
                commit.append(durable_event(self.project_id, row))
                metrics.LAG.observe(max(0.0, now - row.at.timestamp()))
            for event in commit:
                try:
                    self.rights.apply(event, since=commit[0].revision)
                    self.live.apply(event)
                except Exception:  # an event that cannot be folded is delivered all the same
                    logger.exception(
                        "project %s: malformed event %d", self.project_id, event.revision
                    )
            self.ring.append(commit)
            if self._held:
                self._release_held()
        self._bursting = len(rows) > 1
        self._published_at = self._loop.time()
        if pauses:
            self._begin_pause(1.0 if self._bursting else PAUSE_SHARE_AFTER_ONE_EVENT)
        self._notify()

    def _notify(self) -> None:
        for listener in list(self.listeners):
            listener()

    # Live events

    def receive(self, event: LiveEvent) -> None:
        """Publish a live event after the durable ones that it follows, if it still fits."""
        if self.ready and event.after <= self.head:
            if self._admit(event):
                self._notify()
        else:
            self._hold(event)
            self.hint(event.after)

    def _admit(self, event: LiveEvent) -> bool:
        try:
            admission = self.live.admit(event)
        except Exception:  # noqa: BLE001  what another process sent
            metrics.LIVE_DROPPED.labels("poison").inc()
            return False
        if admission.cause:
            metrics.LIVE_DROPPED.labels(admission.cause).inc()
            if admission.incomplete:
                self._request_texts(event.run_id)
            return False
        if event.type == "run.snapshot":
            encoded = run_snapshot(self.project_id, self.live.runs[event.run_id])
        else:
            encoded = live_event(event)
        self.ring.append([encoded])
        return True

    def _hold(self, event: LiveEvent) -> None:
        if len(self._held) >= MAX_HELD_EVENTS:
            metrics.LIVE_DROPPED.labels("held").inc()
            del self._held[0]
        self._held.append(event)

    def _release_held(self) -> None:
        """Publish the held live events whose durable predecessors are published now."""
        held, self._held = self._held, []
        for event in held:
            if event.after <= self.ring.head:
                self._admit(event)
            else:
                self._held.append(event)

    def _request_texts(self, run_id: str) -> None:
        """Have the process that works on a run publish its texts so far, not too often."""
        now = self._loop.time()
        if now < self._text_requests.get(run_id, 0.0):
            return
        self._text_requests = {key: at for key, at in self._text_requests.items() if at > now}
        self._text_requests[run_id] = now + TEXT_REQUEST_SECONDS
        metrics.ASKS.inc()
        self._loop.call_soon(self._context.publisher.republish, run_id)
        self._context.bus.publish(EVERYBODY, RunSnapshotRequest(run_id))

    def _append_stream_event(self, event: EncodedEvent) -> None:
        if self.ready:
            self.ring.append([event])
            self._notify()

    def _report_presence(self, users: list[PresentUser], more: int, ask: bool) -> None:
        report = PresenceReport(self._context.process, users, more, ask)
        self._context.bus.publish(self.project_id, report)

    # What readers that are not at the ring's end need

    async def page(self, after: int) -> list[Batch]:
        """Return whole transactions after a revision, read once for all who ask at once.

        Empty when the log no longer has them. Raises `Problem` when the database fails.
        """
        self._pages_used_at = self._loop.time()
        return await self._pages.get((self.restarts, after), lambda: self._page(after))

    async def _page(self, after: int) -> list[Batch]:
        _pages_read.inc()
        rows = await self._context.reader.get(self.project_id, after)
        if not rows or rows[0].revision != after + 1 or rows[0].epoch != self.epoch:
            return []
        return split([durable_event(self.project_id, row) for row in rows], BATCH_BYTES)

    async def run_page(self, run_id: str, after: int) -> list[EncodedEvent]:
        """Return the next durable events of one run after a revision, from the log."""
        rows = await log.read_run(self._context.database, self.project_id, run_id, after)
        return [durable_event(self.project_id, row) for row in rows]

    async def run_is_over(self, run_id: str, by: int) -> bool:
        """Return whether the run's terminal event is at or before a revision."""
        return await log.is_over(self._context.database, run_id, by)

    async def snapshot(self) -> EncodedSnapshot:
        """Return the project as of now or as of the head, read once for all who ask at once."""
        kept = self._snapshot
        if kept and (kept.epoch, kept.revision) == (self.epoch, self.head):
            return kept
        self._snapshot = await self._snapshots.get(
            self.restarts, lambda: self._context.load_snapshot(self.project_id)
        )
        return self._snapshot

    def snapshot_event(self, snapshot: EncodedSnapshot) -> EncodedEvent:
        """Return the event `project.snapshot`, the same object for all who receive it."""
        if self._snapshot_event is None or self._snapshot_event[0] is not snapshot:
            event = stream_event("project.snapshot", self.project_id, snapshot.body)
            self._snapshot_event = snapshot, event
        return self._snapshot_event[1]

    def position_event(self, kind: str, now: float) -> EncodedEvent:
        """Return `sync.ready` or `sync.heartbeat` with our cursor, the same for all in a second."""
        key = kind, self.restarts, self.head
        known = self._position_event
        if known is None or known[0] != key or now - known[1] > POSITION_EVENT_TTL_SECONDS:
            known = key, now, position_event(kind, self.project_id, self.cursor)
            self._position_event = known
        return known[2]

    def heartbeat_phase(self) -> float:
        """Return when within half an interval a new subscription's heartbeats are due, in seconds.

        Subscriptions of one group share it, and with it the heartbeat's bytes; the groups are
        spread, so that thousands are not written to at once.
        """
        groups = self.subscribers // HEARTBEAT_GROUP
        half = self._context.limits.heartbeat / 2
        return (self._heartbeat_phase + groups * HEARTBEAT_SPREAD) % 1 * half

    def drop_caches(self, now: float) -> None:
        """Release what was kept for readers who come at once; called about every second."""
        if now - self._pages_used_at > PAGE_TTL_SECONDS:
            self._pages.clear()
        if not self.subscribers:
            self._snapshot = self._snapshot_event = None


def _commit_of(row: log.Row) -> int:
    return row.commit


def reset_event(project_id: str, reason: str) -> EncodedEvent:
    """Return `sync.reset`, which says why a cursor cannot be served."""
    metrics.RESETS.labels(reason).inc()
    return stream_event("sync.reset", project_id, {"reason": reason})
