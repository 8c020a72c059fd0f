"""The transactions of a worker for its run, each fenced by the lease."""

from collections.abc import Callable
from typing import Any

import msgspec

from app.brain.model import Decision, Step
from app.chat.endings import Ending, break_off, end
from app.chat.leases import LeasedRun, changing_run, fence
from app.generations.model import Generation
from app.generations.records import (
    GeneratedCode,
    NewGeneration,
    begin,
    fail_generations_of_run,
    succeed,
)
from app.problems import Problem, StaleBase
from app.realtime.log import Change
from app.runs.model import Run
from app.runs.tables import RunRow
from app.scenes import history
from app.scenes.history import Cause
from app.scenes.model import Scene
from app.scenes.reads import find_scene
from app.store.database import Reader
from app.store.query import Param, built
from app.tools.model import AddScene, Arguments, DeleteScene, EditScene, SceneChange, TrimScene

SET_DECISION = built(
    RunRow.update({RunRow.decision: Param("decision")}).where(RunRow.id == Param("id"))
)


class Effect(msgspec.Struct, frozen=True, kw_only=True):
    """The change that a step commits.

    `base` is the scene as the tool saw it, `call` the data of `tool.started`, `generated` the code
    of the cause's generation.
    """

    change: SceneChange
    base: Scene | None
    cause: Cause
    call: dict[str, Any]
    generated: GeneratedCode | None = None


def arguments_of(step: Step, code: str | None, complexity: Any) -> Arguments:
    """Return the arguments of a tool: those of the decision, and the generated code."""
    if step.tool_name == "addScene":
        return AddScene(code=code or "", duration=step.target_duration)
    if step.tool_name == "editScene":
        return EditScene(code=code or "", duration=step.target_duration, complexity=complexity)
    if step.tool_name == "deleteScene":
        return DeleteScene()
    return TrimScene(duration=step.target_duration or 0)


async def store_decision(
    leased: LeasedRun, decision: Decision, data: dict[str, Any], call: Any | None
) -> int:
    """Store the decision for later attempts; emit its event and that of the first tool call.

    Returns the project's revision after the commit, as do the other functions here that return an
    integer.
    """
    async with leased.database.transaction() as tx, changing_run(tx, leased) as change:
        await fence(tx, leased)
        plain = msgspec.to_builtins(decision)
        await tx.execute(*SET_DECISION(id=leased.run.id, decision=plain))
        change.emit("brain.decision", {"decision": plain, **data}, run_id=leased.run.id)
        if call is not None:
            change.emit("tool.started", call, run_id=leased.run.id)
        return change.revision


async def announce_step(leased: LeasedRun, call: dict[str, Any]) -> int:
    """Emit `tool.started` for a tool call."""
    async with leased.database.transaction() as tx, changing_run(tx, leased) as change:
        await fence(tx, leased)
        return change.emit("tool.started", call, run_id=leased.run.id)


async def begin_writing(leased: LeasedRun, new: NewGeneration) -> tuple[Generation, int]:
    """Insert a pending generation for the code of a step; it ends with the step or the run."""
    async with leased.database.transaction() as tx, changing_run(tx, leased) as change:
        await fence(tx, leased)
        return await begin(change, new), change.revision


async def discard_writing(leased: LeasedRun, problem: Problem) -> int:
    """End the pending generation of a step whose code is not used."""
    async with leased.database.transaction() as tx, changing_run(tx, leased) as change:
        await fence(tx, leased)
        await fail_generations_of_run(change, leased.run.id, problem.code, problem.message)
        return change.revision


async def check_lease(leased: LeasedRun) -> None:
    """Raise the errors of `fence`, before a model is called."""
    async with leased.database.transaction() as tx:
        await fence(tx, leased)


async def finish_unchanged(leased: LeasedRun, call: dict[str, Any]) -> int:
    """Emit `tool.finished` for a tool call without an effect."""
    async with leased.database.transaction() as tx, changing_run(tx, leased) as change:
        await fence(tx, leased)
        return change.emit("tool.finished", {**call, "success": False}, run_id=leased.run.id)


async def finish(leased: LeasedRun, ending: Ending) -> Run:
    """End a run. Raises `LeaseLost`."""
    async with leased.database.transaction() as tx, changing_run(tx, leased) as change:
        await fence(tx, leased, ends=True)
        return await break_off(change, leased.run.id, ending)


async def commit(
    leased: LeasedRun, effect: Effect, ending: Ending | None, on_commit: Callable[[int], None]
) -> None:
    """Commit a step, with `ending` also the end of its run, in one transaction.

    `on_commit` is called with the project's revision right after the commit, even when the caller
    is cancelled during it. Raises `LeaseLost`, `RunCancelled`, `Forbidden`, and `StaleBase` when
    the scene has changed since the tool read it.
    """
    async with leased.database.transaction() as tx, changing_run(tx, leased) as change:
        await fence(tx, leased)
        if await is_stale(tx, effect.base):
            raise StaleBase
        scene = await _apply(change, effect)
        finished = {**effect.call, "sceneId": scene.id, "success": True}
        finished["summary"] = effect.change.summary
        change.emit("tool.finished", finished, run_id=leased.run.id)
        generation_id = effect.cause.generation_id
        if effect.generated is not None and generation_id is not None:
            await succeed(change, generation_id, effect.generated, scene_id=scene.id)
        if ending is not None:
            await end(change, leased.run.id, ending)
        tx.after_commit.append(lambda: on_commit(change.revision))


async def is_stale(reader: Reader, base: Scene | None) -> bool:
    """Return whether the scene is no longer as the tool saw it."""
    if base is None:
        return False
    now = await find_scene(reader, base.id)
    return now is None or now.revision != base.revision


async def _apply(change: Change, effect: Effect) -> Scene:
    edit, base = effect.change, effect.base
    if base is None:
        scene, _ = await history.create(change, edit.after, effect.cause)
    elif edit.operation == "delete":
        scene, _ = await history.delete(change, base.id, effect.cause)
    else:
        scene, _ = await history.update(change, base.id, edit.after, edit.operation, effect.cause)
    return scene
