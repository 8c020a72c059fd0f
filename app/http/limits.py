"""How often something may be tried: one window for each limit and key, shared through Redis."""

import asyncio
import hashlib
import math
import time
from collections.abc import Callable
from typing import Any, Protocol

from app.problems import RateLimited

REDIS_SECONDS = 0.05  # how long a request waits for Redis
REDIS_PAUSE = 1.0  # seconds without Redis after it failed
KEYS_MOST = 20_000  # of the windows held in this process
COUNT = """
local count = redis.call('INCR', KEYS[1])
local left = redis.call('PTTL', KEYS[1])
if left < 0 then
    redis.call('PEXPIRE', KEYS[1], ARGV[1])
    left = tonumber(ARGV[1])
end
return {count, left}
"""


class Redis(Protocol):
    """The part of Redis that counting needs."""

    async def eval(self, script: str, key: str, *words: str) -> Any:
        """Run a script on one key."""


class Limiter:
    """Counts in Redis, or in this process when there is none or it does not answer in time.

    `redis_seconds` is how long a request waits for Redis; `fallbacks` counts how often Redis did
    not answer within it.
    """

    def __init__(
        self,
        redis: Redis | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        redis_seconds: float = REDIS_SECONDS,
    ) -> None:
        self.redis = redis
        self.clock = clock
        self.redis_seconds = redis_seconds
        self.fallbacks = 0
        self._away_until = -math.inf
        self._windows: dict[tuple[str, str], tuple[int, float]] = {}

    async def hit(self, limit: str, key: str, *, most: int, per: float) -> None:
        """Count one try of `key`; raise `RateLimited` from the `most + 1`st within `per` seconds.

        Limits of different names never share a count.
        """
        found = await self._shared(limit, key, per)
        count, left = found or self._local(limit, key, per)
        if count > most:
            raise RateLimited(retry_after=max(1, math.ceil(left)))

    async def _shared(self, limit: str, key: str, per: float) -> tuple[int, float] | None:
        if self.redis is None or self.clock() < self._away_until:
            return None
        from redis.exceptions import RedisError  # late: most servers of one process do without

        name = f"limit:{limit}:{hashlib.sha256(key.encode()).hexdigest()[:32]}"
        try:
            async with asyncio.timeout(self.redis_seconds):
                answer: Any = await self.redis.eval(COUNT, name, str(round(per * 1000)))
        except (RedisError, OSError, TimeoutError):
            self.fallbacks += 1
            self._away_until = self.clock() + REDIS_PAUSE
            return None
        return int(answer[0]), int(answer[1]) / 1000

    def _local(self, limit: str, key: str, per: float) -> tuple[int, float]:
        now = self.clock()
        count, end = self._windows.get((limit, key), (0, 0.0))
        if end <= now:
            self._windows.pop((limit, key), None)
            count, end = 0, now + per
        self._windows[limit, key] = count + 1, end
        if len(self._windows) > KEYS_MOST:
            self._forget(now)
        return count + 1, end - now

    def _forget(self, now: float) -> None:
        """Drop the windows that are over; then the oldest, so that memory stays bounded."""
        self._windows = {key: value for key, value in self._windows.items() if value[1] > now}
        if len(self._windows) > KEYS_MOST:
            for key in list(self._windows)[: KEYS_MOST // 2]:
                del self._windows[key]
