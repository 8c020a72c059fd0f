"""A reverted scene shows the generation that it showed at that state, if any."""

from collections.abc import Awaitable, Callable
from typing import Any

from app.auth.model import Caller
from app.projects.model import NewProject
from app.projects.projects import create_project
from app.realtime.log import changing
from app.scenes import history
from app.scenes.history import Cause
from app.scenes.model import SceneState
from app.scenes.reads import find_scene
from app.scenes.revert import RevertRequest, revert_iteration
from app.scenes.undo import UndoRequest, redo, undo
from app.store.database import Tx
from app.store.ids import new_id
from tests.harness.database import connect

ANN = Caller(user_id="ann", name="Ann", request_id="r")


async def test_a_scene_shows_the_generation_of_its_state(
    new_database: Callable[[], Awaitable[str]],
) -> None:
    connection = await connect(await new_database())
    tx = Tx(connection)
    await tx.execute("insert into user_account (id, name) values ('ann', 'Ann')")
    async with tx.savepoint():
        project = (await create_project(tx, ANN, NewProject())).data.id

    async def change(work: Callable[[Any], Awaitable[Any]]) -> Any:
        async with tx.savepoint(), changing(tx, project, actor_id="ann", request_id="r") as made:
            return await work(made)

    async def shown() -> tuple[str, str | None]:
        found = await find_scene(tx, scene.id)
        assert found is not None
        return found.tsx_code, found.generation_id

    async def written(code: str, generation: str | None) -> str:
        """Edit the scene; with a generation it shows that one."""
        state = SceneState(name="S", tsx_code=code)
        cause = Cause(source="user", prompt="Edit", generation_id=generation)
        _, made = await change(lambda c: history.update(c, scene.id, state, "edit", cause))
        async with tx.savepoint():
            await tx.execute(
                "update scene set generation_id = coalesce($2, generation_id) where id = $1",
                scene.id,
                generation,
            )
        return str(made.id)

    async def candidate(code: str, revision: int) -> str:
        """Insert the row of a generation."""
        made = new_id()
        async with tx.savepoint():
            await tx.execute(
                "insert into generation (id, project_id, prompt, status, tsx_code, actor_id,"
                " request_id, revision) values ($1, $2, 'p', 'success', $3, 'ann', 'r', $4)",
                made,
                project,
                code,
                revision,
            )
        return made

    blank = SceneState(name="S", tsx_code="blank")
    add = Cause(source="user", prompt="Add")
    scene, _ = await change(lambda c: history.create(c, blank, add))
    one, two = await candidate("one", 1001), await candidate("two", 1002)
    edits = [await written("one", one), await written("by hand", None), await written("two", two)]
    states = [("blank", None), ("one", one), ("by hand", one), ("two", two)]
    assert await shown() == states[3]
    for number in (2, 1, 0):
        await undo(tx, ANN, project, UndoRequest())
        assert await shown() == states[number]
    renamed = await written("later", None)
    assert await shown() == ("later", None)
    await revert_iteration(tx, ANN, renamed, RevertRequest(target="before"))
    assert await shown() == states[0], "no generation, as at that state"
    await revert_iteration(tx, ANN, edits[1], RevertRequest(target="after", force=True))
    assert await shown() == states[2]
    await undo(tx, ANN, project, UndoRequest())
    assert await shown() == states[0]
    await redo(tx, ANN, project, UndoRequest())
    assert await shown() == states[2]
    await connection.close()
