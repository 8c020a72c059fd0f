"""The timeline: one entry for each message or direct change, newest first."""

from datetime import datetime
from typing import Any

import msgspec

from app.http.envelope import Page
from app.scenes.model import ChangeSource, EntryKind, Operation
from app.store.engine import Reader

ENTRIES = """
    select e.id, e.kind, e.title, e.message_id, e.run_id, e.request_id, e.actor_id,
        u.name as actor_name, e.undone_by_id is not null as undone, e.last_revision as revision,
        e.created_at as at
    from history_entry e join user_account u on u.id = e.actor_id
    where e.project_id = $1 and ($2::bigint is null or e.last_revision < $2)
    order by e.last_revision desc limit $3
"""
CHANGES = """
    select i.id as iteration_id, i.entry_id, i.scene_id, s.name as scene_name, i.operation_type,
        i.change_source, i.changes_applied, i.revision
    from scene_iteration i left join scene s on s.id = i.scene_id
    where i.entry_id = any($1::uuid[]) order by i.revision
"""
# As `plans.py` decides: it is so already, or nothing came later, or all of that was taken back.
# An order counts as the same only with the same scenes.
STANDS = """
    with span as (
        select entry_id, scene_id, min(revision) as first, max(revision) as last
        from scene_iteration where entry_id = any($2::uuid[]) group by entry_id, scene_id
    )
    select span.entry_id, bool_and(
        coalesce(newest.after - 'position' = beginning.before - 'position',
            (newest.after->'deleted')::boolean, false)
        or (newest.revision = span.last or (newest.change_source = 'revert'
            and newest.after - 'position' = ending.after - 'position')) and not exists (
                select from scene_iteration other where other.scene_id = span.scene_id
                and other.revision > span.first and other.revision < span.last
                and other.entry_id is distinct from span.entry_id
                and other.change_source <> 'revert')
    ) as stands
    from span
    join scene_iteration beginning
        on beginning.project_id = $1 and beginning.revision = span.first
    join scene_iteration ending on ending.project_id = $1 and ending.revision = span.last
    cross join lateral (
        (select revision, change_source, after from scene_iteration
        where scene_id = span.scene_id order by revision desc limit 1)
        union all
        (select revision, change_source, after from scene_iteration
        where span.scene_id is null and project_id = $1 and scene_id is null
        order by revision desc limit 1)
    ) newest
    group by span.entry_id
"""


class TimelineChange(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """One iteration of an entry; without a scene it is the order. `sceneName` is today's."""

    iteration_id: str
    scene_id: str | None
    scene_name: str | None
    operation_type: Operation
    changes_applied: list[str]
    revision: int


class TimelineEntry(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """Who did what, and when; `title` is the prompt or what was done, in words.

    `snapshot?at=` and `branch?at=` with `revision` give the project as it was right after it.
    `restorable`: going back before it loses nothing that came later, so it needs no force.
    """

    id: str
    kind: EntryKind
    title: str
    change_source: ChangeSource
    message_id: str | None
    run_id: str | None
    request_id: str
    actor_id: str
    actor_name: str
    undone: bool
    restorable: bool
    revision: int
    at: datetime
    changes: list[TimelineChange]


async def read_timeline(
    reader: Reader, project_id: str, *, before: int | None, limit: int
) -> Page[TimelineEntry]:
    """Newest first, in three queries; `before` is the revision that ended the last page."""
    rows = await reader.fetch(ENTRIES, project_id, before, limit + 1)
    ids = [row["id"] for row in rows[:limit]]
    changes: dict[str, list[Any]] = {entry_id: [] for entry_id in ids}
    for row in await reader.fetch(CHANGES, ids):
        changes[row["entry_id"]].append(row)
    stands = {row["entry_id"]: row["stands"] for row in await reader.fetch(STANDS, project_id, ids)}
    items = [
        TimelineEntry(
            **row,
            change_source=changes[row["id"]][0]["change_source"],
            restorable=bool(stands.get(row["id"])),
            changes=[_change_of(one) for one in changes[row["id"]]],
        )
        for row in rows[:limit]
    ]
    return Page(items=items, next_cursor=str(items[-1].revision) if len(rows) > limit else None)


def _change_of(row: Any) -> TimelineChange:
    return TimelineChange(**{name: row[name] for name in TimelineChange.__struct_fields__})
