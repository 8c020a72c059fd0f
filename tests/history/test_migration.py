"""A history older than the entries of the timeline gets them and loses nothing."""

import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

from app.store.database import Tx
from app.store.ids import new_id
from app.store.migration import MIGRATIONS, migrate
from tests.harness.database import connect
from tests.store.conftest import dsn, empty_database

__all__ = ["dsn", "empty_database"]

NewDatabase = Callable[[], Awaitable[str]]


async def old_iteration(
    tx: Tx, project: str, revision: int, commit: int, prompt: str, run: str | None = None
) -> None:
    await tx.execute(
        "insert into scene_iteration (id, project_id, operation_type, change_source, user_prompt,"
        " after, message_id, run_id, request_id, actor_id, revision) values ($1, $2, 'edit',"
        " 'user', $3, '{}', (select assistant_message_id from run where id = $4), $4, 'r', 'ann',"
        " $5)",
        new_id(),
        project,
        prompt,
        run,
        revision,
    )
    await tx.execute(
        "insert into project_event (project_id, revision, commit_revision, type, payload,"
        " request_id, actor_id) values ($1, $2, $3, 'iteration.created', '{}', 'r', 'ann')",
        project,
        revision,
        commit,
    )


async def test_old_iterations_get_their_entries(dsn: str, tmp_path: Path) -> None:
    shutil.copy(Path(MIGRATIONS) / "0001_spine.py", tmp_path)
    await migrate(dsn, tmp_path)
    connection = await connect(dsn)
    tx = Tx(connection)
    project, other, run, asked, answer = (new_id() for _ in range(5))
    await tx.execute("insert into user_account (id, name) values ('ann', 'Ann')")
    for key, title in ((project, "P"), (other, "O")):
        await tx.execute(
            "insert into project (id, owner_id, title, epoch, request_id)"
            " values ($1, 'ann', $2, 'e', 'r')",
            key,
            title,
        )
    async with tx.savepoint():
        await tx.execute(
            "insert into run (id, project_id, actor_id, request_id, prompt, user_message_id,"
            " assistant_message_id, status, base_revision, sequence)"
            " values ($1, $2, 'ann', 'r', 'Prompt', $3, $4, 'succeeded', 0, 1)",
            run,
            project,
            asked,
            answer,
        )
        for number, key in enumerate((asked, answer)):
            await tx.execute(
                "insert into message (id, project_id, role, status, content, sequence, request_id)"
                " values ($1, $2, 'user', 'success', '', $3, 'r')",
                key,
                project,
                number,
            )
    for revision, commit in ((2, 4), (4, 4), (6, 6)):
        await old_iteration(tx, project, revision, commit, f"By hand {revision}")
    for revision in (8, 12):
        await old_iteration(tx, project, revision, revision, "Prompt", run)
    await old_iteration(tx, project, 10, 10, "By hand 10")
    await old_iteration(tx, other, 4, 4, "Elsewhere")
    assert "0002_history" in await migrate(dsn)
    rows = await tx.fetch(
        "select project_id, title, kind, message_id, run_id, first_revision, last_revision,"
        " (select count(*) from scene_iteration where entry_id = history_entry.id) as number"
        " from history_entry order by project_id, first_revision"
    )
    assert [tuple(row) for row in rows] == [
        (project, "By hand 2", "change", None, None, 2, 4, 2),
        (project, "By hand 6", "change", None, None, 6, 6, 1),
        (project, "Prompt", "change", answer, run, 8, 12, 2),
        (project, "By hand 10", "change", None, None, 10, 10, 1),
        (other, "Elsewhere", "change", None, None, 4, 4, 1),
    ]
    assert await tx.fetchval("select count(*) from scene_iteration where entry_id is null") == 0
    await tx.execute("delete from message where id = $1", answer)
    assert await tx.fetchval("select assistant_message_id from run") is None
    assert await tx.fetchval("select message_id from history_entry where run_id = $1", run) is None
    await connection.close()
