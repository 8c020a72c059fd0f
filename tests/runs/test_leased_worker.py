"""A worker with leases: its concurrency, cancellations and drain, for any kind of job."""

import asyncio
from collections.abc import Callable

from app.problems import DatabaseError, LeaseLost
from app.runs.leased_worker import LeasedWorker, Source

FOREVER_SECONDS = 3600.0  # longer than any test


class Letters(LeasedWorker[str]):
    """A worker whose jobs are the letters in `queue`; `log` has the outcome of each."""

    def __init__(self, queue: str = "", *, concurrency: int = 4, grace: float = 0.1) -> None:
        super().__init__(concurrency=concurrency, grace=grace)
        self.queue = list(queue)
        self.log: list[str] = []
        self.looks = 0
        self.begun: list[str] = []
        self.on_cancel: Callable[[], None] = lambda: None

    def sources(self) -> list[Source[str]]:
        return [Source("letters", self._claim, FOREVER_SECONDS, wakes=True)]

    async def _claim(self, worker: str) -> str | None:
        return self.queue.pop(0) if self.queue else None

    async def before_claims(self) -> None:
        self.looks += 1

    def job_id(self, lease: str) -> str:
        return lease

    def describe(self, lease: str) -> str:
        return f"letter {lease}"

    async def perform(self, lease: str) -> None:
        self.begun.append(lease)
        try:
            await asyncio.sleep(FOREVER_SECONDS)
        except asyncio.CancelledError:
            self.log.append(f"{lease} {'cancelled' if self.is_cancelled(lease) else 'stopped'}")
            self.on_cancel()
            raise

    async def renew(self, lease: str) -> bool:
        raise LeaseLost

    async def release(self, lease: str) -> None:
        self.log.append(f"{lease} released")

    def on_end(self, lease: str) -> None:
        self.log.append(f"{lease} ended")


async def until(fact: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not fact():
            await asyncio.sleep(0.01)


async def test_a_worker_begins_no_more_jobs_than_its_concurrency() -> None:
    worker = Letters("abc", concurrency=2)
    async with worker.running():
        await until(lambda: worker.begun == ["a", "b"])
        worker.wake()
        await until(lambda: worker.looks == 2)
        assert worker.queue == ["c"]
        worker.cancel("a")
        await until(lambda: worker.begun == ["a", "b", "c"])  # the end of a job wakes the worker


async def test_a_worker_at_its_capacity_still_runs_before_claims() -> None:
    worker = Letters("abc", concurrency=0)
    async with worker.running():
        await until(lambda: worker.looks == 1)
        worker.wake()
        await until(lambda: worker.looks == 2)
    assert worker.queue == ["a", "b", "c"]


async def test_a_drain_releases_the_leases_of_unfinished_jobs() -> None:
    worker = Letters("ab")
    async with worker.running():
        await until(lambda: worker.begun == ["a", "b"])
    assert [line for line in worker.log if "ended" not in line] == [
        "a stopped", "b stopped", "a released", "b released",
    ]  # fmt: skip


async def test_a_cancellation_is_recognized_after_a_library_replaced_its_reason() -> None:
    """As anyio replaces it in a task that opens a connection."""

    def replace() -> None:
        raise asyncio.CancelledError("Cancelled via cancel scope")

    worker = Letters("a")
    worker.on_cancel = replace
    async with worker.running():
        await until(lambda: worker.begun == ["a"])
        worker.cancel("a")
        await until(lambda: "a ended" in worker.log)
    assert worker.log == ["a cancelled", "a ended"]


async def test_a_job_that_lost_its_lease_is_stopped_without_a_release() -> None:
    worker = Letters("a")
    async with worker.running():
        await until(lambda: "a ended" in worker.log)  # at the first renewal
    assert worker.log == ["a stopped", "a ended"]


async def test_a_job_that_raises_a_problem_is_released_for_another_attempt() -> None:
    class Failing(Letters):
        async def perform(self, lease: str) -> None:
            raise DatabaseError

    worker = Failing("a")
    async with worker.running():
        await until(lambda: "a ended" in worker.log)
    assert worker.log == ["a released", "a ended"]
