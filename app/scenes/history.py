"""Every change of a scene: its row, its iteration and their events, in the caller's transaction.

The project's row is locked by the `Change` that each function takes, so positions and revisions
can't move meanwhile.
"""

from typing import Any

import msgspec

from app.problems import Conflict, NotFound, ValidationFailed
from app.realtime.log import Change
from app.scenes.model import (
    SCENES_MOST,
    ChangeSource,
    Complexity,
    Iteration,
    Operation,
    Scene,
    SceneState,
)
from app.scenes.reads import ITERATION, SCENE, find_scene, iteration_of, live_ids, plain, scene_of
from app.store.ids import new_id

EDITED_AGAIN = "5 minutes"  # an edit that is edited again so soon did not satisfy


class Cause(msgspec.Struct, frozen=True, kw_only=True):
    """Why a scene changes: what its iteration will tell."""

    source: ChangeSource
    prompt: str
    message_id: str | None = None
    run_id: str | None = None
    call_id: str | None = None
    session_id: str | None = None
    brain_reasoning: str | None = None
    tool_reasoning: str | None = None
    complexity: Complexity | None = None
    generation_time_ms: int | None = None
    model_used: str | None = None
    tokens_used: int | None = None
    reverts_iteration_id: str | None = None
    generation_id: str | None = None  # whose code this is; none: the scene's stays what it was


async def create(
    change: Change,
    state: SceneState,
    cause: Cause,
    *,
    operation: Operation = "create",
    position: int | None = None,
) -> tuple[Scene, Iteration]:
    """A new scene, at the end unless `position` says otherwise (clamped)."""
    ids = await live_ids(change.tx, change.project_id)
    if len(ids) >= SCENES_MOST:
        raise ValidationFailed.at("scenes", "max", f"A project has at most {SCENES_MOST} scenes.")
    place = len(ids) if position is None else min(position, len(ids))
    await _shift(change, place, +1)
    row = await change.tx.fetchrow(
        "insert into scene (id, project_id, position, name, tsx_code, duration, props,"
        " layout_json, request_id, generation_id)"
        f" values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) returning {SCENE}",
        new_id(),
        change.project_id,
        place,
        state.name,
        state.tsx_code,
        state.duration,
        state.props,
        state.layout_json,
        change.request_id,
        cause.generation_id,
    )
    assert row is not None
    scene = scene_of(row)
    ids.insert(place, scene.id)
    changed = ["name", "tsxCode", "duration", "props", "layoutJson", "position"]
    _tell(change, "scene.created", scene, changed, cause, ids)
    return scene, await _record(change, operation, None, scene, ["created"], cause)


async def update(
    change: Change, scene_id: str, after: SceneState, operation: Operation, cause: Cause
) -> tuple[Scene, Iteration]:
    """New content for a live scene; its place and its life stay."""
    before = await _get_live(change, scene_id)
    changed = changed_fields(before.state, after)
    row = await change.tx.fetchrow(
        "update scene set name = $2, tsx_code = $3, duration = $4, props = $5, layout_json = $6,"
        " request_id = $7, generation_id = coalesce($8, generation_id),"
        " revision = revision + 1, updated_at = clock_timestamp()"
        f" where id = $1 returning {SCENE}",
        scene_id,
        after.name,
        after.tsx_code,
        after.duration,
        after.props,
        after.layout_json,
        change.request_id,
        cause.generation_id,
    )
    assert row is not None
    scene = scene_of(row)
    _tell(change, "scene.updated", scene, changed, cause)
    iteration = await _record(change, operation, before, scene, describe(before, scene), cause)
    return scene, iteration


async def delete(change: Change, scene_id: str, cause: Cause) -> tuple[Scene, Iteration]:
    """Softly: the id, its content and its history stay for `restore`."""
    before = await _get_live(change, scene_id)
    assert before.position is not None
    row = await change.tx.fetchrow(
        "update scene set position = null, deleted_at = clock_timestamp(), request_id = $2,"
        " revision = revision + 1, updated_at = clock_timestamp()"
        f" where id = $1 returning {SCENE}",
        scene_id,
        change.request_id,
    )
    assert row is not None
    await _shift(change, before.position + 1, -1)
    scene = scene_of(row)
    ids = await live_ids(change.tx, change.project_id)
    _tell(change, "scene.deleted", scene, ["deletedAt", "position"], cause, ids)
    return scene, await _record(change, "delete", before, scene, ["deleted"], cause)


async def restore(
    change: Change, scene_id: str, cause: Cause, *, position: int | None = None
) -> tuple[Scene, Iteration]:
    """Bring a deleted scene back under its own id, at its old place where that still exists."""
    before = await find_scene(change.tx, scene_id)
    if before is None or before.project_id != change.project_id:
        raise NotFound("There is no such scene.")
    if before.deleted_at is None:
        raise Conflict("The scene is not deleted.", details={"scene": before})
    ids = await live_ids(change.tx, change.project_id)
    if len(ids) >= SCENES_MOST:
        raise ValidationFailed.at("scenes", "max", f"A project has at most {SCENES_MOST} scenes.")
    if position is None:
        position = await _last_position(change, scene_id)
    place = len(ids) if position is None else min(position, len(ids))
    await _shift(change, place, +1)
    row = await change.tx.fetchrow(
        "update scene set position = $2, deleted_at = null, request_id = $3,"
        " revision = revision + 1, updated_at = clock_timestamp()"
        f" where id = $1 returning {SCENE}",
        scene_id,
        place,
        change.request_id,
    )
    assert row is not None
    scene = scene_of(row)
    ids.insert(place, scene_id)
    _tell(change, "scene.restored", scene, ["deletedAt", "position"], cause, ids)
    return scene, await _record(change, "restore", before, scene, ["restored"], cause)


async def reorder(change: Change, scene_ids: list[str], cause: Cause) -> Iteration:
    """A new order of exactly the live scenes."""
    ids = await live_ids(change.tx, change.project_id)
    if sorted(ids) != sorted(scene_ids):
        raise ValidationFailed.at(
            "sceneIds", "permutation", "The new order must name each live scene exactly once."
        )
    await change.tx.execute(
        "update scene set position = place.number - 1, request_id = $2"
        " from unnest($1::uuid[]) with ordinality as place (id, number)"
        " where scene.id = place.id and scene.position <> place.number - 1",
        scene_ids,
        change.request_id,
    )
    data = {"sceneIds": scene_ids, "changed": ["position"]}
    change.emit("scenes.reordered", data, run_id=cause.run_id)
    before, after = {"sceneIds": ids}, {"sceneIds": scene_ids}
    return await _insert(change, "reorder", None, before, after, (None, None), ["order"], cause)


def changed_fields(before: SceneState, after: SceneState) -> list[str]:
    """Wire names of the fields that differ."""
    old, new = plain(before), plain(after)
    return [name for name in new if name not in ("position", "deleted") and old[name] != new[name]]


def describe(before: Scene, after: Scene) -> list[str]:
    """What really changed, computed from both states."""
    said: list[str] = []
    if before.tsx_code != after.tsx_code:
        said.append("code")
    if before.name != after.name:
        said.append(f"name {before.name} -> {after.name}")
    if before.duration != after.duration:
        said.append(f"duration {before.duration} -> {after.duration}")
    if before.props != after.props:
        said.append("props")
    if before.layout_json != after.layout_json:
        said.append("layout")
    return said


async def _get_live(change: Change, scene_id: str) -> Scene:
    scene = await find_scene(change.tx, scene_id)
    if scene is None or scene.deleted_at or scene.project_id != change.project_id:
        raise NotFound("There is no such scene.")
    return scene


async def _shift(change: Change, place: int, by: int) -> None:
    await change.tx.execute(
        "update scene set position = position + $3"
        " where project_id = $1 and deleted_at is null and position >= $2",
        change.project_id,
        place,
        by,
    )


async def _last_position(change: Change, scene_id: str) -> int | None:
    value = await change.tx.fetchval(
        "select (before->>'position')::int from scene_iteration"
        " where scene_id = $1 and operation_type = 'delete' order by revision desc limit 1",
        scene_id,
    )
    return int(value) if value is not None else None


def _tell(
    change: Change,
    kind: str,
    scene: Scene,
    changed: list[str],
    cause: Cause,
    scene_ids: list[str] | None = None,
) -> None:
    data: dict[str, Any] = {"scene": scene, "changed": changed}
    if scene_ids is not None:
        data["sceneIds"] = scene_ids
    change.emit(kind, data, run_id=cause.run_id)


async def _record(
    change: Change,
    operation: Operation,
    before: Scene | None,
    after: Scene,
    changes: list[str],
    cause: Cause,
) -> Iteration:
    codes = (before.tsx_code if before else None, None if after.deleted_at else after.tsx_code)
    if before is not None:
        await _mark_edited_again(change, after.id, cause)
    old = plain(before.state) if before else None
    new = plain(after.state)
    return await _insert(change, operation, after.id, old, new, codes, changes, cause)


async def _mark_edited_again(change: Change, scene_id: str, cause: Cause) -> None:
    if cause.source == "revert":
        return
    await change.tx.execute(
        "update scene_iteration set user_edited_again = true where not user_edited_again"
        f" and created_at > clock_timestamp() - interval '{EDITED_AGAIN}' and id ="
        " (select id from scene_iteration where scene_id = $1 order by revision desc limit 1)",
        scene_id,
    )


async def _insert(
    change: Change,
    operation: Operation,
    scene_id: str | None,
    before: Any,
    after: Any,
    codes: tuple[str | None, str | None],
    changes: list[str],
    cause: Cause,
) -> Iteration:
    row = await change.tx.fetchrow(
        "insert into scene_iteration (id, project_id, scene_id, operation_type, change_source,"
        " edit_complexity, user_prompt, brain_reasoning, tool_reasoning, before, after,"
        " code_before, code_after, changes_applied, generation_time_ms, model_used, tokens_used,"
        " message_id, run_id, call_id, session_id, request_id, actor_id, reverts_iteration_id,"
        " revision, generation_id) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12,"
        " $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26)"
        f" returning {ITERATION}",
        new_id(),
        change.project_id,
        scene_id,
        operation,
        cause.source,
        cause.complexity,
        cause.prompt,
        cause.brain_reasoning,
        cause.tool_reasoning,
        before,
        after,
        *codes,
        changes,
        cause.generation_time_ms,
        cause.model_used,
        cause.tokens_used,
        cause.message_id,
        cause.run_id,
        cause.call_id,
        cause.session_id,
        change.request_id,
        change.actor_id,
        cause.reverts_iteration_id,
        change.next_revision,
        cause.generation_id,
    )
    assert row is not None
    iteration = iteration_of(row)
    change.emit("iteration.created", {"iteration": iteration}, run_id=cause.run_id)
    return iteration
