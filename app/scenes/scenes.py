"""Direct operations on scenes; each is one change under the project's lock."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from app.auth.model import Caller
from app.http.envelope import ActionResult, Page
from app.problems import Conflict, NotFound, ValidationFailed
from app.projects.access import changing_project
from app.projects.projects import end_welcome
from app.realtime.log import Change
from app.scenes import history
from app.scenes.blank import BLANK
from app.scenes.diff import changed_fields, operation_of
from app.scenes.history import Cause
from app.scenes.model import DEFAULT_DURATION_FRAMES, MAX_NAME_CHARACTERS, Scene, SceneState
from app.scenes.reads import (
    IS_LIVE,
    access_scene,
    find_scene,
    live_ids,
    live_scenes,
    scene_in_project,
)
from app.scenes.requests import (
    NewScene,
    SceneOrder,
    ScenePatch,
    check_base,
    check_props,
)
from app.scenes.tables import SceneRow
from app.store.database import Tx
from app.store.query import built, named

START_FROM = "startFrom"  # the prop with the frame of the code at which a scene begins
COPY_SUFFIX = " copy"

ORDER_HAS_CHANGED = named("""
    select exists (
        select from project_event
        where project_id = :project_id and revision > :after and type = any(:types::text[])
    )
""")
LIST_LIVE_NAMES = built(SceneRow.select(SceneRow.name).where(IS_LIVE))


async def add_scene(tx: Tx, caller: Caller, project_id: str, new: NewScene) -> ActionResult[Scene]:
    """Add a scene at the end of the video; without code the blank one."""
    async with changing_project(tx, caller, project_id, "editor") as (change, _):
        state = SceneState(
            name=new.name or await _next_name(change),
            tsx_code=BLANK if new.tsx_code is None else new.tsx_code,
            duration=new.duration or DEFAULT_DURATION_FRAMES,
            props=check_props(new.props or {}),
            layout_json=new.layout_json,
        )
        cause = _cause("Add a blank scene" if new.tsx_code is None else "Add a scene", caller)
        scene, _ = await history.create(change, state, cause)
        await end_welcome(change)
    return _result(change, scene)


async def change_scene(
    tx: Tx, caller: Caller, scene_id: str, patch: ScenePatch, base: int | None
) -> ActionResult[Scene]:
    """Apply a patch to a scene; a patch without an effect writes nothing."""
    if patch.props is not msgspec.UNSET:
        check_props(patch.props)
    async with _changing_scene(tx, caller, scene_id, base) as (change, before):
        after = patch.applied(before.state)
        changed = changed_fields(before.state, after)
        if not changed:
            return ActionResult(data=before)
        operation = operation_of(changed)
        cause = _cause(f"Change {', '.join(changed)}", caller)
        scene, _ = await history.update(change, scene_id, after, operation, cause)
    return _result(change, scene)


async def delete_scene(
    tx: Tx, caller: Caller, scene_id: str, base: int | None
) -> ActionResult[Scene]:
    """Mark a scene as deleted; `restore_scene` restores it."""
    async with _changing_scene(tx, caller, scene_id, base) as (change, _):
        scene, _ = await history.delete(change, scene_id, _cause("Delete the scene", caller))
    return _result(change, scene)


async def restore_scene(
    tx: Tx, caller: Caller, scene_id: str, base: int | None
) -> ActionResult[Scene]:
    """Restore a deleted scene; raise `Conflict` for one that is not deleted."""
    async with _changing_scene(tx, caller, scene_id, base, deleted=True) as (change, _):
        scene, _ = await history.restore(change, scene_id, _cause("Restore the scene", caller))
    return _result(change, scene)


async def duplicate_scene(
    tx: Tx, caller: Caller, scene_id: str, base: int | None
) -> ActionResult[Scene]:
    """Add a copy of a scene right behind the original."""
    async with _changing_scene(tx, caller, scene_id, base) as (change, before):
        name = before.name[: MAX_NAME_CHARACTERS - len(COPY_SUFFIX)] + COPY_SUFFIX
        scene, _ = await history.create(
            change,
            msgspec.structs.replace(before.state, name=name),
            _cause(f"Duplicate {before.name}", caller, before.generation_id),
            operation="duplicate",
            position=_behind(before),
        )
    return _result(change, scene)


async def trim_scene(
    tx: Tx, caller: Caller, scene_id: str, duration: int, base: int | None
) -> ActionResult[Scene]:
    """Set the duration of a scene, in frames."""
    return await change_scene(tx, caller, scene_id, ScenePatch(duration=duration), base)


async def split_scene(
    tx: Tx, caller: Caller, scene_id: str, at_frame: int, base: int | None
) -> ActionResult[Page[Scene]]:
    """Split a scene into two, whose durations add up to its own.

    The second has the same code and the prop `startFrom`: the frame of the code at which it
    begins, counted from the start of the code, so that it can be split again.
    """
    async with _changing_scene(tx, caller, scene_id, base) as (change, before):
        if at_frame >= before.duration:
            raise ValidationFailed.at(
                "atFrame", "maximum", f"The scene lasts {before.duration} frames."
            )
        cause = _cause(f"Split at frame {at_frame}", caller, before.generation_id)
        state = before.state
        first_frame = state.props.get(START_FROM)
        start = (first_frame if type(first_frame) is int else 0) + at_frame
        rest = msgspec.structs.replace(
            state,
            duration=state.duration - at_frame,
            props={**state.props, START_FROM: start},
        )
        cut = msgspec.structs.replace(state, duration=at_frame)
        first, _ = await history.update(change, scene_id, cut, "split", cause)
        second, _ = await history.create(
            change, rest, cause, operation="split", position=_behind(before)
        )
    page = Page(items=[first, second])
    return ActionResult(data=page, affected=[first.id, second.id], revision=change.revision)


async def reorder_scenes(
    tx: Tx, caller: Caller, project_id: str, order: SceneOrder
) -> ActionResult[Page[Scene]]:
    """Set the order of the live scenes.

    Raises `NotFound` for an unknown scene, `Forbidden` for one of another project of the caller,
    and `ValidationFailed` unless the order names each live scene once.
    """
    scene_ids = [str(scene_id) for scene_id in order.scene_ids]
    async with changing_project(tx, caller, project_id, "editor") as (change, _):
        ids = await live_ids(tx, project_id)
        known = set(ids)
        unknown = next((scene_id for scene_id in scene_ids if scene_id not in known), None)
        if unknown is not None:
            await scene_in_project(tx, caller, project_id, unknown)
        await _check_order(change, order.base_revision, ids)
        if moved := scene_ids != ids:
            cause = _cause("Change the order of the scenes", caller)
            await history.reorder(change, scene_ids, cause)
    page = Page(items=await live_scenes(tx, project_id))
    return ActionResult(
        data=page,
        affected=scene_ids if moved else [],
        revision=change.revision if moved else None,
    )


async def _check_order(change: Change, base: int | None, ids: list[str]) -> None:
    """Raise `Conflict` with the current order if it has changed after the revision `base`."""
    if base is None:
        return
    if await change.tx.fetchval(
        *ORDER_HAS_CHANGED(project_id=change.project_id, after=base, types=history.ORDER_EVENTS)
    ):
        raise Conflict("The order has changed since you looked.", details={"sceneIds": ids})


@asynccontextmanager
async def _changing_scene(
    tx: Tx, caller: Caller, scene_id: str, base: int | None, *, deleted: bool = False
) -> AsyncIterator[tuple[Change, Scene]]:
    """Lock a scene's project; yield the change and the current scene.

    Raises `Conflict` if a revision `base` is given and the scene is at another one.
    """
    found, _ = await access_scene(tx, caller, scene_id, "editor", deleted=deleted)
    async with changing_project(tx, caller, found.project_id, "editor") as (change, _):
        scene = await find_scene(tx, scene_id)
        if scene is None or (scene.deleted_at is not None and not deleted):
            raise NotFound("There is no such scene.")
        check_base(scene, base)
        yield change, scene


def _cause(prompt: str, caller: Caller, generation_id: str | None = None) -> Cause:
    return Cause(
        source="user", prompt=prompt, session_id=caller.session_id, generation_id=generation_id
    )


def _behind(scene: Scene) -> int:
    assert scene.position is not None, "a live scene has a position"
    return scene.position + 1


def _result(change: Change, scene: Scene) -> ActionResult[Any]:
    return ActionResult(data=scene, affected=[scene.id], revision=change.revision)


async def _next_name(change: Change) -> str:
    """Return `Scene n` with the first unused number above the number of scenes."""
    rows = await change.tx.fetch(*LIST_LIVE_NAMES(project_id=change.project_id))
    names, number = {row["name"] for row in rows}, len(rows) + 1
    while f"Scene {number}" in names:
        number += 1
    return f"Scene {number}"
