"""Operations on generations for users: applying one to a scene, and deleting one."""

import msgspec

from app.auth.model import Caller
from app.generations.model import Apply, Generation
from app.generations.model_calls import close_calls_of_generation
from app.generations.reads import (
    GENERATION,
    NO_GENERATION,
    access_generation,
    find_generation,
    generation_of,
)
from app.generations.records import emit_updated, fail
from app.generations.tables import GenerationRow
from app.http.envelope import ActionResult
from app.problems import Conflict, NotFound
from app.projects.access import changing_project
from app.projects.projects import end_welcome
from app.realtime.log import Change
from app.scenes import history
from app.scenes.history import Cause
from app.scenes.model import Scene
from app.scenes.reads import scene_in_project
from app.scenes.requests import check_base
from app.scenes.tables import SceneRow
from app.store.columns import NOW
from app.store.database import Tx
from app.store.query import Param, built
from app.tools.model import AddScene, EditScene
from app.tools.registry import run_tool

DELETED_MESSAGE = "It was deleted before its code was there."

SET_SCENE = built(
    GenerationRow.update({GenerationRow.scene_id: Param("scene_id")})
    .where(GenerationRow.id == Param("id"), GenerationRow.scene_id.is_null())
    .returning(*GENERATION)
)
DELETE_GENERATION = built(
    GenerationRow.update(
        {
            GenerationRow.tsx_code: None,
            GenerationRow.base_code: None,
            GenerationRow.deleted_at: NOW,
        }
    )
    .where(GenerationRow.id == Param("id"))
    .returning(*GENERATION)
)
LIST_SCENES_SHOWING = built(
    SceneRow.select(SceneRow.id)
    .where(SceneRow.generation_id == Param("generation_id"))
    .order_by(SceneRow.id)
)


async def apply(
    tx: Tx, caller: Caller, generation_id: str, request: Apply, base: int | None
) -> ActionResult[Scene]:
    """Apply the code to a scene as an iteration, or create a new scene with it.

    Raises `Conflict` when there is no code, or the scene is not at revision `base`. A scene that
    already has this generation, code and duration is not changed.
    """
    found, _ = await access_generation(tx, caller, generation_id, "editor")
    async with changing_project(tx, caller, found.project_id, "editor") as (change, _):
        generation = await find_generation(tx, generation_id)
        assert generation is not None, "generations are never removed"
        if generation.status != "success" or generation.tsx_code is None:
            what = "deleted" if generation.deleted_at else generation.status
            raise Conflict(
                f"This generation is {what}: there is no code to put on a scene.",
                details={"generation": generation},
            )
        if request.scene_id is None:
            scene = await _create_scene(change, generation, generation.tsx_code, caller)
        else:
            before = await scene_in_project(tx, caller, found.project_id, str(request.scene_id))
            check_base(before, base)
            scene = await _update_scene(change, before, generation, generation.tsx_code, caller)
            if scene is before:
                return ActionResult(data=before)
        await _set_scene(change, generation, scene.id)
    return ActionResult(
        data=scene,
        affected=[scene.id],
        revision=change.revision,
        status=201 if request.scene_id is None else 200,
    )


async def _create_scene(change: Change, generation: Generation, code: str, caller: Caller) -> Scene:
    added = run_tool("addScene", None, AddScene(code=code, duration=generation.duration))
    scene, _ = await history.create(change, added.after, _cause(generation, caller))
    await end_welcome(change)
    return scene


async def _update_scene(
    change: Change, before: Scene, generation: Generation, code: str, caller: Caller
) -> Scene:
    """Replace the scene's code, and its duration if the generation has one."""
    duration = generation.duration or before.duration
    same = before.tsx_code == code and before.duration == duration
    if same and before.generation_id == generation.id:
        return before
    after = msgspec.structs.replace(before.state, tsx_code=code, duration=duration)
    cause = _cause(generation, caller)
    if not same:
        edited = run_tool("editScene", before.state, EditScene(code=code, duration=duration))
        after = edited.after
        cause = msgspec.structs.replace(cause, complexity=edited.complexity)
    scene, _ = await history.update(change, before.id, after, "edit", cause)
    return scene


async def _set_scene(change: Change, generation: Generation, scene_id: str) -> None:
    """Set the scene of a generation that has none to the first one to which it is applied."""
    row = await change.tx.fetchrow(*SET_SCENE(id=generation.id, scene_id=scene_id))
    if row is not None:
        emit_updated(change, generation_of(row))


def _cause(generation: Generation, caller: Caller) -> Cause:
    return Cause(
        source="user",
        prompt=generation.instruction,
        session_id=caller.session_id,
        generation_id=generation.id,
        model_used=generation.model,
        generation_time_ms=generation.duration_ms,
    )


async def delete_generation(tx: Tx, caller: Caller, generation_id: str) -> ActionResult[Generation]:
    """Delete the code of a generation; its row is kept as the parent of its refinements.

    A pending variation is cancelled. Raises `Conflict` for the generation of a scene, also of a
    deleted scene, which may be restored, and for a pending generation of a run; `NotFound` for one
    that was deleted before.
    """
    found, _ = await access_generation(tx, caller, generation_id, "editor")
    async with changing_project(tx, caller, found.project_id, "editor") as (change, _):
        generation = await find_generation(tx, generation_id)
        if generation is None or generation.deleted_at is not None:
            raise NotFound(NO_GENERATION)
        await _check_unused(tx, generation)
        if generation.status == "pending":
            await close_calls_of_generation(tx, generation_id, "cancelled")
            await fail(change, generation_id, "CANCELLED", DELETED_MESSAGE)
        row = await tx.fetchrow(*DELETE_GENERATION(id=generation_id))
        assert row is not None
        deleted = emit_updated(change, generation_of(row))
    return ActionResult(data=deleted, affected=[generation_id], revision=change.revision)


async def _check_unused(tx: Tx, generation: Generation) -> None:
    if generation.status == "pending" and generation.run_id is not None:
        raise Conflict("A turn is writing this; stop the turn.", details={"generation": generation})
    rows = await tx.fetch(*LIST_SCENES_SHOWING(generation_id=generation.id))
    if rows:
        scene_ids = [row["id"] for row in rows]
        raise Conflict("A scene shows this generation.", details={"sceneIds": scene_ids})
