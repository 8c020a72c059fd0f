"""One project in this process: passes on n+1 or nothing, in one order, to all who follow it."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Sequence
from functools import partial
from itertools import groupby
from typing import Any, Protocol

import msgspec

from app.problems import NotFound
from app.realtime import frames, log, metrics
from app.realtime.crowd import Crowd
from app.realtime.fan import Fan
from app.realtime.frames import Frame
from app.realtime.live import LiveRun, LiveRuns
from app.realtime.live_line import POISON, LiveLine
from app.realtime.model import Cursor, LiveEvent, Someone
from app.realtime.opening import Openings
from app.realtime.presence import Presence
from app.realtime.rights import Rights
from app.realtime.ring import Ring, pieces
from app.realtime.shared import Shared
from app.realtime.tail import Tail
from app.store.engine import DB

logger = logging.getLogger(__name__)

PAGES = 16  # pages of the log kept for others who ask for the same
KEEP = 3.0  # seconds that they are kept behind the last who asked: a herd comes within them

Pieces = list[list[Frame]]  # what is told at once, one after the other


class Snapshot(msgspec.Struct, frozen=True):
    """A whole project at a revision; `data` is the JSON object of `project.snapshot`."""

    epoch: str
    revision: int
    data: bytes


class Around(Protocol):
    """What the hub needs of its process."""

    async def subscribe(self, project_id: str) -> None: ...
    def read(self, project_id: str, after: int) -> Awaitable[list[log.Row]]: ...
    def snapshot(self, project_id: str) -> Awaitable[Snapshot]: ...
    def running(self, project_id: str) -> Awaitable[list[LiveRun]]: ...
    def flush(self, project_id: str) -> None: ...
    def so_far(self, run_id: str) -> LiveEvent | None: ...
    def ask(self, project_id: str, run_id: str) -> None: ...
    def say(self, project_id: str, users: list[Someone], more: int, ask: bool) -> None: ...
    def recheck(self, follower: Any) -> None: ...


class Hub:
    """The log of one project as far as this process has passed it on, and what is live beside it.

    Whatever a hint says is checked against the log; a follower is a position in `ring`.
    """

    def __init__(self, project_id: str, around: Around) -> None:
        self.project_id = project_id
        self.epoch = ""
        self.generation = 0  # raised when history was replaced: positions before it mean nothing
        self.ready = False
        self.since = 0  # the head when it began: what `rights` holds is whole after it
        self.ring = Ring(0)
        self.rights = Rights()
        self.followers = Crowd()
        self.fan = Fan(self)
        self.openings = Openings(self)
        self.idle_since = asyncio.get_running_loop().time()
        self._around = around
        self.tail = Tail(self, around.read)
        self._line = LiveLine(project_id, self.ring, lambda run: around.ask(project_id, run))
        self.presence = Presence(project_id, self._show, partial(around.say, project_id))
        self._beginnings = Shared[None](f"begin {project_id}")
        self._paged_at = 0.0
        self._pages = Shared[Pieces](f"page {project_id}", kept=PAGES)
        self._snapshots = Shared[Snapshot](f"snapshot {project_id}")
        self._kept: Snapshot | None = None
        self._whole: tuple[Snapshot, Frame] | None = None
        self.recheck = around.recheck
        self.subscribed = False

    @property
    def head(self) -> int:
        return self.ring.head

    @property
    def live(self) -> LiveRuns:
        return self._line.runs

    @property
    def cursor(self) -> Cursor:
        return Cursor(self.epoch, self.ring.head)

    async def begin(self) -> None:
        """Know where the log ends and which turns run. Raises `NotFound` and what reads raise."""
        while not self.ready:
            await self._beginnings.get(self.generation, self._begin)

    async def refresh(self) -> None:
        """Ask the log itself how far it is, and pass on what was missed."""
        await self.begin()
        seen = self.generation, self.head
        head = await log.head_of(DB, self.project_id)
        if head is None:
            raise NotFound
        self.compare(head, seen, "refresh")
        await self.begin()
        await self.reach(head.revision)

    async def reach(self, revision: int) -> None:
        """Pass the log on up to a revision, or as far as it goes."""
        await self.tail.reach(revision)

    def hint(self, revision: int, rows: Sequence[log.Row] = ()) -> None:
        """The log may have grown, by these rows if they are known; old news is ignored."""
        self.tail.hint(revision, rows)

    def compare(self, head: log.Head, seen: tuple[int, int], cause: str) -> None:
        """Hold our place against the log's; `seen`: our generation and head before it was read."""
        if not self.ready or seen[0] != self.generation:
            return
        if head.epoch != self.epoch or head.revision < seen[1]:
            self.restart()
        elif head.revision > self.head:
            metrics.GAPS.labels(cause).inc()
            self.hint(head.revision)

    def restart(self) -> None:
        """History was replaced (a restore): everybody begins again from a snapshot."""
        metrics.GAPS.labels("epoch").inc()
        self.ready = False
        self.generation += 1
        self.tail.forget()
        self._kept = None
        self._pages.clear()
        self._wake()

    def receive(self, event: LiveEvent) -> None:
        """Tell a live event, behind the durable ones that it knew of, if it still fits."""
        if self.ready and event.after <= self.head:
            if self._line.admit(event):
                self._wake()
        else:
            self._line.hold(event)
            self.hint(event.after)

    async def page(self, after: int) -> Pieces:
        """Whole transactions after a revision, read once for all who ask; none: it was trimmed."""
        self._paged_at = asyncio.get_running_loop().time()
        return await self._pages.get((self.generation, after), lambda: self._page(after))

    async def snapshot(self) -> Snapshot:
        """The project now, or as of what was passed on last; read once for all who ask."""
        kept = self._kept
        if kept and (kept.epoch, kept.revision) == (self.epoch, self.head):
            return kept
        self._kept = await self._snapshots.get(
            self.generation, lambda: self._around.snapshot(self.project_id)
        )
        return self._kept

    def whole(self, snapshot: Snapshot) -> Frame:
        """The frame of a snapshot, the same for all who are given it."""
        if self._whole is None or self._whole[0] is not snapshot:
            self._whole = (
                snapshot,
                frames.own("project.snapshot", self.project_id, snapshot.data),
            )
        return self._whole[1]

    def tidy(self, now: float) -> None:
        """Let go of what was kept for those who come at once."""
        if now - self._paged_at > KEEP:
            self._pages.clear()
        self.openings.clear()
        self.fan.tidy()
        if not self.followers:
            self._kept = self._whole = None

    def _wake(self) -> None:
        self.followers.wake()
        self.fan.wake()

    def _show(self, frame: Frame) -> None:
        if self.ready:
            self.ring.append([frame])
            self._wake()

    async def _begin(self) -> None:
        if not self.subscribed:
            await self._around.subscribe(self.project_id)
            self.subscribed = True
        head = await log.head_of(DB, self.project_id)
        if head is None:
            raise NotFound
        runs = await self._around.running(self.project_id)
        self.epoch, self.since = head.epoch, head.revision
        self.ring.clear(head.revision)
        self.rights = Rights()
        self._line.seed(runs, self._around.so_far)
        self.ready = True
        self._line.release()
        self.tail.hint()
        self._wake()

    def pass_on(self, rows: Sequence[log.Row]) -> None:
        """Tell whole transactions that come right behind our head."""
        # What our workers streamed before these commits goes out before them.
        self._around.flush(self.project_id)
        self._kept, now = None, time.time()
        for _, group in groupby(rows, key=lambda row: row.commit):
            commit = [frames.durable(self.project_id, row) for row in group]
            for frame in commit:
                try:
                    self.rights.apply(frame, since=commit[0].revision)
                    self.live.apply(frame)
                except POISON:
                    logger.exception("project %s: odd event %d", self.project_id, frame.revision)
                metrics.LAG.observe(max(0.0, now - frame.at.timestamp()))
            self.ring.append(commit)
            self._line.release()
        self._wake()

    async def _page(self, after: int) -> Pieces:
        metrics.LOG_READS.labels("catch_up").inc()
        rows = await self._around.read(self.project_id, after)
        if not rows or rows[0].revision != after + 1 or rows[0].epoch != self.epoch:
            return []
        return pieces([frames.durable(self.project_id, row) for row in rows])


def reset(project_id: str, reason: str) -> Frame:
    metrics.RESETS.labels(reason).inc()
    return frames.own("sync.reset", project_id, {"reason": reason})
