"""Reverts: return scenes and their order to the state before or after a change.

A unit is the set of iterations that are reverted together: one iteration, those of one message, or
those of one entry of the timeline. A scene is set to its state before the unit's first iteration of
it, or after its last. Later changes, which would be lost, prevent the revert unless it is forced or
all of them were reverted themselves: then the scene is in the unit's last state and its newest
iteration is a revert.

The order of scenes is reverted in the same way, as far as its scenes still exist: the scenes of the
reverted order are rearranged within the positions that they have now; all others keep theirs.
"""

from datetime import datetime
from typing import Any, Literal, NamedTuple

import msgspec
from piccolo.querystring import QueryString

from app.auth.model import Caller
from app.http.envelope import ActionResult
from app.problems import Conflict, NotFound, ValidationFailed
from app.projects.access import access_project, changing_project
from app.realtime.log import Change
from app.runs.model import Message
from app.runs.reads import MESSAGE, message_of
from app.scenes import history
from app.scenes.diff import changed_fields, operation_of, same_json
from app.scenes.history import (
    NEXT_REVISION,
    Cause,
    check_number_of_scenes,
    content_of,
    emit_scene_event,
    record_iteration,
    shortened,
)
from app.scenes.model import ChangeSource, EntryKind, Iteration, Operation, Scene, SceneState
from app.scenes.reads import (
    ITERATION,
    SCENE,
    access_iteration,
    find_scenes,
    iteration_of,
    live_ids,
    plain,
    scene_of,
)
from app.scenes.tables import SceneIteration, SceneRow
from app.store.database import Tx
from app.store.ids import new_id
from app.store.query import Param, built, column_list, named

MAX_QUOTED_CHARACTERS = 80  # of a prompt in a status message
MAX_LISTED_CHANGES = 100  # in a refusal; the newest are listed
NO_MESSAGE = "There is no such message."

Target = Literal["before", "after"]
Json = dict[str, Any]


class RevertRequest(msgspec.Struct, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """Which state to return to; with `force` also when later changes are lost by it."""

    target: Target
    force: bool = False


class RevertResult(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """What a revert has changed: nothing at all when everything was as requested already."""

    scenes: list[Scene] = []
    iterations: list[Iteration] = []
    message: Message | None = None


class LaterChange(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """An iteration that came later, without its states."""

    id: str
    scene_id: str | None
    operation_type: Operation
    change_source: ChangeSource
    user_prompt: str
    changes_applied: list[str]
    message_id: str | None
    actor_id: str
    revision: int
    created_at: datetime


LATER_CHANGE = [getattr(SceneIteration, name) for name in LaterChange.__struct_fields__]
LIST_LATER_CHANGES = named(f"""
    select {column_list(LATER_CHANGE)} from scene_iteration
    where project_id = :project_id and revision > :after and id <> all(:unit::uuid[])
        and (scene_id = any(:scene_ids::uuid[]) or (:with_order and scene_id is null))
    order by revision
""")
HAS_OPEN_RUN = named("""
    select exists (
        select from run where id = any(:ids::uuid[]) and status in ('queued', 'running')
    )
""")
# The iterations of a run refer to its answer, so a prompt is replaced by its answer.
FIND_UNIT_OF_MESSAGE = named("""
    select m.project_id, coalesce(r.prompt, m.content) as prompt,
        case when m.role = 'user' and r.assistant_message_id is not null
            then r.assistant_message_id else m.id end as message_id
    from message m left join run r on r.id = m.run_id
    where m.id = :id
""")
LIST_ITERATIONS_OF_MESSAGE = built(
    SceneIteration.select(*ITERATION)
    .where(SceneIteration.message_id == Param("message_id"))
    .order_by(SceneIteration.revision)
)
# The iteration of a revert has the generation that the scene shows after it, or null. The iteration
# of another change has a generation only when the scene's generation changed.
FIND_PAST_GENERATIONS = named("""
    select past.scene_id, (
        select case when shown.deleted_at is null then shown.id end
        from scene_iteration i left join generation shown on shown.id = i.generation_id
        where i.scene_id = past.scene_id and i.revision <= past.revision
            and (i.generation_id is not null or i.change_source = 'revert')
        order by i.revision desc limit 1
    ) as generation_id
    from unnest(:scene_ids::uuid[], :revisions::bigint[]) as past (scene_id, revision)
""")
SET_STATE = built(
    SceneRow.update(
        {
            SceneRow.name: Param("name"),
            SceneRow.tsx_code: Param("tsx_code"),
            SceneRow.duration: Param("duration"),
            SceneRow.props: Param("props"),
            SceneRow.layout_json: Param("layout_json"),
            SceneRow.position: Param("position"),
            SceneRow.deleted_at: QueryString(
                "case when {} then coalesce(deleted_at, clock_timestamp()) end", Param("deleted")
            ),
            SceneRow.generation_id: Param("generation_id"),
            SceneRow.request_id: Param("request_id"),
            **NEXT_REVISION,
        }
    )
    .where(SceneRow.id == Param("id"))
    .returning(*SCENE)
)
RENUMBER_SCENES = named("""
    update scene set position = place.number - 1
    from unnest(:scene_ids::uuid[]) with ordinality as place (id, number)
    where scene.id = place.id and scene.position <> place.number - 1
""")
INSERT_STATUS_MESSAGE = named(f"""
    insert into message (id, project_id, author_id, role, kind, status, content, sequence,
        request_id)
    values (:id, :project_id, :author_id, 'system', 'status', 'success', :content, :sequence,
        :request_id)
    returning {column_list(MESSAGE)}
""")


# Planning a revert, without side effects.


class Standing(NamedTuple):
    """The state of a scene, or of the order, compared with a unit that changed it."""

    is_reached: bool  # it is in the state that the revert would restore
    is_as_left: bool  # it is in the state after the unit
    is_interleaved: bool  # others changed it, other than by a revert, within the unit
    newest_source: ChangeSource | None  # of the newest change after the unit

    @property
    def loses_nothing(self) -> bool:
        """Whether a revert loses no later change, so that it need not be forced."""
        return self.is_reached or (
            self.is_as_left and not self.is_interleaved and self.newest_source in (None, "revert")
        )


class Current(NamedTuple):
    """The scenes of a unit, the order of the live scenes, and the later changes."""

    scenes: dict[str, Scene]
    order: list[str]
    later: list[LaterChange]  # since the unit's first iteration, without the unit, oldest first


class SceneRevert(NamedTuple):
    """A scene and the state to restore, which it had at `revision`."""

    scene: Scene
    state: SceneState
    iteration_id: str
    revision: int


class RevertPlan(NamedTuple):
    """The changes that a revert makes, and the later changes that it loses, oldest first."""

    scenes: list[SceneRevert]
    order: list[str]
    order_iteration_id: str | None  # the iteration whose order is restored, if any
    lost: list[LaterChange]

    @property
    def is_empty(self) -> bool:
        return not self.scenes and self.order_iteration_id is None


class Span(NamedTuple):
    """A unit's first and last iteration of one scene, or of the order."""

    first: Iteration
    last: Iteration

    def sides(self, target: Target) -> tuple[Any, Any]:
        """Return the state to restore, and the state at the other end of the unit."""
        if target == "before":
            return self.first.before, self.last.after
        return self.last.after, self.first.before

    def standing(self, later: list[LaterChange], *, is_reached: bool, is_as_left: bool) -> Standing:
        """Return the standing, given the later changes of the scene, or of the order."""
        return Standing(
            is_reached=is_reached,
            is_as_left=is_as_left,
            is_interleaved=any(
                one.revision < self.last.revision and one.change_source != "revert" for one in later
            ),
            newest_source=next(
                (one.change_source for one in later[::-1] if one.revision > self.last.revision),
                None,
            ),
        )


def plan_revert(unit: list[Iteration], target: Target, current: Current) -> RevertPlan:
    """Plan the revert of a unit, whose iterations are sorted by revision."""
    spans = _spans_of(unit)
    order_span = spans.pop(None, None)
    reverts, lost = list[SceneRevert](), list[LaterChange]()
    for scene_id, span in spans.items():
        assert scene_id is not None
        wanted, left = span.sides(target)
        scene = current.scenes[scene_id]
        state = plain(scene.state)
        later = _later_than(span, current)
        standing = span.standing(
            later, is_reached=has_state(state, wanted), is_as_left=has_state(state, left)
        )
        if standing.is_reached:
            continue
        if not standing.loses_nothing:
            lost += later
        source, at = span.first, span.first.revision - 1
        if target == "after":
            source, at = span.last, span.last.revision
        reverts.append(SceneRevert(scene, _state_of(wanted, scene), source.id, at))
    order = order_after(unit, target, current.order)
    order_iteration_id = None
    if order_span is not None:
        order_iteration_id, lost_orders = _plan_order(order_span, target, current)
        lost += lost_orders
    if order_iteration_id is None:
        order = arranged(order, current.order)
    lost.sort(key=lambda one: one.revision)
    return RevertPlan(reverts, order, order_iteration_id, lost)


def _plan_order(
    span: Span, target: Target, current: Current
) -> tuple[str | None, list[LaterChange]]:
    """Return the iteration whose order is restored, if any, and the changes that are lost."""
    wanted, left = span.sides(target)
    later = _later_than(span, current)
    standing = span.standing(
        later,
        is_reached=is_arranged(current.order, wanted["sceneIds"]),
        is_as_left=is_arranged(current.order, left["sceneIds"]),
    )
    if standing.is_reached:
        return None, []
    source = span.first if target == "before" else span.last
    return source.id, [] if standing.loses_nothing else later


def _spans_of(unit: list[Iteration]) -> dict[str | None, Span]:
    """Return the span of each scene, and that of the order under None."""
    spans = dict[str | None, Span]()
    for one in unit:
        spans[one.scene_id] = Span(spans[one.scene_id].first if one.scene_id in spans else one, one)
    return spans


def _later_than(span: Span, current: Current) -> list[LaterChange]:
    """Return the later changes of the span's scene, or of the order."""
    first = span.first
    return [
        one
        for one in current.later
        if one.scene_id == first.scene_id and one.revision > first.revision
    ]


def _state_of(side: Json | None, scene: Scene) -> SceneState:
    """Return the state of a side; before its creation a scene is deleted, with its content."""
    if side is None:
        return msgspec.structs.replace(scene.state, deleted=True, position=None)
    return msgspec.convert(side, SceneState)


def has_state(current: Json, side: Json | None) -> bool:
    """Return whether a scene equals one side of an iteration, ignoring its position."""
    if side is None:
        return bool(current["deleted"])
    return same_json({**current, "position": None}, {**side, "position": None})


def order_after(unit: list[Iteration], target: Target, order: list[str]) -> list[str]:
    """Return the order of the live scenes after undoing, or redoing, each iteration of a unit."""
    ids = list(order)
    for one in reversed(unit) if target == "before" else unit:
        side = one.before if target == "before" else one.after
        if one.scene_id is None:
            ids = arranged(ids, side["sceneIds"])
        elif side is None or side["deleted"]:
            ids = [scene_id for scene_id in ids if scene_id != one.scene_id]
        elif one.scene_id not in ids:
            ids.insert(min(side["position"], len(ids)), one.scene_id)
    return ids


def arranged(ids: list[str], wanted: list[str]) -> list[str]:
    """Return `ids` with those also in `wanted` sorted by it; the others keep their positions."""
    known = set(ids)
    common = [scene_id for scene_id in wanted if scene_id in known]
    named_ids, turn = set(common), iter(common)
    return [next(turn) if scene_id in named_ids else scene_id for scene_id in ids]


def is_arranged(ids: list[str], wanted: list[str]) -> bool:
    """Return whether the scenes of `ids` that are also in `wanted` are in the same order."""
    return arranged(ids, wanted) == ids


# Applying a plan, in the caller's transaction.


async def revert_iteration(
    tx: Tx, caller: Caller, iteration_id: str, request: RevertRequest
) -> ActionResult[RevertResult]:
    """Return the scene, or the order, of one iteration to the state before or after it.

    Raises `Conflict` with the later changes that would be lost, unless forced.
    """
    found = await access_iteration(tx, caller, iteration_id, "editor")
    async with changing_project(tx, caller, found.project_id, "editor") as (change, _):
        return await _revert(change, caller, [found], request, found.user_prompt)


async def revert_message(
    tx: Tx, caller: Caller, message_id: str, request: RevertRequest
) -> ActionResult[RevertResult]:
    """Return every scene that a message changed to the state before or after it.

    The changes of a prompt are those of its answer. Raises `Conflict` with the later changes that
    would be lost, unless forced, and `ValidationFailed` for a message that changed no scene.
    """
    found = await tx.fetchrow(*FIND_UNIT_OF_MESSAGE(id=message_id))
    if found is None:
        raise NotFound(NO_MESSAGE)
    await access_project(tx, caller, found["project_id"], "editor", absent=NO_MESSAGE)
    async with changing_project(tx, caller, found["project_id"], "editor") as (change, _):
        rows = await tx.fetch(*LIST_ITERATIONS_OF_MESSAGE(message_id=found["message_id"]))
        if not rows:
            raise ValidationFailed("This message changed no scene.")
        unit = [iteration_of(row) for row in rows]
        return await _revert(change, caller, unit, request, found["prompt"])


async def _revert(
    change: Change, caller: Caller, unit: list[Iteration], request: RevertRequest, prompt: str
) -> ActionResult[RevertResult]:
    plan = await read_plan(change, unit, request.target)
    if plan.lost and not request.force:
        raise would_lose(plan, "to go back all the same, use force")
    if plan.is_empty:
        return ActionResult(data=RevertResult())
    summary = f"Went back to {request.target} “{shortened(prompt, MAX_QUOTED_CHARACTERS)}”"
    return await apply_plan(change, caller, plan, kind="revert", summary=summary)


def would_lose(plan: RevertPlan, advice: str) -> Conflict:
    """Return the error for a plan that loses changes, with the newest of them, oldest first."""
    return Conflict(
        f"It was changed again since; {advice}.",
        details={"later": plan.lost[-MAX_LISTED_CHANGES:]},
    )


async def read_plan(change: Change, unit: list[Iteration], target: Target) -> RevertPlan:
    """Plan the revert of a unit under the project's lock, in a constant number of statements.

    Raises `Conflict` while a run of the unit is open: its next changes would not be reverted.
    """
    run_ids = sorted({one.run_id for one in unit if one.run_id is not None})
    if run_ids and await change.tx.fetchval(*HAS_OPEN_RUN(ids=run_ids)):
        raise Conflict("This turn is still at work; cancel it or wait for its end.")
    scene_ids = sorted({one.scene_id for one in unit if one.scene_id is not None})
    scenes = await find_scenes(change.tx, scene_ids)
    later = await change.tx.fetch(
        *LIST_LATER_CHANGES(
            project_id=change.project_id,
            after=unit[0].revision,
            unit=[one.id for one in unit],
            scene_ids=scene_ids,
            with_order=any(one.scene_id is None for one in unit),
        )
    )
    current = Current(
        scenes={scene.id: scene for scene in scenes},
        order=await live_ids(change.tx, change.project_id),
        later=[LaterChange(**row) for row in later],
    )
    return plan_revert(unit, target, current)


async def apply_plan(
    change: Change,
    caller: Caller,
    plan: RevertPlan,
    *,
    kind: EntryKind,
    summary: str,
    entry_id: str | None = None,
) -> ActionResult[RevertResult]:
    """Apply a plan as one entry of the timeline, with a new system message.

    `summary` is the message's text and the prompt of the iterations.
    """
    check_number_of_scenes(len(plan.order))
    message = await _add_status_message(change, caller, summary)
    cause = Cause(
        source="revert",
        prompt=summary,
        message_id=message.id,
        session_id=caller.session_id,
        entry_kind=kind,
        entry_id=entry_id or new_id(),
    )
    scenes, iterations = await _revert_scenes(change, plan, cause)
    if plan.order_iteration_id is not None:
        of_order = msgspec.structs.replace(cause, reverts_iteration_id=plan.order_iteration_id)
        iterations.append(await history.reorder(change, plan.order, of_order))
    return ActionResult(
        data=RevertResult(scenes=scenes, iterations=iterations, message=message),
        affected=[scene.id for scene in scenes],
        revision=change.revision,
    )


async def _revert_scenes(
    change: Change, plan: RevertPlan, cause: Cause
) -> tuple[list[Scene], list[Iteration]]:
    """Update live scenes, then delete scenes, then restore deleted ones at their positions."""
    order = await live_ids(change.tx, change.project_id)
    place = {scene_id: number for number, scene_id in enumerate(plan.order)}
    generation_ids = await _generations_at(change, plan.scenes)
    scenes, iterations = list[Scene](), list[Iteration]()
    for revert in sorted(plan.scenes, key=lambda revert: _revert_order(revert, place)):
        before, state = revert.scene, revert.state
        if before.deleted_at is None:  # earlier reverts may have moved it
            before = msgspec.structs.replace(before, position=order.index(before.id))
        if state.deleted and before.id in order:
            order.remove(before.id)
        elif not state.deleted and before.id not in order:
            order.insert(place[before.id], before.id)
        of_scene = msgspec.structs.replace(
            cause, reverts_iteration_id=revert.iteration_id, generation_id=generation_ids[before.id]
        )
        scene, iteration = await _set_state(change, before, state, order, of_scene)
        scenes.append(scene)
        iterations.append(iteration)
    await change.tx.execute(*RENUMBER_SCENES(scene_ids=order))
    return scenes, iterations


def _revert_order(revert: SceneRevert, place: dict[str, int]) -> tuple[int, int]:
    was_deleted, is_deleted = revert.scene.deleted_at is not None, revert.state.deleted
    if was_deleted == is_deleted:
        return 0, 0
    return (1, 0) if is_deleted else (2, place[revert.scene.id])


async def _generations_at(change: Change, reverts: list[SceneRevert]) -> dict[str, str | None]:
    """Return the generation of each scene at that revision; None if it was deleted since."""
    rows = await change.tx.fetch(
        *FIND_PAST_GENERATIONS(
            scene_ids=[revert.scene.id for revert in reverts],
            revisions=[revert.revision for revert in reverts],
        )
    )
    return {row["scene_id"]: row["generation_id"] for row in rows}


async def _set_state(
    change: Change, before: Scene, after: SceneState, order: list[str], cause: Cause
) -> tuple[Scene, Iteration]:
    """Set a scene's content, generation and whether it is deleted.

    `order` is that of the live scenes afterwards. The positions of other scenes are wrong until
    `RENUMBER_SCENES` has run.
    """
    row = await change.tx.fetchrow(
        *SET_STATE(
            id=before.id,
            position=None if after.deleted else order.index(before.id),
            deleted=after.deleted,
            generation_id=cause.generation_id,
            request_id=change.request_id,
            **content_of(after),
        )
    )
    assert row is not None
    scene = scene_of(row)
    changed = changed_fields(before.state, after)
    was_deleted = before.deleted_at is not None
    if not was_deleted and not after.deleted:
        emit_scene_event(change, "scene.updated", scene, changed, cause)
        operation = operation_of(changed)
    else:
        if was_deleted != after.deleted:
            changed += ["deletedAt", "position"]
        kind = "scene.deleted" if after.deleted else "scene.restored"
        emit_scene_event(change, kind, scene, changed, cause, list(order))
        operation = "delete" if after.deleted else "restore"
    return scene, await record_iteration(change, operation, before, scene, cause)


async def _add_status_message(change: Change, caller: Caller, content: str) -> Message:
    row = await change.tx.fetchrow(
        *INSERT_STATUS_MESSAGE(
            id=new_id(),
            project_id=change.project_id,
            author_id=caller.user_id,
            content=content,
            sequence=change.next_revision,
            request_id=change.request_id,
        )
    )
    assert row is not None
    message = message_of(row)
    change.emit("message.created", {"message": message})
    return message
