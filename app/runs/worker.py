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

LEASE_SECONDS = 12  # that a worker may be silent before another takes its job over
RENEWAL_INTERVAL_SECONDS = 3.0  # four tries before the lease expires
RETRY_PAUSE_SECONDS = 1.0  # before a job that failed with a `Problem` is released
RELEASE_WAIT_SECONDS = 1.0  # for a cancelled job to end before its lease is released
JITTER = 0.25  # of the polling intervals, as a share, so that workers do not poll in step

CANCEL, LOST, DRAIN = "cancel", "lost", "drain"  # why the task of a job is cancelled

logger = logging.getLogger(__name__)

Lease = TypeVar("Lease")


class Source(msgspec.Struct, Generic[Lease], frozen=True):
    """A way to obtain jobs: `claim(worker)` returns a leased one, or None when there is none.

    It is polled every `interval` seconds and, with `wakes`, at once after `LeasedWorker.wake`.
    """

    name: str
    claim: Callable[[str], Awaitable[Lease | None]]
    interval: float
    wakes: bool = False


class _Job(Generic[Lease]):
    """A job that this worker works on, and why its task was cancelled, if it was."""

    def __init__(self, lease: Lease) -> None:
        self.lease = lease
        self.task: asyncio.Task[None]
        self.why: str | None = None

    def cancel(self, why: str) -> None:
        """Cancel the task once it has begun: cancelled before, it would never clean up."""
        self.why = why
        asyncio.get_running_loop().call_soon(self.task.cancel, why)


class LeasedWorker(ABC, Generic[Lease]):
    """Works on up to `concurrency` jobs at once, each under a lease that it renews.

    At shutdown jobs get `grace` seconds to end; the leases of those that have not are released, so
    that another worker continues at once. The jobs of a worker that dies are taken over when their
    leases expire.
    """

    def __init__(self, *, concurrency: int, grace: float) -> None:
        self.worker = secrets.token_hex(6)
        self._concurrency = concurrency
        self._grace = grace
        self._jobs: dict[str, _Job[Lease]] = {}
        self._wake = asyncio.Event()

    # What each kind of job defines

    @abstractmethod
    def sources(self) -> list[Source[Lease]]:
        """Return where jobs come from; each is polled by a task of its own."""

    @abstractmethod
    def job_id(self, lease: Lease) -> str:
        """Return the id of the leased job."""

    @abstractmethod
    def describe(self, lease: Lease) -> str:
        """Return what the job is, for the log."""

    @abstractmethod
    async def perform(self, lease: Lease) -> None:
        """Do the job. A `Problem` leaves it to another attempt.

        When its task is cancelled and `is_cancelled`, it ends the job as cancelled.
        """

    @abstractmethod
    async def renew(self, lease: Lease) -> bool:
        """Prolong the lease and return whether the job is still wanted. Raises `LeaseLost`."""

    @abstractmethod
    async def release(self, lease: Lease) -> None:
        """Let any worker claim the job now."""

    async def before_claims(self) -> None:
        """Called before each look for jobs, also when the worker is at its capacity."""

    def on_end(self, lease: Lease) -> None:
        """Called when this worker no longer works on the job."""

    # What is the same for all

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
        """Cancel a job; ignored unless this worker works on it."""
        if job_id in self._jobs:
            self._jobs[job_id].cancel(CANCEL)

    def is_cancelled(self, lease: Lease) -> bool:
        """Return whether the job was cancelled, and its task not for another reason.

        The argument of `CancelledError` does not say: anyio replaces it in a task that is opening
        a connection.
        """
        job = self._jobs.get(self.job_id(lease))
        return job is not None and job.lease is lease and job.why == CANCEL

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
        """Begin jobs until the worker is at its capacity or there are none; log what fails."""
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
        """Claim a job and begin it; runs to completion, so that no claimed job is forgotten."""
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
            if job.why != LOST:
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
        """Wait for the jobs, then cancel the rest and release their leases."""
        if self._jobs:
            await asyncio.wait([job.task for job in self._jobs.values()], timeout=self._grace)
        left = list(self._jobs.values())
        for job in left:
            job.task.cancel(DRAIN)
        for job in left:
            await asyncio.wait([job.task], timeout=RELEASE_WAIT_SECONDS)
            try:
                await self.release(job.lease)
            except Problem as problem:
                name = self.describe(job.lease)
                logger.warning("%s: lease not released: %s", name, problem.message)
