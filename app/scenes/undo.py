"""Undo and redo of the caller's own changes, or of all changes of a project.

A step is an entry of the timeline: the changes of one message or one direct request. Undo reverts
the newest step that is not undone; redo reverts the newest undo, unless the same users have made
another change since. Both are reverts and so part of the history, but they are never steps.
"""

from typing import Literal, NamedTuple

import msgspec

from app.auth.model import Caller
from app.http.envelope import ActionResult
from app.problems import Conflict
from app.projects.access import changing_project
from app.realtime.events import MAX_REVISION
from app.realtime.log import Change
from app.scenes.history import shortened
from app.scenes.model import Iteration
from app.scenes.reads import ITERATION, iteration_of
from app.scenes.revert import (
    MAX_QUOTED_CHARACTERS,
    RevertPlan,
    RevertResult,
    apply_plan,
    read_plan,
    would_lose,
)
from app.scenes.tables import HistoryEntry, SceneIteration
from app.store.database import Tx
from app.store.ids import new_id
from app.store.query import Param, built, named

# The advice in a refusal: undo and redo cannot be forced.
CONFLICT_ADVICE = "take that back first, or revert the message or iteration with force"

# Of the actor, or of all users when `actor_id` is null.
FIND_LAST_STEP = named("""
    select id, title, last_revision from history_entry
    where project_id = :project_id and (:actor_id::text is null or actor_id = :actor_id)
        and kind in ('change', 'revert') and undone_by_id is null and last_revision < :before
    order by last_revision desc limit 1
""")
FIND_LAST_UNDO = named("""
    select undo.id, undone.title
    from history_entry undo join history_entry undone on undone.undone_by_id = undo.id
    where undo.project_id = :project_id and undo.kind = 'undo'
        and (:actor_id::text is null or (undo.actor_id = :actor_id and undo.scope = 'mine'))
        and not exists (
            select from history_entry newer
            where newer.project_id = :project_id
                and (:actor_id::text is null or newer.actor_id = :actor_id)
                and newer.kind in ('change', 'revert') and newer.last_revision > undo.last_revision)
    order by undo.last_revision desc, undone.last_revision limit 1
""")
LIST_ITERATIONS_OF_ENTRY = built(
    SceneIteration.select(*ITERATION)
    .where(SceneIteration.entry_id == Param("entry_id"))
    .order_by(SceneIteration.revision)
)
MARK_UNDONE = named("""
    update history_entry set undone_by_id = :undo_id where id = any(:ids::uuid[])
""")
SET_SCOPE = built(
    HistoryEntry.update({HistoryEntry.scope: Param("scope")}).where(HistoryEntry.id == Param("id"))
)
MARK_REDONE = built(
    HistoryEntry.update({HistoryEntry.undone_by_id: None}).where(
        HistoryEntry.undone_by_id == Param("undo_id")
    )
)


class UndoRequest(msgspec.Struct, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """Whose steps are walked: the caller's own (`mine`), or everybody's in the `project`."""

    scope: Literal["mine", "project"] = "mine"

    def actor_id(self, caller: Caller) -> str | None:
        """Return the user whose steps are undone or redone; None for all users."""
        return caller.user_id if self.scope == "mine" else None


class Step(NamedTuple):
    """An entry that undo can revert; `unchanging` are newer entries whose undo has no effect."""

    entry_id: str
    title: str
    plan: RevertPlan
    unchanging: list[str]


async def undo(
    tx: Tx, caller: Caller, project_id: str, request: UndoRequest
) -> ActionResult[RevertResult]:
    """Revert the newest step that is not undone and whose undo has an effect.

    Raises `Conflict` with the later changes by others that would be lost, or when there is
    nothing to undo.
    """
    async with changing_project(tx, caller, project_id, "editor") as (change, _):
        step = await _last_step(change, request.actor_id(caller))
        undo_id = new_id()
        result = await apply_plan(
            change,
            caller,
            step.plan,
            kind="undo",
            summary=f"Undid “{shortened(step.title, MAX_QUOTED_CHARACTERS)}”",
            entry_id=undo_id,
        )
        await tx.execute(*MARK_UNDONE(undo_id=undo_id, ids=[*step.unchanging, step.entry_id]))
        await tx.execute(*SET_SCOPE(id=undo_id, scope=request.scope))
        return result


async def redo(
    tx: Tx, caller: Caller, project_id: str, request: UndoRequest
) -> ActionResult[RevertResult]:
    """Revert the newest undo. Raises `Conflict` as `undo` does."""
    async with changing_project(tx, caller, project_id, "editor") as (change, _):
        found = await tx.fetchrow(
            *FIND_LAST_UNDO(project_id=project_id, actor_id=request.actor_id(caller))
        )
        if found is None:
            raise Conflict("There is nothing to redo.")
        plan = await _plan_undo_of(change, found["id"])
        await tx.execute(*MARK_REDONE(undo_id=found["id"]))
        if plan.is_empty:
            return ActionResult(data=RevertResult())
        summary = f"Redid “{shortened(found['title'], MAX_QUOTED_CHARACTERS)}”"
        return await apply_plan(change, caller, plan, kind="redo", summary=summary)


async def _last_step(change: Change, actor_id: str | None) -> Step:
    """Return the step to undo; raise `Conflict` if there is none or it would lose changes."""
    unchanging, before = list[str](), MAX_REVISION
    while entry := await change.tx.fetchrow(
        *FIND_LAST_STEP(project_id=change.project_id, actor_id=actor_id, before=before)
    ):
        plan = await _plan_undo_of(change, entry["id"])
        if not plan.is_empty:
            return Step(entry["id"], entry["title"], plan, unchanging)
        unchanging.append(entry["id"])
        before = entry["last_revision"]
    raise Conflict("There is nothing to undo.")


async def _plan_undo_of(change: Change, entry_id: str) -> RevertPlan:
    """Plan the revert to before an entry; raise `Conflict` if later changes would be lost."""
    rows = await change.tx.fetch(*LIST_ITERATIONS_OF_ENTRY(entry_id=entry_id))
    unit: list[Iteration] = [iteration_of(row) for row in rows]
    plan = await read_plan(change, unit, "before")
    if plan.lost:
        raise would_lose(plan, CONFLICT_ADVICE)
    return plan
