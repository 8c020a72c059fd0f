"""What a person does with a generation: puts its code on a scene, or lets it go."""

from typing import Any

import msgspec

from app.auth.model import Caller
from app.generations.leases import close_calls
from app.generations.model import GENERATION, Apply, Generation, generation_of
from app.generations.reads import ABSENT, access_generation, find_generation
from app.generations.records import fail, tell
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
from app.store.database import Tx
from app.tools.model import AddScene, EditScene
from app.tools.registry import run_tool

DELETED = "It was deleted before its code was there."


async def apply(
    tx: Tx, caller: Caller, generation_id: str, asked: Apply, base: int | None
) -> ActionResult[Scene]:
    """Put the code on a scene as an iteration, or make a new scene of it.

    Raises `Conflict` when there is no code, or the scene is not at `base`. A scene that shows
    exactly this already is left alone.
    """
    found, _ = await access_generation(tx, caller, generation_id, "editor")
    async with changing_project(tx, caller, found.project_id, "editor") as (change, _):
        generation = await find_generation(tx, generation_id)
        assert generation is not None, "rows of generations stay"
        if generation.status != "success" or generation.tsx_code is None:
            what = "deleted" if generation.deleted_at else generation.status
            raise Conflict(
                f"This generation is {what}: there is no code to put on a scene.",
                details={"generation": generation},
            )
        if asked.scene_id is None:
            scene = await _as_new(change, generation, generation.tsx_code, caller)
        else:
            before = await scene_in_project(tx, caller, found.project_id, str(asked.scene_id))
            check_base(before, base)
            scene = await _onto(change, before, generation, generation.tsx_code, caller)
            if scene is before:
                return ActionResult(data=before)
        await _belong(change, generation, scene.id)
    return ActionResult(
        data=scene,
        affected=[scene.id],
        revision=change.revision,
        status=201 if asked.scene_id is None else 200,
    )


async def _as_new(change: Change, generation: Generation, code: str, caller: Caller) -> Scene:
    wanted = run_tool("addScene", None, AddScene(code=code, duration=generation.duration))
    cause = _by_hand(generation, caller)
    scene, _ = await history.create(change, wanted.after, cause)
    await end_welcome(change)
    return scene


async def _onto(
    change: Change, before: Scene, generation: Generation, code: str, caller: Caller
) -> Scene:
    """The code, and its duration when one was asked for; the scene's name and props stay."""
    duration = generation.duration or before.duration
    same = before.tsx_code == code and before.duration == duration
    if same and before.generation_id == generation.id:
        return before
    after = msgspec.structs.replace(before.state, tsx_code=code, duration=duration)
    cause = _by_hand(generation, caller)
    if not same:
        change_ = run_tool("editScene", before.state, EditScene(code=code, duration=duration))
        after = change_.after
        cause = msgspec.structs.replace(cause, complexity=change_.complexity)
    scene, _ = await history.update(change, before.id, after, "edit", cause)
    return scene


async def _belong(change: Change, generation: Generation, scene_id: str) -> None:
    """What was made for no scene belongs to the first one that it is put on."""
    row = await change.tx.fetchrow(
        "update generation set scene_id = $2 where id = $1 and scene_id is null"
        f" returning {GENERATION}",
        generation.id,
        scene_id,
    )
    if row is not None:
        tell(change, generation_of(row))


def _by_hand(generation: Generation, caller: Caller) -> Cause:
    return Cause(
        source="user",
        prompt=generation.instruction,
        session_id=caller.session_id,
        generation_id=generation.id,
        model_used=generation.model,
        generation_time_ms=generation.duration_ms,
    )


async def delete_generation(tx: Tx, caller: Caller, generation_id: str) -> ActionResult[Generation]:
    """Its code goes, its row stays, so that what refined it still knows where it came from.

    A pending variation is given up with it. Raises `Conflict` for what a scene shows, also a
    deleted scene, which may come back, and for what a turn is writing; `NotFound` when it was
    deleted before.
    """
    found, _ = await access_generation(tx, caller, generation_id, "editor")
    async with changing_project(tx, caller, found.project_id, "editor") as (change, _):
        generation = await find_generation(tx, generation_id)
        if generation is None or generation.deleted_at is not None:
            raise NotFound(ABSENT)
        await _check_unused(tx, generation)
        if generation.status == "pending":
            await close_calls(tx, generation_id, "cancelled")
            await fail(change, generation_id, "CANCELLED", DELETED)
        row = await tx.fetchrow(
            "update generation set tsx_code = null, base_code = null,"
            f" deleted_at = clock_timestamp() where id = $1 returning {GENERATION}",
            generation_id,
        )
        assert row is not None
        gone = tell(change, generation_of(row))
    return ActionResult(data=gone, affected=[generation_id], revision=change.revision)


async def _check_unused(tx: Tx, generation: Generation) -> None:
    if generation.status == "pending" and generation.run_id is not None:
        raise Conflict("A turn is writing this; stop the turn.", details={"generation": generation})
    rows: list[Any] = await tx.fetch(
        "select id from scene where generation_id = $1 order by id", generation.id
    )
    if rows:
        raise Conflict(
            "A scene shows this generation.", details={"sceneIds": [row["id"] for row in rows]}
        )
