"""Operations on runs for users: beginning, cancelling and reading them."""

import msgspec

from app.auth.model import Caller
from app.chat.endings import Ending, break_off, end
from app.problems import ProjectBusy, RateLimited
from app.projects.access import access_project
from app.projects.model import Role
from app.projects.projects import end_welcome
from app.realtime.log import Change, changing
from app.runs.model import TERMINAL_STATUSES, CancelRequested, Message, Run, RunQueued
from app.runs.reads import MESSAGE, NO_RUN, RUN, get_run, message_of, open_runs, run_of
from app.runs.tables import MessageRow, RunRow
from app.store.columns import NOW
from app.store.database import Database, Reader, Tx
from app.store.ids import new_id
from app.store.query import Param, built

MAX_QUEUED_RUNS = 20  # of one project
FULL_QUEUE_RETRY_SECONDS = 3  # `Retry-After` when the queue is full

INSERT_RUN = built(
    RunRow.insert(
        RunRow(
            id=Param("id"),
            project_id=Param("project_id"),
            actor_id=Param("actor_id"),
            request_id=Param("request_id"),
            user_message_id=Param("user_message_id"),
            assistant_message_id=Param("assistant_message_id"),
            prompt=Param("prompt"),
            image_urls=Param("image_urls"),
            selected_scene_id=Param("selected_scene_id"),
            model=Param("model"),
            status="queued",
            priority=Param("priority"),
            base_revision=Param("base_revision"),
            sequence=Param("sequence"),
        )
    ).returning(*RUN)
)
INSERT_MESSAGE = built(
    MessageRow.insert(
        MessageRow(
            id=Param("id"),
            project_id=Param("project_id"),
            run_id=Param("run_id"),
            author_id=Param("author_id"),
            role=Param("role"),
            status=Param("status"),
            content=Param("content"),
            image_urls=Param("image_urls"),
            sequence=Param("sequence"),
            request_id=Param("request_id"),
        )
    ).returning(*MESSAGE)
)
# The time of the first request is kept.
REQUEST_CANCEL = built(
    RunRow.update({RunRow.cancel_requested_at: NOW}).where(
        RunRow.id == Param("id"), RunRow.cancel_requested_at.is_null()
    )
)


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """A prompt and the options of its run."""

    prompt: str
    image_urls: list[str] = []
    selected_scene_id: str | None = None
    on_busy: str = "enqueue"
    model: str | None = None


class Begun(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """The rows that a turn begins with, as clients see them."""

    run: Run
    user_message: Message
    assistant_message: Message


async def begin(tx: Tx, caller: Caller, project_id: str, turn: Turn) -> tuple[Begun, int]:
    """Store both messages and the queued run; return them and the project's revision.

    Raises `ProjectBusy` for `reject` while a run is open, `RateLimited` when `MAX_QUEUED_RUNS`
    are queued.
    """
    async with changing(
        tx, project_id, actor_id=caller.user_id, request_id=caller.request_id
    ) as change:
        await access_project(tx, caller, project_id, "editor")  # again, under the lock
        await _make_room(change, turn)
        await end_welcome(change)
        run_id, user_message_id, assistant_message_id = new_id(), new_id(), new_id()
        row = await tx.fetchrow(
            *INSERT_RUN(
                id=run_id,
                project_id=project_id,
                actor_id=caller.user_id,
                request_id=caller.request_id,
                user_message_id=user_message_id,
                assistant_message_id=assistant_message_id,
                prompt=turn.prompt,
                image_urls=turn.image_urls,
                selected_scene_id=turn.selected_scene_id,
                model=turn.model,
                priority=1 if turn.on_busy == "interrupt" else 0,
                base_revision=change.revision,
                sequence=change.next_revision + 2,
            )
        )
        assert row is not None
        run = run_of(row)
        user_message = await _insert_message(change, user_message_id, run, turn)
        assistant_message = await _insert_message(change, assistant_message_id, run, None)
        change.emit("run.queued", {"run": run}, run_id=run_id)
        tx.send_after_commit(RunQueued())
        begun = Begun(run=run, user_message=user_message, assistant_message=assistant_message)
        return begun, change.revision


async def _make_room(change: Change, turn: Turn) -> None:
    """Refuse the turn or cancel the running one, depending on `on_busy`."""
    runs = await open_runs(change.tx, change.project_id)
    if runs and turn.on_busy == "reject":
        raise ProjectBusy(details={"run": runs[0]})
    if sum(run.status == "queued" for run in runs) >= MAX_QUEUED_RUNS:
        raise RateLimited(
            f"{MAX_QUEUED_RUNS} prompts wait in this project already.",
            retry_after=FULL_QUEUE_RETRY_SECONDS,
        )
    if turn.on_busy == "interrupt":
        for run in runs:
            if run.status == "running":
                await _request_cancel(change.tx, run.id)


async def _insert_message(change: Change, message_id: str, run: Run, turn: Turn | None) -> Message:
    """Store and announce the user's message, or without a turn the assistant's pending one."""
    row = await change.tx.fetchrow(
        *INSERT_MESSAGE(
            id=message_id,
            project_id=change.project_id,
            run_id=run.id,
            author_id=run.actor_id if turn else None,
            role="user" if turn else "assistant",
            status="success" if turn else "pending",
            content=turn.prompt if turn else "",
            image_urls=turn.image_urls if turn else [],
            sequence=change.next_revision,
            request_id=change.request_id,
        )
    )
    assert row is not None
    message = message_of(row)
    change.emit("message.created", {"message": message}, run_id=run.id)
    return message


async def request_cancel(tx: Tx, caller: Caller, run_id: str) -> Run:
    """Cancel a queued run at once, or signal the worker of a running one to cancel it.

    Returns the run; a run that has ended is not changed.
    """
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
    """Cancel a run without its worker, which does not respond; return the ended run."""
    async with database.transaction() as tx:
        run = await get_run(tx, run_id)
        async with changing(
            tx, run.project_id, actor_id=caller.user_id, request_id=caller.request_id
        ) as change:
            run = await get_run(tx, run_id)
            if run.status in TERMINAL_STATUSES:
                return run
            return await break_off(change, run_id, Ending(status="cancelled", content=""))


async def _request_cancel(tx: Tx, run_id: str) -> None:
    await tx.execute(*REQUEST_CANCEL(id=run_id))
    tx.send_after_commit(CancelRequested(run_id))


async def access_run(reader: Reader, caller: Caller, run_id: str, role: Role) -> tuple[Run, int]:
    """Return the run and its project's revision.

    Raises `NotFound` for an absent or foreign run, `Forbidden` when the caller's role is below.
    """
    run = await get_run(reader, run_id)
    access = await access_project(reader, caller, run.project_id, role, absent=NO_RUN)
    return run, access.revision
