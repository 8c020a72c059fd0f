"""Who works on which run: claims, leases, takeovers, and the end of a worker."""

import asyncio
import logging
import random
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from app.brain.model import Provider
from app.chat import leases
from app.chat.leases import Held
from app.chat.perform import Performance
from app.problems import LeaseLost, Problem
from app.realtime.model import LiveEvent
from app.store.tasks import spawn

RENEW = 3.0  # seconds between two renewals of a lease
LOOK = 1.0  # seconds after which a worker looks for work unasked
SWEEP = 3.0  # seconds between two looks for runs whose worker is gone
GRACE = 5.0  # seconds that runs under way get at shutdown before their lease is given back

log = logging.getLogger(__name__)


class Runner:
    """Works on up to `places` runs at once, of different projects."""

    def __init__(
        self,
        provider: Provider,
        emit: Callable[[LiveEvent], None],
        settle: Callable[[str], None],
        *,
        places: int = 24,
    ) -> None:
        """`emit` tells the live events, `settle` that a run's are over in this process."""
        self.provider = provider
        self._settle = settle
        self.worker = secrets.token_hex(6)
        self._emit = emit
        self._places = places
        self._work: dict[str, tuple[asyncio.Task[None], Performance]] = {}
        self._wake = asyncio.Event()
        self._closing = False

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Runner"]:
        """Claim and work; at the end give back the leases of what is not over after the grace."""
        loops = [spawn(self._claim_all(), name="claim"), spawn(self._sweep(), name="sweep")]
        try:
            yield self
        finally:
            for loop in loops:
                loop.cancel()
            await self._drain()

    def wake(self) -> None:
        """There may be a run to claim."""
        self._wake.set()

    def stop(self, run_id: str) -> None:
        """A cancel was asked for; if this process works on the run, end it now."""
        if run_id in self._work:
            self._work[run_id][0].cancel("cancel")

    async def _claim_all(self) -> None:
        while True:
            self._wake.clear()
            try:
                while len(self._work) < self._places and (held := await leases.claim(self.worker)):
                    self._begin(held)
            except Problem as problem:
                log.warning("no claim: %s", problem.message)
            try:
                async with asyncio.timeout(LOOK * random.uniform(0.75, 1.25)):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def _sweep(self) -> None:
        while True:
            try:
                while len(self._work) < self._places and (
                    held := await leases.take_over(self.worker)
                ):
                    log.warning("took over run %s, attempt %d", held.run.id, held.run.attempt)
                    self._begin(held)
            except Problem as problem:
                log.warning("no sweep: %s", problem.message)
            await asyncio.sleep(SWEEP * random.uniform(0.75, 1.25))

    def _begin(self, held: Held) -> None:
        performance = Performance(held, self.provider, self._emit)
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
                await performance.cancelled()
            elif reason.args != ("lost",):
                raise
        finally:
            renewal.cancel()
            self._work.pop(held.run.id, None)
            self._settle(held.run.id)
            self._wake.set()

    async def _renew(self, held: Held, work: "asyncio.Task[None]") -> None:
        while True:
            await asyncio.sleep(RENEW)
            try:
                cancel = await leases.renew(held)
            except LeaseLost:
                work.cancel("lost")
                return
            except Problem as problem:
                log.warning("lease of %s not renewed: %s", held.run.id, problem.message)
                continue
            if cancel is not None:
                work.cancel("cancel")
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
