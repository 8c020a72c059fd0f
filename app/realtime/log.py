"""The log: every durable event, numbered under its project's row lock in the same transaction."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from typing import Any, NamedTuple

from asyncpg import InterfaceError

from app.problems import NotFound
from app.realtime import metrics
from app.store.concurrency import BatchLoader, spawn
from app.store.database import Database, Reader, Tx

PAGE_EVENTS = 200  # read at once, about; a transaction is never split
MAX_POSITIONS_FOR_FULL_PAGES = 10  # of one query; beyond, short pages
SHORT_PAGE_EVENTS = 20  # about
IDLE_CONNECTION_SECONDS = 0.5  # that the reader keeps a connection for its next read

LogPosition = tuple[str, int]  # a project's id and a revision of it


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
    """One durable event as the log holds it; `payload` is JSON on one line."""

    revision: int
    commit: int
    type: str
    payload: str | bytes
    run_id: str | None
    request_id: str
    actor_id: str
    at: datetime
    epoch: str


class LogGrew(NamedTuple):
    """A signal: a commit of this process has appended these rows, oldest first, at least one."""

    project_id: str
    rows: list[Row]


class Head(NamedTuple):
    """The end of a project's log."""

    epoch: str
    revision: int


class Change:
    """A change of one project under its row lock; `flush` writes the events that it has emitted."""

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
        """The revision that the next `emit` will give to its event."""
        return self.revision + 1

    def emit(self, kind: str, data: Any, *, run_id: str | None = None) -> int:
        """Add an event and return its revision; `data` is anything that msgspec can encode."""
        self.revision += 1
        self._events.append((self.revision, kind, data, run_id))
        return self.revision

    async def flush(self) -> None:
        """Write the emitted events; the signal `LogGrew` follows the commit."""
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
        self.tx.send_after_commit(LogGrew(self.project_id, rows))


@asynccontextmanager
async def changing(
    tx: Tx, project_id: str, *, actor_id: str, request_id: str
) -> AsyncIterator[Change]:
    """Lock the project's row until the transaction ends and write what the block emits.

    Lock several projects in the order of their ids. Raises `NotFound` for an unknown project.
    """
    row = await tx.fetchrow(
        "select epoch, revision from project where id = $1 for no key update", project_id
    )
    if row is None:
        raise NotFound
    change = Change(tx, project_id, Head(row["epoch"], row["revision"]), actor_id, request_id)
    yield change
    await change.flush()


def new_epoch() -> str:
    """Return a random name for a project's history; a restored backup gets another one."""
    return secrets.token_hex(4)


async def head_of(reader: Reader, project_id: str) -> Head | None:
    """Return where a project's log ends, or None for an unknown project."""
    row = await reader.fetchrow("select epoch, revision from project where id = $1", project_id)
    return Head(row["epoch"], row["revision"]) if row else None


async def heads_of(reader: Reader, project_ids: list[str]) -> dict[str, Head]:
    """Return where many logs end, with one query; unknown projects are left out."""
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


async def read(reader: Reader, project_id: str, after: int, limit: int = PAGE_EVENTS) -> list[Row]:
    """Return the next events after a revision, oldest first: about `limit`, whole transactions."""
    return (await read_many(reader, [(project_id, after)], limit))[project_id, after]


async def read_many(
    reader: Reader, positions: list[LogPosition], limit: int = PAGE_EVENTS
) -> dict[LogPosition, list[Row]]:
    """Return what `read` gives for each of many positions, with one query."""
    found: dict[LogPosition, list[Row]] = {position: [] for position in positions}
    projects, revisions = zip(*positions, strict=True)
    for number, *row in await reader.fetch(READ, projects, revisions, limit):
        found[positions[number - 1]].append(Row(*row))
    return found


READ_RUN = """
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
"""

IS_OVER = """
    select exists (
        select from project_event where run_id = $1 and type = 'run.finished' and revision <= $2
    )
"""


async def read_run(reader: Reader, project_id: str, run_id: str, after: int) -> list[Row]:
    """Return the next events of one run after a revision: about a page, whole transactions."""
    rows = await reader.fetch(READ_RUN, project_id, run_id, after, PAGE_EVENTS)
    return [Row(*row) for row in rows]


async def is_over(reader: Reader, run_id: str, by: int) -> bool:
    """Return whether the run's terminal event is at or before a revision."""
    return bool(await reader.fetchval(IS_OVER, run_id, by))


class LogReader:
    """Reads pages of the log for all hubs of a process; those asked for at once take one query.

    It keeps one connection of the pool while there is something to read, since to acquire and
    release one costs four times as much as such a query.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._pages: BatchLoader[LogPosition, list[Row]] = BatchLoader("read the log", self._find)
        self._kept: AsyncExitStack | None = None
        self._tx: Tx | None = None
        self._busy = False
        self._used = 0.0

    async def get(self, project_id: str, after: int) -> list[Row]:
        """Return the next events after a revision, as `read` does, but perhaps fewer of them.

        Fewer than `SHORT_PAGE_EVENTS` are all that there were. Raises `Problem` when the database
        fails.
        """
        return await self._pages.get((project_id, after)) or []

    async def close(self) -> None:
        """Release the connection."""
        kept, self._kept, self._tx = self._kept, None, None
        if kept:
            await kept.aclose()

    async def _find(self, positions: list[LogPosition]) -> dict[LogPosition, list[Row]]:
        metrics.LOG_QUERIES.inc()
        limit = PAGE_EVENTS if len(positions) <= MAX_POSITIONS_FOR_FULL_PAGES else SHORT_PAGE_EVENTS
        if self._busy:  # a query is running on the kept connection
            async with self._database.reading() as tx:
                return await read_many(tx, positions, limit)
        self._busy = True
        try:
            return await read_many(await self._connection(), positions, limit)
        except BaseException as error:
            kept, self._kept, self._tx = self._kept, None, None
            if kept:  # turns an error of the database into a `Problem`
                await kept.__aexit__(type(error), error, error.__traceback__)
            raise
        finally:
            self._busy = False
            self._used = asyncio.get_running_loop().time()

    async def _connection(self) -> Tx:
        if self._tx is not None and _is_open(self._tx):
            return self._tx
        await self.close()
        async with AsyncExitStack() as stack:
            tx = await stack.enter_async_context(self._database.reading())
            self._tx, self._kept = tx, stack.pop_all()
        asyncio.get_running_loop().call_later(IDLE_CONNECTION_SECONDS, self._release_idle, tx)
        return tx

    def _release_idle(self, tx: Tx) -> None:
        """Release the connection if it was not used for a while, else look again later."""
        if self._tx is not tx:
            return
        loop = asyncio.get_running_loop()
        if self._busy or loop.time() - self._used < IDLE_CONNECTION_SECONDS:
            loop.call_later(IDLE_CONNECTION_SECONDS, self._release_idle, tx)
        else:
            spawn(self.close(), name="release the log reader's connection")


def _is_open(tx: Tx) -> bool:
    try:
        return not tx.connection.is_closed()
    except InterfaceError:  # the pool has dropped it because it broke
        return False
