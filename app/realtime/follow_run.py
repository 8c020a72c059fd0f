"""One reader of one run: its events from the first to the terminal one."""

from collections.abc import AsyncIterator

from app.realtime import frames, log, metrics
from app.realtime.follow import Follower
from app.realtime.frames import Frame
from app.realtime.hub import Hub, reset
from app.realtime.model import Cursor
from app.realtime.watcher import Pace, Watcher
from app.store.engine import DB

OWN = frozenset({"sync.heartbeat", "sync.reset"})


class RunFollower(Follower):
    """Replays what the run has caused, then follows it live; ends behind `run.finished`.

    `begun` is a revision of the transaction that began the run: while the ring holds it, the
    reader is told every live event too, however soon the run is over.
    """

    def __init__(
        self,
        hub: Hub,
        watcher: Watcher,
        after: str | None,
        pace: Pace,
        run_id: str,
        begun: int | None = None,
    ) -> None:
        super().__init__(hub, watcher, after, pace)
        self.run_id = run_id
        self._begun = begun

    async def _join(self) -> AsyncIterator[list[Frame]]:
        again = self.position >= 0
        why = await self.enter()
        if self.ending:
            return
        metrics.JOINS.labels("run").inc()
        if why:
            yield [reset(self.hub.project_id, why)]
        if why or self.cursor is None:
            self.cursor, self._malformed = Cursor(self.hub.epoch, 0), False
            if self._begun and await self._from_its_start(self._begun):
                return
        elif not again and await log.is_over(DB, self.run_id, self.cursor.revision):
            self.end("finished")
        async for batch in self._replay():
            yield batch

    async def _from_its_start(self, begun: int) -> bool:
        """Take our place before the run's first event, if the ring has it."""
        if self.hub.head < begun:
            await self.hub.reach(begun)
        position = self.hub.ring.start_of(begun)
        if position is None or self.restarted():
            return False
        self.position = position
        return True

    async def _replay(self) -> AsyncIterator[list[Frame]]:
        while self.ending is None and not self.restarted():
            assert self.cursor
            known = self.hub.head  # a read that starts now sees all of the run up to here
            rows = await log.read_run(DB, self.hub.project_id, self.run_id, self.cursor.revision)
            told = [frames.durable(self.hub.project_id, row) for row in rows if row.commit <= known]
            if told:
                yield told
            elif known >= self.hub.ring.floor:
                self.cursor = Cursor(self.hub.epoch, max(known, self.cursor.revision))
                for batch in self._hand_over(silent=True):
                    yield batch
                return

    def allowed(self, batch: list[Frame]) -> list[Frame]:
        mine = [
            frame
            for frame in super().allowed(batch)
            if frame.run_id == self.run_id or frame.type in OWN
        ]
        if any(frame.type == "run.finished" for frame in mine):
            self.end("finished")
        return mine
