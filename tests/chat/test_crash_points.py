"""`kill -9` at every statement of a run: each step is atomic, and the run ends once."""

import asyncio
import sys
from typing import Any

import pytest

from app.auth.model import Caller
from app.projects.model import NewProject
from app.projects.projects import create_project
from tests.chat.crash import USER
from tests.harness.deployment import Deployment

SAMPLES = 12  # the statements at which a run is killed; all of them with --long


async def crash(deployment: Deployment, points: list[int]) -> list[tuple[str, str]]:
    """(project, `crashed` or the number of statements) for each point; 0 never crashes."""
    projects = [await new_project(deployment) for _ in points]
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.chat.crash", deployment.database,
        *(f"{project}:{point}" for project, point in zip(projects, points, strict=True)),
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, _ = await child.communicate()
    assert child.returncode == 0
    return list(zip(projects, out.decode().split(), strict=True))


async def new_project(deployment: Deployment) -> str:
    async with deployment.reading() as tx, tx.connection.transaction():
        await tx.execute(
            "insert into user_account (id, name, email) values ($1, 'Crash', 'c@example.test')"
            " on conflict do nothing",
            USER,
        )
        caller = Caller(user_id=USER, name="Crash", request_id="setup")
        made = await create_project(tx, caller, NewProject())
    return str(made.data.id)


async def check_ended_once(deployment: Deployment, project: str) -> bool:
    """Whether the run had begun; assert that it then succeeded with each scene created once."""
    runs = await deployment.fetch("select * from run where project_id = $1", project)
    events: list[Any] = [
        row["type"]
        for row in await deployment.fetch(
            "select type from project_event where project_id = $1 order by revision", project
        )
    ]
    scenes = await deployment.fetch("select tsx_code from scene where project_id = $1", project)
    if not runs:
        assert scenes == []
        assert "message.created" not in events
        return False
    [run] = runs
    assert (run["status"], run["error_code"]) == ("succeeded", None)
    assert run["attempt"] <= 2
    assert len(scenes) == 2
    for kind, number in (
        ("run.queued", 1), ("run.started", 1), ("run.finished", 1), ("brain.decision", 1),
        ("tool.started", 2), ("scene.created", 2), ("iteration.created", 2), ("tool.finished", 2),
        ("message.updated", 1), ("run.retrying", run["attempt"] - 1),
    ):  # fmt: skip
        assert events.count(kind) == number, (kind, events)
    iterations = await deployment.fetch(
        "select distinct message_id from scene_iteration where project_id = $1", project
    )
    assert [row["message_id"] for row in iterations] == [run["assistant_message_id"]]
    return True


@pytest.mark.parametrize("share", ["some", pytest.param("all", marks=pytest.mark.long)])
async def test_a_run_killed_at_any_statement_is_done_once(
    deployment: Deployment, share: str
) -> None:
    [(whole, printed)] = await crash(deployment, [0])
    assert await check_ended_once(deployment, whole)
    statements = int(printed)
    assert statements > 30
    step = 1 if share == "all" else max(1, statements // SAMPLES)
    points = list(range(1, statements + 1, step))
    begun = []
    for project, printed in await crash(deployment, points):
        begun.append(await check_ended_once(deployment, project))
        assert printed == "crashed" or printed.isdigit()
    assert begun[0] is False
    assert begun[-1] is True
    attempts = await deployment.fetch("select attempt from run")
    assert {row["attempt"] for row in attempts} == {1, 2}
    await deployment.check()
