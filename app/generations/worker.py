"""The worker for variations: it generates the code of pending generations without a run."""

import asyncio
import logging
import time

from app.brain.decide import write_code
from app.brain.model import Context, ContextScene, Provider, WriteJob, answering_model
from app.generations import leases
from app.generations.leases import LeasedGeneration
from app.generations.model_calls import recorded_call
from app.generations.records import generated_code
from app.problems import (
    AiError,
    DatabaseError,
    InternalError,
    LeaseLost,
    Problem,
    ServiceUnavailable,
    ValidationFailed,
)
from app.projects.tables import ProjectRow
from app.runs.leased_worker import LeasedWorker, Source
from app.scenes.model import DEFAULT_DURATION_FRAMES, Scene
from app.scenes.reads import live_scenes
from app.store.concurrency import run_to_completion
from app.store.database import Database
from app.store.query import Param, built, named

MAX_CONCURRENT_VARIATIONS = 8  # of one process
MAX_ATTEMPT_SECONDS = 180.0
POLL_INTERVAL_SECONDS = 2.0  # for pending variations without a valid lease
SHUTDOWN_GRACE_SECONDS = 3.0  # for the variations in progress

# Inserts nothing when the lease is lost; the lock delays a takeover until the row is inserted.
OPEN_CALL = named("""
    insert into model_call (
        id, generation_id, project_id, attempt, stage, provider, model, status, request_id
    )
    select :id, id, project_id, attempt, 'write', :provider, :model, 'open', request_id
    from generation
    where id = :generation_id and status = 'pending' and lease_epoch = :lease_epoch for share
""")

FIND_FPS = built(ProjectRow.select(ProjectRow.fps).where(ProjectRow.id == Param("id")))

logger = logging.getLogger(__name__)


class GenerationWorker(LeasedWorker[LeasedGeneration]):
    """Generates up to `concurrency` variations concurrently."""

    def __init__(
        self,
        database: Database,
        provider: Provider,
        *,
        concurrency: int = MAX_CONCURRENT_VARIATIONS,
    ) -> None:
        super().__init__(concurrency=concurrency, grace=SHUTDOWN_GRACE_SECONDS)
        self.provider = provider
        self._database = database

    def sources(self) -> list[Source[LeasedGeneration]]:
        return [Source("claim variations", self._claim, POLL_INTERVAL_SECONDS, wakes=True)]

    async def _claim(self, worker: str) -> LeasedGeneration | None:
        return await leases.claim(self._database, worker)

    async def before_claims(self) -> None:
        await leases.fail_abandoned(self._database)

    def job_id(self, lease: LeasedGeneration) -> str:
        return lease.generation.id

    def describe(self, lease: LeasedGeneration) -> str:
        return f"variation {lease.generation.id}, attempt {lease.generation.attempt}"

    async def perform(self, lease: LeasedGeneration) -> None:
        await perform_variation(lease, self.provider)

    async def renew(self, lease: LeasedGeneration) -> bool:
        await leases.renew(lease)
        return True  # a deleted variation raises `LeaseLost`

    async def release(self, lease: LeasedGeneration) -> None:
        await leases.release(lease)


async def perform_variation(leased: LeasedGeneration, provider: Provider) -> None:
    """Generate one variation and end it, after a failure with an error.

    Raises `DatabaseError` and `ServiceUnavailable`, after which another attempt is made.
    """
    model = answering_model(provider, leased.model)
    try:
        try:
            async with asyncio.timeout(MAX_ATTEMPT_SECONDS):
                await _write(leased, provider, model)
        except TimeoutError:
            slow = AiError("This took longer than three minutes.")
            await _fail(leased, slow, model, "TIMEOUT")
        except (DatabaseError, ServiceUnavailable, LeaseLost):
            raise
        except Problem as problem:
            await _fail(leased, problem, model)
        except Exception:
            logger.exception("variation %s failed", leased.generation.id)
            await _fail(leased, InternalError(), model)
    except LeaseLost:
        logger.info("variation %s: the lease is lost", leased.generation.id)


async def _write(leased: LeasedGeneration, provider: Provider, model: str) -> None:
    began = time.perf_counter()
    job = await _job_of(leased)
    async with recorded_call(
        leased.database,
        OPEN_CALL,
        generation_id=leased.generation.id,
        provider=provider.name,
        model=model,
        lease_epoch=leased.lease_epoch,
    ) as model_call:
        written = await write_code(
            provider,
            job,
            model=leased.model,
            on_delta=model_call.record_text,
            on_restart=_ignore_restart,
        )
        model_call.usage = written.usage
    if written.code == leased.base_code:
        raise ValidationFailed(written.note or "Nothing changed.")
    generated = generated_code(written, model, began)
    await run_to_completion(leases.end_with_code(leased, generated))


async def _fail(
    leased: LeasedGeneration, problem: Problem, model: str, code: str | None = None
) -> None:
    logger.warning("variation %s failed: %s", leased.generation.id, problem.message)
    await run_to_completion(
        leases.end_with_error(leased, code or problem.code, problem.message, model)
    )


async def _ignore_restart() -> None:
    """Do nothing: the partial text of a variation is not published."""


async def _job_of(leased: LeasedGeneration) -> WriteJob:
    """Return the job: the instruction, the base code and the project's scenes, without chat."""
    generation = leased.generation
    scenes = await live_scenes(leased.database, generation.project_id)
    fps = await leased.database.fetchval(*FIND_FPS(id=generation.project_id))
    context_scenes = [_context_scene(scene, number) for number, scene in enumerate(scenes, 1)]
    return WriteJob(
        instruction=generation.instruction,
        context=Context(
            prompt=generation.instruction,
            format=generation.format,
            fps=fps,
            scenes=context_scenes,
        ),
        scene=_base_scene(leased, context_scenes),
        duration=generation.duration,
        variation=generation.variation_index or 0,
        variations=generation.variation_count or 1,
    )


def _context_scene(scene: Scene, number: int) -> ContextScene:
    return ContextScene(
        id=scene.id,
        number=number,
        name=scene.name,
        tsx_code=scene.tsx_code,
        duration=scene.duration,
    )


def _base_scene(
    leased: LeasedGeneration, context_scenes: list[ContextScene]
) -> ContextScene | None:
    """Return the base code as its scene or as a draft scene; None for a new scene."""
    if leased.base_code is None:
        return None
    generation = leased.generation
    for scene in context_scenes:
        if scene.id == generation.scene_id:
            return ContextScene(
                id=scene.id,
                number=scene.number,
                name=scene.name,
                tsx_code=leased.base_code,
                duration=generation.duration or scene.duration,
            )
    return ContextScene(
        id=generation.id,
        number=len(context_scenes) + 1,
        name="Draft",
        tsx_code=leased.base_code,
        duration=generation.duration or DEFAULT_DURATION_FRAMES,
    )
