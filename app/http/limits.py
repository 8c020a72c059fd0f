"""Rate limits: one window for each limit and key, shared through Redis."""

import asyncio
import hashlib
import math
import time
from collections.abc import Callable
from typing import Any, Protocol

from app.problems import RateLimited

REDIS_TIMEOUT_SECONDS = 0.05  # for one command
REDIS_PAUSE_SECONDS = 1.0  # after a failure, until Redis is used again
MAX_WINDOWS = 20_000  # counted in this process
COUNT_SCRIPT = """
local count = redis.call('INCR', KEYS[1])
local left = redis.call('PTTL', KEYS[1])
if left < 0 then
    redis.call('PEXPIRE', KEYS[1], ARGV[1])
    left = tonumber(ARGV[1])
end
return {count, left}
"""


class Redis(Protocol):
    """The part of a Redis client that counting needs."""

    async def eval(self, script: str, key: str, *words: str) -> Any:
        """Run a Lua script on one key."""


class Limiter:
    """Counts in Redis, or in this process when there is none or it does not answer in time.

    Redis must answer within `redis_seconds`; `fallbacks` counts how often it did not.
    """

    def __init__(
        self,
        redis: Redis | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        redis_seconds: float = REDIS_TIMEOUT_SECONDS,
    ) -> None:
        self.redis = redis
        self.clock = clock
        self.redis_seconds = redis_seconds
        self.fallbacks = 0
        self._away_until = -math.inf
        self._windows: dict[tuple[str, str], tuple[int, float]] = {}

    async def hit(self, limit: str, key: str, *, max_hits: int, seconds: float) -> None:
        """Count one hit of `key`; raise `RateLimited` above `max_hits` within `seconds`.

        Limits of different names never share a count.
        """
        shared = await self._hit_redis(limit, key, seconds)
        count, left = shared or self._hit_local(limit, key, seconds)
        if count > max_hits:
            raise RateLimited(retry_after=max(1, math.ceil(left)))

    async def _hit_redis(self, limit: str, key: str, seconds: float) -> tuple[int, float] | None:
        if self.redis is None or self.clock() < self._away_until:
            return None
        from redis.exceptions import RedisError  # late: a server without Redis does not need it

        name = f"limit:{limit}:{hashlib.sha256(key.encode()).hexdigest()[:32]}"
        try:
            async with asyncio.timeout(self.redis_seconds):
                answer: Any = await self.redis.eval(COUNT_SCRIPT, name, str(round(seconds * 1000)))
        except (RedisError, OSError, TimeoutError):
            self.fallbacks += 1
            self._away_until = self.clock() + REDIS_PAUSE_SECONDS
            return None
        return int(answer[0]), int(answer[1]) / 1000

    def _hit_local(self, limit: str, key: str, seconds: float) -> tuple[int, float]:
        now = self.clock()
        count, end = self._windows.get((limit, key), (0, 0.0))
        if end <= now:
            self._windows.pop((limit, key), None)
            count, end = 0, now + seconds
        self._windows[limit, key] = count + 1, end
        if len(self._windows) > MAX_WINDOWS:
            self._evict(now)
        return count + 1, end - now

    def _evict(self, now: float) -> None:
        """Drop the windows that have ended; if too many are left, the oldest half of the limit."""
        self._windows = {key: value for key, value in self._windows.items() if value[1] > now}
        if len(self._windows) > MAX_WINDOWS:
            for key in list(self._windows)[: MAX_WINDOWS // 2]:
                del self._windows[key]
