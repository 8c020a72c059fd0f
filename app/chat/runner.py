"""Who works on which run: claims, leases, takeovers, and the end of a worker."""

import asyncio
import logging
import random
import secrets
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from app.brain.model import Provider
from app.chat import leases
from app.chat.leases import Held
from app.chat.live import LiveSink
from app.chat.perform import Performance
from app.problems import LeaseLost, Problem
from app.store.concurrency import run_to_completion, spawn

RENEW = 3.0  # seconds between two renewals of a lease
PAUSE = 1.0  # seconds before a run that met a failing database is tried again
LOOK = 1.0  # seconds after which a worker looks for work unasked
SWEEP = 3.0  # seconds between two looks for runs whose worker is gone
GRACE = 5.0  # seconds that runs under way get at shutdown before their lease is given back

Take = Callable[[str], Coroutine[Any, Any, Held | None]]

log = logging.getLogger(__name__)


class Runner:
    """Works on up to `places` runs at once, of different projects."""

    def __init__(self, provider: Provider, stage: LiveSink, *, places: int = 24) -> None:
        self.provider = provider
        self.worker = secrets.token_hex(6)
        self._stage = stage
        self._places = places
        self._work: dict[str, tuple[asyncio.Task[None], Performance]] = {}
        self._wake = asyncio.Event()

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Runner"]:
        """Claim and work; at the end give back the leases of what is not over after the grace."""
        loops = [spawn(self._claim_all(), name="claim"), spawn(self._sweep(), name="sweep")]
        try:
            yield self
        finally:
            for loop in loops:
                loop.cancel()
            await asyncio.wait(loops, timeout=GRACE)
            await self._drain()

    def wake(self) -> None:
        """There may be a run to claim."""
        self._wake.set()

    def stop(self, run_id: str) -> None:
        """A cancel was asked for; if this process works on the run, end it now."""
        if run_id in self._work:
            _stop(self._work[run_id][0], "cancel")

    async def _claim_all(self) -> None:
        while True:
            self._wake.clear()
            await self._fill(leases.claim)
            try:
                async with asyncio.timeout(LOOK * random.uniform(0.75, 1.25)):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def _sweep(self) -> None:
        while True:
            await self._fill(leases.take_over)
            await asyncio.sleep(SWEEP * random.uniform(0.75, 1.25))

    async def _fill(self, take: Take) -> None:
        """Begin runs until all places are taken or there are no more. Nothing ends the loops."""
        try:
            while len(self._work) < self._places and await run_to_completion(self._take(take)):
                pass
        except Problem as problem:
            log.warning("no run taken: %s", problem.message)
        except Exception:
            log.exception("no run taken")

    async def _take(self, take: Take) -> bool:
        """What was taken is begun, whatever happens meanwhile."""
        held = await take(self.worker)
        if held is not None:
            log.info("run %s, attempt %d", held.run.id, held.run.attempt)
            self._begin(held)
        return held is not None

    def _begin(self, held: Held) -> None:
        performance = Performance(held, self.provider, self._stage)
        task = spawn(self._perform(performance), name=f"run {held.run.id}")
        self._work[held.run.id] = task, performance

    async def _perform(self, performance: Performance) -> None:
        held = performance.held
        work = asyncio.current_task()
        assert work is not None
        renewal = spawn(self._renew(held, work), name=f"lease of {held.run.id}")
        try:
            await performance.perform()
        except asyncio.CancelledError as reason:
            if reason.args == ("cancel",):
                await run_to_completion(performance.cancelled())
            elif reason.args != ("lost",):
                raise
        except Problem as problem:
            log.warning("run %s is left to another attempt: %s", held.run.id, problem.message)
            await asyncio.sleep(PAUSE)
            await leases.release(held)
        finally:
            renewal.cancel()
            if self._work.get(held.run.id) == (work, performance):  # not a later attempt of ours
                del self._work[held.run.id]
                self._stage.forget_run(held.run.id)
            self._wake.set()

    async def _renew(self, held: Held, work: "asyncio.Task[None]") -> None:
        while True:
            await asyncio.sleep(RENEW)
            try:
                cancel = await leases.renew(held)
            except LeaseLost:
                _stop(work, "lost")
                return
            except Problem as problem:
                log.warning("lease of %s not renewed: %s", held.run.id, problem.message)
                continue
            if cancel is not None:
                _stop(work, "cancel")
                return

    async def _drain(self) -> None:
        tasks = [task for task, _ in self._work.values()]
        if tasks:
            await asyncio.wait(tasks, timeout=GRACE)
        left = list(self._work.values())
        for task, _ in left:
            task.cancel("drain")
        for task, performance in left:
            await asyncio.wait([task], timeout=1)
            try:
                await leases.release(performance.held)
            except Problem as problem:
                log.warning("lease not given back: %s", problem.message)


def _stop(work: "asyncio.Task[None]", why: str) -> None:
    """Cancel once it has begun: a task that is cancelled before never cleans up after itself."""
    asyncio.get_running_loop().call_soon(work.cancel, why)
