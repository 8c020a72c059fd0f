"""The worker for runs: it claims queued runs and takes over those with expired leases."""

import asyncio

from app.brain.model import Provider
from app.chat import leases
from app.chat.leases import LeasedRun
from app.chat.live import LiveSink
from app.chat.perform import RunAttempt
from app.runs.leased_worker import LeasedWorker, Source
from app.store.concurrency import run_to_completion
from app.store.database import Database

MAX_CONCURRENT_RUNS = 24  # of one process, each of another project
POLL_INTERVAL_SECONDS = 1.0  # for queued runs
TAKEOVER_INTERVAL_SECONDS = 3.0  # for runs whose lease has expired
SHUTDOWN_GRACE_SECONDS = 5.0  # for the running runs


class Runner(LeasedWorker[LeasedRun]):
    """Performs up to `concurrency` runs concurrently, each of another project."""

    def __init__(
        self,
        database: Database,
        provider: Provider,
        sink: LiveSink,
        *,
        concurrency: int = MAX_CONCURRENT_RUNS,
    ) -> None:
        super().__init__(concurrency=concurrency, grace=SHUTDOWN_GRACE_SECONDS)
        self.provider = provider
        self._database = database
        self._sink = sink

    def sources(self) -> list[Source[LeasedRun]]:
        return [
            Source("claim runs", self._claim, POLL_INTERVAL_SECONDS, wakes=True),
            Source("take over runs", self._take_over, TAKEOVER_INTERVAL_SECONDS),
        ]

    async def _claim(self, worker: str) -> LeasedRun | None:
        return await leases.claim(self._database, worker)

    async def _take_over(self, worker: str) -> LeasedRun | None:
        return await leases.take_over(self._database, worker)

    def job_id(self, lease: LeasedRun) -> str:
        return lease.run.id

    def describe(self, lease: LeasedRun) -> str:
        return f"run {lease.run.id}, attempt {lease.run.attempt}"

    async def perform(self, lease: LeasedRun) -> None:
        attempt = RunAttempt(lease, self.provider, self._sink)
        try:
            await attempt.perform()
        except asyncio.CancelledError:
            if not self.is_cancelled(lease):
                raise
            await run_to_completion(attempt.end_cancelled())

    async def renew(self, lease: LeasedRun) -> bool:
        return await leases.renew(lease)

    async def release(self, lease: LeasedRun) -> None:
        await leases.release(lease)

    def on_end(self, lease: LeasedRun) -> None:
        self._sink.forget_run(lease.run.id)
