"""Each limit counts alone, in one process and through Redis; a lost Redis refuses no request."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from app.http.limits import MAX_WINDOWS, Limiter
from app.problems import RateLimited
from app.realtime.bus.redis import RedisServer
from app.store.ids import new_id


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def at(url: str) -> AsyncIterator[RedisServer]:
    home = RedisServer(url)
    yield home
    await home.close()


def limiter_with_long_timeout(redis: RedisServer) -> Limiter:
    """A limiter with a long timeout, so that a loaded machine causes no fallback."""
    return Limiter(redis, redis_seconds=10.0)


async def refused(
    limiter: Limiter, limit: str, key: str, max_hits: int, seconds: float = 60
) -> bool:
    try:
        await limiter.hit(limit, key, max_hits=max_hits, seconds=seconds)
    except RateLimited:
        return True
    return False


async def test_limits_and_keys_share_no_count() -> None:
    limiter = Limiter()
    for _ in range(6):
        assert not await refused(limiter, "wide", "me", 100)
    for _ in range(5):
        assert not await refused(limiter, "narrow", "me", 5)
    assert await refused(limiter, "narrow", "me", 5)
    assert not await refused(limiter, "narrow", "you", 5)


async def test_a_window_ends_at_the_time_it_announces() -> None:
    clock = Clock()
    limiter = Limiter(clock=clock)
    await limiter.hit("one", "me", max_hits=1, seconds=60)
    clock.now += 29.5
    with pytest.raises(RateLimited) as limited:
        await limiter.hit("one", "me", max_hits=1, seconds=60)
    assert limited.value.retry_after == 31
    clock.now += 30.5
    assert not await refused(limiter, "one", "me", 1)


async def test_memory_stays_bounded_for_any_number_of_keys() -> None:
    clock = Clock()
    limiter = Limiter(clock=clock)
    for number in range(2 * MAX_WINDOWS):
        await limiter.hit("one", str(number), max_hits=1, seconds=60)
    assert len(limiter._windows) <= MAX_WINDOWS


async def test_two_processes_share_a_count_through_redis(redis_url: str) -> None:
    async with at(redis_url) as one, at(redis_url) as two:
        first, second, me = limiter_with_long_timeout(one), limiter_with_long_timeout(two), new_id()
        answers = await asyncio.gather(
            *(refused((first, second)[number % 2], "shared", me, 7) for number in range(20))
        )
        assert answers.count(False) == 7
        assert first.fallbacks == second.fallbacks == 0
        with pytest.raises(RateLimited) as limited:
            await first.hit("shared", me, max_hits=7, seconds=60)
        assert limited.value.retry_after is not None
        assert 55 <= limited.value.retry_after <= 60


async def test_an_error_of_redis_refuses_no_request(redis_url: str) -> None:
    async with at(redis_url) as redis:
        limiter, limit = limiter_with_long_timeout(redis), new_id()
        assert not await refused(limiter, limit, "me", 1)
        (key,) = await redis.client.keys(f"*{limit}*")
        await redis.client.delete(key)
        await redis.client.lpush(key, "not a number")
        assert not await refused(limiter, limit, "me", 1)
        assert limiter.fallbacks == 1


async def test_an_unreachable_redis_is_no_error_and_is_counted() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    async with at(f"redis://127.0.0.1:{port}") as redis:
        limiter = Limiter(redis)
        answers = [await refused(limiter, "one", "me", 2) for _ in range(3)]
        assert answers == [False, False, True]
        assert limiter.fallbacks == 1


async def test_a_hanging_redis_times_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        async with at(f"redis://127.0.0.1:{silent.getsockname()[1]}") as redis:
            limiter = Limiter(redis)
            began = time.monotonic()
            answers = await asyncio.gather(
                *(refused(limiter, "one", "me", 10) for _ in range(10)),
                *(refused(limiter, "two", "me", 10) for _ in range(10)),
            )
            assert not any(answers)
            assert time.monotonic() - began < 30
            assert limiter.fallbacks >= 1
