"""Re-edit rates and times, against numbers worked out by hand; and what counts as edited again."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest

from app.auth.model import Caller
from app.projects.model import NewProject
from app.projects.projects import create_project
from app.scenes.analytics import EditedAgain, OperationTime, edited_again, operation_times
from app.store.database import Tx
from app.store.ids import new_id
from tests.harness.database import DB, connect
from tests.harness.person import Person
from tests.harness.studio import Studio
from tests.history.steps import drop, newest, rewrite, turn

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
NIGHT = NOON + timedelta(hours=12)
# source, operation, complexity, model, milliseconds, edited again, hours after noon
ROWS = [
    ("llm", "create", None, "m1", 100, True, 0),
    ("llm", "create", None, "m1", 300, False, 1),
    ("llm", "edit", "surgical", "m1", 10, True, 1),
    ("llm", "edit", "surgical", "m1", 20, True, 2),
    ("llm", "edit", "surgical", "m1", 30, False, 3),
    ("llm", "edit", "surgical", "m2", 1000, False, 3),
    ("llm", "edit", "structural", "m2", None, True, 4),
    ("llm", "delete", None, "m1", 5, False, 4),
    ("user", "edit", None, None, None, True, 5),
    ("revert", "edit", None, None, None, False, 5),
    ("llm", "edit", "surgical", "m1", 99, True, 12),  # too late
    ("llm", "edit", "surgical", "m1", 99, True, -1),  # too early
]


async def test_rates_and_times_are_what_they_are_by_hand(
    new_database: Callable[[], Awaitable[str]],
) -> None:
    connection = await connect(await new_database())
    tx = Tx(connection)
    await tx.execute("insert into user_account (id, name) values ('ann', 'Ann')")
    ann = Caller(user_id="ann", name="Ann", request_id="r")
    async with tx.savepoint():
        project_id = (await create_project(tx, ann, NewProject())).data.id
    for number, (source, operation, complexity, model, time, again, hours) in enumerate(ROWS):
        await tx.execute(
            "insert into scene_iteration (id, project_id, operation_type, change_source,"
            " edit_complexity, user_prompt, after, model_used, generation_time_ms,"
            " user_edited_again, request_id, actor_id, revision, created_at)"
            " values ($1, $2, $3, $4, $5, '', '{}', $6, $7, $8, 'r', 'ann', $9, $10)",
            new_id(),
            project_id,
            operation,
            source,
            complexity,
            model,
            time,
            again,
            1000 + number,
            NOON + timedelta(hours=hours),
        )
    assert await edited_again(tx, NOON, NIGHT) == [
        EditedAgain(complexity="structural", model="m2", changes=1, edited_again=1, rate=1.0),
        EditedAgain(complexity="surgical", model="m1", changes=3, edited_again=2, rate=2 / 3),
        EditedAgain(complexity="surgical", model="m2", changes=1, edited_again=0, rate=0.0),
        EditedAgain(complexity=None, model="m1", changes=2, edited_again=1, rate=0.5),
    ]
    times = await operation_times(tx, NOON, NIGHT)
    assert [(one.operation, one.model, one.changes) for one in times] == [
        ("create", "m1", 2),
        ("delete", "m1", 1),
        ("edit", "m1", 3),
        ("edit", "m2", 1),
    ]
    assert times[0] == OperationTime(
        operation="create", model="m1", changes=2, mean_ms=200.0, median_ms=200.0, p95_ms=290.0
    )
    assert times[2].p95_ms == pytest.approx(29.0)
    await connection.close()


async def marks(person: Person, scene_id: str) -> list[bool]:
    page = await person.do("GET", f"/api/scenes/{scene_id}/iterations")
    return [one["userEditedAgain"] for one in reversed(page["items"])]


@pytest.mark.parametrize(("minutes", "again"), [(4, True), (6, False)])
async def test_an_edit_within_five_minutes_marks_the_one_before(
    studio: Studio, minutes: int, again: bool
) -> None:
    ann = await studio.person("ann")
    scene = (await ann.scene(await ann.project()))["id"]
    await DB.fetch(
        "update scene_iteration set created_at = clock_timestamp() - make_interval(mins => $2)"
        " where scene_id = $1",
        scene,
        minutes,
    )
    await ann.do("PATCH", f"/api/scenes/{scene}", {"name": "New"})
    assert await marks(ann, scene) == [again, False]


async def test_what_is_no_second_edit_marks_nothing(studio: Studio) -> None:
    ann = await studio.person("ann")
    project_id = await ann.project()
    scene = (await ann.scene(project_id))["id"]
    path = f"/api/scenes/{scene}"
    await turn(ann.user_id, project_id, rewrite(scene, name="A"), rewrite(scene, duration=3))
    assert await marks(ann, scene) == [True, False, False], "a turn's own steps are one work"
    await ann.do("POST", f"{path}/duplicate")
    await ann.do("DELETE", path)
    await ann.do("POST", f"{path}/restore")
    assert await marks(ann, scene) == [True] + [False] * 4
    await ann.do("PATCH", path, {"name": "B"})
    await ann.do("POST", f"/api/projects/{project_id}/undo")
    await ann.do("PATCH", path, {"name": "C"})
    assert await marks(ann, scene) == [True] + [False] * 7
    await turn(ann.user_id, project_id, drop(scene))
    assert (await newest(ann, scene))["changesApplied"] == ["deleted"]
    assert await marks(ann, scene) == [True] + [False] * 8
