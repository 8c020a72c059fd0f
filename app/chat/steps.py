"""What a worker writes of its run: the decision, each step with its scene, and the end."""

from collections.abc import Callable
from typing import Any

import msgspec

from app.brain.model import Decision, Step
from app.chat.endings import Ending, break_off, end
from app.chat.leases import LeasedRun, fence, holding
from app.generations.model import Generation
from app.generations.records import GeneratedCode, NewGeneration, begin, fail_of_run, succeed
from app.problems import Problem, StaleBase
from app.realtime.log import Change
from app.runs.model import Run
from app.scenes import history
from app.scenes.history import Cause
from app.scenes.model import Scene
from app.scenes.reads import find_scene
from app.tools.model import AddScene, Arguments, DeleteScene, EditScene, SceneChange, TrimScene


class Effect(msgspec.Struct, frozen=True, kw_only=True):
    """What a step wants to have committed. `base` is the scene as the tool saw it."""

    change: SceneChange
    base: Scene | None
    cause: Cause
    call: dict[str, Any]
    made: GeneratedCode | None = None  # the code of the cause's generation


def arguments_of(step: Step, code: str | None, complexity: Any) -> Arguments:
    """The decision's own arguments and the code that was written for them."""
    if step.tool_name == "addScene":
        return AddScene(code=code or "", duration=step.target_duration)
    if step.tool_name == "editScene":
        return EditScene(code=code or "", duration=step.target_duration, complexity=complexity)
    if step.tool_name == "deleteScene":
        return DeleteScene()
    return TrimScene(duration=step.target_duration or 0)


async def decided(
    leased: LeasedRun, decision: Decision, data: dict[str, Any], call: Any | None
) -> int:
    """Keep the decision, so that it is paid for once; announce it and the first tool call."""
    async with leased.database.transaction() as tx, holding(tx, leased) as change:
        await fence(tx, leased)
        plain = msgspec.to_builtins(decision)
        await tx.execute("update run set decision = $2 where id = $1", leased.run.id, plain)
        change.emit("brain.decision", {"decision": plain, **data}, run_id=leased.run.id)
        if call is not None:
            change.emit("tool.started", call, run_id=leased.run.id)
        return change.revision


async def step_started(leased: LeasedRun, call: dict[str, Any]) -> int:
    async with leased.database.transaction() as tx, holding(tx, leased) as change:
        await fence(tx, leased)
        return change.emit("tool.started", call, run_id=leased.run.id)


async def writing_started(leased: LeasedRun, wanted: NewGeneration) -> tuple[Generation, int]:
    """A pending generation for the code that is written next; it ends with the step, or the run."""
    async with leased.database.transaction() as tx, holding(tx, leased) as change:
        await fence(tx, leased)
        return await begin(change, wanted), change.revision


async def writing_left(leased: LeasedRun, problem: Problem) -> int:
    """What was written is put on no scene."""
    async with leased.database.transaction() as tx, holding(tx, leased) as change:
        await fence(tx, leased)
        await fail_of_run(change, leased.run.id, problem.code, problem.message)
        return change.revision


async def still_wanted(leased: LeasedRun) -> None:
    """Raise what `fence` raises, before a model is paid for."""
    async with leased.database.transaction() as tx:
        await fence(tx, leased)


async def step_left(leased: LeasedRun, call: dict[str, Any]) -> int:
    """A step that changed nothing is over."""
    async with leased.database.transaction() as tx, holding(tx, leased) as change:
        await fence(tx, leased)
        return change.emit("tool.finished", {**call, "success": False}, run_id=leased.run.id)


async def finish(leased: LeasedRun, ending: Ending) -> Run:
    """End a run that this worker holds. Raises `LeaseLost`."""
    async with leased.database.transaction() as tx, holding(tx, leased) as change:
        await fence(tx, leased, ends=True)
        return await break_off(change, leased.run.id, ending)


async def commit(
    leased: LeasedRun, effect: Effect, ending: Ending | None, done: Callable[[int], None]
) -> None:
    """All of a step or nothing; with `ending` the end of its run too.

    `done` gets the project's revision right after the commit, even when the caller is cancelled
    during it. Raises `LeaseLost`, `RunCancelled`, and `StaleBase` when the scene has changed
    since the tool saw it.
    """
    async with leased.database.transaction() as tx, holding(tx, leased) as change:
        await fence(tx, leased)
        await _meet_base(change, effect.base)
        scene = await _apply(change, effect)
        finished = {**effect.call, "sceneId": scene.id, "success": True}
        finished["summary"] = effect.change.summary
        change.emit("tool.finished", finished, run_id=leased.run.id)
        if effect.made is not None and effect.cause.generation_id is not None:
            await succeed(change, effect.cause.generation_id, effect.made, scene_id=scene.id)
        if ending is not None:
            await end(change, leased.run.id, ending)
        tx.after_commit.append(lambda: done(change.revision))


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
