"""The life of a run: begun, claimed, decided, stepped, finished; each a transaction and its events.

Every write of a worker is fenced by its lease: `UPDATE … WHERE status = 'running' AND lease_epoch =
mine`. Whoever lost the lease writes nothing.
"""

from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Any

import msgspec

from app.auth.model import Caller
from app.brain.model import Decision
from app.chat.signals import SIGNALS
from app.problems import LeaseLost, NotFound, Problem, ProjectBusy, RateLimited
from app.projects.access import access_project
from app.projects.chat import (
    MESSAGE,
    OVER,
    RUN,
    Message,
    MessageKind,
    MessageStatus,
    Run,
    RunStatus,
    message_of,
    run_of,
)
from app.realtime.log import Change, changing
from app.store.engine import Reader, Tx, transaction
from app.store.ids import new_id

LEASE = "12 seconds"  # how long a worker may be silent before another takes over
ATTEMPTS_MOST = 4  # of one run, the takeovers included
WAITING_MOST = 20  # queued runs of one project
WAIT_HINT = 3  # seconds until a full queue is worth another try


class RunCancelled(Exception):
    """Somebody asked for this run to stop."""


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """What a person asks for."""

    prompt: str
    image_urls: list[str] = []
    selected_scene_id: str | None = None
    on_busy: str = "enqueue"
    model: str | None = None


class Begun(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """The rows that a turn starts with."""

    run: Run
    user_message: Message
    assistant_message: Message


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """A run that this worker holds a lease on, and what earlier attempts left behind."""

    run: Run
    lease_epoch: int
    image_urls: list[str]
    revision: int  # of the project after the claim
    request_id: str
    decision: Decision | None
    started: frozenset[str]  # call ids announced by an earlier attempt
    finished: dict[str, str]  # call id -> summary of the steps that are done


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """How a run ends. `open_call` is the tool call that was announced and did not finish."""

    status: RunStatus
    content: str
    kind: MessageKind = "message"
    problem: Problem | None = None
    code: str | None = None  # when it is not the problem's own
    open_call: dict[str, Any] | None = None


MESSAGE_STATUS: dict[RunStatus, MessageStatus] = {
    "succeeded": "success",
    "failed": "error",
    "cancelled": "cancelled",
}


async def begin(tx: Tx, caller: Caller, project_id: str, turn: Turn) -> tuple[Begun, int]:
    """Store both messages and the queued run; return them and the project's revision.

    Raises `ProjectBusy` for `reject` while a run is active, `RateLimited` when too many wait.
    """
    async with changing(
        tx, project_id, actor_id=caller.user_id, request_id=caller.request_id
    ) as change:
        await _make_room(change, turn)
        run_id, said_id, reply_id = new_id(), new_id(), new_id()
        row = await tx.fetchrow(
            "insert into run (id, project_id, actor_id, request_id, user_message_id,"
            " assistant_message_id, prompt, image_urls, selected_scene_id, model, status,"
            " priority, base_revision, sequence)"
            " values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 'queued', $11, $12, $13)"
            f" returning {RUN}",
            run_id,
            project_id,
            caller.user_id,
            caller.request_id,
            said_id,
            reply_id,
            turn.prompt,
            turn.image_urls,
            turn.selected_scene_id,
            turn.model,
            1 if turn.on_busy == "interrupt" else 0,
            change.revision,
            change.next_revision + 2,
        )
        assert row is not None
        said = await _insert_message(change, said_id, run_id, turn, caller.user_id)
        reply = await _insert_message(change, reply_id, run_id, None, None)
        run = run_of(row)
        change.emit("run.queued", {"run": run}, run_id=run_id)
        tx.after_commit.append(SIGNALS.wake)
        return Begun(run=run, user_message=said, assistant_message=reply), change.revision


async def _make_room(change: Change, turn: Turn) -> None:
    rows = await change.tx.fetch(
        f"select {RUN} from run where project_id = $1 and status in ('queued', 'running')"
        " order by sequence",
        change.project_id,
    )
    active = [run_of(row) for row in rows]
    if active and turn.on_busy == "reject":
        raise ProjectBusy(details={"run": active[0]})
    if sum(run.status == "queued" for run in active) >= WAITING_MOST:
        raise RateLimited(
            f"{WAITING_MOST} prompts wait in this project already.", retry_after=WAIT_HINT
        )
    if turn.on_busy == "interrupt":
        for run in active:
            if run.status == "running":
                await _request_cancel(change.tx, run.id)


async def _insert_message(
    change: Change, message_id: str, run_id: str, turn: Turn | None, author_id: str | None
) -> Message:
    """A person's message, or with no turn the assistant's pending one."""
    row = await change.tx.fetchrow(
        "insert into message (id, project_id, run_id, author_id, role, status, content,"
        " image_urls, sequence, request_id) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"
        f" returning {MESSAGE}",
        message_id,
        change.project_id,
        run_id,
        author_id,
        "user" if turn else "assistant",
        "success" if turn else "pending",
        turn.prompt if turn else "",
        turn.image_urls if turn else [],
        change.next_revision,
        change.request_id,
    )
    assert row is not None
    message = message_of(row)
    change.emit("message.created", {"message": message}, run_id=run_id)
    return message


async def claim(worker: str) -> Held | None:
    """Take the next waiting run of a project in which none is running; None when there is none."""
    async with transaction() as tx:
        candidate = await tx.fetchrow(
            "select r.id, r.project_id, r.actor_id, r.request_id from run r"
            " join project p on p.id = r.project_id"
            " where r.status = 'queued' and not exists (select from run b"
            " where b.project_id = r.project_id and b.status = 'running')"
            " order by r.priority desc, r.queued_at limit 1"
            " for no key update of p skip locked",
        )
        if candidate is None:
            return None
        async with _changing(tx, candidate) as change:
            row = await tx.fetchrow(
                "update run set status = 'running', attempt = attempt + 1, lease_owner = $2,"
                " lease_epoch = lease_epoch + 1, started_at = clock_timestamp(),"
                f" lease_expires_at = clock_timestamp() + interval '{LEASE}'"
                " where id = (select id from run where project_id = $1 and status = 'queued'"
                " and not exists (select from run b where b.project_id = $1"
                " and b.status = 'running') order by priority desc, sequence limit 1)"
                f" returning {RUN}, lease_epoch, image_urls, request_id",
                change.project_id,
                worker,
            )
            if row is None:
                return None
            change.actor_id, change.request_id = row["actor_id"], row["request_id"]
            return await _held(change, row, "run.started")


async def take_over(worker: str) -> Held | None:
    """Take a run whose worker is gone; ends those that were cancelled or tried too often."""
    async with transaction() as tx:
        dead = await tx.fetchrow(
            "select r.id, r.project_id, r.actor_id, r.request_id from run r"
            " join project p on p.id = r.project_id"
            " where r.status = 'running' and r.lease_expires_at < clock_timestamp()"
            " order by r.lease_expires_at limit 1 for no key update of p skip locked"
        )
        if dead is None:
            return None
        async with _changing(tx, dead) as change:
            row = await tx.fetchrow(
                "update run set attempt = attempt + 1, lease_owner = $2,"
                " lease_epoch = lease_epoch + 1,"
                f" lease_expires_at = clock_timestamp() + interval '{LEASE}'"
                " where id = $1 and status = 'running' and lease_expires_at < clock_timestamp()"
                f" returning {RUN}, lease_epoch, image_urls, request_id",
                dead["id"],
                worker,
            )
            if row is None:
                return None
            if row["cancel_requested_at"] is not None:
                await end(change, dead["id"], Ending(status="cancelled", content=""))
                return None
            if row["attempt"] > ATTEMPTS_MOST:
                lost = Problem("The worker was lost too often; please send it again.")
                ending = Ending(
                    status="failed", content=lost.message, problem=lost, code="WORKER_LOST"
                )
                await end(change, dead["id"], ending)
                return None
            await _close_calls(tx, dead["id"], "abandoned")
            return await _held(change, row, "run.retrying")


async def _held(change: Change, row: Any, kind: str) -> Held:
    values = dict(row)
    lease_epoch, images = values.pop("lease_epoch"), values.pop("image_urls")
    request_id = values.pop("request_id")
    run = run_of(values)
    calls = await change.tx.fetch(
        "select type, payload from project_event where run_id = $1"
        " and type in ('tool.started', 'tool.finished') order by revision",
        run.id,
    )
    finished = {
        row["payload"]["callId"]: row["payload"].get("summary", "")
        for row in calls
        if row["type"] == "tool.finished"
    }
    change.emit(kind, {"run": run}, run_id=run.id)
    return Held(
        run=run,
        lease_epoch=lease_epoch,
        image_urls=images,
        revision=change.revision,
        request_id=request_id,
        decision=msgspec.convert(run.decision, Decision) if run.decision else None,
        started=frozenset(row["payload"]["callId"] for row in calls),
        finished=finished,
    )


async def renew(held: Held) -> datetime | None:
    """Prolong the lease; return when a cancel was asked for, if it was. Raises `LeaseLost`."""
    async with transaction() as tx:
        row = await tx.fetchrow(
            "update run set lease_expires_at = clock_timestamp()"
            f" + interval '{LEASE}' where id = $1 and status = 'running' and lease_epoch = $2"
            " returning cancel_requested_at",
            held.run.id,
            held.lease_epoch,
        )
    if row is None:
        raise LeaseLost
    cancel: datetime | None = row["cancel_requested_at"]
    return cancel


async def release(held: Held) -> None:
    """Give the run to whoever comes next, now: this worker is shutting down."""
    async with transaction() as tx:
        await tx.execute(
            "update run set lease_expires_at = clock_timestamp()"
            " where id = $1 and status = 'running' and lease_epoch = $2",
            held.run.id,
            held.lease_epoch,
        )


async def decided(held: Held, decision: Decision, data: dict[str, Any], call: Any | None) -> int:
    """Keep the decision, so that it is paid for once; announce it and the first tool call."""
    async with transaction() as tx, _changing(tx, held) as change:
        await fence(tx, held)
        plain = msgspec.to_builtins(decision)
        await tx.execute("update run set decision = $2 where id = $1", held.run.id, plain)
        change.emit("brain.decision", {"decision": plain, **data}, run_id=held.run.id)
        if call is not None:
            change.emit("tool.started", call, run_id=held.run.id)
        return change.revision


async def step_started(held: Held, call: dict[str, Any]) -> int:
    async with transaction() as tx, _changing(tx, held) as change:
        await fence(tx, held)
        return change.emit("tool.started", call, run_id=held.run.id)


async def step_left(held: Held, call: dict[str, Any]) -> int:
    """A step that changed nothing is over."""
    async with transaction() as tx, _changing(tx, held) as change:
        await fence(tx, held)
        return change.emit("tool.finished", {**call, "success": False}, run_id=held.run.id)


async def finish(held: Held, ending: Ending) -> Run:
    """End a run that this worker holds. Raises `LeaseLost`."""
    async with transaction() as tx, _changing(tx, held) as change:
        await fence(tx, held, even_cancelled=True)
        return await end(change, held.run.id, ending)


def holding(tx: Tx, held: Held) -> AbstractAsyncContextManager[Change]:
    """The project's lock, in the name of whoever asked for the run."""
    return _changing(tx, held)


def _changing(tx: Tx, of: Any) -> AbstractAsyncContextManager[Change]:
    if isinstance(of, Held):
        project_id, actor_id, request_id = of.run.project_id, of.run.actor_id, of.request_id
    else:
        project_id, actor_id, request_id = of["project_id"], of["actor_id"], of["request_id"]
    return changing(tx, project_id, actor_id=actor_id, request_id=request_id)


async def fence(tx: Tx, held: Held, *, even_cancelled: bool = False) -> None:
    """Raise `LeaseLost` unless this worker holds the run, `RunCancelled` if nobody wants it."""
    row = await tx.fetchrow(
        "select cancel_requested_at from run"
        " where id = $1 and status = 'running' and lease_epoch = $2 for no key update",
        held.run.id,
        held.lease_epoch,
    )
    if row is None:
        raise LeaseLost
    if row["cancel_requested_at"] is not None and not even_cancelled:
        raise RunCancelled


async def end(change: Change, run_id: str, ending: Ending) -> Run:
    """Write the one end of a run: its message, its status, its last event."""
    tx = change.tx
    await _close_calls(tx, run_id, "cancelled" if ending.status == "cancelled" else "abandoned")
    if ending.open_call is not None:
        change.emit("tool.finished", {**ending.open_call, "success": False}, run_id=run_id)
    problem = ending.problem
    row = await tx.fetchrow(
        "update run set status = $2, ended_at = clock_timestamp(), lease_expires_at = null,"
        " lease_owner = null, lease_epoch = lease_epoch + 1, error_code = $3, error_message = $4,"
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
    tx.after_commit.append(SIGNALS.wake)
    return run


async def _close_calls(tx: Tx, run_id: str, status: str) -> None:
    await tx.execute(
        "update model_call set status = $2, closed_at = clock_timestamp()"
        " where run_id = $1 and status = 'open'",
        run_id,
        status,
    )


async def request_cancel(tx: Tx, caller: Caller, run_id: str) -> Run:
    """End a waiting run at once, ask the worker of a running one; an ended one stays as it is."""
    run, _ = await access_run(tx, caller, run_id, "editor")
    async with changing(
        tx, run.project_id, actor_id=caller.user_id, request_id=caller.request_id
    ) as change:
        run = await get_run(tx, run_id)
        if run.status == "queued":
            return await end(change, run_id, Ending(status="cancelled", content=""))
        if run.status == "running":
            await _request_cancel(tx, run_id)
    return run


async def force_cancel(run_id: str, caller: Caller) -> Run:
    """End a running run whose worker does not answer."""
    async with transaction() as tx:
        run = await get_run(tx, run_id)
        async with changing(
            tx, run.project_id, actor_id=caller.user_id, request_id=caller.request_id
        ) as change:
            run = await get_run(tx, run_id)
            if run.status in OVER:
                return run
            return await end(change, run_id, Ending(status="cancelled", content=""))


async def _request_cancel(tx: Tx, run_id: str) -> None:
    await tx.execute(
        "update run set cancel_requested_at = coalesce(cancel_requested_at, clock_timestamp())"
        " where id = $1",
        run_id,
    )
    tx.after_commit.append(lambda: SIGNALS.stop(run_id))


async def get_run(reader: Reader, run_id: str) -> Run:
    row = await reader.fetchrow(f"select {RUN} from run where id = $1", run_id)
    if row is None:
        raise NotFound("There is no such run.")
    return run_of(row)


async def access_run(reader: Reader, caller: Caller, run_id: str, role: Any) -> tuple[Run, int]:
    """Return the run and its project's revision; raise `NotFound` when absent or foreign."""
    run = await get_run(reader, run_id)
    try:
        access = await access_project(reader, caller, run.project_id, role)
    except NotFound:
        raise NotFound("There is no such run.") from None
    return run, access.revision
