"""Which Redis server our words and counts go through, and whether as sharded pub/sub."""

import logging
from typing import Any

from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.crc import key_slot
from redis.exceptions import RedisError

logger = logging.getLogger(__name__)

SOCKET = 1.0  # seconds that Redis may take to connect and to answer
PREFIX = "reelroom:"  # then a project id, or nothing for what everybody hears
SHARDED = "reelroom:{bus}:"  # the same in a cluster: the tag puts all of it into one slot
SLOT = key_slot(SHARDED.encode())
SINCE = 7  # version of Redis that brought sharded pub/sub


class RedisHome:
    """The server where all processes meet, found again each time that the bus connects.

    A single server is its own home, as is any node of a cluster before Redis 7, where every
    message goes to every node. In a later cluster it is the node that has our slot, with sharded
    pub/sub, which the other shards hear nothing of.
    """

    def __init__(self, url: str) -> None:
        """`url` is `redis://` or `rediss://`, of one server or of any node of a cluster."""
        self._first: Any = Redis.from_url(
            url,
            socket_timeout=SOCKET,
            socket_connect_timeout=SOCKET,
            socket_keepalive=True,
            retry=Retry(NoBackoff(), 0),
            retry_on_timeout=False,
            health_check_interval=0,
        )
        self._nodes: dict[tuple[str, int], Any] = {}  # of the cluster, as far as we know it
        self.client = self._first
        self.sharded = False

    @property
    def prefix(self) -> str:
        return SHARDED if self.sharded else PREFIX

    async def eval(self, script: str, key: str, *words: str) -> Any:
        """Run a script on one key, which lies where the bus does, so that any node will do."""
        return await self.client.eval(script, 1, self.prefix + key, *words)

    async def ping(self) -> bool:
        return bool(await self.client.ping())

    async def find(self) -> None:
        """Set `client` and `sharded`. Raises what Redis raises when no known node answers."""
        error: Exception | None = None
        for known in (self.client, self._first, *list(self._nodes.values())):
            try:
                self.client, self.sharded = await self._ask(known)
            except (RedisError, OSError, TimeoutError) as failure:
                error = error or failure
            else:
                return
        raise error or OSError("no node of Redis is known")

    async def close(self) -> None:
        for client in {self._first, *self._nodes.values()}:
            await client.aclose()

    async def _ask(self, known: Any) -> tuple[Any, bool]:
        try:
            cluster = await known.info("cluster")
            version = str((await known.info("server")).get("redis_version", "0"))
            if not cluster.get("cluster_enabled") or int(version.split(".")[0]) < SINCE:
                return known, False
            slots = await known.execute_command("CLUSTER SLOTS")
        except (TypeError, ValueError) as odd:
            logger.warning("Redis does not say what it is: %r", odd)
            return known, False
        nodes = {self._address(known, node) for _, _, *some in slots for node in some}
        for address in nodes - self._nodes.keys():
            self._nodes[address] = self._client_of(known, *address)
        for first, last, owner, *_ in slots:
            if first <= SLOT <= last:
                return self._nodes[self._address(known, owner)], True
        raise OSError("no node of the cluster has our slot")

    def _address(self, known: Any, node: Any) -> tuple[str, int]:
        """A node's place; one without a name is where we asked."""
        host = node[0].decode() if isinstance(node[0], bytes) else node[0]
        return host or known.connection_pool.connection_kwargs["host"], int(node[1])

    def _client_of(self, known: Any, host: str, port: int) -> Any:
        pool = known.connection_pool
        options = {**pool.connection_kwargs, "host": host, "port": port}
        return Redis.from_pool(ConnectionPool(connection_class=pool.connection_class, **options))
