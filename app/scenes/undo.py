"""Undo and redo: walking one's own changes, or the project's, back and forth.

A step is an entry of the timeline: what one message or one direct request changed. Undo takes back
the last step that stands; redo does the last undone one again, until the same hands make another
change. Both are going back, so they are part of the history, but never steps themselves.
"""

from typing import Literal, NamedTuple

import msgspec
from asyncpg import Record

from app.auth.model import Caller
from app.http.envelope import ActionResult
from app.problems import Conflict
from app.projects.access import changing_project
from app.realtime.log import Change
from app.scenes.going_back import (
    QUOTED_MOST,
    Steps,
    WentBack,
    blocked,
    done,
    plan_for,
    take,
)
from app.scenes.history import shortened
from app.scenes.model import Iteration
from app.scenes.plans import Plan
from app.scenes.reads import ITERATION, iteration_of
from app.store.engine import Tx

Scope = Literal["mine", "project"]

# Undo and redo have no force of their own.
IN_THE_WAY = "take that back first, or revert the message or iteration with force"

# Of the caller ($2), or of all when that is null.
STANDING = """
    select id, title, last_revision from history_entry
    where project_id = $1 and ($2::text is null or actor_id = $2)
        and kind in ('change', 'revert') and undone_by_id is null
        and ($3::bigint is null or last_revision < $3)
    order by last_revision desc limit 1
"""
UNDONE = """
    select u.id, d.title from history_entry u join history_entry d on d.undone_by_id = u.id
    where u.project_id = $1 and ($2::text is null or (u.actor_id = $2 and u.scope = 'mine'))
        and u.kind = 'undo' and not exists (
            select from history_entry c where c.project_id = $1
            and ($2::text is null or c.actor_id = $2)
            and c.kind in ('change', 'revert') and c.last_revision > u.last_revision)
    order by u.last_revision desc, d.last_revision limit 1
"""


class Walk(msgspec.Struct, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """Whose last step: `mine`, or whoever's in the `project`."""

    scope: Scope = "mine"


class Step(NamedTuple):
    """An entry, and what taking it back would do."""

    entry: Record
    plan: Plan


async def undo(tx: Tx, caller: Caller, project_id: str, walk: Walk) -> ActionResult[WentBack]:
    """Take back the last step that stands.

    Raises `Conflict` with the later changes of others that stand in the way, or when there is
    nothing to undo. Steps that someone took back already are passed over.
    """
    async with changing_project(tx, caller, project_id, "editor") as (change, _):
        passed, step = await _last_standing(change, _actor(caller, walk))
        said = f"Undid “{shortened(step.entry['title'], QUOTED_MOST)}”"
        steps = Steps(plan=step.plan, kind="undo", said=said)
        went = await take(change, caller, steps)
        await tx.execute(
            "update history_entry set undone_by_id = $2 where id = any($1::uuid[])",
            [*passed, step.entry["id"]],
            steps.entry_id,
        )
        await tx.execute(
            "update history_entry set scope = $2 where id = $1", steps.entry_id, walk.scope
        )
        return done(change, went)


async def redo(tx: Tx, caller: Caller, project_id: str, walk: Walk) -> ActionResult[WentBack]:
    """Do the last undone step again. Raises `Conflict` as `undo` does."""
    async with changing_project(tx, caller, project_id, "editor") as (change, _):
        entry = await tx.fetchrow(UNDONE, project_id, _actor(caller, walk))
        if entry is None:
            raise Conflict("There is nothing to redo.")
        plan = await plan_for(change, await _unit(tx, entry["id"]), "before")
        if plan.later:
            raise blocked(plan, IN_THE_WAY)
        await tx.execute(
            "update history_entry set undone_by_id = null where undone_by_id = $1", entry["id"]
        )
        if plan.empty:
            return ActionResult(data=WentBack())
        said = f"Redid “{shortened(entry['title'], QUOTED_MOST)}”"
        return done(change, await take(change, caller, Steps(plan=plan, kind="redo", said=said)))


async def _last_standing(change: Change, actor: str | None) -> tuple[list[str], Step]:
    """The last step that would change anything, and the newer ones that would not."""
    passed, before = list[str](), None
    while entry := await change.tx.fetchrow(STANDING, change.project_id, actor, before):
        plan = await plan_for(change, await _unit(change.tx, entry["id"]), "before")
        if plan.later:
            raise blocked(plan, IN_THE_WAY)
        if not plan.empty:
            return passed, Step(entry, plan)
        passed.append(entry["id"])
        before = entry["last_revision"]
    raise Conflict("There is nothing to undo.")


async def _unit(tx: Tx, entry_id: str) -> list[Iteration]:
    rows = await tx.fetch(
        f"select {ITERATION} from scene_iteration where entry_id = $1 order by revision", entry_id
    )
    return [iteration_of(row) for row in rows]


def _actor(caller: Caller, walk: Walk) -> str | None:
    return caller.user_id if walk.scope == "mine" else None
