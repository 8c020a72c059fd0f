"""Changes of scenes: the row, its iteration and their events, in the caller's transaction.

Each function takes a `Change`, which holds the project's row lock, so that positions and revisions
do not change concurrently.
"""

from typing import Any

import msgspec
from piccolo.querystring import QueryString

from app.problems import Conflict, NotFound, ValidationFailed
from app.realtime.log import Change
from app.scenes.diff import changed_fields, describe
from app.scenes.model import (
    MAX_SCENES,
    ChangeSource,
    Complexity,
    EntryKind,
    Iteration,
    Operation,
    Scene,
    SceneState,
)
from app.scenes.reads import ITERATION, SCENE, find_scene, iteration_of, live_ids, plain, scene_of
from app.scenes.tables import SceneRow
from app.store.columns import NOW
from app.store.ids import new_id
from app.store.query import Param, built, column_list, named

EDITED_AGAIN_MINUTES = 5  # within which a second edit marks the first as unsatisfactory
CREATED_FIELDS = ["name", "tsxCode", "duration", "props", "layoutJson", "position"]
# Events whose `sceneIds` is the whole order after them.
ORDER_EVENTS = ["scene.created", "scene.deleted", "scene.restored", "scenes.reordered"]
MAX_TITLE_CHARACTERS = 200  # of a prompt in the timeline
NEXT_REVISION: dict[Any, Any] = {SceneRow.revision: SceneRow.revision + 1, SceneRow.updated_at: NOW}

INSERT_SCENE = built(
    SceneRow.insert(
        SceneRow(
            id=Param("id"),
            project_id=Param("project_id"),
            position=Param("position"),
            name=Param("name"),
            tsx_code=Param("tsx_code"),
            duration=Param("duration"),
            props=Param("props"),
            layout_json=Param("layout_json"),
            generation_id=Param("generation_id"),
            request_id=Param("request_id"),
        )
    ).returning(*SCENE)
)
UPDATE_SCENE = built(
    SceneRow.update(
        {
            SceneRow.name: Param("name"),
            SceneRow.tsx_code: Param("tsx_code"),
            SceneRow.duration: Param("duration"),
            SceneRow.props: Param("props"),
            SceneRow.layout_json: Param("layout_json"),
            SceneRow.generation_id: QueryString(
                "coalesce({}, generation_id)", Param("generation_id")
            ),
            SceneRow.request_id: Param("request_id"),
            **NEXT_REVISION,
        }
    )
    .where(SceneRow.id == Param("id"))
    .returning(*SCENE)
)
DELETE_SCENE = built(
    SceneRow.update(
        {
            SceneRow.position: None,
            SceneRow.deleted_at: NOW,
            SceneRow.request_id: Param("request_id"),
            **NEXT_REVISION,
        }
    )
    .where(SceneRow.id == Param("id"))
    .returning(*SCENE)
)
RESTORE_SCENE = built(
    SceneRow.update(
        {
            SceneRow.position: Param("position"),
            SceneRow.deleted_at: None,
            SceneRow.request_id: Param("request_id"),
            **NEXT_REVISION,
        }
    )
    .where(SceneRow.id == Param("id"))
    .returning(*SCENE)
)
SHIFT_POSITIONS = named("""
    update scene set position = position + :by
    where project_id = :project_id and deleted_at is null and position >= :first
""")
REORDER_SCENES = named("""
    update scene set position = place.number - 1, request_id = :request_id
    from unnest(:scene_ids::uuid[]) with ordinality as place (id, number)
    where scene.id = place.id and scene.position <> place.number - 1
""")
FIND_POSITION_AT_DELETION = named("""
    select (before->>'position')::int from scene_iteration
    where scene_id = :scene_id and operation_type = 'delete' and before->>'position' is not null
    order by revision desc limit 1
""")
# The steps of one run count as one edit.
MARK_EDITED_AGAIN = named(f"""
    update scene_iteration set user_edited_again = true
    where not user_edited_again
        and created_at > clock_timestamp() - interval '{EDITED_AGAIN_MINUTES} minutes'
        and change_source <> 'revert' and operation_type not in ('delete', 'restore')
        and (:run_id::uuid is null or run_id is distinct from :run_id)
        and id = (select id from scene_iteration
            where scene_id = :scene_id order by revision desc limit 1)
""")
# Inserts the iteration and its entry of the timeline. The entry of an open run that was undone is
# no longer undone.
INSERT_ITERATION = named(f"""
    with entry as (
        insert into history_entry (id, project_id, kind, title, message_id, run_id, request_id,
            actor_id, first_revision, last_revision)
        values (:entry_id, :project_id, :entry_kind, :title, :message_id, :run_id, :request_id,
            :actor_id, :revision, :revision)
        on conflict (id) do update
            set last_revision = excluded.last_revision, undone_by_id = null
    )
    insert into scene_iteration (id, project_id, scene_id, operation_type, change_source,
        edit_complexity, user_prompt, brain_reasoning, tool_reasoning, before, after, code_before,
        code_after, changes_applied, generation_time_ms, model_used, tokens_used, message_id,
        run_id, call_id, generation_id, session_id, request_id, actor_id, reverts_iteration_id,
        revision, entry_id)
    values (:id, :project_id, :scene_id, :operation_type, :change_source,
        :edit_complexity, :user_prompt, :brain_reasoning, :tool_reasoning, :before, :after,
        :code_before, :code_after, :changes_applied, :generation_time_ms, :model_used,
        :tokens_used, :message_id, :run_id, :call_id, :generation_id, :session_id, :request_id,
        :actor_id, :reverts_iteration_id, :revision, :entry_id)
    returning {column_list(ITERATION)}
""")


class Cause(msgspec.Struct, frozen=True, kw_only=True):
    """The cause of a change, which its iteration records besides the change itself.

    All changes of one cause are one entry of the timeline, and so one step of undo; all causes of
    a run share one entry.
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
    generation_id: str | None = None  # whose code this is; None leaves the scene's as it was
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
    """Add a scene at `position`, or at the end if it is None or beyond the end."""
    ids = await live_ids(change.tx, change.project_id)
    check_number_of_scenes(len(ids) + 1)
    position = len(ids) if position is None else min(position, len(ids))
    await _shift(change, position, by=1)
    row = await change.tx.fetchrow(
        *INSERT_SCENE(
            id=new_id(),
            project_id=change.project_id,
            position=position,
            request_id=change.request_id,
            generation_id=cause.generation_id,
            **content_of(state),
        )
    )
    assert row is not None
    scene = scene_of(row)
    ids.insert(position, scene.id)
    emit_scene_event(change, "scene.created", scene, CREATED_FIELDS, cause, ids)
    return scene, await record_iteration(change, operation, None, scene, cause)


async def update(
    change: Change, scene_id: str, after: SceneState, operation: Operation, cause: Cause
) -> tuple[Scene, Iteration]:
    """Replace the content of a live scene, but not its position. Raises `NotFound`."""
    before = await _get_live(change, scene_id)
    row = await change.tx.fetchrow(
        *UPDATE_SCENE(
            id=scene_id,
            request_id=change.request_id,
            generation_id=cause.generation_id,
            **content_of(after),
        )
    )
    assert row is not None
    scene = scene_of(row)
    emit_scene_event(change, "scene.updated", scene, changed_fields(before.state, after), cause)
    await change.tx.execute(*MARK_EDITED_AGAIN(scene_id=scene_id, run_id=cause.run_id))
    return scene, await record_iteration(change, operation, before, scene, cause)


async def delete(change: Change, scene_id: str, cause: Cause) -> tuple[Scene, Iteration]:
    """Mark a live scene as deleted; its row and its history are kept for `restore`.

    Raises `NotFound`.
    """
    before = await _get_live(change, scene_id)
    assert before.position is not None
    row = await change.tx.fetchrow(*DELETE_SCENE(id=scene_id, request_id=change.request_id))
    assert row is not None
    await _shift(change, before.position + 1, by=-1)
    scene = scene_of(row)
    ids = await live_ids(change.tx, change.project_id)
    emit_scene_event(change, "scene.deleted", scene, ["deletedAt", "position"], cause, ids)
    return scene, await record_iteration(change, "delete", before, scene, cause)


async def restore(
    change: Change, scene_id: str, cause: Cause, *, position: int | None = None
) -> tuple[Scene, Iteration]:
    """Restore a deleted scene at `position`, by default its last one, or at the end.

    Raises `NotFound`, and `Conflict` for a live scene.
    """
    before = await find_scene(change.tx, scene_id)
    if before is None or before.project_id != change.project_id:
        raise NotFound("There is no such scene.")
    if before.deleted_at is None:
        raise Conflict("The scene is not deleted.", details={"scene": before})
    ids = await live_ids(change.tx, change.project_id)
    check_number_of_scenes(len(ids) + 1)
    if position is None:
        position = await change.tx.fetchval(*FIND_POSITION_AT_DELETION(scene_id=scene_id))
    position = len(ids) if position is None else min(position, len(ids))
    await _shift(change, position, by=1)
    row = await change.tx.fetchrow(
        *RESTORE_SCENE(id=scene_id, position=position, request_id=change.request_id)
    )
    assert row is not None
    scene = scene_of(row)
    ids.insert(position, scene_id)
    emit_scene_event(change, "scene.restored", scene, ["deletedAt", "position"], cause, ids)
    return scene, await record_iteration(change, "restore", before, scene, cause)


async def reorder(change: Change, scene_ids: list[str], cause: Cause) -> Iteration:
    """Set the order of the live scenes; raise `ValidationFailed` unless it has each once."""
    ids = await live_ids(change.tx, change.project_id)
    if sorted(ids) != sorted(scene_ids):
        raise ValidationFailed.at(
            "sceneIds", "permutation", "The new order must name each live scene exactly once."
        )
    await change.tx.execute(*REORDER_SCENES(scene_ids=scene_ids, request_id=change.request_id))
    data = {"sceneIds": scene_ids, "changed": ["position"]}
    change.emit("scenes.reordered", data, run_id=cause.run_id)
    return await _insert_iteration(
        change,
        cause,
        scene_id=None,
        operation_type="reorder",
        before={"sceneIds": ids},
        after={"sceneIds": scene_ids},
        code_before=None,
        code_after=None,
        changes_applied=["order"],
    )


def content_of(state: SceneState) -> dict[str, Any]:
    """Return the content of a state by column name."""
    return {
        "name": state.name,
        "tsx_code": state.tsx_code,
        "duration": state.duration,
        "props": state.props,
        "layout_json": state.layout_json,
    }


def check_number_of_scenes(number: int) -> None:
    """Raise `ValidationFailed` for more than `MAX_SCENES` live scenes."""
    if number > MAX_SCENES:
        raise ValidationFailed.at("scenes", "max", f"A project has at most {MAX_SCENES} scenes.")


def shortened(text: str, length: int) -> str:
    """Return the text, truncated with an ellipsis to `length` characters."""
    return text if len(text) <= length else text[: length - 1] + "…"


def emit_scene_event(
    change: Change,
    kind: str,
    scene: Scene,
    changed: list[str],
    cause: Cause,
    scene_ids: list[str] | None = None,
) -> None:
    """Emit an event about one scene.

    `changed` are wire names of fields; `scene_ids` is the order after an event that affects it.
    """
    data: dict[str, Any] = {"scene": scene, "changed": changed}
    if scene_ids is not None:
        data["sceneIds"] = scene_ids
    change.emit(kind, data, run_id=cause.run_id)


async def record_iteration(
    change: Change, operation: Operation, before: Scene | None, after: Scene, cause: Cause
) -> Iteration:
    """Insert the iteration of one scene's change and emit its event."""
    return await _insert_iteration(
        change,
        cause,
        scene_id=after.id,
        operation_type=operation,
        before=plain(before.state) if before else None,
        after=plain(after.state),
        code_before=before.tsx_code if before else None,
        code_after=None if after.deleted_at else after.tsx_code,
        changes_applied=describe(before.state if before else None, after.state),
    )


async def _get_live(change: Change, scene_id: str) -> Scene:
    scene = await find_scene(change.tx, scene_id)
    if scene is None or scene.deleted_at or scene.project_id != change.project_id:
        raise NotFound("There is no such scene.")
    return scene


async def _shift(change: Change, first: int, *, by: int) -> None:
    """Add `by` to the positions of the live scenes from `first` on."""
    await change.tx.execute(*SHIFT_POSITIONS(project_id=change.project_id, first=first, by=by))


async def _insert_iteration(change: Change, cause: Cause, **values: Any) -> Iteration:
    """Insert the row of an iteration, with its entry, and emit `iteration.created`."""
    row = await change.tx.fetchrow(
        *INSERT_ITERATION(
            id=new_id(),
            project_id=change.project_id,
            change_source=cause.source,
            edit_complexity=cause.complexity,
            user_prompt=cause.prompt,
            brain_reasoning=cause.brain_reasoning,
            tool_reasoning=cause.tool_reasoning,
            generation_time_ms=cause.generation_time_ms,
            model_used=cause.model_used,
            tokens_used=cause.tokens_used,
            message_id=cause.message_id,
            run_id=cause.run_id,
            call_id=cause.call_id,
            generation_id=cause.generation_id,
            session_id=cause.session_id,
            request_id=change.request_id,
            actor_id=change.actor_id,
            reverts_iteration_id=cause.reverts_iteration_id,
            revision=change.next_revision,
            entry_id=cause.run_id or cause.entry_id,
            entry_kind=cause.entry_kind,
            title=shortened(cause.prompt, MAX_TITLE_CHARACTERS),
            **values,
        )
    )
    assert row is not None
    iteration = iteration_of(row)
    change.emit("iteration.created", {"iteration": iteration}, run_id=cause.run_id)
    return iteration
