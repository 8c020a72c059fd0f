"""Changes and reverts of a project, and what a viewer of the video sees of it."""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from app.realtime.log import Change, changing
from app.runs.model import Run
from app.scenes import history
from app.scenes.history import Cause
from app.scenes.model import SceneState
from app.scenes.reads import find_scene
from app.store.ids import new_id
from tests.harness.database import DB
from tests.harness.person import Person
from tests.harness.studio import snapshot_of
from tests.harness.turns import REQUEST, begin_turn, end_turn

Json = dict[str, Any]

CODE = "export default function Scene() {\r\n  return null; // \u2028 é 👩‍👩‍👧\n}"
FIELDS = ("id", "name", "tsxCode", "duration", "props", "layoutJson", "position")
PLAIN = SceneState(name="Plain", tsx_code=CODE)


async def film(project_id: str) -> list[Json]:
    """Return the live scenes in order: everything that a viewer of the video sees."""
    snapshot = await snapshot_of(project_id)
    return [{name: scene[name] for name in FIELDS} for scene in snapshot["scenes"]]


async def newest(person: Person, scene_id: str) -> Json:
    """Return the last iteration of a scene."""
    page = await person.do("GET", f"/api/scenes/{scene_id}/iterations?limit=1")
    found: Json = page["items"][0]
    return found


async def revert_iteration(
    person: Person, iteration_id: str, target: str = "before", **more: Any
) -> Json:
    """Revert to before or after an iteration; return the data of the answer."""
    path = f"/api/iterations/{iteration_id}/revert"
    went: Json = await person.do("POST", path, {"target": target, **more})
    return went


async def refused_revert(person: Person, path: str, **more: Any) -> Json:
    """Return the error of a revert that would lose later changes."""
    answer = await person.ask("POST", f"/api/{path}/revert", {"target": "before", **more})
    assert answer.status_code == 409, answer.text
    error: Json = answer.json()["error"]
    assert error["code"] == "CONFLICT"
    return error


Step = Callable[[Change, Cause], Awaitable[object]]


def add(name: str = "Added", position: int | None = None) -> Step:
    state = msgspec.structs.replace(PLAIN, name=name)
    return lambda change, cause: history.create(change, state, cause, position=position)


def rewrite(scene_id: str, **fields: Any) -> Step:
    async def step(change: Change, cause: Cause) -> None:
        scene = await find_scene(change.tx, scene_id)
        assert scene is not None
        after = msgspec.structs.replace(scene.state, **fields)
        await history.update(change, scene_id, after, "edit", cause)

    return step


def drop(scene_id: str) -> Step:
    return lambda change, cause: history.delete(change, scene_id, cause)


def arrange(scene_ids: list[str]) -> Step:
    return lambda change, cause: history.reorder(change, scene_ids, cause)


async def turn(user_id: str, project_id: str, *steps: Step) -> str:
    """Make a run with these steps; return the id of its assistant message."""
    run = await begin_turn(user_id, project_id)
    for step in steps:
        await do_step(run, step)
    await end_turn(project_id, run)
    assert run.assistant_message_id is not None
    return run.assistant_message_id


async def do_step(run: Run, step: Step) -> None:
    """Do one step of a run in a transaction of its own."""
    async with DB.transaction() as tx:
        async with changing(
            tx, run.project_id, actor_id=run.actor_id, request_id=REQUEST
        ) as change:
            cause = Cause(
                source="llm",
                prompt=run.prompt,
                message_id=run.assistant_message_id,
                run_id=run.id,
                call_id=new_id(),
            )
            await step(change, cause)
