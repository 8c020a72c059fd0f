"""All hubs of this process, and its ends of the bus: what main and the workers speak to."""

import asyncio
import logging
import random
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

from app.problems import ServiceUnavailable
from app.realtime import log, metrics
from app.realtime.bus import EVERYBODY, Ask, Bus, Hint, Live, People, Tell, Word
from app.realtime.emit import Emitter
from app.realtime.follow import Follower
from app.realtime.follow_run import RunFollower
from app.realtime.hub import Hub, Snapshot
from app.realtime.live import LiveRun
from app.realtime.log_reader import LogReader
from app.realtime.loop import watch_loop
from app.realtime.model import LiveEvent, Someone
from app.realtime.watcher import Pace, Watcher
from app.store.engine import DB
from app.store.ids import new_id
from app.store.tasks import spawn

logger = logging.getLogger(__name__)

TICK = 1.0  # seconds between two looks at the clock, at most
RECHECKS = 250  # rights that are checked at once: they share their queries
JITTER = 0.25  # of the head check's interval

Control = Callable[[str, str], None]
SnapshotOf = Callable[[str], Awaitable[Snapshot]]
RunningOf = Callable[[str], Awaitable[list[LiveRun]]]


class Hubs:
    """Every project that somebody follows in this process.

    `snapshot` gives a project as JSON, read in one transaction; `running` its turns that run now,
    with their decision and open calls, without texts. Use as `async with hubs.serving():`.
    """

    def __init__(
        self, bus: Bus, snapshot: SnapshotOf, running: RunningOf, *, pace: Pace | None = None
    ) -> None:
        self.name = new_id()
        self.pace = pace or Pace()
        self.closing = False
        self._bus = bus
        self.snapshot = snapshot
        self.running = running
        self._hubs: dict[str, Hub] = {}
        self._followers: set[Follower] = set()
        self._controls: list[Control] = []
        self._emitter = Emitter(self._tell_live)
        self._reader = LogReader()
        self._suspect = asyncio.Event()
        self._unchecked: deque[Follower] = deque()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["Hubs"]:
        """Hear the log's announcements and the bus until the block ends."""
        await self._bus.open(self)
        log.announcers.append(self.announce)
        tasks = [
            spawn(self._check_heads(), name="head check"),
            spawn(self._keep_time(), name="hub clock"),
            spawn(watch_loop(), name="loop watch"),
        ]
        try:
            yield self
        finally:
            log.announcers.remove(self.announce)
            self.close()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._reader.close()
            await self._bus.close()

    def close(self) -> None:
        """End all streams so that their clients come again elsewhere, and take no new ones."""
        self.closing = True
        for follower in list(self._followers):
            follower.end("restart")
        for hub in self._hubs.values():
            hub.presence.close()

    @asynccontextmanager
    async def follow(
        self,
        project_id: str,
        watcher: Watcher,
        after: str | None,
        run_id: str | None = None,
        *,
        begun: int | None = None,
    ) -> AsyncIterator[Follower]:
        """A reader of a project, or of one of its runs. Raises `ServiceUnavailable` at the end."""
        follower = await self.enter(project_id, watcher, after, run_id, begun=begun)
        try:
            yield follower
        finally:
            self.leave(follower)

    async def enter(
        self,
        project_id: str,
        watcher: Watcher,
        after: str | None,
        run_id: str | None = None,
        *,
        begun: int | None = None,
        woken: bool = True,
    ) -> Follower:
        """As `follow`, until `leave`; one that is not woken is written to by the hub."""
        if self.closing:
            raise ServiceUnavailable("The server restarts.", retry_after=1)
        hub = self._hub(project_id)
        if run_id is None:
            follower = Follower(hub, watcher, after, self.pace)
        else:
            follower = RunFollower(hub, watcher, after, self.pace, run_id, begun)
        stale = not hub.followers and hub.ready
        hub.followers.add(follower, woken=woken)
        self._followers.add(follower)
        metrics.FOLLOWERS.inc()
        if stale:  # nobody checked its head while nobody followed it
            try:
                await hub.refresh()
            except BaseException:
                self.leave(follower)
                raise
        return follower

    def leave(self, follower: Follower) -> None:
        if follower in self._followers:
            metrics.FOLLOWERS.dec()
            self._followers.discard(follower)
            follower.hub.followers.discard(follower)
            follower.hub.presence.leave(follower)
            follower.hub.idle_since = asyncio.get_running_loop().time()

    async def ready(self, project_id: str) -> None:
        """Raise now what following the project would raise later, while a status can be sent."""
        if self.closing:
            raise ServiceUnavailable("The server restarts.", retry_after=1)
        await self._hub(project_id).begin()

    def announce(self, project_id: str, revision: int, rows: Sequence[log.Row] = ()) -> None:
        """A commit has raised the project's log to this revision, perhaps by these rows.

        Never waits, never fails.
        """
        self.flush(project_id)
        if hub := self._hubs.get(project_id):
            hub.hint(revision, rows)
        self._bus.publish(project_id, Hint(revision))

    def emit_live(self, event: LiveEvent) -> None:
        """Stream something of a run that this process works on; deltas wait a tick for others.

        A delta's data is `{callId | messageId, offset, text}`; offsets count UTF-16 units.
        """
        self._emitter.emit(event)

    def settle(self, run_id: str) -> None:
        """This process works on the run no more: let its text go."""
        self._emitter.settle(run_id)

    def tell(self, kind: str, payload: str) -> None:
        """Say a word to the other parts of the product in every process, this one included."""
        asyncio.get_running_loop().call_soon(self._hear_control, kind, payload)
        self._bus.publish(EVERYBODY, Tell(kind, payload))

    def on_control(self, callback: Control) -> None:
        """Call back with (kind, payload) of each `tell`. Words can be lost: poll as well."""
        self._controls.append(callback)

    def doubt(self, user_id: str) -> None:
        """Have all that this person follows here checked at once."""
        for follower in self._followers:
            if follower.watcher.user_id == user_id:
                self.recheck(follower)

    # What hubs need of their process (`Around`)

    async def subscribe(self, project_id: str) -> None:
        await self._bus.follow(project_id)

    def read(self, project_id: str, after: int) -> Awaitable[list[log.Row]]:
        return self._reader.get(project_id, after)

    def flush(self, project_id: str) -> None:
        self._emitter.flush(project_id)

    def so_far(self, run_id: str) -> LiveEvent | None:
        return self._emitter.so_far(run_id)

    def ask(self, project_id: str, run_id: str) -> None:
        """Have the text so far of a run told again by whoever works on it."""
        asyncio.get_running_loop().call_soon(self._answer, run_id)
        self._bus.publish(EVERYBODY, Ask(run_id))

    def say(self, project_id: str, users: list[Someone], more: int, ask: bool) -> None:
        """Tell the other processes who follows a project in this one."""
        self._bus.publish(project_id, People(self.name, users, more, ask))

    def recheck(self, follower: Follower) -> None:
        """Have the follower's right to read checked soon, a few at a time."""
        self._unchecked.append(follower)
        if len(self._unchecked) == 1:
            spawn(self._recheck(), name="rechecks")

    # What the bus says (`Ears`)

    def hear(self, channel: str, word: Word) -> None:
        hub = self._hubs.get(channel)
        match word:
            case Hint(revision) if hub:
                hub.hint(revision)
            case Live(event) if hub and event.project_id == channel:
                hub.receive(event)
            case People() if hub:
                hub.presence.hear(word)
            case Ask(run_id):
                self._answer(run_id)
            case Tell(kind, payload):
                self._hear_control(kind, payload)

    def suspect(self) -> None:
        """Words may have been lost: check all heads now."""
        metrics.GAPS.labels("reconnect").inc()
        self._suspect.set()
        for hub in self._hubs.values():
            hub.presence.suspect()

    def _hub(self, project_id: str) -> Hub:
        hub = self._hubs.get(project_id)
        if hub is None:
            hub = self._hubs[project_id] = Hub(project_id, self)
            metrics.HUBS.set(len(self._hubs))
        return hub

    def _tell_live(self, event: LiveEvent) -> None:
        if hub := self._hubs.get(event.project_id):
            hub.receive(event)
        self._bus.publish(event.project_id, Live(event))

    def _answer(self, run_id: str) -> None:
        if event := self._emitter.so_far(run_id):
            self._tell_live(event)

    def _hear_control(self, kind: str, payload: str) -> None:
        for callback in self._controls:
            try:
                callback(kind, payload)
            except Exception:
                logger.exception("control %s failed", kind)

    async def _recheck(self) -> None:
        while self._unchecked:
            some = [self._unchecked[n] for n in range(min(RECHECKS, len(self._unchecked)))]
            await asyncio.gather(*(f.recheck() for f in some if f.ending is None))
            for _ in some:
                self._unchecked.popleft()

    async def _check_heads(self) -> None:
        """Every two seconds, or at once when suspect: one query for all that are followed."""
        while True:
            pause = self.pace.head_check * random.uniform(1 - JITTER, 1 + JITTER)
            try:
                async with asyncio.timeout(pause):
                    await self._suspect.wait()
            except TimeoutError:
                pass
            self._suspect.clear()
            followed = [hub for hub in self._hubs.values() if hub.followers]
            if not followed:
                continue
            try:
                await self._compare_heads(followed)
            except Exception as error:  # noqa: BLE001  without it a lost hint is lost for ever
                metrics.LOG_FAILURES.inc()
                logger.warning("the heads could not be read: %r", error)

    async def _compare_heads(self, followed: list[Hub]) -> None:
        seen = {hub.project_id: (hub.generation, hub.head) for hub in followed}
        heads = await log.heads_of(DB, list(seen))
        for hub in followed:
            if head := heads.get(hub.project_id):
                hub.compare(head, seen[hub.project_id], "head_check")
            else:
                for follower in [f for f in self._followers if f.hub is hub]:
                    follower.end("deleted", "deleted")

    async def _keep_time(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(min(TICK, self.pace.heartbeat / 8, self.pace.linger / 8))
            try:
                await self._tick(loop.time())
            except Exception:  # without it nobody gets a heartbeat, and no stalled reader an end
                logger.exception("a tick of the clock failed")

    async def _tick(self, now: float) -> None:
        for follower in list(self._followers):
            follower.tick(now)
        self._emitter.forget_old()
        for hub in list(self._hubs.values()):
            hub.tidy(now)
            hub.presence.tick(now)
            if not hub.followers and now - hub.idle_since > self.pace.linger:
                await self._drop(hub)

    async def _drop(self, hub: Hub) -> None:
        del self._hubs[hub.project_id]
        metrics.HUBS.set(len(self._hubs))
        if hub.subscribed:
            await self._bus.unfollow(hub.project_id)
