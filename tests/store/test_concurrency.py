"""Callers that share a query or a task get their own results, failures and cancellations."""

import asyncio

import pytest

from app.problems import DatabaseError
from app.store.concurrency import MAX_CONCURRENT_BATCHES, BatchLoader, SingleFlight


class Squares:
    """A source of squares that answers once the test opens it; negative numbers have none."""

    def __init__(self, *, is_open: bool = False) -> None:
        self.batches: list[list[int]] = []
        self.opened = asyncio.Event()
        self.failure: Exception | None = None
        if is_open:
            self.opened.set()

    async def load(self, keys: list[int]) -> dict[int, int]:
        self.batches.append(keys)
        await self.opened.wait()
        if self.failure:
            raise self.failure
        return {key: key * key for key in keys if key >= 0}


async def test_concurrent_callers_share_a_query() -> None:
    source = Squares(is_open=True)
    squares = BatchLoader("squares", source.load)
    found = await asyncio.gather(*(squares.get(key) for key in (3, 4, 3, -1)))
    assert found == [9, 16, 9, None]
    assert source.batches == [[3, 4, -1]]
    assert await squares.get(5) == 25
    assert source.batches[1:] == [[5]]


async def test_a_caller_is_never_answered_by_a_query_that_began_before_its_call() -> None:
    source = Squares()
    squares = BatchLoader("squares", source.load, slow_seconds=-1.0)  # every query is slow
    answers = []
    for key in range(10):
        answers.append(asyncio.create_task(squares.get(key % 3)))
        await asyncio.sleep(0)  # its query starts, unless it has to wait for the first
        await asyncio.sleep(0)
    assert [len(batch) for batch in source.batches] == [1] * MAX_CONCURRENT_BATCHES
    source.opened.set()
    assert await asyncio.gather(*answers) == [(key % 3) ** 2 for key in range(10)]
    assert sorted(source.batches[MAX_CONCURRENT_BATCHES]) == [0, 1, 2]
    assert len(source.batches) == MAX_CONCURRENT_BATCHES + 1


async def test_a_cancelled_caller_cancels_no_other() -> None:
    source = Squares()
    squares = BatchLoader("squares", source.load)
    first, second = (asyncio.create_task(squares.get(2)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    source.opened.set()
    assert await second == 4
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_a_failure_is_raised_for_every_caller_and_the_next_query_is_new() -> None:
    source = Squares(is_open=True)
    source.failure = DatabaseError()
    squares = BatchLoader("squares", source.load)
    raised = await asyncio.gather(squares.get(1), squares.get(2), return_exceptions=True)
    assert [type(error) for error in raised] == [DatabaseError, DatabaseError]
    source.failure = None
    assert await squares.get(1) == 1


async def test_a_second_query_starts_only_when_the_first_is_slow() -> None:
    source = Squares()
    squares = BatchLoader("squares", source.load, slow_seconds=0.02)
    first = asyncio.create_task(squares.get(1))
    while not source.batches:
        await asyncio.sleep(0)
    second = asyncio.create_task(squares.get(2))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert source.batches == [[1]]
    await asyncio.sleep(0.04)  # the first query counts as slow now
    third = asyncio.create_task(squares.get(3))
    while len(source.batches) < 2:
        await asyncio.sleep(0)
    assert source.batches == [[1], [2, 3]]
    source.opened.set()
    assert list(await asyncio.gather(first, second, third)) == [1, 4, 9]


async def test_a_caller_just_after_the_end_of_a_query_is_answered() -> None:
    source = Squares(is_open=True)
    squares = BatchLoader("squares", source.load)
    for number in range(20):
        first = asyncio.create_task(squares.get(number))
        for _ in range(number % 7):
            await asyncio.sleep(0)
        async with asyncio.timeout(5):
            assert await squares.get(-1) is None
            assert await first == number * number


async def test_a_cancelled_query_leaves_no_caller_waiting() -> None:
    source = Squares()
    squares = BatchLoader("cancelled", source.load)
    for began in (False, True):
        waiting = asyncio.create_task(squares.get(7))
        await asyncio.sleep(0)
        worker = next(task for task in asyncio.all_tasks() if task.get_name() == "cancelled")
        if began:
            await asyncio.sleep(0)
        worker.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    source.opened.set()
    assert await squares.get(3) == 9


async def test_a_task_runs_once_for_all_callers_while_it_runs() -> None:
    runs: list[str] = []
    opened = asyncio.Event()
    flight = SingleFlight[str]("work")

    async def work() -> str:
        runs.append("run")
        await opened.wait()
        return "done"

    first, second, third = (asyncio.create_task(flight.get("key", work)) for _ in range(3))
    await asyncio.sleep(0)
    first.cancel()
    opened.set()
    assert [await second, await third] == ["done", "done"]
    assert runs == ["run"]
    assert await flight.get("key", work) == "done"
    assert runs == ["run", "run"]  # without a size no result is cached


async def test_results_are_cached_until_they_are_cleared_and_problems_are_not() -> None:
    results: list[int | DatabaseError] = [1, DatabaseError(), 2, 3]
    flight = SingleFlight[int]("work", cached=1)

    async def work() -> int:
        result = results.pop(0)
        if isinstance(result, DatabaseError):
            raise result
        return result

    assert [await flight.get("key", work), await flight.get("key", work)] == [1, 1]
    flight.clear()
    with pytest.raises(DatabaseError):
        await flight.get("key", work)
    assert await flight.get("key", work) == 2
    assert await flight.get("other", work) == 3  # which evicts the result of the first key
    assert not results
