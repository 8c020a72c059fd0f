"""What a person does to scenes by hand: each a change under the project's lock, with its cause."""

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
from app.scenes.model import DURATION, NAME_MOST, Scene, SceneState
from app.scenes.reads import (
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
from app.store.engine import Tx

START_FROM = "startFrom"  # a prop: the frame of its code that a split-off scene begins with
COPY = " copy"
ORDER_EVENTS = ("scene.created", "scene.deleted", "scene.restored", "scenes.reordered")


async def add_scene(tx: Tx, caller: Caller, project_id: str, new: NewScene) -> ActionResult[Scene]:
    """A scene at the end of the video; without code the blank one."""
    async with changing_project(tx, caller, project_id, "editor") as (change, _):
        state = SceneState(
            name=new.name or await _next_name(change),
            tsx_code=BLANK if new.tsx_code is None else new.tsx_code,
            duration=new.duration or DURATION,
            props=check_props(new.props or {}),
            layout_json=new.layout_json,
        )
        cause = _by_hand("Add a blank scene" if new.tsx_code is None else "Add a scene", caller)
        scene, _ = await history.create(change, state, cause)
        await end_welcome(change)
    return _done(change, scene)


async def change_scene(
    tx: Tx, caller: Caller, scene_id: str, patch: ScenePatch, base: int | None
) -> ActionResult[Scene]:
    """New content; a patch that changes nothing leaves no trace."""
    if patch.props is not msgspec.UNSET:
        check_props(patch.props)
    async with _changing_scene(tx, caller, scene_id, base) as (change, before):
        after = patch.applied(before.state)
        changed = changed_fields(before.state, after)
        if not changed:
            return ActionResult(data=before)
        operation = operation_of(changed)
        cause = _by_hand(f"Change {', '.join(changed)}", caller)
        scene, _ = await history.update(change, scene_id, after, operation, cause)
    return _done(change, scene)


async def delete_scene(
    tx: Tx, caller: Caller, scene_id: str, base: int | None
) -> ActionResult[Scene]:
    """Take a scene out of the video; `restore_scene` brings it back."""
    async with _changing_scene(tx, caller, scene_id, base) as (change, _):
        scene, _ = await history.delete(change, scene_id, _by_hand("Delete the scene", caller))
    return _done(change, scene)


async def restore_scene(
    tx: Tx, caller: Caller, scene_id: str, base: int | None
) -> ActionResult[Scene]:
    """Bring a deleted scene back; one that is not deleted is `Conflict`."""
    async with _changing_scene(tx, caller, scene_id, base, deleted=True) as (change, _):
        scene, _ = await history.restore(change, scene_id, _by_hand("Restore the scene", caller))
    return _done(change, scene)


async def duplicate_scene(
    tx: Tx, caller: Caller, scene_id: str, base: int | None
) -> ActionResult[Scene]:
    """A copy with an id of its own, right behind the original."""
    async with _changing_scene(tx, caller, scene_id, base) as (change, before):
        name = before.name[: NAME_MOST - len(COPY)] + COPY
        scene, _ = await history.create(
            change,
            msgspec.structs.replace(before.state, name=name),
            _by_hand(f"Duplicate {before.name}", caller, before.generation_id),
            operation="duplicate",
            position=_behind(before),
        )
    return _done(change, scene)


async def trim_scene(
    tx: Tx, caller: Caller, scene_id: str, duration: int, base: int | None
) -> ActionResult[Scene]:
    return await change_scene(tx, caller, scene_id, ScenePatch(duration=duration), base)


async def split_scene(
    tx: Tx, caller: Caller, scene_id: str, at_frame: int, base: int | None
) -> ActionResult[Page[Scene]]:
    """Two scenes instead of one, as long together as it was.

    The second has the same code and the prop `startFrom`: the frame of the code that it begins
    with, counted from the code's own start, so that a piece can be split again.
    """
    async with _changing_scene(tx, caller, scene_id, base) as (change, before):
        if at_frame >= before.duration:
            raise ValidationFailed.at(
                "atFrame", "maximum", f"The scene lasts {before.duration} frames."
            )
        cause = _by_hand(f"Split at frame {at_frame}", caller, before.generation_id)
        state = before.state
        begun = state.props.get(START_FROM)
        start = (begun if type(begun) is int else 0) + at_frame
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
    """A new order of exactly the live scenes. Raises `NotFound` for an unknown scene, `Forbidden`
    for one of another project of the caller, `ValidationFailed` unless it is a permutation."""
    scene_ids = [str(scene_id) for scene_id in order.scene_ids]
    async with changing_project(tx, caller, project_id, "editor") as (change, _):
        ids = await live_ids(tx, project_id)
        known = set(ids)
        strange = next((scene_id for scene_id in scene_ids if scene_id not in known), None)
        if strange is not None:
            await scene_in_project(tx, caller, project_id, strange)
        await _check_order(change, order.base_revision, ids)
        if moved := scene_ids != ids:
            cause = _by_hand("Change the order of the scenes", caller)
            await history.reorder(change, scene_ids, cause)
    page = Page(items=await live_scenes(tx, project_id))
    return ActionResult(
        data=page,
        affected=scene_ids if moved else [],
        revision=change.revision if moved else None,
    )


async def _check_order(change: Change, base: int | None, ids: list[str]) -> None:
    if base is None:
        return
    newer = await change.tx.fetchval(
        "select exists (select from project_event"
        " where project_id = $1 and revision > $2 and type = any($3::text[]))",
        change.project_id,
        base,
        list(ORDER_EVENTS),
    )
    if newer:
        raise Conflict("The order has changed since you looked.", details={"sceneIds": ids})


@asynccontextmanager
async def _changing_scene(
    tx: Tx, caller: Caller, scene_id: str, base: int | None, *, deleted: bool = False
) -> AsyncIterator[tuple[Change, Scene]]:
    """The scene as it is under its project's lock, at the revision that the client saw."""
    found, _ = await access_scene(tx, caller, scene_id, "editor", deleted=deleted)
    async with changing_project(tx, caller, found.project_id, "editor") as (change, _):
        scene = await find_scene(tx, scene_id)
        if scene is None or (scene.deleted_at is not None and not deleted):
            raise NotFound("There is no such scene.")
        check_base(scene, base)
        yield change, scene


def _by_hand(said: str, caller: Caller, generation_id: str | None = None) -> Cause:
    return Cause(
        source="user", prompt=said, session_id=caller.session_id, generation_id=generation_id
    )


def _behind(scene: Scene) -> int:
    assert scene.position is not None, "a live scene has a place"
    return scene.position + 1


def _done(change: Change, scene: Scene) -> ActionResult[Any]:
    return ActionResult(data=scene, affected=[scene.id], revision=change.revision)


async def _next_name(change: Change) -> str:
    """`Scene n`, where n is one more than there are scenes, or the next that is free."""
    rows = await change.tx.fetch(
        "select name from scene where project_id = $1 and deleted_at is null", change.project_id
    )
    names, number = {row["name"] for row in rows}, len(rows) + 1
    while f"Scene {number}" in names:
        number += 1
    return f"Scene {number}"
