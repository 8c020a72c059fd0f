"""Two concurrent changes have the result of one of their sequential orders."""

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
import pytest
from asyncpg import Connection

from app.auth.model import Caller
from app.brain.model import TokenUsage
from app.chat.steps import is_stale
from app.generations import changes, records
from app.generations.model import Apply
from app.generations.records import GeneratedCode, NewGeneration
from app.http.envelope import ActionResult
from app.lifecycle.check import check
from app.problems import Problem, StaleBase
from app.projects.model import MyProject, NewProject
from app.projects.projects import create_project
from app.realtime.log import changing
from app.scenes import history
from app.scenes.branching import branch_project
from app.scenes.history import Cause
from app.scenes.reads import find_scene
from app.scenes.requests import NewScene, SceneOrder, ScenePatch
from app.scenes.revert import RevertRequest, revert_iteration
from app.scenes.scenes import (
    add_scene,
    change_scene,
    delete_scene,
    duplicate_scene,
    reorder_scenes,
    restore_scene,
    split_scene,
)
from app.scenes.undo import UndoRequest, redo, undo
from app.store.database import Tx
from app.store.ids import new_id
from tests.harness.database import connect
from tests.history.schedules import Act, Explorer, Result

SAMPLES = 12  # random schedules of each pair
BASE_REVISION = 2  # of the first scene when the race begins
SEED = int(os.environ.get("REELROOM_SEED", "7"))


class World(NamedTuple):
    """Make three scenes: ann edits the first, changes the order, and deletes the third."""

    project: str
    ann: Caller
    bob: Caller
    scenes: list[str]
    made: dict[str, str]  # operation -> iteration
    generation: str  # with code that is on no scene


ann_edits = ScenePatch(name="Edited by Ann")


def back(world: World, operation: str, **more: Any) -> Act:
    given = RevertRequest(target=more.pop("target", "before"), **more)
    return lambda tx: revert_iteration(tx, world.bob, world.made[operation], given)


def edit(world: World, name: str = "Mine", scene: int = 0) -> Act:
    patch = ScenePatch(name=name)
    return lambda tx: change_scene(tx, world.ann, world.scenes[scene], patch, None)


def delete(world: World, scene: int = 0) -> Act:
    return lambda tx: delete_scene(tx, world.ann, world.scenes[scene], None)


def walk(world: World, verb: Any, who: str = "ann", scope: Any = "mine") -> Act:
    caller = world.ann if who == "ann" else world.bob
    return lambda tx: verb(tx, caller, world.project, UndoRequest(scope=scope))


def order(world: World) -> Act:
    new_order = SceneOrder(scene_ids=[UUID(one) for one in world.scenes[:2]])
    return lambda tx: reorder_scenes(tx, world.ann, world.project, new_order)


def apply(world: World) -> Act:
    asked = Apply(scene_id=UUID(world.scenes[0]))
    return lambda tx: changes.apply(tx, world.ann, world.generation, asked, None)


def commit(world: World) -> Act:
    """Commit code as a worker does that started from a revision of a scene."""

    async def act(tx: Tx) -> None:
        found = await find_scene(tx, world.scenes[0])
        assert found is not None
        base = msgspec.structs.replace(found, revision=BASE_REVISION)
        async with changing(
            tx, world.project, actor_id=world.ann.user_id, request_id="run"
        ) as change:
            if await is_stale(tx, base):
                raise StaleBase
            after = msgspec.structs.replace(base.state, tsx_code="written")
            cause = Cause(source="user", prompt="Write")
            await history.update(change, base.id, after, "edit", cause)

    return act


PAIRS: dict[str, Callable[[World], list[Act]]] = {
    "revert and edit": lambda w: [back(w, "rename"), edit(w)],
    "revert and delete": lambda w: [back(w, "rename"), delete(w)],
    "delete and edit": lambda w: [delete(w), edit(w)],
    "two undos of one": lambda w: [walk(w, undo), walk(w, undo)],
    "two undos of two": lambda w: [walk(w, undo), walk(w, undo, "bob")],
    "undo and redo": lambda w: [walk(w, undo), walk(w, redo)],
    "undo and edit": lambda w: [walk(w, undo, "bob", "project"), edit(w, scene=2)],
    "apply and revert": lambda w: [apply(w), back(w, "rename")],
    "apply and edit": lambda w: [apply(w), edit(w)],
    "two applies": lambda w: [apply(w), apply(w)],
    "what a worker wrote and revert": lambda w: [commit(w), back(w, "rename")],
    "the same revert twice": lambda w: [back(w, "rename"), back(w, "rename")],
    "revert of a creation and order": lambda w: [back(w, "create", force=True), order(w)],
    "revert of a deletion and creation": lambda w: [
        back(w, "delete"),
        lambda tx: add_scene(tx, w.ann, w.project, NewScene(name="New")),
    ],
    "revert of an order and delete": lambda w: [back(w, "reorder"), delete(w, 1)],
    "revert and restore": lambda w: [
        back(w, "delete"),
        lambda tx: restore_scene(tx, w.ann, w.scenes[2], None),
    ],
    "duplicate and split": lambda w: [
        lambda tx: duplicate_scene(tx, w.ann, w.scenes[0], None),
        lambda tx: split_scene(tx, w.bob, w.scenes[0], 40, None),
    ],
    "branch and revert": lambda w: [
        lambda tx: branch_project(tx, w.ann, w.project, None),
        back(w, "delete"),
    ],
}


class Place(NamedTuple):
    explorer: Explorer
    tx: Tx


@pytest.fixture
async def place(new_database: Callable[[], Awaitable[str]]) -> AsyncIterator[Place]:
    dsn = await new_database()
    connections: list[Connection] = [await connect(dsn) for _ in range(4)]
    tx = Tx(connections[3])
    for name in ("ann", "bob"):
        await tx.execute("insert into user_account (id, name) values ($1, $2)", name, name)
    yield Place(Explorer(connections[:2], connections[2]), tx)
    for one in connections:
        await one.close()


async def new_world(tx: Tx) -> World:
    ann, bob = [
        Caller(user_id=name, name=name, request_id=f"by-{name}-{new_id()}")
        for name in ("ann", "bob")
    ]
    async with tx.savepoint():
        project = (await create_project(tx, ann, NewProject())).data.id
        await tx.execute(
            "insert into project_member (project_id, user_id, role) values ($1, 'bob', 'editor')",
            project,
        )
        async with changing(tx, project, actor_id="ann", request_id=ann.request_id) as change:
            member = {"projectId": project, "userId": "bob", "name": "bob", "role": "editor"}
            change.emit("member.updated", {"member": member})
    scenes = []
    for name in "ABC":
        async with tx.savepoint():
            new = NewScene(name=name, tsx_code=name)
            scenes.append((await add_scene(tx, ann, project, new)).data.id)
    async with tx.savepoint():
        await change_scene(tx, ann, scenes[0], ann_edits, None)
    async with tx.savepoint():
        new_order = SceneOrder(scene_ids=[UUID(scenes[number]) for number in (2, 1, 0)])
        await reorder_scenes(tx, ann, project, new_order)
    async with tx.savepoint():
        await delete_scene(tx, bob, scenes[2], None)
    async with (
        tx.savepoint(),
        changing(tx, project, actor_id="ann", request_id=ann.request_id) as change,
    ):
        another = NewGeneration(prompt="Another one", format="landscape")
        generation = await records.begin(change, another)
        usage = TokenUsage(input_tokens=1, output_tokens=1, source="estimated")
        made = GeneratedCode(code="generated", model="test", usage=usage, milliseconds=1)
        await records.succeed(change, generation.id, made)
    rows = await tx.fetch(
        "select operation_type, id from scene_iteration where project_id = $1"
        " order by revision desc",
        project,
    )
    iterations = {row["operation_type"]: row["id"] for row in rows}
    return World(project, ann, bob, scenes, iterations, generation.id)


async def outcome(tx: Tx, world: World, results: list[object]) -> Any:
    """Return everything that clients can distinguish: all data without ids and times."""
    rows = await tx.fetch(
        "select id, name, tsx_code, duration, position, deleted_at is not null as deleted,"
        " revision from scene where project_id in ($1, $2) order by project_id = $1,"
        " name, tsx_code, duration, position",
        world.project,
        next(filter(None, map(_made_project, results)), world.project),
    )
    kinds = await tx.fetch(
        "select operation_type, change_source, count(*) from scene_iteration"
        " where project_id = $1 group by 1, 2 order by 1, 2",
        world.project,
    )
    said = [type(one).__name__ for one in results]
    assert all(isinstance(one, Problem) for one in results if isinstance(one, Exception)), results
    return said, [tuple(row)[1:] for row in rows], [tuple(row) for row in kinds]


def _made_project(result: object) -> str | None:
    data = result.data if isinstance(result, ActionResult) else None
    return data.id if isinstance(data, MyProject) else None


async def explore(place: Place, name: str, *, preemptions: int | None) -> int:
    """Run the schedules of a pair, or some of them; return their number."""
    worlds: list[World] = []

    async def make() -> list[Act]:
        worlds.append(await new_world(place.tx))
        return PAIRS[name](worlds[-1])

    runs: list[Result] = []
    serial: list[Any] = []
    if preemptions is None:
        ran = place.explorer.some(make, SAMPLES, SEED)
    else:
        ran = place.explorer.every(make, preemptions=preemptions)
    for chosen in (0, 1):
        acts = await make()
        if chosen:
            acts.reverse()
        results = [await one_after(place.tx, act) for act in acts]
        if chosen:
            results.reverse()
        serial.append(await outcome(place.tx, worlds[-1], results))
    async for one in ran:
        runs.append(one)
        found = await outcome(place.tx, worlds[-1], one.results)
        assert found in serial, (name, [choice.taken for choice in one.trace])
    assert [str(violation) for violation in await check(place.tx)] == []
    return len(runs)


async def one_after(tx: Tx, act: Act) -> object:
    try:
        async with tx.savepoint():
            return await act(tx)
    except Problem as problem:
        return problem


@pytest.mark.parametrize("name", PAIRS)
async def test_a_race_ends_as_a_sequence_would(place: Place, name: str) -> None:
    """Run every schedule with one preemption, and some random ones."""
    assert await explore(place, name, preemptions=1) > 15
    assert await explore(place, name, preemptions=None) == SAMPLES


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", PAIRS)
async def test_a_race_with_two_preemptions_ends_as_a_sequence_too(place: Place, name: str) -> None:
    number = await explore(place, name, preemptions=2)
    print(f"{name}: {number} schedules")
    assert number > 60


async def test_the_explorer_finds_the_update_lost_without_a_lock(place: Place) -> None:
    """Two transactions increment a number that they read, with and without a lock."""
    await place.tx.execute("create table counter (number integer)")

    def adding(lock: str) -> Act:
        async def act(tx: Tx) -> None:
            number = await tx.fetchval(f"select number from counter {lock}")
            await tx.execute("update counter set number = $1", number + 1)

        return act

    for lock, expected in (("", {1, 2}), ("for update", {2})):

        async def make(lock: str = lock) -> list[Act]:
            await place.tx.execute("truncate counter")
            await place.tx.execute("insert into counter values (0)")
            return [adding(lock), adding(lock)]

        found, runs = set(), 0
        async for _ in place.explorer.every(make):
            found.add(await place.tx.fetchval("select number from counter"))
            runs += 1
        assert found == expected
        assert runs > 3
