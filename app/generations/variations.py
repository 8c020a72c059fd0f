"""Begins generations without a run: variations of a prompt, and refinements."""

import msgspec

from app.auth.model import Caller
from app.generations.model import Generation, GenerationQueued, NewGenerations, Refinement
from app.generations.reads import access_generation, find_generation
from app.generations.records import NewGeneration, begin
from app.http.envelope import ActionResult, Page
from app.problems import NotFound, RateLimited, ValidationFailed
from app.projects.access import changing_project
from app.realtime.log import Change
from app.scenes.reads import scene_in_project
from app.store.database import Tx
from app.store.ids import new_id
from app.store.query import named

MAX_PENDING_VARIATIONS = 20  # of one project
FULL_QUEUE_RETRY_SECONDS = 5  # `Retry-After` when the queue is full

# The literal status lets PostgreSQL use the partial index of pending generations.
COUNT_PENDING_VARIATIONS = named("""
    select count(*) from generation
    where project_id = :project_id and status = 'pending' and run_id is null
""")


async def begin_variations(
    tx: Tx, caller: Caller, project_id: str, new: NewGenerations
) -> ActionResult[Page[Generation]]:
    """Begin variations of one prompt, without changing a scene.

    Variations of a scene start from its current code and refine its generation.
    Raises `RateLimited` when `MAX_PENDING_VARIATIONS` would be exceeded.
    """
    async with changing_project(tx, caller, project_id, "editor") as (change, access):
        variation = NewGeneration(
            prompt=new.prompt, format=access.format, duration=new.duration, model=new.model
        )
        if new.scene_id is not None:
            scene = await scene_in_project(tx, caller, project_id, str(new.scene_id))
            current = (
                await find_generation(tx, scene.generation_id) if scene.generation_id else None
            )
            variation = NewGeneration(
                prompt=current.prompt if current else new.prompt,
                refinement_prompt=new.prompt if current else None,
                parent=current,
                scene_id=scene.id,
                base_code=scene.tsx_code,
                format=access.format,
                duration=new.duration,
                model=new.model,
            )
        return await _begin_batch(change, variation, new.count)


async def refine(
    tx: Tx, caller: Caller, generation_id: str, new: Refinement
) -> ActionResult[Page[Generation]]:
    """Begin children that start from the parent's code and copy its prompt, format and duration.

    Raises `RateLimited`, and `ValidationFailed` for a parent without code.
    """
    found, _ = await access_generation(tx, caller, generation_id, "editor")
    async with changing_project(tx, caller, found.project_id, "editor") as (change, _):
        parent = await find_generation(tx, generation_id)
        if parent is None or parent.deleted_at is not None:
            raise NotFound("This generation was deleted.")
        if parent.status != "success":
            message = f"Only code can be refined; this generation is {parent.status}."
            raise ValidationFailed.at("id", "success", message)
        variation = NewGeneration(
            prompt=parent.prompt,
            refinement_prompt=new.refinement_prompt,
            parent=parent,
            scene_id=parent.scene_id,
            base_code=parent.tsx_code,
            format=parent.format,
            duration=parent.duration,
            model=new.model,
        )
        return await _begin_batch(change, variation, new.count)


async def _begin_batch(
    change: Change, variation: NewGeneration, count: int
) -> ActionResult[Page[Generation]]:
    pending = await change.tx.fetchval(*COUNT_PENDING_VARIATIONS(project_id=change.project_id))
    if pending + count > MAX_PENDING_VARIATIONS:
        raise RateLimited(
            f"{pending} variations are being made in this project already.",
            retry_after=FULL_QUEUE_RETRY_SECONDS,
        )
    batch_id = new_id()
    items = []
    for index in range(count):
        one = msgspec.structs.replace(
            variation, batch_id=batch_id, variation_index=index, variation_count=count
        )
        items.append(await begin(change, one))
    change.tx.send_after_commit(GenerationQueued())
    return ActionResult(
        data=Page(items=items),
        affected=[item.id for item in items],
        revision=change.revision,
    )
