"""One step of a turn, committed: the scene, its iteration, the message link and their events."""

from typing import Any

import msgspec

from app.brain.model import Step
from app.chat.runs import Ending, Held, end, fence, holding
from app.problems import StaleBase
from app.realtime.log import Change
from app.scenes import history
from app.scenes.history import Cause
from app.scenes.model import Scene
from app.scenes.reads import find_scene
from app.store.engine import transaction
from app.tools.model import AddScene, Arguments, DeleteScene, EditScene, SceneChange, TrimScene


class Effect(msgspec.Struct, frozen=True, kw_only=True):
    """What a step wants to have committed. `base` is the scene as the tool saw it."""

    change: SceneChange
    base: Scene | None
    cause: Cause
    call: dict[str, Any]


def arguments_of(step: Step, code: str | None, complexity: Any) -> Arguments:
    """The decision's own arguments and the code that was written for them."""
    if step.tool_name == "addScene":
        return AddScene(code=code or "", duration=step.target_duration)
    if step.tool_name == "editScene":
        return EditScene(code=code or "", duration=step.target_duration, complexity=complexity)
    if step.tool_name == "deleteScene":
        return DeleteScene()
    return TrimScene(duration=step.target_duration or 0)


async def commit(held: Held, effect: Effect, ending: Ending | None) -> tuple[Scene, int]:
    """All of a step or nothing; with `ending` the end of its run too.

    Return the scene and the project's revision. Raises `LeaseLost`, `RunCancelled`, and
    `StaleBase` when the scene has changed since the tool saw it.
    """
    async with transaction() as tx, holding(tx, held) as change:
        await fence(tx, held)
        await _meet_base(change, effect.base)
        scene = await _apply(change, effect)
        finished = {**effect.call, "sceneId": scene.id, "success": True}
        finished["summary"] = effect.change.summary
        change.emit("tool.finished", finished, run_id=held.run.id)
        if ending is not None:
            await end(change, held.run.id, ending)
        return scene, change.revision


async def is_stale(base: Scene | None, reader: Any) -> bool:
    """True when the scene is no longer as the tool saw it."""
    if base is None:
        return False
    now = await find_scene(reader, base.id)
    return now is None or now.revision != base.revision


async def _meet_base(change: Change, base: Scene | None) -> None:
    if await is_stale(base, change.tx):
        raise StaleBase


async def _apply(change: Change, effect: Effect) -> Scene:
    wanted, base = effect.change, effect.base
    if base is None:
        scene, _ = await history.create(change, wanted.after, effect.cause)
    elif wanted.operation == "delete":
        scene, _ = await history.delete(change, base.id, effect.cause)
    else:
        scene, _ = await history.update(
            change, base.id, wanted.after, wanted.operation, effect.cause
        )
    return scene
