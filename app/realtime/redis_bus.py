"""The bus between processes over Redis pub/sub."""

import asyncio
import logging
import random
import time
from collections import Counter, deque
from typing import Any

from redis.asyncio.client import PubSub
from redis.exceptions import RedisError

from app.realtime import metrics
from app.realtime.bus import EVERYBODY, Ears, Word, deliver, pack
from app.realtime.redis_home import SOCKET, RedisHome
from app.realtime.redis_pushes import Push, Pushes
from app.store.tasks import spawn

logger = logging.getLogger(__name__)

PUBLISH = 0.25  # seconds that one batch may take to be published
WAITING = 1024  # words that wait to be published; the oldest go first
BATCH = 64
LETTER_MOST = 4_000_000  # bytes
ACK = 0.5  # seconds that a reader waits to be subscribed before it goes on with the log alone
LISTEN = 1.0  # seconds between two looks at how long it has been silent
PING = 5.0  # seconds of silence after which the connection is probed
DEAD = 10.0  # seconds of silence after which it is given up
STOP = 0.1  # seconds after which a task that goes on is told to stop again
BACKOFF = (0.05, 2.0)  # seconds between attempts to connect, doubling, with full jitter
FAULTS = (RedisError, OSError, TimeoutError, RuntimeError, ValueError)


class RedisBus:
    """One connection that listens, one that publishes; each is replaced when it fails."""

    def __init__(self, url: str) -> None:
        """`url` is `redis://` or `rediss://`: one server, or any node of a cluster."""
        self.home = RedisHome(url)
        self._ears: Ears | None = None
        self._wanted = Counter([EVERYBODY])
        self._pubsub: PubSub | None = None
        self._acked: set[str] = set()
        self._late: set[str] = set()  # nobody waits for their acknowledgement any more
        self._in_doubt = False  # a subscription failed: the reader is to start again
        self._changed = asyncio.Event()  # an acknowledgement came
        self._order = asyncio.Lock()  # subscribing and unsubscribing go out in turn
        self._queue: deque[tuple[str, Word]] = deque()
        self._filled = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._heard = 0.0  # when Redis said something last

    async def open(self, ears: Ears) -> None:
        """Start listening; Redis need not be there yet."""
        self._ears = ears
        self._tasks = [
            spawn(self._listen(), name="bus reader"),
            spawn(self._publish(), name="bus writer"),
        ]

    async def close(self) -> None:
        """End both connections, within a second or so even when Redis answers nothing."""
        running = set(self._tasks)
        while running:  # redis-py may take a cancellation for an error of its own, which we survive
            for task in running:
                task.cancel()
            _, running = await asyncio.wait(running, timeout=STOP)
        await self.home.close()

    async def follow(self, project_id: str) -> None:
        self._wanted[project_id] += 1
        if self._wanted[project_id] == 1:
            await self._reconcile(project_id)
        try:
            async with asyncio.timeout(ACK):
                while project_id not in self._acked:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            self._late.add(project_id)

    async def unfollow(self, project_id: str) -> None:
        self._wanted[project_id] -= 1
        if self._wanted[project_id] <= 0:
            await self._reconcile(project_id)

    def publish(self, channel: str, word: Word) -> None:
        if len(self._queue) >= WAITING:
            self._queue.popleft()
            metrics.BUS.labels("overflow").inc()
        self._queue.append((channel, word))
        self._filled.set()

    async def connected(self) -> bool:
        """Whether Redis answers now."""
        try:
            async with asyncio.timeout(SOCKET):
                return bool(await self.home.client.ping())
        except FAULTS:
            return False

    async def _reconcile(self, channel: str) -> None:
        """Bring one subscription to what is wanted now, whatever was wanted when we were called."""
        async with self._order:
            pubsub = self._pubsub
            if pubsub is None or not pubsub.connection or not pubsub.connection.is_connected:
                return  # the reader subscribes to all that is wanted when it connects
            try:
                async with asyncio.timeout(SOCKET):
                    if self._wanted[channel] > 0:
                        await self._subscribe(pubsub, [channel])
                    else:
                        del self._wanted[channel]
                        self._acked.discard(channel)
                        sharded = self.home.sharded
                        leave = pubsub.sunsubscribe if sharded else pubsub.unsubscribe
                        await leave(self.home.prefix + channel)
            except Exception as error:  # noqa: BLE001  redis-py has its own while it reconnects
                self._in_doubt = True
                logger.warning("Redis: subscribing failed: %r", error)

    async def _listen(self) -> None:
        """Connect, listen, and start again whatever happens, until cancelled."""
        failures, loop = 0, asyncio.get_running_loop()
        while True:
            pubsub: PubSub | None = None
            began = loop.time()
            try:
                async with asyncio.timeout(3 * SOCKET):
                    await self.home.find()
                pubsub = self.home.client.pubsub()
                await self._listen_to(pubsub)
            except Exception as error:  # noqa: BLE001  a dead reader is a deaf process
                metrics.BUS.labels("disconnected").inc()
                logger.warning("Redis: the subscription broke: %r", error)
            finally:
                self._pubsub = None
                self._acked.clear()
                metrics.BUS_UP.set(0)
                if pubsub:
                    await _discard(pubsub)
            failures = failures + 1 if loop.time() - began < DEAD else 0
            least, most = BACKOFF
            ceiling = min(most, least * 2 ** min(failures, 10))
            await asyncio.sleep(random.uniform(least, max(least, ceiling)))

    async def _listen_to(self, pubsub: PubSub) -> None:
        """Return when it has fallen silent; raise what breaks it."""
        async with self._order:
            async with asyncio.timeout(2 * SOCKET):
                self._wanted = +self._wanted  # without those that nobody wants any more
                await self._subscribe(pubsub, list(self._wanted))
            self._pubsub, self._in_doubt = pubsub, False
            async with asyncio.timeout(2 * SOCKET):
                await self.home.client.ping()  # the writer finds a connection, TLS and all
        metrics.BUS_UP.set(1)
        pushes = Pushes(pubsub)
        self._heard, probed = time.monotonic(), False
        while True:
            began = time.monotonic()
            try:
                async with asyncio.timeout(LISTEN):
                    while not self._in_doubt:
                        self._take(await pushes.read())
            except TimeoutError:
                silent = time.monotonic() - self._heard
            if self._in_doubt:
                raise RedisError("nobody knows what we are subscribed to")
            if self._heard >= began:
                probed = False
            elif silent > DEAD:
                return
            elif silent > PING and not probed:
                probed = True
                await pubsub.ping()

    async def _subscribe(self, pubsub: PubSub, channels: list[str]) -> None:
        names = [self.home.prefix + channel for channel in channels]
        await (pubsub.ssubscribe(*names) if self.home.sharded else pubsub.subscribe(*names))

    def _take(self, pushes: list[Push]) -> None:
        self._heard = time.monotonic()
        for kind, name, data in pushes:
            if kind in (b"message", b"smessage") and self._ears:
                if len(data) > LETTER_MOST:
                    metrics.BUS.labels("poison").inc()
                else:
                    deliver(self._ears, self._channel(name), data)
            elif kind in (b"subscribe", b"ssubscribe"):
                self._subscribed(self._channel(name))
            elif kind == b"sunsubscribe" and self._wanted[self._channel(name)] > 0:
                raise RedisError("our slot has moved to another node")

    def _channel(self, name: bytes) -> str:
        return name.decode(errors="replace").removeprefix(self.home.prefix)

    def _subscribed(self, channel: str) -> None:
        """Again without being asked, late, or on a new connection: words may have been lost."""
        lossy = channel == EVERYBODY or channel in self._acked or channel in self._late
        self._late.discard(channel)
        self._acked.add(channel)
        self._changed.set()
        if lossy and self._ears:
            self._ears.suspect()

    async def _publish(self) -> None:
        """Send what waits, in order; what fails twice is lost: hubs ask the log, runs are asked."""
        failing = False
        while True:
            await self._filled.wait()
            batch = [self._queue.popleft() for _ in range(min(BATCH, len(self._queue)))]
            if not self._queue:
                self._filled.clear()
            if not batch:
                continue
            try:
                try:
                    async with asyncio.timeout(PUBLISH):
                        await self._send(batch)
                except RedisError:  # the server has moved, perhaps; a word twice does no harm
                    async with asyncio.timeout(2 * PUBLISH):
                        await self.home.find()
                        await self._send(batch)
                metrics.BUS.labels("published").inc(len(batch))
                failing = False
            except FAULTS as error:
                metrics.BUS.labels("failed").inc(len(batch))
                if not failing:
                    logger.warning("Redis: publishing failed: %r", error)
                failing = True
                await asyncio.sleep(PUBLISH * random.random())

    async def _send(self, batch: list[tuple[str, Word]]) -> None:
        sender = self._ears.name if self._ears else ""
        pipe = self.home.client.pipeline(transaction=False)
        publish = "SPUBLISH" if self.home.sharded else "PUBLISH"
        for channel, word in batch:
            pipe.execute_command(publish, self.home.prefix + channel, pack(sender, word))
        await pipe.execute()


async def _discard(connection: Any) -> None:
    try:
        async with asyncio.timeout(SOCKET):
            await connection.aclose()
    except FAULTS:
        logger.debug("Redis: a broken connection did not close")
