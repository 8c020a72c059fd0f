"""All hubs of a process, their subscriptions, and this process's end of the bus."""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import msgspec

from app.problems import ServiceUnavailable
from app.realtime import log, metrics
from app.realtime.bus.messages import (
    EVERYBODY,
    Broadcast,
    Bus,
    LiveMessage,
    LogHint,
    Message,
    PresenceReport,
    RunSnapshotRequest,
)
from app.realtime.events import LiveEvent
from app.realtime.fanout import Fanout
from app.realtime.hub import Hub, HubContext, LoadRuns, LoadSnapshot
from app.realtime.limits import Limits
from app.realtime.live import LiveRun
from app.realtime.log import LogGrew, LogReader
from app.realtime.metrics import watch_event_loop
from app.realtime.publisher import LivePublisher
from app.realtime.subscription import (
    RECHECK_TIMEOUT_SECONDS,
    Reader,
    RunSubscription,
    Subscriber,
    Subscription,
)
from app.realtime.writer import Writer
from app.signals import Signals
from app.store.concurrency import spawn
from app.store.database import Database
from app.store.ids import new_id

logger = logging.getLogger(__name__)

MAX_TICK_SECONDS = 1.0  # between two ticks of the clock
MAX_CONCURRENT_RECHECKS = 250  # they share their queries
HEAD_CHECK_JITTER = 0.25  # of the interval

SomeReader = TypeVar("SomeReader", bound=Reader)


class Hubs:
    """All hubs of this process, one for each project with a subscriber.

    `load_snapshot` reads a project in one transaction; `load_runs` its running turns, with their
    decision and open calls and without texts. `broadcasts` are the message types that `broadcast`
    takes; what other processes broadcast is sent to `received`. Commits of this process are
    learned from the `LogGrew` signals of the database. Use as `async with hubs.serving():`.
    """

    def __init__(
        self,
        database: Database,
        bus: Bus,
        load_snapshot: LoadSnapshot,
        load_runs: LoadRuns,
        *,
        broadcasts: Sequence[type[Any]] = (),
        limits: Limits | None = None,
        signals: Signals | None = None,
    ) -> None:
        self.process = new_id()
        self.limits = limits or Limits()
        self.closing = False
        self.received = Signals()
        self._database = database
        self._signals = signals or database.signals
        self._bus = bus
        self._broadcasts = {kind.__name__: kind for kind in broadcasts}
        self._publisher = LivePublisher(self._deliver_live)
        self._context = HubContext(
            process=self.process,
            database=database,
            bus=bus,
            reader=LogReader(database),
            publisher=self._publisher,
            load_snapshot=load_snapshot,
            load_runs=load_runs,
            limits=self.limits,
        )
        self._hubs: dict[str, Hub] = {}
        self._fanouts: dict[str, Fanout] = {}
        self._subscriptions: set[Subscription] = set()
        self._readers: set[Reader] = set()  # of long polls
        self._messages_lost = asyncio.Event()
        self._unchecked: list[Reader] = []
        self._rechecks: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["Hubs"]:
        """Receive commits and the bus, and keep time, until the block ends."""
        await self._bus.open(self.process, self._on_message, self._on_loss)
        disconnect = self._signals.connect(LogGrew, self._on_log_grew)
        tasks = [
            spawn(self._check_heads(), name="head check"),
            spawn(self._keep_time(), name="hub clock"),
            spawn(watch_event_loop(), name="event loop lag"),
        ]
        try:
            yield self
        finally:
            disconnect()
            self.close()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._context.reader.close()
            await self._bus.close()

    def close(self) -> None:
        """End all subscriptions, so that clients reconnect elsewhere, and refuse new ones."""
        self.closing = True
        for subscription in list(self._subscriptions):
            subscription.end("restart")
        for reader in list(self._readers):
            reader.end("restart")
        for hub in self._hubs.values():
            hub.presence.close()

    # Subscribers

    async def ensure_ready(self, project_id: str) -> None:
        """Raise now what a subscription would meet later, while a status can still be sent.

        Raises `NotFound`, `DatabaseError`, or `ServiceUnavailable` when the server stops.
        """
        self._refuse_when_closing()
        await self._hub(project_id).start()

    async def subscribe(
        self,
        project_id: str,
        subscriber: Subscriber,
        after: str | None,
        writer: Writer,
        *,
        run_id: str | None = None,
        begun: int | None = None,
    ) -> Subscription:
        """Return a subscription to a project, or to one of its runs; `join` it, and `end` it.

        It has ended already when the connection is gone. Raises as `ensure_ready` does.
        """
        self._refuse_when_closing()
        hub = await self._acquire(project_id)
        fanout = self._fanouts[project_id]
        made: Subscription
        common = (hub, fanout, subscriber, after, self.limits, writer)
        if run_id is None:
            made = Subscription(*common, self._on_end, self._request_recheck)
        else:
            made = RunSubscription(
                *common, self._on_end, self._request_recheck, run_id=run_id, begun=begun
            )
        self._subscriptions.add(made)
        metrics.SUBSCRIPTIONS.labels(writer.kind).inc()
        writer.open(made)
        return made

    @asynccontextmanager
    async def reading(
        self, project_id: str, subscriber: Subscriber, after: str, kind: type[SomeReader]
    ) -> AsyncIterator[SomeReader]:
        """A reader without a connection, as for a long poll. Raises as `ensure_ready` does."""
        self._refuse_when_closing()
        hub = await self._acquire(project_id)
        reader = kind(hub, subscriber, after, self.limits)
        self._readers.add(reader)
        try:
            yield reader
        finally:
            self._readers.discard(reader)
            self._release(hub)

    def recheck_user(self, user_id: str) -> None:
        """Check soon whether this person may still read what they follow here."""
        for reader in [*self._subscriptions, *self._readers]:
            if reader.subscriber.user_id == user_id:
                self._request_recheck(reader)

    def _refuse_when_closing(self) -> None:
        if self.closing:
            raise ServiceUnavailable("The server restarts.", retry_after=1)

    def _hub(self, project_id: str) -> Hub:
        hub = self._hubs.get(project_id)
        if hub is None:
            hub = self._hubs[project_id] = Hub(project_id, self._context)
            self._fanouts[project_id] = Fanout(hub, self.limits.slice_subscriptions)
            metrics.HUBS.set(len(self._hubs))
        return hub

    async def _acquire(self, project_id: str) -> Hub:
        """Return the hub, counted as used; an idle one is not head-checked, so it is refreshed."""
        hub = self._hub(project_id)
        stale = not hub.subscribers and hub.ready
        hub.subscribers += 1
        metrics.FOLLOWERS.inc()
        if stale:
            try:
                await hub.refresh()
            except BaseException:
                self._release(hub)
                raise
        return hub

    def _release(self, hub: Hub) -> None:
        hub.subscribers -= 1
        hub.idle_since = asyncio.get_running_loop().time()
        metrics.FOLLOWERS.dec()

    def _on_end(self, subscription: Subscription) -> None:
        self._subscriptions.discard(subscription)
        metrics.SUBSCRIPTIONS.labels(subscription.writer.kind).dec()
        subscription.hub.presence.leave(subscription)
        self._release(subscription.hub)

    # Workers of this process

    def publish_live(self, event: LiveEvent, run: LiveRun) -> None:
        """Publish a live event of a run that this process works on; deltas wait for others.

        A delta's data is `{callId | messageId, offset, text}`; offsets count UTF-16 code units.
        `run` holds the run's texts with this event folded in, and is kept by reference.
        """
        self._publisher.publish(event, run)

    def flush(self, project_id: str) -> None:
        """Deliver the deltas that wait, before a commit that must come after them."""
        self._publisher.flush(project_id)

    def forget_run(self, run_id: str) -> None:
        """Drop the texts of a run: this process works on it no more."""
        self._publisher.forget(run_id)

    def broadcast(self, message: Any) -> None:
        """Send a message of a registered type to `received` in every other process.

        It can be lost: a receiver that depends on it must also poll now and then.
        """
        kind = type(message).__name__
        assert kind in self._broadcasts, f"{kind} is not a registered broadcast"
        payload = msgspec.json.encode(message).decode()
        self._bus.publish(EVERYBODY, Broadcast(kind, payload))

    def _deliver_live(self, event: LiveEvent) -> None:
        if hub := self._hubs.get(event.project_id):
            hub.receive(event)
        self._bus.publish(event.project_id, LiveMessage(event))

    # What the log and the bus report

    def _on_log_grew(self, grown: LogGrew) -> None:
        self.flush(grown.project_id)
        if hub := self._hubs.get(grown.project_id):
            hub.hint(grown.rows[-1].revision, grown.rows)
        self._bus.publish(grown.project_id, LogHint.of(grown.rows))

    def _on_message(self, channel: str, message: Message) -> None:
        hub = self._hubs.get(channel)
        match message:
            case LogHint() if hub:
                # A standby may be behind the rows: its hub must not publish what it can't read.
                rows = () if self._database.reads_standby else message.log_rows()
                hub.hint(message.revision, rows, from_bus=True)
            case LiveMessage(event) if hub and event.project_id == channel:
                hub.receive(event)
            case PresenceReport() if hub:
                hub.presence.receive(message)
            case RunSnapshotRequest(run_id):
                self._publisher.republish(run_id)
            case Broadcast(kind, payload) if kind in self._broadcasts:
                self.received.send(msgspec.json.decode(payload, type=self._broadcasts[kind]))

    def _on_loss(self) -> None:
        """Compare all heads now, since messages of the bus may have been lost."""
        metrics.GAPS.labels("reconnect").inc()
        self._messages_lost.set()
        for hub in self._hubs.values():
            hub.presence.resync()

    # The clock

    def _request_recheck(self, reader: Reader) -> None:
        self._unchecked.append(reader)
        if self._rechecks is None or self._rechecks.done():
            self._rechecks = spawn(self._recheck(), name="rechecks")

    async def _recheck(self) -> None:
        while self._unchecked:
            readers = self._unchecked[:MAX_CONCURRENT_RECHECKS]
            del self._unchecked[:MAX_CONCURRENT_RECHECKS]
            checks = [reader.recheck() for reader in readers if reader.ending is None]
            try:
                async with asyncio.timeout(RECHECK_TIMEOUT_SECONDS):
                    results = await asyncio.gather(*checks, return_exceptions=True)
            except TimeoutError:
                logger.warning("some of %d rechecks timed out", len(checks))
                continue
            for error in filter(None, results):
                logger.error("a recheck failed", exc_info=error)

    async def _check_heads(self) -> None:
        """Compare all used hubs with the log, with one query, every two seconds or on demand."""
        while True:
            jitter = random.uniform(1 - HEAD_CHECK_JITTER, 1 + HEAD_CHECK_JITTER)
            try:
                async with asyncio.timeout(self.limits.head_check * jitter):
                    await self._messages_lost.wait()
            except TimeoutError:
                pass
            self._messages_lost.clear()
            used = [hub for hub in self._hubs.values() if hub.subscribers]
            if not used:
                continue
            try:
                await self._compare_heads(used)
            except Exception as error:  # noqa: BLE001  a lost hint must be noticed later
                metrics.LOG_FAILURES.inc()
                logger.warning("the heads could not be read: %r", error)

    async def _compare_heads(self, used: list[Hub]) -> None:
        seen = {hub.project_id: (hub.restarts, hub.head) for hub in used}
        heads = await log.heads_of(self._database, list(seen))
        for hub in used:
            if head := heads.get(hub.project_id):
                hub.compare(head, seen[hub.project_id], "head_check")
            else:
                for reader in [r for r in [*self._subscriptions, *self._readers] if r.hub is hub]:
                    reader.end("deleted", "deleted")

    async def _keep_time(self) -> None:
        loop = asyncio.get_running_loop()
        tick = min(MAX_TICK_SECONDS, self.limits.heartbeat / 8, self.limits.linger / 8)
        while True:
            await asyncio.sleep(tick)
            try:
                await self._tick(loop.time())
            except Exception:  # the clock must go on: heartbeats and stalled clients depend on it
                logger.exception("a tick of the hub clock failed")

    async def _tick(self, now: float) -> None:
        heartbeats = sum([subscription.tick(now) for subscription in list(self._subscriptions)])
        metrics.WRITES.inc(heartbeats)
        metrics.WRITTEN.inc(heartbeats)
        self._publisher.forget_idle()
        for hub in list(self._hubs.values()):
            hub.drop_caches(now)
            self._fanouts[hub.project_id].drop_caches()
            hub.presence.tick(now)
            if not hub.subscribers and now - hub.idle_since > self.limits.linger:
                await self._drop(hub)

    async def _drop(self, hub: Hub) -> None:
        del self._hubs[hub.project_id], self._fanouts[hub.project_id]
        metrics.HUBS.set(len(self._hubs))
        if hub.subscribed:
            await self._bus.unsubscribe(hub.project_id)
