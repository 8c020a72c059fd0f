"""A worker that claims jobs under a lease: for runs, and for generations beside the chat."""

import asyncio
import logging
import random
import secrets
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Generic, Self, TypeVar

import msgspec

from app.problems import LeaseLost, Problem
from app.store.concurrency import run_to_completion, spawn

RENEWAL_INTERVAL_SECONDS = 3.0  # of a lease; much less than a lease lasts
RETRY_PAUSE_SECONDS = 1.0  # before a job that met a failing database is tried again
RELEASE_WAIT_SECONDS = 1.0  # for a cancelled job to end before its lease is released
JITTER = 0.25  # of the polling intervals

CANCEL, LOST, DRAIN = "cancel", "lost", "drain"  # why a job's task is cancelled

logger = logging.getLogger(__name__)

Lease = TypeVar("Lease")


class Source(msgspec.Struct, Generic[Lease], frozen=True):
    """A way to obtain jobs: `claim` returns a leased one, or None when there is none.

    It is polled every `interval` seconds, and at once after `LeasedWorker.wake` if `wakes`.
    """

    name: str
    claim: Callable[[str], Awaitable[Lease | None]]
    interval: float
    wakes: bool = False


class LeasedWorker(ABC, Generic[Lease]):
    """Works on up to `concurrency` jobs at once, each under a lease that it renews.

    At shutdown jobs get `grace` seconds to end; the leases of those that have not are released, so
    that another worker goes on at once. A worker that dies is noticed when its leases expire.
    """

    def __init__(self, *, concurrency: int, grace: float) -> None:
        self.worker = secrets.token_hex(6)
        self._concurrency = concurrency
        self._grace = grace
        self._jobs: dict[str, tuple[asyncio.Task[None], Lease]] = {}
        self._wake = asyncio.Event()

    # What a kind of job defines

    @abstractmethod
    def sources(self) -> list[Source[Lease]]:
        """Return where jobs come from; each is polled by a task of its own."""

    @abstractmethod
    def job_id(self, lease: Lease) -> str:
        """Return the id of the leased job."""

    @abstractmethod
    def describe(self, lease: Lease) -> str:
        """Return the job in words, for the log."""

    @abstractmethod
    async def perform(self, lease: Lease) -> None:
        """Do the job. A `Problem` means that another attempt may do better.

        Cancelled with the argument `CANCEL` it must end the job as cancelled.
        """

    @abstractmethod
    async def renew(self, lease: Lease) -> bool:
        """Prolong the lease; return whether the job is to be cancelled. Raises `LeaseLost`."""

    @abstractmethod
    async def release(self, lease: Lease) -> None:
        """Let another worker claim the job now."""

    def finished(self, lease: Lease) -> None:
        """Called when this worker works on the job no more."""

    # The same for all kinds

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Self]:
        """Claim and work until the block ends, then drain."""
        loops = [spawn(self._poll(source), name=source.name) for source in self.sources()]
        try:
            yield self
        finally:
            for loop in loops:
                loop.cancel()
            await asyncio.wait(loops, timeout=self._grace)
            await self._drain()

    def wake(self) -> None:
        """Look for jobs now: there may be one."""
        self._wake.set()

    def cancel(self, job_id: str) -> None:
        """Cancel a job that this worker works on; ignored for others."""
        if job_id in self._jobs:
            _cancel(self._jobs[job_id][0], CANCEL)

    async def _poll(self, source: Source[Lease]) -> None:
        while True:
            if source.wakes:
                self._wake.clear()
            await self._fill(source)
            pause = source.interval * random.uniform(1 - JITTER, 1 + JITTER)
            if not source.wakes:
                await asyncio.sleep(pause)
                continue
            try:
                async with asyncio.timeout(pause):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def _fill(self, source: Source[Lease]) -> None:
        """Begin jobs until the worker is full or there are no more; never raises."""
        try:
            while len(self._jobs) < self._concurrency:
                if not await run_to_completion(self._begin_next(source)):
                    return
        except Problem as problem:
            logger.warning("%s: no job claimed: %s", source.name, problem.message)
        except Exception:
            logger.exception("%s: no job claimed", source.name)

    async def _begin_next(self, source: Source[Lease]) -> bool:
        """Claim a job and begin it; runs to completion, so that no claimed job is forgotten."""
        lease = await source.claim(self.worker)
        if lease is None:
            return False
        self._begin(lease)
        return True

    def _begin(self, lease: Lease) -> None:
        logger.info("%s", self.describe(lease))
        task = spawn(self._work(lease), name=self.describe(lease))
        self._jobs[self.job_id(lease)] = task, lease

    async def _work(self, lease: Lease) -> None:
        task = asyncio.current_task()
        assert task is not None
        renewal = spawn(self._renew(lease, task), name=f"lease of {self.describe(lease)}")
        try:
            await self.perform(lease)
        except asyncio.CancelledError as reason:
            if reason.args != (LOST,):
                raise
            logger.info("%s has another worker now, or was given up", self.describe(lease))
        except Problem as problem:
            logger.warning("%s is left to another attempt: %s", self.describe(lease), problem)
            await asyncio.sleep(RETRY_PAUSE_SECONDS)
            await self.release(lease)
        finally:
            renewal.cancel()
            job_id = self.job_id(lease)
            if self._jobs.get(job_id) == (task, lease):  # not a later attempt of this worker
                del self._jobs[job_id]
                self.finished(lease)
            self._wake.set()

    async def _renew(self, lease: Lease, task: "asyncio.Task[None]") -> None:
        while True:
            await asyncio.sleep(RENEWAL_INTERVAL_SECONDS)
            try:
                wanted = not await self.renew(lease)
            except LeaseLost:
                _cancel(task, LOST)
                return
            except Problem as problem:
                logger.warning("%s: lease not renewed: %s", self.describe(lease), problem.message)
                continue
            if not wanted:
                _cancel(task, CANCEL)
                return

    async def _drain(self) -> None:
        tasks = [task for task, _ in self._jobs.values()]
        if tasks:
            await asyncio.wait(tasks, timeout=self._grace)
        left = list(self._jobs.values())
        for task, _ in left:
            task.cancel(DRAIN)
        for task, lease in left:
            await asyncio.wait([task], timeout=RELEASE_WAIT_SECONDS)
            try:
                await self.release(lease)
            except Problem as problem:
                logger.warning("%s: lease not released: %s", self.describe(lease), problem.message)


def _cancel(task: "asyncio.Task[None]", why: str) -> None:
    """Cancel a task once it has begun: cancelled before, it would never clean up."""
    asyncio.get_running_loop().call_soon(task.cancel, why)
