"""The one end of a run, however it comes about."""

import msgspec

from app.generations.records import fail_of_run
from app.problems import LeaseLost, Problem
from app.realtime.log import Change
from app.runs.model import (
    MESSAGE,
    RUN,
    MessageKind,
    MessageStatus,
    Run,
    RunQueued,
    RunStatus,
    message_of,
    run_of,
)
from app.store.database import Tx

MESSAGE_STATUS: dict[RunStatus, MessageStatus] = {
    "succeeded": "success",
    "failed": "error",
    "cancelled": "cancelled",
}


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """How a run ends."""

    status: RunStatus
    content: str
    kind: MessageKind = "message"
    problem: Problem | None = None
    code: str | None = None  # when it is not the problem's own


async def break_off(change: Change, run_id: str, ending: Ending) -> Run:
    """`end` for a run whose last tool call may be announced and not over."""
    rows = await change.tx.fetch(
        "select payload from project_event s where run_id = $1 and type = 'tool.started'"
        " and not exists (select from project_event f where f.run_id = $1"
        " and f.type = 'tool.finished' and f.payload->>'callId' = s.payload->>'callId')"
        " order by revision",
        run_id,
    )
    for row in rows:
        change.emit("tool.finished", {**row["payload"], "success": False}, run_id=run_id)
    return await end(change, run_id, ending)


async def end(change: Change, run_id: str, ending: Ending) -> Run:
    """Write the one end of a run: its message, its status, its last event."""
    tx = change.tx
    await close_calls(tx, run_id, "cancelled" if ending.status == "cancelled" else "abandoned")
    problem = ending.problem
    row = await tx.fetchrow(
        "update run set status = $2, ended_at = clock_timestamp(), lease_expires_at = null,"
        " lease_owner = null, lease_epoch = lease_epoch + 1, error_code = $3, error_message = $4,"
        " model = coalesce((select model from model_call where run_id = $1"
        " order by created_at desc limit 1), model),"
        f" error_retryable = $5 where id = $1 and status in ('queued', 'running') returning {RUN}",
        run_id,
        ending.status,
        (ending.code or problem.code) if problem else None,
        problem.message if problem else None,
        problem.retryable if problem else None,
    )
    if row is None:
        raise LeaseLost
    run = run_of(row)
    await fail_of_run(change, run_id, *_why_unwritten(ending))
    kind: MessageKind = "error" if ending.status == "failed" else ending.kind
    said = await tx.fetchrow(
        "update message set status = $2, content = $3, kind = $4, updated_at = clock_timestamp()"
        f" where id = $1 returning {MESSAGE}",
        run.assistant_message_id,
        MESSAGE_STATUS[ending.status],
        ending.content,
        kind,
    )
    assert said is not None
    change.emit("message.updated", {"message": message_of(said)}, run_id=run_id)
    change.emit("run.finished", {"run": run}, run_id=run_id)
    tx.send_after_commit(RunQueued())  # the next one of the project may begin
    return run


def _why_unwritten(ending: Ending) -> tuple[str, str]:
    """The code and the words for what was still being written when the run ended."""
    if ending.problem is not None:
        return ending.code or ending.problem.code, ending.problem.message
    return "CANCELLED", "The turn was over before its code was there."


async def close_calls(tx: Tx, run_id: str, status: str) -> None:
    await tx.execute(
        "update model_call set status = $2, closed_at = clock_timestamp()"
        " where run_id = $1 and status = 'open'",
        run_id,
        status,
    )
