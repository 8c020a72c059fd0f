"""Messages and runs as the chat writes them, for tests of the layers below the chat."""

from asyncpg import Record

from app.realtime.log import Change, changing
from app.runs.model import Run
from app.runs.reads import MESSAGE, RUN, message_of, run_of
from app.scenes.history import Cause, create
from app.scenes.model import SceneState
from app.store.database import Tx
from app.store.ids import new_id
from app.store.query import column_list
from tests.harness.database import DB

REQUEST = "a-turn"


async def say(user_id: str, project_id: str, content: str) -> None:
    """Add a message of a user that begins no turn."""
    async with DB.transaction() as tx:
        await said(tx, user_id, project_id, content)


async def said(tx: Tx, user_id: str, project_id: str, content: str) -> None:
    """The same within a transaction."""
    async with changing(tx, project_id, actor_id=user_id, request_id=REQUEST) as change:
        await _message(change, new_id(), None, "user", "success", content)


async def begin_turn(user_id: str, project_id: str) -> Run:
    """Begin a run with a decision; the test holds its lease, so that no worker claims it."""
    async with DB.transaction() as tx:
        return await begun(tx, user_id, project_id)


async def begun(tx: Tx, user_id: str, project_id: str) -> Run:
    """The same within a transaction."""
    run_id, asked, answer = new_id(), new_id(), new_id()
    async with changing(tx, project_id, actor_id=user_id, request_id=REQUEST) as change:
        row = await tx.fetchrow(
            "insert into run (id, project_id, actor_id, request_id, prompt, status,"
            " user_message_id, assistant_message_id, base_revision, sequence)"
            " values ($1, $2, $3, $4, 'A title', 'queued', $5, $6, $7, $8)"
            f" returning {column_list(RUN)}",
            run_id,
            project_id,
            user_id,
            REQUEST,
            asked,
            answer,
            change.revision,
            change.next_revision,
        )
        run = run_of(_found(row))
        await _message(change, asked, run_id, "user", "success", "A title")
        await _message(change, answer, run_id, "assistant", "pending", "")
        change.emit("run.queued", {"run": run}, run_id=run_id)
        row = await tx.fetchrow(
            "update run set status = 'running', attempt = 1, started_at = clock_timestamp(),"
            " lease_owner = 'tests', lease_expires_at = clock_timestamp() + interval '1 hour'"
            f" where id = $1 returning {column_list(RUN)}",
            run_id,
        )
        change.emit("run.started", {"run": run_of(_found(row))}, run_id=run_id)
        decision = {"toolName": "addScene", "reasoning": "…"}
        await tx.execute("update run set decision = $2 where id = $1", run_id, decision)
        change.emit("brain.decision", {"decision": decision}, run_id=run_id)
    return run


async def write_scene(user_id: str, project_id: str, run: Run) -> str:
    """Add a scene as a step of the turn; return its id."""
    async with DB.transaction() as tx:
        async with changing(tx, project_id, actor_id=user_id, request_id=REQUEST) as change:
            cause = Cause(
                source="llm",
                prompt=run.prompt,
                message_id=run.assistant_message_id,
                run_id=run.id,
                call_id=new_id(),
            )
            state = SceneState(name="Title", tsx_code="export default () => null;")
            scene, _ = await create(change, state, cause)
    return scene.id


async def end_turn(project_id: str, run: Run) -> None:
    """End the turn with success."""
    async with DB.transaction() as tx:
        await ended(tx, project_id, run)


async def ended(tx: Tx, project_id: str, run: Run) -> None:
    """The same within a transaction."""
    async with changing(tx, project_id, actor_id=run.actor_id, request_id=REQUEST) as change:
        message = await tx.fetchrow(
            "update message set status = 'success', content = 'Done', updated_at ="
            f" clock_timestamp() where id = $1 returning {column_list(MESSAGE)}",
            run.assistant_message_id,
        )
        row = await tx.fetchrow(
            "update run set status = 'succeeded', ended_at = clock_timestamp(),"
            " lease_owner = null, lease_expires_at = null"
            f" where id = $1 returning {column_list(RUN)}",
            run.id,
        )
        change.emit("message.updated", {"message": message_of(_found(message))}, run_id=run.id)
        change.emit("run.finished", {"run": run_of(_found(row))}, run_id=run.id)


async def _message(
    change: Change, message_id: str, run_id: str | None, role: str, status: str, content: str
) -> None:
    row = await change.tx.fetchrow(
        "insert into message (id, project_id, run_id, role, status, content, sequence, request_id)"
        f" values ($1, $2, $3, $4, $5, $6, $7, $8) returning {column_list(MESSAGE)}",
        message_id,
        change.project_id,
        run_id,
        role,
        status,
        content,
        change.next_revision,
        REQUEST,
    )
    change.emit("message.created", {"message": message_of(_found(row))}, run_id=run_id)


def _found(row: Record | None) -> Record:
    assert row is not None
    return row
