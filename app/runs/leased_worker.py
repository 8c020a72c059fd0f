"""The base class of the workers for runs and for variations, which lease their jobs."""

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

LEASE_SECONDS = 12  # after which a job without renewal is taken over
RENEWAL_INTERVAL_SECONDS = 3.0  # a quarter of the lease
RETRY_PAUSE_SECONDS = 1.0  # before a job that failed with a `Problem` is released
CANCELLATION_TIMEOUT_SECONDS = 1.0  # for a cancelled job, before its lease is released
POLL_JITTER = 0.25  # as a share of the interval, so that workers do not poll simultaneously

CANCEL, LOST, DRAIN = "cancel", "lost", "drain"  # reasons for cancelling the task of a job

logger = logging.getLogger(__name__)

Lease = TypeVar("Lease")


class Source(msgspec.Struct, Generic[Lease], frozen=True):
    """A source of jobs: `claim(worker)` returns the lease of one, or None if there is none.

    It is polled every `interval` seconds and, with `wakes`, at once after `LeasedWorker.wake`.
    """

    name: str
    claim: Callable[[str], Awaitable[Lease | None]]
    interval: float
    wakes: bool = False


class _Job(Generic[Lease]):
    """A job of this worker, and the reason why its task was cancelled, if any."""

    def __init__(self, lease: Lease) -> None:
        self.lease = lease
        self.task: asyncio.Task[None]
        self.reason: str | None = None

    def cancel(self, reason: str) -> None:
        """Cancel the task after it has started; before, its cleanup would not run."""
        self.reason = reason
        asyncio.get_running_loop().call_soon(self.task.cancel, reason)


class LeasedWorker(ABC, Generic[Lease]):
    """Works on up to `concurrency` jobs concurrently, each under a lease that it renews.

    At shutdown the jobs have `grace` seconds to end. Then the leases of the others are released, so
    that another worker continues them at once. The jobs of a worker that dies are taken over when
    their leases expire.
    """

    def __init__(self, *, concurrency: int, grace: float) -> None:
        self.worker = secrets.token_hex(6)
        self._concurrency = concurrency
        self._grace = grace
        self._jobs: dict[str, _Job[Lease]] = {}
        self._wake = asyncio.Event()

    # Implemented for each kind of job

    @abstractmethod
    def sources(self) -> list[Source[Lease]]:
        """Return the sources of jobs; each is polled by a separate task."""

    @abstractmethod
    def job_id(self, lease: Lease) -> str:
        """Return the id of the leased job."""

    @abstractmethod
    def describe(self, lease: Lease) -> str:
        """Return a description of the job for the log."""

    @abstractmethod
    async def perform(self, lease: Lease) -> None:
        """Perform the job. After a `Problem` another attempt is made.

        When the task is cancelled and `is_cancelled` is true, the job must be ended as cancelled.
        """

    @abstractmethod
    async def renew(self, lease: Lease) -> bool:
        """Prolong the lease and return whether the job is still wanted. Raises `LeaseLost`."""

    @abstractmethod
    async def release(self, lease: Lease) -> None:
        """Release the lease, so that any worker can claim the job."""

    async def before_claims(self) -> None:
        """Called before each poll, also when the worker is at its capacity."""

    def on_end(self, lease: Lease) -> None:
        """Called when this worker no longer works on the job."""

    # Common to all kinds of job

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Self]:
        """Claim and perform jobs until the block ends, then drain."""
        loops = [spawn(self._poll(source), name=source.name) for source in self.sources()]
        try:
            yield self
        finally:
            for loop in loops:
                loop.cancel()
            await asyncio.wait(loops, timeout=self._grace)
            await self._drain()

    def wake(self) -> None:
        """Poll now, since there may be a job."""
        self._wake.set()

    def cancel(self, job_id: str) -> None:
        """Cancel a job; ignored unless this worker works on it."""
        if job_id in self._jobs:
            self._jobs[job_id].cancel(CANCEL)

    def is_cancelled(self, lease: Lease) -> bool:
        """Return whether the task was cancelled by `cancel` and not for another reason.

        The argument of `CancelledError` is not reliable: anyio replaces it in a task that is
        opening a connection.
        """
        job = self._jobs.get(self.job_id(lease))
        return job is not None and job.lease is lease and job.reason == CANCEL

    async def _poll(self, source: Source[Lease]) -> None:
        while True:
            if source.wakes:
                self._wake.clear()
            await self._fill(source)
            pause = source.interval * random.uniform(1 - POLL_JITTER, 1 + POLL_JITTER)
            if not source.wakes:
                await asyncio.sleep(pause)
                continue
            try:
                async with asyncio.timeout(pause):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def _fill(self, source: Source[Lease]) -> None:
        """Begin jobs until the worker is at its capacity or there are none; log errors."""
        try:
            await self.before_claims()
            while len(self._jobs) < self._concurrency:
                if not await run_to_completion(self._begin_next(source)):
                    return
        except Problem as problem:
            logger.warning("%s: no job claimed: %s", source.name, problem.message)
        except Exception:
            logger.exception("%s: no job claimed", source.name)

    async def _begin_next(self, source: Source[Lease]) -> bool:
        """Claim and begin a job; must run to completion, so that no claimed job is lost."""
        lease = await source.claim(self.worker)
        if lease is None:
            return False
        self._begin(lease)
        return True

    def _begin(self, lease: Lease) -> None:
        logger.info("%s", self.describe(lease))
        job = self._jobs[self.job_id(lease)] = _Job(lease)
        job.task = spawn(self._work(job), name=self.describe(lease))

    async def _work(self, job: _Job[Lease]) -> None:
        lease, name = job.lease, self.describe(job.lease)
        renewal = spawn(self._renew(job), name=f"lease of {name}")
        try:
            await self.perform(lease)
        except asyncio.CancelledError:
            if job.reason != LOST:
                raise
            logger.info("%s: the lease is lost", name)
        except Problem as problem:
            logger.warning("%s is left to another attempt: %s", name, problem.message)
            await asyncio.sleep(RETRY_PAUSE_SECONDS)
            await self.release(lease)
        finally:
            renewal.cancel()
            if self._jobs.get(self.job_id(lease)) is job:  # and no later attempt of this worker
                del self._jobs[self.job_id(lease)]
                self.on_end(lease)
            self._wake.set()

    async def _renew(self, job: _Job[Lease]) -> None:
        while True:
            await asyncio.sleep(RENEWAL_INTERVAL_SECONDS)
            try:
                is_wanted = await self.renew(job.lease)
            except LeaseLost:
                job.cancel(LOST)
                return
            except Problem as problem:
                name = self.describe(job.lease)
                logger.warning("%s: lease not renewed: %s", name, problem.message)
                continue
            if not is_wanted:
                job.cancel(CANCEL)
                return

    async def _drain(self) -> None:
        """Wait for the jobs, then cancel the remaining ones and release their leases."""
        if self._jobs:
            await asyncio.wait([job.task for job in self._jobs.values()], timeout=self._grace)
        left = list(self._jobs.values())
        for job in left:
            job.task.cancel(DRAIN)
        for job in left:
            await asyncio.wait([job.task], timeout=CANCELLATION_TIMEOUT_SECONDS)
            try:
                await self.release(job.lease)
            except Problem as problem:
                name = self.describe(job.lease)
                logger.warning("%s: lease not released: %s", name, problem.message)
