"""Messages and turns as the chat writes them, for tests of what lies below the chat."""

from app.projects.chat import MESSAGE, RUN, message_of, run_of
from app.realtime.log import changing
from app.store.engine import transaction
from app.store.ids import new_id


async def say(project_id: str, content: str) -> None:
    async with transaction() as tx:
        async with changing(tx, project_id, actor_id="ann", request_id="said") as change:
            row = await tx.fetchrow(
                "insert into message (id, project_id, author_id, role, status, content, sequence,"
                " request_id) values ($1, $2, 'ann', 'user', 'success', $3, $4, 'said')"
                f" returning {MESSAGE}",
                new_id(),
                project_id,
                content,
                change.next_revision,
            )
            assert row is not None
            change.emit("message.created", {"message": message_of(row)})


async def begin_turn(project_id: str) -> str:
    run_id, said, answer = new_id(), new_id(), new_id()
    async with transaction() as tx:
        async with changing(tx, project_id, actor_id="ann", request_id="turn") as change:
            row = await tx.fetchrow(
                "insert into run (id, project_id, actor_id, request_id, prompt, status,"
                " user_message_id, assistant_message_id, base_revision, sequence)"
                " values ($1, $2, 'ann', 'turn', 'A title', 'queued', $3, $4, $5, $6)"
                f" returning {RUN}",
                run_id,
                project_id,
                said,
                answer,
                change.revision,
                change.next_revision,
            )
            assert row is not None
            for message_id, role, status in (
                (said, "user", "success"),
                (answer, "assistant", "pending"),
            ):
                message = await tx.fetchrow(
                    "insert into message (id, project_id, run_id, role, status, content,"
                    " sequence, request_id) values ($1, $2, $3, $4, $5, $6, $7, 'turn')"
                    f" returning {MESSAGE}",
                    message_id,
                    project_id,
                    run_id,
                    role,
                    status,
                    "",
                    change.next_revision,
                )
                assert message is not None
                change.emit("message.created", {"message": message_of(message)}, run_id=run_id)
            change.emit("run.queued", {"run": run_of(row)}, run_id=run_id)
            decision = {"toolName": "addScene", "reasoning": "…"}
            await tx.execute("update run set decision = $2 where id = $1", run_id, decision)
            change.emit("brain.decision", {"decision": decision}, run_id=run_id)
    return run_id


async def end_turn(project_id: str, run_id: str) -> None:
    async with transaction() as tx:
        async with changing(tx, project_id, actor_id="ann", request_id="turn") as change:
            message = await tx.fetchrow(
                "update message set status = 'success', content = 'Done', updated_at ="
                f" clock_timestamp() where run_id = $1 and role = 'assistant' returning {MESSAGE}",
                run_id,
            )
            row = await tx.fetchrow(
                "update run set status = 'succeeded', ended_at = clock_timestamp()"
                f" where id = $1 returning {RUN}",
                run_id,
            )
            assert message is not None
            assert row is not None
            change.emit("message.updated", {"message": message_of(message)}, run_id=run_id)
            change.emit("run.finished", {"run": run_of(row)}, run_id=run_id)
