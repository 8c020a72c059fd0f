"""The timeline: one entry for each message or direct change, newest first."""

from collections import defaultdict
from datetime import datetime
from typing import Any

import msgspec

from app.http.envelope import Page
from app.realtime.events import MAX_REVISION
from app.scenes.model import ChangeSource, EntryKind, Operation
from app.scenes.reads import live_ids
from app.scenes.revert import Standing, is_arranged
from app.store.database import Reader
from app.store.query import named

LIST_ENTRIES = named("""
    select e.id, e.kind, e.title, e.message_id, e.run_id, e.request_id, e.actor_id,
        u.name as actor_name, e.undone_by_id is not null as undone, e.last_revision as revision,
        e.created_at as at
    from history_entry e join user_account u on u.id = e.actor_id
    where e.project_id = :project_id and e.last_revision < :before
    order by e.last_revision desc limit :limit
""")
LIST_CHANGES = named("""
    select i.id as iteration_id, i.entry_id, i.scene_id, s.name as scene_name, i.operation_type,
        i.change_source, i.changes_applied, i.revision
    from scene_iteration i left join scene s on s.id = i.scene_id
    where i.entry_id = any(:entry_ids::uuid[]) order by i.revision
""")
# The fields of a `Standing` for a revert to before each entry, for each of its scenes and for the
# order. States are compared in SQL, since they are large; as text, too, where 1 and 1.0 differ.
# Only a revert can have restored the state after an entry, so after another change that comparison
# is omitted. Orders are compared in Python.
LIST_STANDINGS = named("""
    with span as (
        select entry_id, scene_id, min(revision) as first, max(revision) as last
        from scene_iteration where entry_id = any(:entry_ids::uuid[]) group by entry_id, scene_id
    ),
    compared as (
        select span.*, newest.revision as newest, newest.change_source as newest_source,
            case when span.scene_id is null then first.before->'sceneIds' end as order_before,
            case when span.scene_id is null then last.after->'sceneIds' end as order_after,
            newest.after - 'position' as state, first.before - 'position' as wanted,
            last.after - 'position' as left_state
        from span
        join scene_iteration first
            on first.project_id = :project_id and first.revision = span.first
        join scene_iteration last on last.project_id = :project_id and last.revision = span.last
        cross join lateral (
            (select revision, change_source, after from scene_iteration
            where scene_id = span.scene_id order by revision desc limit 1)
            union all
            (select revision, change_source, after from scene_iteration
            where span.scene_id is null and project_id = :project_id and scene_id is null
            order by revision desc limit 1)
        ) newest
    )
    select entry_id, scene_id, order_before, order_after,
        case when scene_id is not null then coalesce(state = wanted and state::text = wanted::text,
            (state->'deleted')::boolean) end as is_reached,
        case when scene_id is not null then newest = last or (newest_source = 'revert'
            and state = left_state and state::text = left_state::text) end as is_as_left,
        case when newest > last then newest_source end as newest_source,
        first < last and exists (
            select from scene_iteration other where other.scene_id = compared.scene_id
                and other.revision > first and other.revision < last
                and other.entry_id is distinct from compared.entry_id
                and other.change_source <> 'revert'
            union all
            select from scene_iteration other where compared.scene_id is null
                and other.project_id = :project_id and other.scene_id is null
                and other.revision > first and other.revision < last
                and other.entry_id is distinct from compared.entry_id
                and other.change_source <> 'revert'
        ) as is_interleaved
    from compared
""")


class TimelineChange(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """One iteration of an entry; without a scene it is the order. `sceneName` is today's."""

    iteration_id: str
    scene_id: str | None
    scene_name: str | None
    operation_type: Operation
    changes_applied: list[str]
    revision: int


class TimelineEntry(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """Who changed what, and when; `title` is the prompt, or the change in words.

    `snapshot?at=` and `branch?at=` with `revision` give the project as it was right after it.
    `restorable`: a revert to before it loses no later change, so it needs no force.
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
    """Return a page of entries, newest first, in at most four statements.

    `before` is the last revision of the previous page.
    """
    rows = await reader.fetch(
        *LIST_ENTRIES(
            project_id=project_id,
            before=MAX_REVISION if before is None else before,
            limit=limit + 1,
        )
    )
    ids = [row["id"] for row in rows[:limit]]
    changes = defaultdict[str, list[Any]](list)
    for row in await reader.fetch(*LIST_CHANGES(entry_ids=ids)):
        changes[row["entry_id"]].append(row)
    blocked = await _entries_that_need_force(reader, project_id, ids)
    items = [
        TimelineEntry(
            **row,
            change_source=changes[row["id"]][0]["change_source"],
            restorable=row["id"] not in blocked,
            changes=[_change_of(one) for one in changes[row["id"]]],
        )
        for row in rows[:limit]
    ]
    return Page(items=items, next_cursor=str(items[-1].revision) if len(rows) > limit else None)


async def _entries_that_need_force(
    reader: Reader, project_id: str, entry_ids: list[str]
) -> set[str]:
    """Return the entries whose revert to before them would lose later changes."""
    rows = await reader.fetch(*LIST_STANDINGS(project_id=project_id, entry_ids=entry_ids))
    has_orders = any(row["scene_id"] is None for row in rows)
    order = await live_ids(reader, project_id) if has_orders else []
    return {row["entry_id"] for row in rows if not _standing_of(row, order).loses_nothing}


def _standing_of(row: Any, order: list[str]) -> Standing:
    is_reached, is_as_left = row["is_reached"], row["is_as_left"]
    if row["scene_id"] is None:
        is_reached = is_arranged(order, row["order_before"])
        is_as_left = is_arranged(order, row["order_after"])
    return Standing(is_reached, is_as_left, row["is_interleaved"], row["newest_source"])


def _change_of(row: Any) -> TimelineChange:
    return TimelineChange(**{name: row[name] for name in TimelineChange.__struct_fields__})
