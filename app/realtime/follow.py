"""One reader of a project: from a cursor to batches of frames, gap-free, to its end."""

import asyncio
import logging
import random
from collections.abc import AsyncGenerator, AsyncIterator
from typing import TypeGuard

from app.problems import DatabaseError, Forbidden, InvalidInput, NotFound, Problem
from app.realtime import frames, metrics
from app.realtime.frames import Frame
from app.realtime.hub import Hub, Pieces, Snapshot, reset
from app.realtime.model import Cursor
from app.realtime.opening import Opening
from app.realtime.rights import Loss, visible
from app.realtime.ring import pieces
from app.realtime.watcher import Driver, Ending, Kind, Pace, Watcher

logger = logging.getLogger(__name__)

TOO_FAR = 5000  # events that are replayed at most; beyond it a snapshot is cheaper
SNAPSHOT_TRIES = 5
RECHECK = 5.0  # seconds that a recheck may take


class Follower:
    """A position in a hub's ring, with the way there. Iterate `batches` once."""

    def __init__(self, hub: Hub, watcher: Watcher, after: str | None, pace: Pace) -> None:
        self.hub = hub
        self.watcher = watcher
        self.after = after
        self.pace = pace
        self.ending: Ending | None = None
        self.cursor: Cursor | None = None  # everything up to it was handed out
        self._malformed = False
        self.driver: Driver | None = None  # writes for us; else somebody iterates `batches`
        self.position = -1  # in the ring; what is before it was handed out
        self._generation = -1
        self._checked = -1  # the role was known to hold as of this revision
        self._checked_generation = -1
        self._waiting: asyncio.Future[None] | None = None
        now = asyncio.get_running_loop().time()
        self.beat = now + pace.heartbeat * random.uniform(0.5, 1)
        self._expiry = now + random.uniform(*pace.life)
        if after is not None:
            try:
                self.cursor = Cursor.parse(after)
            except InvalidInput:
                self._malformed = True

    def wake(self) -> None:
        if self.driver:
            self.driver.look()
        elif self._waiting and not self._waiting.done():
            self._waiting.set_result(None)

    def end(self, kind: Kind, reason: str = "") -> None:
        """Hand out no more; the first ending stays."""
        if self.ending is None:
            self.ending = Ending(kind, reason)
        self.wake()

    async def woken(self) -> None:
        """Wait until there is something to look at."""
        if self.ending is None:
            self._waiting = asyncio.get_running_loop().create_future()
            try:
                await self._waiting
            finally:
                self._waiting = None

    def tick(self, now: float) -> None:
        """Called now and then: wake up for a heartbeat, end at the end of life."""
        if now >= self._expiry:
            self.end("restart")
        elif self.driver:
            self.driver.tick(now)
        elif now >= self.beat:
            self.wake()

    async def batches(self) -> AsyncGenerator[list[Frame], None]:
        """Frames to send at once, never part of a transaction; then `ending` says why it ended."""
        try:
            while self.ending is None:
                async for batch in self.joining():
                    yield batch
                while self.ending is None and not self.lost():
                    batch = await self._next()
                    if kept := self.allowed(batch):
                        yield kept
        except Problem as error:
            self._fail(error)

    async def joining(self) -> AsyncGenerator[list[Frame], None]:
        """Frames to send at once up to the end of the ring, where `position` is then."""
        try:
            async for batch in self._join():
                if kept := self.allowed(batch):
                    yield kept
                if self.ending:
                    return
        except Problem as error:
            self._fail(error)

    def _fail(self, error: Problem) -> None:
        logger.warning("project %s: a stream ends: %s", self.hub.project_id, error)
        self.end("unavailable")

    def open(self, opening: Opening) -> bool:
        """Join by what another was told who came to the same place; False: join by yourself."""
        hub, seen = self.hub, self.watcher.seen
        if self.position >= 0 or self.ending or not hub.ready or not self._knows(seen):
            return False
        self._checked = seen.revision
        self._generation = self._checked_generation = hub.generation
        if self.loss():
            return False
        self.cursor, self.position = opening.cursor, opening.position
        metrics.JOINS.labels("opening").inc()
        hub.presence.arrive(self, self.watcher.user_id)
        return True

    async def enter(self) -> str | None:
        """Wait for the hub; return why the cursor cannot be served, or None."""
        await self.hub.begin()
        self._generation = self.hub.generation
        await self._recheck_role()
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

    async def page(self) -> Pieces | None:
        """The next page from the log while the cursor is behind the ring; None: it was trimmed."""
        assert self.cursor
        page = await self.hub.page(self.cursor.revision)
        head = self.hub.head
        if page and page[-1][-1].commit > head:
            known = [[frame for frame in piece if frame.commit <= head] for piece in page]
            page = [piece for piece in known if piece]
        return page or None

    def restarted(self) -> bool:
        return not self.hub.ready or self._generation != self.hub.generation

    def behind(self) -> bool:
        assert self.cursor
        return self.cursor.revision < self.hub.ring.floor

    def lost(self) -> bool:
        """Whether the place in the ring is gone, so that joining anew is needed."""
        if self.restarted():
            return True
        if self.position < self.hub.ring.base:
            metrics.FELL_BEHIND.inc()
            return True
        return False

    async def _join(self) -> AsyncIterator[list[Frame]]:
        again, anew = self.position >= 0, False
        why: str | None = None
        while self.ending is None:
            why = await self.enter() or why
            if self.ending:
                return
            if self.cursor is None or why:
                anew = True
                async for batch in self._from_snapshot(why):
                    yield batch
            elif not again:
                metrics.JOINS.labels("log" if self.behind() else "ring").inc()
            replayed, why = 0, None
            while self.ending is None and not self.restarted() and self.behind():
                if replayed > TOO_FAR or self._distance() > TOO_FAR:
                    why = "too_far"
                    break
                page = await self.page()
                if self.restarted():
                    break
                if page is None:
                    why = "trimmed"
                    break
                replayed += sum(map(len, page))
                for piece in page:
                    yield piece
                    if self.restarted():
                        break
            if why is None and not self.restarted():
                break
        if self.ending is None:
            for batch in self._hand_over(silent=again and not anew):
                yield batch

    async def _from_snapshot(self, why: str | None) -> AsyncIterator[list[Frame]]:
        hub = self.hub
        metrics.JOINS.labels("reset" if why else "snapshot").inc()
        first = [reset(hub.project_id, why)] if why else []
        snapshot = await self._snapshot()
        self._generation = hub.generation
        self._malformed = False
        self.cursor = Cursor(snapshot.epoch, snapshot.revision)
        yield [*first, hub.whole(snapshot)]

    async def _snapshot(self) -> Snapshot:
        """A snapshot that the hub has met, so that what follows it is in its log."""
        hub = self.hub
        for _ in range(SNAPSHOT_TRIES):
            snapshot = await hub.snapshot()
            if snapshot.epoch != hub.epoch or snapshot.revision > hub.head:
                await hub.refresh()
            if snapshot.epoch == hub.epoch and snapshot.revision <= hub.head:
                return snapshot
        raise DatabaseError("The snapshot does not fit the log.", retry_after=2)

    def _hand_over(self, *, silent: bool) -> list[list[Frame]]:
        """What is in the ring after the cursor, the turns as of its end, and the place there.

        Nothing is awaited in here: this is what makes the hand-over free of gaps and repeats.
        """
        assert self.cursor
        hub = self.hub
        batches = pieces(hub.ring.durable_after(self.cursor.revision))
        self.position = hub.ring.end
        last = hub.live.snapshots()
        if not silent:
            last.append(hub.fan.placed("sync.ready", asyncio.get_running_loop().time()))
            hub.presence.arrive(self, self.watcher.user_id)
            if hub.presence.frame:
                last.append(hub.presence.frame)
        return [*batches, last] if last else batches

    async def _next(self) -> list[Frame]:
        """What is new, or a heartbeat; empty when there is something else to look at."""
        now = asyncio.get_running_loop().time()
        if now >= self.beat:
            return await self._heartbeat(now)
        if self.position < self.hub.ring.end:
            batch, self.position = self.hub.ring.take(self.position)
            return batch
        await self.woken()
        return []

    async def _heartbeat(self, now: float) -> list[Frame]:
        self.beat = now + self.pace.heartbeat
        await self.recheck()
        if self.ending or self.lost() or self.cursor is None:
            return []
        told = self.hub.cursor if self.position == self.hub.ring.end else self.cursor
        return [frames.placed("sync.heartbeat", self.hub.project_id, told)]

    async def recheck(self) -> None:
        """Ask whether the session and the role still hold; end if not."""
        if self.watcher.recheck is None:
            return
        try:
            async with asyncio.timeout(RECHECK):
                valid = await self.watcher.recheck()
        except (Forbidden, NotFound):
            self.end("revoked", "role")
            return
        except (Problem, TimeoutError) as error:
            logger.warning("project %s: recheck failed: %s", self.hub.project_id, error)
            return
        if not valid:
            self.end("unauthorised", "session")

    async def _recheck_role(self) -> None:
        """The hub knows of losses since it began; what came before, the role must have met."""
        hub, seen = self.hub, self.watcher.seen
        head, fresh = hub.head, self._checked_generation != hub.generation
        if self._checked < 0 and self._knows(seen):
            self._checked = seen.revision
        elif self._checked < 0 or fresh:
            await self.recheck()
            self._checked = head
        self._checked_generation = hub.generation

    def _knows(self, seen: Cursor | None) -> TypeGuard[Cursor]:
        """Whether the hub knows of every loss since the role was seen."""
        return seen is not None and seen.epoch == self.hub.epoch and seen.revision >= self.hub.since

    def _distance(self) -> int:
        assert self.cursor
        return self.hub.head - self.cursor.revision

    def loss(self) -> Loss | None:
        """The right that this person lost since it was known to hold."""
        return self.hub.rights.loss(self.watcher.user_id, self.watcher.role, self._checked)

    def allowed(self, batch: list[Frame]) -> list[Frame]:
        """The part of a batch that this person may see; the cursor moves over it."""
        loss = self.loss()
        if loss:
            self.end(loss.kind, loss.reason)
            if self.cursor and self.cursor.revision >= loss.since:
                return []
            batch = visible(batch, loss.since)
        for frame in reversed(batch):
            if frame.revision:
                self.cursor = Cursor(self.hub.epoch, frame.revision)
                break
        return batch
