"""A turn begins, is looked at, and is asked to stop."""

from typing import Any

import msgspec

from app.auth.model import Caller
from app.chat.endings import Ending, break_off, end
from app.problems import NotFound, ProjectBusy, RateLimited
from app.projects.access import access_project
from app.projects.projects import end_welcome
from app.realtime.log import Change, changing
from app.runs.model import (
    MESSAGE,
    OVER,
    RUN,
    CancelRequested,
    Message,
    Run,
    RunQueued,
    message_of,
    run_of,
)
from app.runs.reads import get_run
from app.store.database import Database, Reader, Tx
from app.store.ids import new_id

WAITING_MOST = 20  # queued runs of one project
WAIT_HINT = 3  # seconds until a full queue is worth another try


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


async def begin(tx: Tx, caller: Caller, project_id: str, turn: Turn) -> tuple[Begun, int]:
    """Store both messages and the queued run; return them and the project's revision.

    Raises `ProjectBusy` for `reject` while a run is active, `RateLimited` when too many wait.
    """
    async with changing(
        tx, project_id, actor_id=caller.user_id, request_id=caller.request_id
    ) as change:
        await access_project(tx, caller, project_id, "editor")  # still, now that it is locked
        await _make_room(change, turn)
        await end_welcome(change)
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
        tx.send_after_commit(RunQueued())
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


async def request_cancel(tx: Tx, caller: Caller, run_id: str) -> Run:
    """End a waiting run at once, ask the worker of a running one; an ended one stays as it is."""
    run, _ = await access_run(tx, caller, run_id, "editor")
    async with changing(
        tx, run.project_id, actor_id=caller.user_id, request_id=caller.request_id
    ) as change:
        run, _ = await access_run(tx, caller, run_id, "editor")
        if run.status == "queued":
            return await end(change, run_id, Ending(status="cancelled", content=""))
        if run.status == "running":
            await _request_cancel(tx, run_id)
    return run


async def force_cancel(database: Database, run_id: str, caller: Caller) -> Run:
    """End a running run whose worker does not answer."""
    async with database.transaction() as tx:
        run = await get_run(tx, run_id)
        async with changing(
            tx, run.project_id, actor_id=caller.user_id, request_id=caller.request_id
        ) as change:
            run = await get_run(tx, run_id)
            if run.status in OVER:
                return run
            return await break_off(change, run_id, Ending(status="cancelled", content=""))


async def _request_cancel(tx: Tx, run_id: str) -> None:
    await tx.execute(
        "update run set cancel_requested_at = coalesce(cancel_requested_at, clock_timestamp())"
        " where id = $1",
        run_id,
    )
    tx.send_after_commit(CancelRequested(run_id))


async def access_run(reader: Reader, caller: Caller, run_id: str, role: Any) -> tuple[Run, int]:
    """Return the run and its project's revision; raise `NotFound` when absent or foreign."""
    run = await get_run(reader, run_id)
    try:
        access = await access_project(reader, caller, run.project_id, role)
    except NotFound:
        raise NotFound("There is no such run.") from None
    return run, access.revision
