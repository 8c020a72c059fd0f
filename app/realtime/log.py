"""The log: every durable event, numbered under its project's row lock in the same transaction."""

import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, NamedTuple

from app.problems import NotFound
from app.store.engine import Reader, Tx

PAGE = 200  # events read at once; a transaction's events are never cut apart

Place = tuple[str, int]  # a project and a revision of it


APPEND = """
    with grown as (
        update project set revision = $2, updated_at = clock_timestamp() where id = $1
    )
    insert into project_event
        (project_id, revision, commit_revision, type, payload, run_id, request_id, actor_id)
    select $1, event.revision, $2, event.type, event.payload, event.run_id, $3, $4
    from unnest($5::bigint[], $6::text[], $7::jsonb[], $8::uuid[])
        as event (revision, type, payload, run_id)
    returning revision, commit_revision, type, payload::text, run_id, request_id, actor_id,
              created_at
"""


class Row(NamedTuple):
    """One durable event as the log holds it; `payload` is JSON text."""

    revision: int
    commit: int
    type: str
    payload: str
    run_id: str | None
    request_id: str
    actor_id: str
    at: datetime
    epoch: str


class LogGrew(NamedTuple):
    """A signal: a commit of this process has appended these rows, oldest first, at least one."""

    project_id: str
    rows: list[Row]


# Goes away: connect to `LogGrew` instead.
Announce = Callable[[str, int, Sequence[Row]], None]
announcers: list[Announce] = []


class Head(NamedTuple):
    """Where a project's log ends."""

    epoch: str
    revision: int


class Change:
    """Changes of one project under its row lock; events are written when the block ends."""

    def __init__(self, tx: Tx, project_id: str, head: Head, actor_id: str, request_id: str) -> None:
        self.tx = tx
        self.project_id = project_id
        self.epoch = head.epoch
        self.revision = head.revision
        self.actor_id = actor_id
        self.request_id = request_id
        self._events: list[tuple[int, str, Any, str | None]] = []

    @property
    def next_revision(self) -> int:
        """The number that the next `emit` will give its event."""
        return self.revision + 1

    def emit(self, kind: str, data: Any, *, run_id: str | None = None) -> int:
        """Add an event; return its revision. `data` is anything that msgspec can encode."""
        self.revision += 1
        self._events.append((self.revision, kind, data, run_id))
        return self.revision

    async def flush(self) -> None:
        if not self._events:
            return
        revisions, kinds, data, runs = zip(*self._events, strict=True)
        written = await self.tx.fetch(
            APPEND,
            self.project_id,
            self.revision,
            self.request_id,
            self.actor_id,
            revisions,
            kinds,
            data,
            runs,
        )
        self._events.clear()
        rows = sorted(Row._make([*row, self.epoch]) for row in written)
        self.tx.after_commit.append(lambda: announce(self.project_id, rows))
        self.tx.send_after_commit(LogGrew(self.project_id, rows))


@asynccontextmanager
async def changing(
    tx: Tx, project_id: str, *, actor_id: str, request_id: str
) -> AsyncIterator[Change]:
    """Lock the project's row to the end of the transaction and write what the block emits.

    Of several projects lock the one with the smaller id first. Raises `NotFound`.
    """
    row = await tx.fetchrow(
        "select epoch, revision from project where id = $1 for no key update", project_id
    )
    if row is None:
        raise NotFound
    change = Change(tx, project_id, Head(row["epoch"], row["revision"]), actor_id, request_id)
    yield change
    await change.flush()


def announce(project_id: str, rows: list[Row]) -> None:
    """Hint that the log has grown; whoever misses the hint finds out by itself within 2 s."""
    for tell in announcers:
        tell(project_id, rows[-1].revision, rows)


def new_epoch() -> str:
    return secrets.token_hex(4)


async def head_of(reader: Reader, project_id: str) -> Head | None:
    row = await reader.fetchrow("select epoch, revision from project where id = $1", project_id)
    return Head(row["epoch"], row["revision"]) if row else None


async def heads_of(reader: Reader, project_ids: list[str]) -> dict[str, Head]:
    """Where many logs end, in one query."""
    rows = await reader.fetch(
        "select id, epoch, revision from project where id = any($1::uuid[])", project_ids
    )
    return {row["id"]: Head(row["epoch"], row["revision"]) for row in rows}


READ = """
    select wanted.n, event.*
    from unnest($1::uuid[], $2::bigint[]) with ordinality as wanted (project_id, after, n)
    cross join lateral (
        select revision, commit_revision, type, payload::text as payload, run_id, request_id,
               actor_id, created_at, (select epoch from project where id = wanted.project_id)
        from project_event
        where project_id = wanted.project_id and revision > wanted.after and revision <= (
            select max(commit_revision) from (
                select commit_revision from project_event
                where project_id = wanted.project_id and revision > wanted.after
                order by revision limit $3
            ) as page
        )
        order by revision
    ) as event
    order by wanted.n, event.revision
"""


async def read(reader: Reader, project_id: str, after: int, limit: int = PAGE) -> list[Row]:
    """The next events after a revision, oldest first: about `limit`, whole transactions only."""
    return (await read_many(reader, [(project_id, after)], limit))[project_id, after]


async def read_many(
    reader: Reader, places: list[Place], limit: int = PAGE
) -> dict[Place, list[Row]]:
    """What `read` gives for each of many projects and revisions, in one query."""
    found: dict[Place, list[Row]] = {place: [] for place in places}
    projects, revisions = zip(*places, strict=True)
    for number, *row in await reader.fetch(READ, projects, revisions, limit):
        found[places[number - 1]].append(Row(*row))
    return found


async def read_run(reader: Reader, project_id: str, run_id: str, after: int) -> list[Row]:
    """The next events that one run caused, oldest first: about `PAGE`, whole transactions only."""
    rows = await reader.fetch(
        """
        with page as (
            select commit_revision from project_event
            where run_id = $2 and project_id = $1 and revision > $3 order by revision limit $4
        )
        select revision, commit_revision, type, payload::text as payload, run_id, request_id,
               actor_id, created_at, (select epoch from project where id = $1)
        from project_event
        where run_id = $2 and project_id = $1 and revision > $3
          and revision <= (select max(commit_revision) from page)
        order by revision
        """,
        project_id,
        run_id,
        after,
        PAGE,
    )
    return [Row(*row) for row in rows]


async def is_over(reader: Reader, run_id: str, by: int) -> bool:
    """Whether the run's terminal event is at or before a revision."""
    return bool(
        await reader.fetchval(
            "select exists (select from project_event"
            " where run_id = $1 and type = 'run.finished' and revision <= $2)",
            run_id,
            by,
        )
    )
