"""The end of a run, whether it succeeds, fails or is cancelled."""

import msgspec

from app.generations.model_calls import close_calls_of_run
from app.generations.records import fail_generations_of_run
from app.problems import LeaseLost, Problem
from app.realtime.log import Change
from app.runs.model import MessageKind, MessageStatus, Run, RunQueued, RunStatus
from app.runs.reads import MESSAGE, RUN, message_of, run_of
from app.runs.tables import MessageRow
from app.store.columns import NOW
from app.store.query import Param, built, column_list, named

MESSAGE_STATUS_BY_RUN: dict[RunStatus, MessageStatus] = {
    "succeeded": "success",
    "failed": "error",
    "cancelled": "cancelled",
}
UNWRITTEN_MESSAGE = "The turn was over before its code was there."

LIST_UNFINISHED_CALLS = named("""
    select payload from project_event as started
    where run_id = :run_id and type = 'tool.started' and not exists (
        select from project_event as finished
        where finished.run_id = :run_id and finished.type = 'tool.finished'
            and finished.payload->>'callId' = started.payload->>'callId'
    )
    order by revision
""")
# The new epoch fences the worker that holds the lease.
END_RUN = named(f"""
    update run set
        status = :status, ended_at = clock_timestamp(),
        lease_owner = null, lease_expires_at = null, lease_epoch = lease_epoch + 1,
        error_code = :error_code, error_message = :error_message,
        error_retryable = :error_retryable,
        model = coalesce(
            (select model from model_call where run_id = :id order by created_at desc limit 1),
            model
        )
    where id = :id and status in ('queued', 'running')
    returning {column_list(RUN)}
""")
END_MESSAGE = built(
    MessageRow.update(
        {
            MessageRow.status: Param("status"),
            MessageRow.content: Param("content"),
            MessageRow.kind: Param("kind"),
            MessageRow.updated_at: NOW,
        }
    )
    .where(MessageRow.id == Param("id"))
    .returning(*MESSAGE)
)


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """How a run ends: its status, and `content` and `kind` of the assistant's message.

    `code` is the run's error code when it is not the problem's own.
    """

    status: RunStatus
    content: str
    kind: MessageKind = "message"
    problem: Problem | None = None
    code: str | None = None


async def break_off(change: Change, run_id: str, ending: Ending) -> Run:
    """End a run after ending its tool calls that have started and not finished."""
    for row in await change.tx.fetch(*LIST_UNFINISHED_CALLS(run_id=run_id)):
        change.emit("tool.finished", {**row["payload"], "success": False}, run_id=run_id)
    return await end(change, run_id, ending)


async def end(change: Change, run_id: str, ending: Ending) -> Run:
    """End a run, with its message, its model calls and its last event.

    Raises `LeaseLost` when it has ended already.
    """
    tx, problem = change.tx, ending.problem
    status = "cancelled" if ending.status == "cancelled" else "abandoned"
    await close_calls_of_run(tx, run_id, status)
    row = await tx.fetchrow(
        *END_RUN(
            id=run_id,
            status=ending.status,
            error_code=(ending.code or problem.code) if problem else None,
            error_message=problem.message if problem else None,
            error_retryable=problem.retryable if problem else None,
        )
    )
    if row is None:
        raise LeaseLost
    run = run_of(row)
    await fail_generations_of_run(change, run_id, *_generation_error(ending))
    message = await tx.fetchrow(
        *END_MESSAGE(
            id=run.assistant_message_id,
            status=MESSAGE_STATUS_BY_RUN[ending.status],
            content=ending.content,
            kind="error" if ending.status == "failed" else ending.kind,
        )
    )
    assert message is not None
    change.emit("message.updated", {"message": message_of(message)}, run_id=run_id)
    change.emit("run.finished", {"run": run}, run_id=run_id)
    tx.send_after_commit(RunQueued())  # the next run of the project can be claimed
    return run


def _generation_error(ending: Ending) -> tuple[str, str]:
    """Return the error code and message for pending generations of the run."""
    if ending.problem is not None:
        return ending.code or ending.problem.code, ending.problem.message
    return "CANCELLED", UNWRITTEN_MESSAGE
