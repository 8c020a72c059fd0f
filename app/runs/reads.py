"""Reading runs and messages; each function runs a constant number of statements."""

from typing import Any

import msgspec
from asyncpg import Record

from app.http.envelope import Page
from app.problems import NotFound
from app.realtime.events import MAX_REVISION
from app.realtime.live import LiveRun
from app.runs.model import Message, Run, RunError
from app.runs.tables import MessageRow, RunRow
from app.store.database import Database, Reader
from app.store.query import Param, built, column_list, named

NO_RUN = "There is no such run."

MESSAGE = MessageRow.all_columns(exclude=[MessageRow.request_id])
RUN = RunRow.all_columns(
    exclude=[
        RunRow.request_id,
        RunRow.image_urls,
        RunRow.priority,
        RunRow.lease_owner,
        RunRow.lease_epoch,
        RunRow.lease_expires_at,
    ]
)

FIND_RUN = built(RunRow.select(*RUN).where(RunRow.id == Param("id")))
LIST_MESSAGES = built(
    MessageRow.select(*MESSAGE)
    .where(MessageRow.project_id == Param("project_id"), MessageRow.sequence < Param("before"))
    .order_by(MessageRow.sequence, ascending=False),
    limit=Param("limit"),
)
# With each status as a literal of its own PostgreSQL can use the partial indexes of these runs.
LIST_OPEN_RUNS = named(f"""
    select {column_list(RUN)} from run
    where project_id = :project_id and (status = 'queued' or status = 'running')
    order by sequence
""")
FIND_RUNNING_RUN = named(f"""
    select {column_list(RUN)}, request_id from run
    where project_id = :project_id and status = 'running'
""")
LIST_CALLS = named("""
    select type, payload from project_event
    where run_id = :run_id and type in ('tool.started', 'tool.finished')
    order by revision
""")


def message_of(row: Record) -> Message:
    """Return the message of a row with the columns `MESSAGE`."""
    return Message(**row)


def run_of(row: Record | dict[str, Any]) -> Run:
    """Return the run of a row with the columns `RUN`."""
    values = dict(row)
    code, message, retryable = (
        values.pop(name) for name in ("error_code", "error_message", "error_retryable")
    )
    error = RunError(code=code, message=message or "", retryable=bool(retryable)) if code else None
    return Run(**values, error=error)


async def get_run(reader: Reader, run_id: str) -> Run:
    """Return a run. Raises `NotFound`."""
    row = await reader.fetchrow(*FIND_RUN(id=run_id))
    if row is None:
        raise NotFound(NO_RUN)
    return run_of(row)


async def open_runs(reader: Reader, project_id: str) -> list[Run]:
    """Return the runs of a project that are queued or running, oldest first."""
    return [run_of(row) for row in await reader.fetch(*LIST_OPEN_RUNS(project_id=project_id))]


async def list_messages(
    reader: Reader, project_id: str, *, before: int | None, limit: int
) -> Page[Message]:
    """Return the newest messages before a sequence, oldest first.

    `next_cursor` is the `before` of the next, older page.
    """
    rows = await reader.fetch(
        *LIST_MESSAGES(
            project_id=project_id,
            before=MAX_REVISION if before is None else before,
            limit=limit + 1,
        )
    )
    items = [message_of(row) for row in reversed(rows[:limit])]
    return Page(items=items, next_cursor=str(items[0].sequence) if len(rows) > limit else None)


async def last_messages(reader: Reader, project_id: str, limit: int) -> list[Message]:
    """Return the newest messages of a project, oldest first."""
    rows = await reader.fetch(
        *LIST_MESSAGES(project_id=project_id, before=MAX_REVISION, limit=limit)
    )
    return [message_of(row) for row in reversed(rows)]


async def running_runs(database: Database, project_id: str) -> list[LiveRun]:
    """Return the running run of a project, if any, with its open calls.

    Its texts are missing: they exist only in the process that works on it.
    """
    rows = await database.fetch(*FIND_RUNNING_RUN(project_id=project_id))
    return [await _live_run(database, dict(row)) for row in rows]


async def _live_run(database: Database, row: dict[str, Any]) -> LiveRun:
    request_id = row.pop("request_id")
    run = run_of(row)
    live = LiveRun(
        run_id=run.id,
        request_id=request_id,
        actor_id=run.actor_id,
        attempt=run.attempt,
        run=msgspec.to_builtins(run),
        message_id=run.assistant_message_id,
        decision=run.decision,
    )
    for event in await database.fetch(*LIST_CALLS(run_id=run.id)):
        if event["type"] == "tool.started":
            live.open_call(event["payload"])
        else:
            live.calls.pop(event["payload"]["callId"], None)
    return live
