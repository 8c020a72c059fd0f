"""The bus between processes over Redis pub/sub: one server, or a cluster with sharded pub/sub."""

import asyncio
import logging
import random
import time
from collections import Counter, deque
from typing import Any

from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.crc import key_slot
from redis.exceptions import RedisError

from app.realtime import metrics
from app.realtime.bus.messages import EVERYBODY, Message, OnLoss, OnMessage, deliver, encode
from app.realtime.bus.redis_pushes import Push, PushReceiver
from app.store.concurrency import spawn

logger = logging.getLogger(__name__)

PUBLISH_TIMEOUT_SECONDS = 0.25  # for one batch to be published
MAX_QUEUED_MESSAGES = 1024  # messages that wait to be published; the oldest are dropped first
MAX_BATCH_MESSAGES = 64  # messages published with one round trip
MAX_MESSAGE_BYTES = 4_000_000
ACKNOWLEDGE_TIMEOUT_SECONDS = 0.5  # for a subscription; then a hub goes on with the log alone
SILENCE_CHECK_SECONDS = 1.0  # between two looks at how long the connection has been silent
PROBE_AFTER_SECONDS = 5.0  # of silence
GIVE_UP_AFTER_SECONDS = 10.0  # of silence
CANCEL_AGAIN_SECONDS = 0.1  # after which a task that goes on is cancelled again
BACKOFF_SECONDS = (0.05, 2.0)  # between two attempts to connect: least and most, doubling, jittered
SOCKET_TIMEOUT_SECONDS = 1.0  # for Redis to accept a connection and to answer a command
CHANNEL_PREFIX = "reelroom:"  # of channel names on one server; a project id follows, or nothing
SHARDED_CHANNEL_PREFIX = "reelroom:{bus}:"  # the hash tag puts all channels into one slot
SLOT = key_slot(SHARDED_CHANNEL_PREFIX.encode())
MIN_SHARDED_VERSION = 7  # the version of Redis that has sharded pub/sub
FAULTS = (RedisError, OSError, TimeoutError, RuntimeError, ValueError)


class RedisServer:
    """The server that carries the bus and the rate limits, located again at each reconnect.

    That is the given server, also for a cluster before Redis 7, which sends every message to all
    nodes. In a later cluster it is the node that owns the slot of our channels, with sharded
    pub/sub, which loads no other node.
    """

    def __init__(self, url: str) -> None:
        """`url` is `redis://` or `rediss://`, of one server or of any node of a cluster."""
        self._first: Any = Redis.from_url(
            url,
            socket_timeout=SOCKET_TIMEOUT_SECONDS,
            socket_connect_timeout=SOCKET_TIMEOUT_SECONDS,
            socket_keepalive=True,
            retry=Retry(NoBackoff(), 0),
            retry_on_timeout=False,
            health_check_interval=0,
        )
        self._nodes: dict[tuple[str, int], Any] = {}  # known nodes of the cluster
        self.client = self._first
        self.sharded = False

    @property
    def prefix(self) -> str:
        return SHARDED_CHANNEL_PREFIX if self.sharded else CHANNEL_PREFIX

    async def eval(self, script: str, key: str, *arguments: str) -> Any:
        """Run a Lua script on one key, which lies in the slot of the bus."""
        return await self.client.eval(script, 1, self.prefix + key, *arguments)

    async def ping(self) -> bool:
        return bool(await self.client.ping())

    async def locate(self) -> None:
        """Set `client` and `sharded`. Raises the first error when no known node answers."""
        error: Exception | None = None
        for known in (self.client, self._first, *list(self._nodes.values())):
            try:
                self.client, self.sharded = await self._inspect(known)
            except (RedisError, OSError, TimeoutError) as failure:
                error = error or failure
            else:
                return
        raise error or OSError("no node of Redis is known")

    async def close(self) -> None:
        for client in {self._first, *self._nodes.values()}:
            await client.aclose()

    async def _inspect(self, known: Any) -> tuple[Any, bool]:
        try:
            cluster = await known.info("cluster")
            version = str((await known.info("server")).get("redis_version", "0"))
            if (
                not cluster.get("cluster_enabled")
                or int(version.split(".")[0]) < MIN_SHARDED_VERSION
            ):
                return known, False
            slots = await known.execute_command("CLUSTER SLOTS")
        except (TypeError, ValueError) as error:
            logger.warning("Redis: an unexpected answer to INFO or CLUSTER SLOTS: %r", error)
            return known, False
        nodes = {self._address(known, node) for _, _, *some in slots for node in some}
        for address in nodes - self._nodes.keys():
            self._nodes[address] = self._client_for(known, *address)
        for first, last, owner, *_ in slots:
            if first <= SLOT <= last:
                return self._nodes[self._address(known, owner)], True
        raise OSError("no node of the cluster owns the slot of the bus")

    def _address(self, known: Any, node: Any) -> tuple[str, int]:
        """A node's host and port; a node without a host is the one that was asked."""
        host = node[0].decode() if isinstance(node[0], bytes) else node[0]
        return host or known.connection_pool.connection_kwargs["host"], int(node[1])

    def _client_for(self, known: Any, host: str, port: int) -> Any:
        pool = known.connection_pool
        options = {**pool.connection_kwargs, "host": host, "port": port}
        return Redis.from_pool(ConnectionPool(connection_class=pool.connection_class, **options))


class RedisBus:
    """One connection that receives and one that publishes; each is replaced when it fails."""

    def __init__(
        self,
        url: str,
        *,
        probe_after: float = PROBE_AFTER_SECONDS,
        give_up_after: float = GIVE_UP_AFTER_SECONDS,
    ) -> None:
        """`url` is `redis://` or `rediss://`: one server, or any node of a cluster.

        The connection is probed after so many seconds of silence, and then given up.
        """
        self.probe_after, self.give_up_after = probe_after, give_up_after
        self.server = RedisServer(url)
        self._process = ""
        self._on_message: OnMessage | None = None
        self._on_loss: OnLoss | None = None
        self._wanted = Counter([EVERYBODY])
        self._pubsub: PubSub | None = None
        self._acked: set[str] = set()
        self._late: set[str] = set()  # acknowledged after the wait was over
        self._broken = False  # a subscription failed: the reader must reconnect
        self._changed = asyncio.Event()  # an acknowledgement came
        self._order = asyncio.Lock()  # one command on the subscribed connection at a time
        self._queue: deque[tuple[str, Message]] = deque()
        self._nonempty = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._received_at = 0.0  # monotonic, in seconds

    async def open(self, process: str, on_message: OnMessage, on_loss: OnLoss) -> None:
        """Start to receive; Redis need not be reachable yet."""
        self._process, self._on_message, self._on_loss = process, on_message, on_loss
        self._tasks = [
            spawn(self._receive(), name="bus reader"),
            spawn(self._publish(), name="bus writer"),
        ]

    async def close(self) -> None:
        """End both connections, within about a second even when Redis does not answer."""
        running = set(self._tasks)
        while running:  # redis-py may turn a cancellation into an error, which the loops survive
            for task in running:
                task.cancel()
            _, running = await asyncio.wait(running, timeout=CANCEL_AGAIN_SECONDS)
        await self.server.close()

    async def subscribe(self, channel: str) -> None:
        self._wanted[channel] += 1
        if self._wanted[channel] == 1:
            await self._reconcile(channel)
        try:
            async with asyncio.timeout(ACKNOWLEDGE_TIMEOUT_SECONDS):
                while channel not in self._acked:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            self._late.add(channel)

    async def unsubscribe(self, channel: str) -> None:
        self._wanted[channel] -= 1
        if self._wanted[channel] <= 0:
            await self._reconcile(channel)

    def publish(self, channel: str, message: Message) -> None:
        if len(self._queue) >= MAX_QUEUED_MESSAGES:
            self._queue.popleft()
            metrics.BUS.labels("overflow").inc()
        self._queue.append((channel, message))
        self._nonempty.set()

    async def connected(self) -> bool:
        """Whether Redis answers now."""
        try:
            async with asyncio.timeout(SOCKET_TIMEOUT_SECONDS):
                return bool(await self.server.client.ping())
        except FAULTS:
            return False

    async def _reconcile(self, channel: str) -> None:
        """Subscribe or unsubscribe one channel as it is wanted now, not when this was called."""
        async with self._order:
            pubsub = self._pubsub
            if pubsub is None or not pubsub.connection or not pubsub.connection.is_connected:
                return  # all wanted channels are subscribed when it connects
            try:
                async with asyncio.timeout(SOCKET_TIMEOUT_SECONDS):
                    if self._wanted[channel] > 0:
                        await self._send_subscribe(pubsub, [channel])
                    else:
                        del self._wanted[channel]
                        self._acked.discard(channel)
                        sharded = self.server.sharded
                        leave = pubsub.sunsubscribe if sharded else pubsub.unsubscribe
                        await leave(self.server.prefix + channel)
            except Exception as error:  # noqa: BLE001  redis-py raises many kinds while it reconnects
                self._broken = True
                logger.warning("Redis: subscribing failed: %r", error)

    async def _receive(self) -> None:
        """Connect and receive, again and again whatever happens, until cancelled."""
        failures, loop = 0, asyncio.get_running_loop()
        while True:
            pubsub: PubSub | None = None
            began = loop.time()
            try:
                async with asyncio.timeout(3 * SOCKET_TIMEOUT_SECONDS):
                    await self.server.locate()
                pubsub = self.server.client.pubsub()
                await self._receive_from(pubsub)
            except Exception as error:  # noqa: BLE001  without a reader this process receives nothing
                metrics.BUS.labels("disconnected").inc()
                logger.warning("Redis: the subscription broke: %r", error)
            finally:
                self._pubsub = None
                self._acked.clear()
                metrics.BUS_UP.set(0)
                if pubsub:
                    await _discard(pubsub)
            failures = failures + 1 if loop.time() - began < self.give_up_after else 0
            least, most = BACKOFF_SECONDS
            ceiling = min(most, least * 2 ** min(failures, 10))
            await asyncio.sleep(random.uniform(least, max(least, ceiling)))

    async def _receive_from(self, pubsub: PubSub) -> None:
        """Receive until the connection has been silent too long. Raises what breaks it."""
        async with self._order:
            async with asyncio.timeout(2 * SOCKET_TIMEOUT_SECONDS):
                self._wanted = +self._wanted  # drops channels that are wanted no more
                await self._send_subscribe(pubsub, list(self._wanted))
            self._pubsub, self._broken = pubsub, False
            async with asyncio.timeout(2 * SOCKET_TIMEOUT_SECONDS):
                await self.server.client.ping()  # opens the connection that publishes
        metrics.BUS_UP.set(1)
        self._received_at, probed = time.monotonic(), False
        receiver = PushReceiver(pubsub, self._handle)
        await receiver.start()
        while not self._broken:
            received_at = self._received_at
            try:
                async with asyncio.timeout(SILENCE_CHECK_SECONDS):
                    await receiver.failed.wait()
            except TimeoutError:
                silent = time.monotonic() - self._received_at
            if receiver.error:
                raise receiver.error
            if self._received_at > received_at:
                probed = False
            elif silent > self.give_up_after:
                return
            elif silent > self.probe_after and not probed:
                probed = True
                await pubsub.ping()
        raise RedisError("the subscriptions are unknown")

    async def _send_subscribe(self, pubsub: PubSub, channels: list[str]) -> None:
        names = [self.server.prefix + channel for channel in channels]
        await (pubsub.ssubscribe(*names) if self.server.sharded else pubsub.subscribe(*names))

    def _handle(self, pushes: list[Push]) -> None:
        self._received_at = time.monotonic()
        for kind, name, data in pushes:
            if kind in (b"message", b"smessage") and self._on_message:
                if len(data) > MAX_MESSAGE_BYTES:
                    metrics.BUS.labels("poison").inc()
                else:
                    deliver(self._process, self._on_message, self._channel(name), data)
            elif kind in (b"subscribe", b"ssubscribe"):
                self._acknowledge(self._channel(name))
            elif kind == b"sunsubscribe" and self._wanted[self._channel(name)] > 0:
                raise RedisError("the slot of the bus has moved to another node")

    def _channel(self, name: bytes) -> str:
        return name.decode(errors="replace").removeprefix(self.server.prefix)

    def _acknowledge(self, channel: str) -> None:
        """Note a subscription. Unasked, late or after a reconnect, messages may have been lost."""
        lossy = channel == EVERYBODY or channel in self._acked or channel in self._late
        self._late.discard(channel)
        self._acked.add(channel)
        self._changed.set()
        if lossy and self._on_loss:
            self._on_loss()

    async def _publish(self) -> None:
        """Publish what waits, in order. What fails twice is lost; hubs then find it in the log."""
        failing = False
        while True:
            await self._nonempty.wait()
            count = min(MAX_BATCH_MESSAGES, len(self._queue))
            batch = [self._queue.popleft() for _ in range(count)]
            if not self._queue:
                self._nonempty.clear()
            if not batch:
                continue
            try:
                try:
                    async with asyncio.timeout(PUBLISH_TIMEOUT_SECONDS):
                        await self._send(batch)
                except RedisError:  # perhaps the server has moved; a duplicate does no harm
                    async with asyncio.timeout(2 * PUBLISH_TIMEOUT_SECONDS):
                        await self.server.locate()
                        await self._send(batch)
                metrics.BUS.labels("published").inc(len(batch))
                failing = False
            except FAULTS as error:
                metrics.BUS.labels("failed").inc(len(batch))
                if not failing:
                    logger.warning("Redis: publishing failed: %r", error)
                failing = True
                await asyncio.sleep(PUBLISH_TIMEOUT_SECONDS * random.random())

    async def _send(self, batch: list[tuple[str, Message]]) -> None:
        pipe = self.server.client.pipeline(transaction=False)
        publish = "SPUBLISH" if self.server.sharded else "PUBLISH"
        for channel, message in batch:
            pipe.execute_command(
                publish, self.server.prefix + channel, encode(self._process, message)
            )
        await pipe.execute()


async def _discard(connection: Any) -> None:
    try:
        async with asyncio.timeout(SOCKET_TIMEOUT_SECONDS):
            await connection.aclose()
    except FAULTS:
        logger.debug("Redis: a broken connection did not close")
