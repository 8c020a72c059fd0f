"""Who makes variations: a worker that fills pending generations beside the runs."""

import asyncio
import logging
import random
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.brain.decide import write_code
from app.brain.model import Context, ContextScene, Provider, WriteJob, answering_model
from app.chat.ledger import calling_for
from app.chat.writing import made_of
from app.generations import leases
from app.generations.leases import Taken
from app.problems import (
    AiError,
    DatabaseError,
    InternalError,
    LeaseLost,
    Problem,
    ServiceUnavailable,
    ValidationFailed,
)
from app.scenes.model import DURATION, Scene
from app.scenes.reads import live_scenes
from app.store.concurrency import run_to_completion, spawn
from app.store.engine import DB

MAKE_MOST = 180.0  # seconds of one attempt
RENEW = 3.0  # seconds between two renewals of a lease
PAUSE = 1.0  # seconds before one that met a failing database is tried again
LOOK = 2.0  # seconds after which a worker looks for work unasked
GRACE = 3.0  # seconds that those under way get at shutdown before their lease is given back

log = logging.getLogger(__name__)


class VariationMaker:
    """Makes up to `places` variations at once."""

    def __init__(self, provider: Provider, *, places: int = 8) -> None:
        self.provider = provider
        self.worker = secrets.token_hex(6)
        self._places = places
        self._work: dict[asyncio.Task[None], Taken] = {}
        self._wake = asyncio.Event()

    @asynccontextmanager
    async def running(self) -> AsyncIterator["VariationMaker"]:
        """Claim and make; at the end give back the leases of what is not over after the grace."""
        loop = spawn(self._claim_all(), name="claim variations")
        try:
            yield self
        finally:
            loop.cancel()
            await asyncio.wait([loop], timeout=GRACE)
            await self._drain()

    def wake(self) -> None:
        """There may be a variation to make."""
        self._wake.set()

    async def _claim_all(self) -> None:
        while True:
            self._wake.clear()
            await self._fill()
            try:
                async with asyncio.timeout(LOOK * random.uniform(0.75, 1.25)):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def _fill(self) -> None:
        """Begin until all places are taken or nothing is left. Nothing ends the loop."""
        try:
            await leases.give_up()
            while len(self._work) < self._places and await run_to_completion(self._take()):
                pass
        except Problem as problem:
            log.warning("no variation taken: %s", problem.message)
        except Exception:
            log.exception("no variation taken")

    async def _take(self) -> bool:
        taken = await leases.claim(self.worker)
        if taken is not None:
            generation = taken.generation
            log.info("variation %s, attempt %d", generation.id, generation.attempt)
            task = spawn(self._make(taken), name=f"variation {generation.id}")
            self._work[task] = taken
        return taken is not None

    async def _make(self, taken: Taken) -> None:
        work = asyncio.current_task()
        assert work is not None
        renewal = spawn(_renew(taken, work), name=f"lease of {taken.generation.id}")
        try:
            await make(taken, self.provider)
        except asyncio.CancelledError as reason:
            if reason.args != ("lost",):
                raise
            log.info("variation %s is someone else's now, or nobody's", taken.generation.id)
        except Problem as problem:
            log.warning("variation %s is left: %s", taken.generation.id, problem.message)
            await asyncio.sleep(PAUSE)
            await leases.release(taken)
        finally:
            renewal.cancel()
            self._work.pop(work, None)
            self._wake.set()

    async def _drain(self) -> None:
        if self._work:
            await asyncio.wait(self._work, timeout=GRACE)
        left = list(self._work.items())
        for task, _ in left:
            task.cancel("drain")
        for task, taken in left:
            await asyncio.wait([task], timeout=1)
            try:
                await leases.release(taken)
            except Problem as problem:
                log.warning("lease not given back: %s", problem.message)


async def make(taken: Taken, provider: Provider) -> None:
    """Write one variation and end it; every failure ends it in words.

    Raises `DatabaseError` and `ServiceUnavailable`: then it is made in another attempt.
    """
    model = answering_model(provider, taken.model)
    try:
        try:
            async with asyncio.timeout(MAKE_MOST):
                began = time.perf_counter()
                job = await _job_of(taken)
                async with calling_for(taken, provider, model) as ledger:
                    written = await write_code(
                        provider,
                        job,
                        model=taken.model,
                        on_delta=ledger.saw_text,
                        on_restart=_nothing,
                    )
                    ledger.usage = written.usage
            if written.code == taken.base_code:
                raise ValidationFailed(written.note or "Nothing changed.")
            await run_to_completion(leases.keep(taken, made_of(written, model, began)))
        except TimeoutError:
            slow = AiError("This took longer than three minutes.")
            await _fail(taken, slow, model, "TIMEOUT")
        except (DatabaseError, ServiceUnavailable):
            raise
        except Problem as problem:
            await _fail(taken, problem, model)
        except LeaseLost:
            raise
        except Exception:
            log.exception("variation %s broke", taken.generation.id)
            await _fail(taken, InternalError(), model)
    except LeaseLost:
        log.info("variation %s is someone else's now, or nobody's", taken.generation.id)


async def _fail(taken: Taken, problem: Problem, model: str, code: str | None = None) -> None:
    log.warning("variation %s failed: %s", taken.generation.id, problem.message)
    await run_to_completion(leases.keep_error(taken, code or problem.code, problem.message, model))


async def _nothing() -> None:
    """Nobody follows the text while it grows: there is nothing to take back."""


async def _renew(taken: Taken, work: "asyncio.Task[None]") -> None:
    while True:
        await asyncio.sleep(RENEW)
        try:
            await leases.renew(taken)
        except LeaseLost:
            asyncio.get_running_loop().call_soon(work.cancel, "lost")
            return
        except Problem as problem:
            log.warning("lease of %s not renewed: %s", taken.generation.id, problem.message)


async def _job_of(taken: Taken) -> WriteJob:
    """The instruction, the code it starts from, and the video around it; no chat."""
    generation = taken.generation
    scenes = await live_scenes(DB, generation.project_id)
    fps = await DB.fetchval("select fps from project where id = $1", generation.project_id)
    board = [_seen(scene, number) for number, scene in enumerate(scenes, 1)]
    return WriteJob(
        instruction=generation.instruction,
        context=Context(
            prompt=generation.instruction, format=generation.format, fps=fps, scenes=board
        ),
        scene=_start(taken, board),
        duration=generation.duration,
        variation=generation.variation_index or 0,
        variations=generation.variation_count or 1,
    )


def _seen(scene: Scene, number: int) -> ContextScene:
    return ContextScene(
        id=scene.id,
        number=number,
        name=scene.name,
        tsx_code=scene.tsx_code,
        duration=scene.duration,
    )


def _start(taken: Taken, board: list[ContextScene]) -> ContextScene | None:
    """The code that is to be changed, as the scene that it stands for."""
    if taken.base_code is None:
        return None
    generation = taken.generation
    for scene in board:
        if scene.id == generation.scene_id:
            return ContextScene(
                id=scene.id,
                number=scene.number,
                name=scene.name,
                tsx_code=taken.base_code,
                duration=generation.duration or scene.duration,
            )
    return ContextScene(
        id=generation.id,
        number=len(board) + 1,
        name="Draft",
        tsx_code=taken.base_code,
        duration=generation.duration or DURATION,
    )
