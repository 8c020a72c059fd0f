"""Whether a database still keeps every promise of the data model."""

from datetime import datetime
from typing import Any

import msgspec

from app.lifecycle.facts import FACTS, Fact
from app.lifecycle.history_facts import HISTORY
from app.projects.replay import shown
from app.realtime.log import head_of
from app.scenes.snapshot import replayed, snapshot_now
from app.store.database import Reader

PROJECTS = 100  # ids of projects read at once
MOST = 100  # violations told of one fact
PARTS = ("project", "members", "scenes", "messages", "runs")
# A wish to stop changes no state of a run yet: no event tells it before the run ends.
UNTOLD = {"runs": ("cancelRequestedAt",)}


class Violation(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """One broken invariant, with the project and the row that break it."""

    invariant: int
    what: str
    project_id: str
    id: str


async def check(reader: Reader, *, since: datetime | None = None) -> list[Violation]:
    """Every violation of invariants 1 to 11, at most a hundred of each fact.

    Give it a transaction that sees one moment. Memory: one project's state and a page of events.
    `since` leaves out the replay of projects that were not changed after it.
    """
    found = [violation for fact in (*FACTS, *HISTORY) for violation in await _broken(reader, fact)]
    after: str | None = None
    while ids := await _project_ids(reader, after, since):
        for project_id in ids:
            found += await _check_replay(reader, project_id)
        after = ids[-1]
    return sorted(found, key=lambda violation: violation.invariant)


async def _broken(reader: Reader, fact: Fact) -> list[Violation]:
    rows = await reader.fetch(f"select * from ({fact.sql}) broken limit {MOST}")
    return [
        Violation(invariant=fact.invariant, project_id=row[0], id=row[1], what=row[2])
        for row in rows
    ]


async def _project_ids(reader: Reader, after: str | None, since: datetime | None) -> list[str]:
    rows = await reader.fetch(
        "select id from project where ($1::uuid is null or id > $1)"
        " and ($2::timestamptz is null or updated_at >= $2) order by id limit $3",
        after,
        since,
        PROJECTS,
    )
    return [row["id"] for row in rows]


async def _check_replay(reader: Reader, project_id: str) -> list[Violation]:
    """The log, replayed from empty, gives the current snapshot."""
    head = await head_of(reader, project_id)
    assert head is not None
    now = msgspec.json.decode((await snapshot_now(reader, project_id, deleted=True)).body)
    try:
        told = shown(await replayed(reader, project_id, head.revision))
    except (KeyError, TypeError, AttributeError) as error:
        what = f"an event can't be replayed: {error!r}"
        return [Violation(invariant=3, what=what, project_id=project_id, id=project_id)]
    return [
        Violation(
            invariant=3,
            what=f"the {part} are not what the events tell",
            project_id=project_id,
            id=project_id,
        )
        for part in PARTS
        if comparable(part, told[part]) != comparable(part, now[part])
    ]


def comparable(part: str, value: Any) -> Any:
    """A part of a snapshot without what no event tells; scenes by order, not by number."""
    without = (*UNTOLD.get(part, ()), *(("position",) if part == "scenes" else ()))
    if not without:
        return value
    return [{name: one[name] for name in one if name not in without} for one in value]
