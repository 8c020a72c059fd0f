"""The end of a project's log as a hub reads it: when it looks, and when it rather waits."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence, Sized
from typing import Protocol

from app.problems import DatabaseError, Problem
from app.realtime import metrics
from app.realtime.log import Row
from app.realtime.log_reader import FEW
from app.store.tasks import spawn

logger = logging.getLogger(__name__)

TICK_EACH = 25e-6  # seconds of rest for each follower after a pass: a few times what it takes
ALONE = 0.2  # of that behind an event that came alone: nothing else is on its way, perhaps
TICK_LEAST, TICK_MOST = 1e-3, 25e-3  # seconds; a small project's events go out at once

_reads = metrics.LOG_READS.labels("follow")
_handed = metrics.LOG_READS.labels("handed")


class Head(Protocol):
    """Whose log is read."""

    project_id: str
    ready: bool
    generation: int
    epoch: str

    @property
    def head(self) -> int: ...
    @property
    def followers(self) -> Sized: ...
    def restart(self) -> None: ...
    def pass_on(self, rows: Sequence[Row]) -> None: ...


class Tail:
    """Passes on to a hub what its log holds behind its head: n+1, or nothing.

    Rows that were committed in this process are taken as they are if they are the very next;
    whatever else is hinted at is read from the log.
    """

    def __init__(self, hub: Head, read: Callable[[str, int], Awaitable[list[Row]]]) -> None:
        self._hub = hub
        self._read_log = read
        self._wanted = 0
        self._pause: asyncio.TimerHandle | None = None
        self._reading: asyncio.Task[None] | None = None
        self._failure: Problem | None = None

    def forget(self) -> None:
        """History was replaced: what was hinted at means nothing."""
        self._wanted = 0

    def hint(self, revision: int = 0, rows: Sequence[Row] = ()) -> None:
        """The log may have grown; old news is ignored."""
        self._wanted = max(self._wanted, revision)
        news = self._pause is None and self._wanted > self._hub.head
        if news and not (rows and self._take(rows)):
            self._go_on()

    async def reach(self, revision: int) -> None:
        """Pass the log on up to a revision, or as far as it goes."""
        hub = self._hub
        while hub.ready and hub.head < revision:
            before = hub.head
            self._wanted = max(self._wanted, revision)
            if self._pause:
                self._pause.cancel()
            self._rested()
            if self._reading:
                await asyncio.shield(self._reading)
            if hub.head == before:
                if self._failure:
                    raise DatabaseError(retry_after=2) from self._failure
                return

    def _take(self, rows: Sequence[Row]) -> bool:
        """Pass on what was just committed here, unless something else comes before it."""
        hub = self._hub
        if not hub.ready or not self._idle or not self._follow(rows, hub.head):
            return False
        _handed.inc()
        hub.pass_on(rows)
        self._rest(len(rows))
        if self._pause is None:
            self._go_on()
        return True

    @property
    def _idle(self) -> bool:
        return self._reading is None or self._reading.done()

    def _follow(self, rows: Sequence[Row], head: int) -> bool:
        """Whether these are the revisions right behind the head, of the same history."""
        return all(
            row.revision == head + index and row.epoch == self._hub.epoch
            for index, row in enumerate(rows, 1)
        )

    def _go_on(self) -> None:
        """Read, unless that goes on already."""
        if self._hub.ready and self._idle and self._wanted > self._hub.head:
            self._reading = spawn(self._read(), name=f"read {self._hub.project_id}")

    def _rest(self, told: int) -> None:
        """After a pass over many followers what comes next waits for what comes with it."""
        each = TICK_EACH if told > 1 else TICK_EACH * ALONE
        most = min(TICK_MOST, each * len(self._hub.followers))
        if most > TICK_LEAST and self._pause is None:
            self._pause = asyncio.get_running_loop().call_later(most, self._rested)

    def _rested(self) -> None:
        self._pause = None
        self._go_on()

    async def _read(self) -> None:
        self._failure = None
        hub = self._hub
        while hub.ready and hub.head < self._wanted and self._pause is None:
            generation, head, wanted = hub.generation, hub.head, self._wanted
            try:
                _reads.inc()
                rows = await self._read_log(hub.project_id, head)
            except Problem as error:
                metrics.LOG_FAILURES.inc()
                logger.warning("project %s: the log could not be read: %s", hub.project_id, error)
                self._failure = error
                return
            if generation != hub.generation:
                return
            if not rows:
                if self._wanted > wanted:
                    continue  # hinted at while we read: the read may have been too early
                self._wanted = head
                return
            if not self._follow(rows, head):
                hub.restart()
                return
            hub.pass_on(rows)
            if len(rows) < FEW:
                self._rest(len(rows))
