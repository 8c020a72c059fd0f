"""Every change of a scene: its row, its iteration and their events, in the caller's transaction.

The project's row is locked by the `Change` that each function takes, so positions and revisions
can't move meanwhile.
"""

from typing import Any

import msgspec

from app.problems import Conflict, NotFound, ValidationFailed
from app.realtime.log import Change
from app.scenes.diff import changed_fields, describe
from app.scenes.model import (
    SCENES_MOST,
    ChangeSource,
    Complexity,
    EntryKind,
    Iteration,
    Operation,
    Scene,
    SceneState,
)
from app.scenes.reads import ITERATION, SCENE, find_scene, iteration_of, live_ids, plain, scene_of
from app.store.ids import new_id

EDITED_AGAIN = "5 minutes"  # an edit that is edited again so soon did not satisfy
CREATED = ["name", "tsxCode", "duration", "props", "layoutJson", "position"]
TITLE_MOST = 200  # characters of a prompt that the timeline shows

# The entry of the timeline that an iteration belongs to. One that goes on is no longer undone.
ENTRY = """
    with entry as (
        insert into history_entry (id, project_id, kind, title, message_id, run_id, request_id,
            actor_id, first_revision, last_revision)
        values ($26, $2, $27, $28, $18, $19, $22, $23, $25, $25)
        on conflict (id) do update
            set last_revision = excluded.last_revision, undone_by_id = null
    )
"""


class Cause(msgspec.Struct, frozen=True, kw_only=True):
    """Why a scene changes: what its iteration will tell.

    All that one cause changes is one entry of the timeline, and so one step of undo; a run is one
    entry however many causes it has.
    """

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
    entry_kind: EntryKind = "change"
    entry_id: str = msgspec.field(default_factory=new_id)


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
    tell(change, "scene.created", scene, CREATED, cause, ids)
    return scene, await record(change, operation, None, scene, ["created"], cause)


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
    tell(change, "scene.updated", scene, changed, cause)
    await _mark_edited_again(change, scene_id, cause)
    iteration = await record(change, operation, before, scene, describe(before, scene), cause)
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
    tell(change, "scene.deleted", scene, ["deletedAt", "position"], cause, ids)
    return scene, await record(change, "delete", before, scene, ["deleted"], cause)


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
    tell(change, "scene.restored", scene, ["deletedAt", "position"], cause, ids)
    return scene, await record(change, "restore", before, scene, ["restored"], cause)


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


def shortened(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


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
        " where scene_id = $1 and operation_type = 'delete' and before->>'position' is not null"
        " order by revision desc limit 1",
        scene_id,
    )
    return int(value) if value is not None else None


def tell(
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


async def record(
    change: Change,
    operation: Operation,
    before: Scene | None,
    after: Scene,
    changes: list[str],
    cause: Cause,
) -> Iteration:
    codes = (before.tsx_code if before else None, None if after.deleted_at else after.tsx_code)
    old = plain(before.state) if before else None
    new = plain(after.state)
    return await _insert(change, operation, after.id, old, new, codes, changes, cause)


async def _mark_edited_again(change: Change, scene_id: str, cause: Cause) -> None:
    """An edit or a creation that was not let stand for five minutes; a run's own steps aside."""
    await change.tx.execute(
        "update scene_iteration set user_edited_again = true where not user_edited_again"
        f" and created_at > clock_timestamp() - interval '{EDITED_AGAIN}'"
        " and change_source <> 'revert' and operation_type <> all($3::text[])"
        " and ($2::uuid is null or run_id is distinct from $2) and id ="
        " (select id from scene_iteration where scene_id = $1 order by revision desc limit 1)",
        scene_id,
        cause.run_id,
        ["delete", "restore"],
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
        f"{ENTRY} insert into scene_iteration (id, project_id, scene_id, operation_type,"
        " change_source, edit_complexity, user_prompt, brain_reasoning, tool_reasoning, before,"
        " after, code_before, code_after, changes_applied, generation_time_ms, model_used,"
        " tokens_used, message_id, run_id, call_id, session_id, request_id, actor_id,"
        " reverts_iteration_id, revision, entry_id, generation_id) values ($1, $2, $3, $4, $5, $6,"
        " $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24,"
        " $25, $26, $29)"
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
        cause.run_id or cause.entry_id,
        cause.entry_kind,
        shortened(cause.prompt, TITLE_MOST),
        cause.generation_id,
    )
    assert row is not None
    iteration = iteration_of(row)
    change.emit("iteration.created", {"iteration": iteration}, run_id=cause.run_id)
    return iteration
