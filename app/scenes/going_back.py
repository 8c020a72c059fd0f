"""Going back: what one iteration or one message changed, as it was before or after it."""

from typing import Any

import msgspec

from app.auth.model import Caller
from app.http.envelope import ActionResult
from app.problems import Conflict, NotFound, ValidationFailed
from app.projects.access import access_project, changing_project
from app.projects.model import Role
from app.realtime.log import Change
from app.runs.model import MESSAGE, Message, message_of
from app.scenes import history
from app.scenes.history import Cause, shortened
from app.scenes.model import SCENES_MOST, EntryKind, Iteration, Scene
from app.scenes.plans import LaterChange, Move, Now, Plan, Target, make_plan
from app.scenes.putting import put, settle, shown_generations
from app.scenes.reads import ITERATION, SCENE, iteration_of, live_ids, scene_of
from app.store.engine import Reader, Tx
from app.store.ids import new_id

QUOTED_MOST = 80  # characters of a prompt that a status message repeats
LATER_MOST = 100  # changes that a refusal lists, the newest
LATER = (
    "id, scene_id, operation_type, change_source, user_prompt, changes_applied, message_id,"
    " actor_id, revision, created_at"
)


class GoBack(msgspec.Struct, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """Where to; with `force` also over changes that came later."""

    target: Target
    force: bool = False


class WentBack(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """What a going back has changed: all empty when it was so already."""

    scenes: list[Scene] = []
    iterations: list[Iteration] = []
    message: Message | None = None


class Steps(msgspec.Struct, frozen=True, kw_only=True):
    """A going back that is allowed: what it does, and how it will be told."""

    plan: Plan
    kind: EntryKind
    said: str
    entry_id: str = msgspec.field(default_factory=new_id)


async def revert_iteration(
    tx: Tx, caller: Caller, iteration_id: str, back: GoBack
) -> ActionResult[WentBack]:
    """The scene (or the order) as it was before or after one iteration.

    Raises `Conflict` with the later changes that it would lose, unless forced.
    """
    found = await access_iteration(tx, caller, iteration_id, "editor")
    async with changing_project(tx, caller, found.project_id, "editor") as (change, _):
        return await _revert(change, caller, [found], back, found.user_prompt)


async def revert_message(
    tx: Tx, caller: Caller, message_id: str, back: GoBack
) -> ActionResult[WentBack]:
    """Every scene that a message changed, in one transaction, as before or after it.

    A prompt stands for its answer. Raises `Conflict` as above, and `ValidationFailed` for a
    message that changed nothing.
    """
    row = await tx.fetchrow(
        "select m.project_id, case when m.role = 'user' and r.assistant_message_id is not null"
        " then r.assistant_message_id else m.id end as id, coalesce(r.prompt, m.content) as said"
        " from message m left join run r on r.id = m.run_id where m.id = $1",
        message_id,
    )
    await _check_access(tx, caller, row, "editor", "There is no such message.")
    assert row is not None
    async with changing_project(tx, caller, row["project_id"], "editor") as (change, _):
        rows = await tx.fetch(
            f"select {ITERATION} from scene_iteration where message_id = $1 order by revision",
            row["id"],
        )
        if not rows:
            raise ValidationFailed("This message changed no scene.")
        return await _revert(change, caller, [iteration_of(one) for one in rows], back, row["said"])


async def access_iteration(
    reader: Reader, caller: Caller, iteration_id: str, role: Role
) -> Iteration:
    """Raise `NotFound` for an absent or foreign one."""
    row = await reader.fetchrow(
        f"select {ITERATION} from scene_iteration where id = $1", iteration_id
    )
    await _check_access(reader, caller, row, role, "There is no such iteration.")
    assert row is not None
    return iteration_of(row)


async def _check_access(reader: Reader, caller: Caller, row: Any, role: Role, missing: str) -> None:
    if row is None:
        raise NotFound(missing)
    try:
        await access_project(reader, caller, row["project_id"], role)
    except NotFound:
        raise NotFound(missing) from None


async def _revert(
    change: Change, caller: Caller, unit: list[Iteration], back: GoBack, prompt: str
) -> ActionResult[WentBack]:
    plan = await plan_for(change, unit, back.target)
    if plan.later and not back.force:
        raise blocked(plan, "to go back all the same, use force")
    if plan.empty:
        return ActionResult(data=WentBack())
    said = f"Went back to {back.target} “{shortened(prompt, QUOTED_MOST)}”"
    went = await take(change, caller, Steps(plan=plan, kind="revert", said=said))
    return done(change, went)


def done(change: Change, went: WentBack) -> ActionResult[WentBack]:
    ids = [scene.id for scene in went.scenes]
    return ActionResult(data=went, affected=ids, revision=change.revision)


def blocked(plan: Plan, advice: str) -> Conflict:
    """The refusal, with what stands in the way: the newest hundred, oldest first."""
    return Conflict(
        f"It was changed again since; {advice}.", details={"later": plan.later[-LATER_MOST:]}
    )


RUNNING = """
    select exists (select from run where id = any($1::uuid[]) and status in ('queued', 'running'))
"""


async def plan_for(change: Change, unit: list[Iteration], target: Target) -> Plan:
    """Under the project's lock; three queries, and one more for what a turn changed.

    Raises `Conflict` while the turn goes on: what it does next would be left standing.
    """
    runs = sorted({one.run_id for one in unit if one.run_id is not None})
    if runs and await change.tx.fetchval(RUNNING, runs):
        raise Conflict("This turn is still at work; cancel it or wait for its end.")
    ids = sorted({one.scene_id for one in unit if one.scene_id is not None})
    scenes = await change.tx.fetch(f"select {SCENE} from scene where id = any($1::uuid[])", ids)
    later = await change.tx.fetch(
        f"select {LATER} from scene_iteration where project_id = $1 and revision > $2"
        " and (scene_id = any($3::uuid[]) or ($4 and scene_id is null)) and id <> all($5::uuid[])"
        " order by revision",
        change.project_id,
        unit[0].revision,
        ids,
        any(one.scene_id is None for one in unit),
        [one.id for one in unit],
    )
    now = Now(
        scenes={row["id"]: scene_of(row) for row in scenes},
        order=await live_ids(change.tx, change.project_id),
        others=[LaterChange(**row) for row in later],
    )
    return make_plan(unit, target, now)


async def take(change: Change, caller: Caller, steps: Steps) -> WentBack:
    """Do what the plan says, under one new message of the system that all of it is linked to."""
    plan = steps.plan
    if len(plan.order) > SCENES_MOST:
        raise ValidationFailed.at("scenes", "max", f"A project has at most {SCENES_MOST} scenes.")
    message = await _say(change, caller, steps.said)
    cause = Cause(
        source="revert",
        prompt=steps.said,
        message_id=message.id,
        session_id=caller.session_id,
        entry_kind=steps.kind,
        entry_id=steps.entry_id,
    )
    made = await _move_all(change, plan, cause)
    if plan.order_iteration_id is not None:
        named = msgspec.structs.replace(cause, reverts_iteration_id=plan.order_iteration_id)
        made.append((None, await history.reorder(change, plan.order, named)))
    return WentBack(
        scenes=[scene for scene, _ in made if scene is not None],
        iterations=[iteration for _, iteration in made],
        message=message,
    )


async def _move_all(
    change: Change, plan: Plan, cause: Cause
) -> list[tuple[Scene | None, Iteration]]:
    """First what stays, then what goes, then what comes, each at its place in the new order."""
    order = await live_ids(change.tx, change.project_id)
    place = {scene_id: number for number, scene_id in enumerate(plan.order)}
    shown = await shown_generations(change.tx, {move.scene.id: move.at for move in plan.moves})
    made = list[tuple[Scene | None, Iteration]]()
    for move in sorted(plan.moves, key=lambda move: _turn(move, place)):
        named = msgspec.structs.replace(
            cause,
            reverts_iteration_id=move.iteration_id,
            generation_id=shown[move.scene.id],
        )
        before = move.scene
        if before.deleted_at is None:  # its place as of now, not as of the plan
            before = msgspec.structs.replace(before, position=order.index(before.id))
        if move.state.deleted and before.id in order:
            order.remove(before.id)
        elif not move.state.deleted and before.id not in order:
            order.insert(place[before.id], before.id)
        made.append(await put(change, before, move.state, order, named))
    await settle(change, order)
    return made


def _turn(move: Move, place: dict[str, int]) -> tuple[int, int]:
    was, will = move.scene.deleted_at is not None, move.state.deleted
    if was == will:
        return 0, 0
    return (1, 0) if will else (2, place[move.scene.id])


async def _say(change: Change, caller: Caller, content: str) -> Message:
    row = await change.tx.fetchrow(
        "insert into message (id, project_id, author_id, role, kind, status, content, sequence,"
        " request_id) values ($1, $2, $3, 'system', 'status', 'success', $4, $5, $6)"
        f" returning {MESSAGE}",
        new_id(),
        change.project_id,
        caller.user_id,
        content,
        change.next_revision,
        change.request_id,
    )
    assert row is not None
    message = message_of(row)
    change.emit("message.created", {"message": message})
    return message
