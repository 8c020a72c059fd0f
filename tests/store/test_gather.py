"""Look-ups that come together cost one query, and fail or stop each for themselves."""

import asyncio

import pytest

from app.problems import DatabaseError
from app.store import gather
from app.store.gather import LANES, Gathered


class Asked:
    """Squares, found when the test says so."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.go = asyncio.Event()
        self.failure: Exception | None = None

    async def find(self, keys: list[int]) -> dict[int, int]:
        self.batches.append(keys)
        await self.go.wait()
        if self.failure:
            raise self.failure
        return {key: key * key for key in keys if key >= 0}


async def test_who_asks_at_once_shares_a_query() -> None:
    asked = Asked()
    asked.go.set()
    squares = Gathered("squares", asked.find)
    found = await asyncio.gather(*(squares.get(key) for key in (3, 4, 3, -1)))
    assert found == [9, 16, 9, None]
    assert asked.batches == [[3, 4, -1]]
    assert await squares.get(5) == 25
    assert asked.batches[1:] == [[5]]


async def test_who_comes_while_queries_run_is_in_the_next_and_never_in_a_running_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gather, "LONG", -1.0)  # every query takes long
    asked = Asked()
    squares = Gathered("squares", asked.find)
    answers = []
    for key in range(10):
        answers.append(asyncio.create_task(squares.get(key % 3)))
        await asyncio.sleep(0)  # its query starts, if there is a lane
        await asyncio.sleep(0)
    assert [len(batch) for batch in asked.batches] == [1] * LANES
    asked.go.set()
    assert await asyncio.gather(*answers) == [(key % 3) ** 2 for key in range(10)]
    assert sorted(asked.batches[LANES]) == [0, 1, 2]
    assert len(asked.batches) == LANES + 1


async def test_one_who_stops_waiting_stops_nobody() -> None:
    asked = Asked()
    squares = Gathered("squares", asked.find)
    first, second = (asyncio.create_task(squares.get(2)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    asked.go.set()
    assert await second == 4
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_what_fails_reaches_all_who_asked_and_the_next_is_asked_anew() -> None:
    asked = Asked()
    asked.go.set()
    asked.failure = DatabaseError()
    squares = Gathered("squares", asked.find)
    told = await asyncio.gather(squares.get(1), squares.get(2), return_exceptions=True)
    assert [type(error) for error in told] == [DatabaseError, DatabaseError]
    asked.failure = None
    assert await squares.get(1) == 1


async def test_a_second_query_starts_only_when_the_first_takes_long() -> None:
    asked = Asked()
    squares = Gathered("squares", asked.find)
    first = asyncio.create_task(squares.get(1))
    while not asked.batches:
        await asyncio.sleep(0)
    second = asyncio.create_task(squares.get(2))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert asked.batches == [[1]]
    await asyncio.sleep(gather.LONG * 2)
    third = asyncio.create_task(squares.get(3))
    while len(asked.batches) < 2:
        await asyncio.sleep(0)
    assert asked.batches == [[1], [2, 3]]
    asked.go.set()
    assert list(await asyncio.gather(first, second, third)) == [1, 4, 9]


async def test_somebody_who_asks_when_a_query_has_just_ended_is_answered() -> None:
    asked = Asked()
    asked.go.set()
    squares = Gathered("squares", asked.find)
    for number in range(20):
        first = asyncio.create_task(squares.get(number))
        for _ in range(number % 7):
            await asyncio.sleep(0)
        async with asyncio.timeout(5):
            assert await squares.get(-1) is None
            assert await first == number * number


async def test_a_lane_that_is_stopped_leaves_nobody_waiting() -> None:
    asked = Asked()
    squares = Gathered("stopped", asked.find)
    for begun in (False, True):
        waiting = asyncio.create_task(squares.get(7))
        await asyncio.sleep(0)
        lane = next(task for task in asyncio.all_tasks() if task.get_name() == "stopped")
        if begun:
            await asyncio.sleep(0)
        lane.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    asked.go.set()
    assert await squares.get(3) == 9
