"""Checks the invariants of the data in a database.

The invariants, by number:

1. The revisions of a project's events are 1, 2, 3 … up to the project's revision.
2. A scene equals the state after its newest iteration.
3. The log, replayed from its first event, gives the current snapshot.
4. The positions of a project's live scenes are 0, 1, 2 …
5. Changes by a model are linked to the assistant's message of their run, which is pending exactly
   while the run is open.
6. At most one run of a project is running, and it has a lease.
7. A run has exactly one `run.finished` event once it has ended, and none before.
8. Model calls are closed when their run or generation has ended.
9. Each change has its event and its iteration, and each row the event of its request.
10. Generations form trees within a project; their status, result and events agree, and scenes and
    iterations refer to successful ones.
11. A revert leads to a state of an older iteration, and the timeline agrees with the iterations.
"""

from datetime import datetime
from typing import Any

import msgspec

from app.lifecycle.history_queries import HISTORY_QUERIES
from app.lifecycle.queries import QUERIES, InvariantQuery
from app.projects.replay import snapshot_parts
from app.realtime.log import head_of
from app.scenes.snapshot import replayed, snapshot_now
from app.store.database import Reader

PROJECT_BATCH_SIZE = 100
MAX_VIOLATIONS_PER_QUERY = 100
SNAPSHOT_PARTS = ("project", "members", "scenes", "messages", "runs")
# Fields that no event sets: a request to cancel a run is in its events only once the run ends,
# and the order of the scenes is in the order of the list.
FIELDS_WITHOUT_EVENT = {"runs": {"cancelRequestedAt"}, "scenes": {"position"}}


class Violation(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """One broken invariant, with the project and the row that break it."""

    invariant: int
    what: str
    project_id: str
    id: str


async def check(reader: Reader, *, since: datetime | None = None) -> list[Violation]:
    """Return the violations by invariant, at most `MAX_VIOLATIONS_PER_QUERY` of each query.

    `reader` must be a transaction with a single snapshot of the database. The memory needed is
    that of one project's state and one page of events. With `since` only projects updated at or
    after it are replayed.
    """
    violations = [
        violation
        for query in (*QUERIES, *HISTORY_QUERIES)
        for violation in await _run_query(reader, query)
    ]
    after: str | None = None
    while ids := await _project_ids(reader, after, since):
        for project_id in ids:
            violations += await _check_replay(reader, project_id)
        after = ids[-1]
    return sorted(violations, key=lambda violation: violation.invariant)


async def _run_query(reader: Reader, query: InvariantQuery) -> list[Violation]:
    rows = await reader.fetch(
        f"select * from ({query.sql}) violation limit {MAX_VIOLATIONS_PER_QUERY}"
    )
    return [
        Violation(invariant=query.invariant, project_id=row[0], id=row[1], what=row[2])
        for row in rows
    ]


async def _project_ids(reader: Reader, after: str | None, since: datetime | None) -> list[str]:
    rows = await reader.fetch(
        "select id from project where ($1::uuid is null or id > $1)"
        " and ($2::timestamptz is null or updated_at >= $2) order by id limit $3",
        after,
        since,
        PROJECT_BATCH_SIZE,
    )
    return [row["id"] for row in rows]


async def _check_replay(reader: Reader, project_id: str) -> list[Violation]:
    """Return how the state replayed from the whole log differs from the current snapshot."""
    head = await head_of(reader, project_id)
    assert head is not None
    current = msgspec.json.decode((await snapshot_now(reader, project_id, deleted=True)).body)
    try:
        replayed_parts = snapshot_parts(await replayed(reader, project_id, head.revision))
    except (KeyError, TypeError, AttributeError) as error:
        what = f"an event can't be replayed: {error!r}"
        return [Violation(invariant=3, what=what, project_id=project_id, id=project_id)]
    return [
        Violation(
            invariant=3,
            what=f"the {part} are not what the events give",
            project_id=project_id,
            id=project_id,
        )
        for part in SNAPSHOT_PARTS
        if comparable(part, replayed_parts[part]) != comparable(part, current[part])
    ]


def comparable(part: str, value: Any) -> Any:
    """Return a part of a snapshot without the fields that no event sets."""
    excluded = FIELDS_WITHOUT_EVENT.get(part)
    if excluded is None:
        return value
    return [{name: item[name] for name in item if name not in excluded} for item in value]
