"""Asking for code beside the video: variations of a prompt, refinements of a generation."""

import msgspec

from app.auth.model import Caller
from app.generations.model import Generation, NewGenerations, Refinement
from app.generations.reads import access_generation, find_generation
from app.generations.records import NewGeneration, begin
from app.http.envelope import ActionResult, Page
from app.problems import NotFound, RateLimited, ValidationFailed
from app.projects.access import changing_project
from app.realtime.log import Change
from app.scenes.reads import scene_in_project
from app.store.database import Tx
from app.store.ids import new_id

WAITING_MOST = 20  # variations of one project that are not over
WAIT_HINT = 5  # seconds until a full queue is worth another try


async def ask_variations(
    tx: Tx, caller: Caller, project_id: str, new: NewGenerations
) -> ActionResult[Page[Generation]]:
    """Pending variations of one prompt; no scene is touched.

    Of a scene they start from its code as it is now, and refine the generation that it shows.
    """
    async with changing_project(tx, caller, project_id, "editor") as (change, access):
        wanted = NewGeneration(
            prompt=new.prompt, format=access.format, duration=new.duration, model=new.model
        )
        if new.scene_id is not None:
            scene = await scene_in_project(tx, caller, project_id, str(new.scene_id))
            shown = await find_generation(tx, scene.generation_id) if scene.generation_id else None
            wanted = NewGeneration(
                prompt=shown.prompt if shown else new.prompt,
                refinement_prompt=new.prompt if shown else None,
                parent=shown,
                scene_id=scene.id,
                base_code=scene.tsx_code,
                format=access.format,
                duration=new.duration,
                model=new.model,
            )
        return await _begin_batch(change, wanted, new.count)


async def refine(
    tx: Tx, caller: Caller, generation_id: str, asked: Refinement
) -> ActionResult[Page[Generation]]:
    """Children that start from the parent's code and copy its prompt, format and duration."""
    found, _ = await access_generation(tx, caller, generation_id, "editor")
    async with changing_project(tx, caller, found.project_id, "editor") as (change, _):
        parent = await find_generation(tx, generation_id)
        if parent is None or parent.deleted_at is not None:
            raise NotFound("This generation was deleted.")
        if parent.status != "success":
            message = f"Only code can be refined; this generation is {parent.status}."
            raise ValidationFailed.at("id", "success", message)
        wanted = NewGeneration(
            prompt=parent.prompt,
            refinement_prompt=asked.refinement_prompt,
            parent=parent,
            scene_id=parent.scene_id,
            base_code=parent.tsx_code,
            format=parent.format,
            duration=parent.duration,
            model=asked.model,
        )
        return await _begin_batch(change, wanted, asked.count)


async def _begin_batch(
    change: Change, wanted: NewGeneration, count: int
) -> ActionResult[Page[Generation]]:
    waiting = await change.tx.fetchval(
        "select count(*) from generation"
        " where project_id = $1 and status = 'pending' and run_id is null",
        change.project_id,
    )
    if waiting + count > WAITING_MOST:
        raise RateLimited(
            f"{waiting} variations are being made in this project already.", retry_after=WAIT_HINT
        )
    batch_id = new_id()
    items = []
    for index in range(count):
        one = _variation(wanted, batch_id, index, count)
        items.append(await begin(change, one))
    return ActionResult(
        data=Page(items=items),
        affected=[item.id for item in items],
        revision=change.revision,
    )


def _variation(wanted: NewGeneration, batch_id: str, index: int, count: int) -> NewGeneration:
    return msgspec.structs.replace(
        wanted, batch_id=batch_id, variation_index=index, variation_count=count
    )
