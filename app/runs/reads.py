"""Reading runs: one by id, and what the database knows of those that run now."""

from typing import Any

import msgspec

from app.problems import NotFound
from app.realtime.live import LiveCall, LiveRun
from app.runs.model import RUN, Run, run_of
from app.store.database import Database, Reader

RUNNING = f"select {RUN}, request_id from run where project_id = $1 and status = 'running'"
CALLS = """
    select type, payload from project_event
    where run_id = $1 and type in ('tool.started', 'tool.finished') order by revision
"""


async def get_run(reader: Reader, run_id: str) -> Run:
    """Return a run. Raises `NotFound`."""
    row = await reader.fetchrow(f"select {RUN} from run where id = $1", run_id)
    if row is None:
        raise NotFound("There is no such run.")
    return run_of(row)


async def running_runs(database: Database, project_id: str) -> list[LiveRun]:
    """Return the runs of a project that run now, with their open calls and without texts."""
    rows = await database.fetch(RUNNING, project_id)
    return [await _live_run(database, dict(row)) for row in rows]


async def _live_run(database: Database, row: dict[str, Any]) -> LiveRun:
    request_id = row.pop("request_id")
    run: Run = run_of(row)
    calls: dict[str, LiveCall] = {}
    for event in await database.fetch(CALLS, run.id):
        call = event["payload"]
        if event["type"] == "tool.started":
            calls[call["callId"]] = LiveCall(
                call_id=call["callId"], tool_name=call["toolName"], step=call["step"]
            )
        else:
            calls.pop(call["callId"], None)
    return LiveRun(
        run_id=run.id,
        request_id=request_id,
        actor_id=run.actor_id,
        attempt=run.attempt,
        run=msgspec.to_builtins(run),
        message_id=run.assistant_message_id,
        decision=run.decision,
        calls=calls,
    )
