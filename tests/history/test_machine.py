"""Random changes, reverts and undos of two users and the model keep every invariant."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, ClassVar, TypeVar
from uuid import UUID

import asyncpg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from app.auth.model import Caller
from app.lifecycle.check import check
from app.problems import Conflict
from app.projects.members import accept_invite, invite
from app.projects.model import NewInvite, NewProject
from app.projects.projects import create_project
from app.realtime.log import changing
from app.scenes import history, scenes
from app.scenes.diff import canonical_json
from app.scenes.history import Cause
from app.scenes.model import Iteration, SceneState
from app.scenes.reads import ITERATION, SCENE, find_scene, iteration_of, live_ids, plain, scene_of
from app.scenes.requests import NewScene, SceneOrder, ScenePatch
from app.scenes.revert import (
    RevertRequest,
    RevertResult,
    has_state,
    read_plan,
    revert_iteration,
    revert_message,
)
from app.scenes.timeline import read_timeline
from app.scenes.undo import LIST_ITERATIONS_OF_ENTRY, UndoRequest, redo, undo
from app.store.database import Tx
from app.store.ids import new_id
from app.store.query import column_list
from tests.conftest import IN_CI
from tests.harness.database import connect
from tests.harness.turns import REQUEST, begun, ended

T = TypeVar("T")

USERS = st.sampled_from(["ann", "bob"])
PICK = st.integers(0, 999)
NAMES = st.sampled_from(["A", "B", "é\u2028", "x" * 200])
CODES = st.sampled_from(["", "a", "b\r\n", "c\u2028\n"])
PROPS = st.sampled_from([{}, {"n": 1}, {"n": 1.0}, {"n": True}, {"big": 10**40, "a": [None]}])
PATCHES = st.fixed_dictionaries(
    {},
    optional={
        "name": NAMES,
        "tsx_code": CODES,
        "duration": st.integers(1, 3),
        "props": PROPS,
        "layout_json": st.sampled_from([None, "[]"]),
    },
)
TARGETS = st.sampled_from(["before", "after"])
SCOPES = st.sampled_from(["mine", "project"])
STEPS = st.lists(st.tuples(st.sampled_from(["add", "edit", "drop"]), PICK, PATCHES), max_size=4)


class Machine(RuleBasedStateMachine):
    """Each example is a transaction that is rolled back; each step is a savepoint of it."""

    runner: ClassVar[asyncio.Runner]
    connection: ClassVar[asyncpg.Connection]
    steps: ClassVar[int] = 0

    def __init__(self) -> None:
        super().__init__()
        self.tx = Tx(self.connection)
        self.outer = self.connection.transaction()
        self.run(self.outer.start())
        self.project = ""

    def run(self, work: Coroutine[Any, Any, T] | Awaitable[T]) -> T:
        async def whole() -> T:
            return await work

        return self.runner.get_loop().run_until_complete(whole())

    def teardown(self) -> None:
        self.run(self.outer.rollback())

    def by(self, name: str) -> Caller:
        return Caller(user_id=name, name=name, request_id=f"by-{name}-{new_id()}")

    async def step(self, work: Callable[[Tx], Awaitable[T]]) -> T:
        """Run work as a transaction, with the deferred constraints checked at its end."""
        async with self.tx.savepoint():
            done = await work(self.tx)
            await self.tx.execute("set constraints all immediate")
            await self.tx.execute("set constraints all deferred")
        return done

    async def tried(self, work: Callable[[Tx], Awaitable[T]]) -> T | Conflict:
        try:
            return await self.step(work)
        except Conflict as conflict:
            return conflict

    async def film(self) -> bytes:
        """Return all scenes as bytes, the live ones in order and the deleted ones last."""
        rows = await self.tx.fetch(
            f"select {column_list(SCENE)} from scene where project_id = $1"
            " order by position nulls last, id",
            self.project,
        )
        scenes = [scene_of(row) for row in rows]
        return canonical_json([(scene.id, plain(scene.state)) for scene in scenes])

    async def iterations(self) -> list[Iteration]:
        rows = await self.tx.fetch(
            f"select {column_list(ITERATION)} from scene_iteration where project_id = $1"
            " order by revision",
            self.project,
        )
        return [iteration_of(row) for row in rows]

    async def some_scene(self, pick: int, *, deleted: bool = False) -> str | None:
        rows = await self.tx.fetch(
            "select id from scene where project_id = $1 and (deleted_at is not null) = $2"
            " order by id",
            self.project,
            deleted,
        )
        return rows[pick % len(rows)]["id"] if rows else None

    async def some_iteration(self, pick: int) -> Iteration:
        """Return one of the iterations, counted from the newest."""
        known = await self.iterations()
        return known[-1 - pick % len(known)]

    @initialize()
    def begin(self) -> None:
        async def work(tx: Tx) -> None:
            for name in ("ann", "bob"):
                await tx.execute("insert into user_account (id, name) values ($1, $2)", name, name)
            self.project = (await create_project(tx, self.by("ann"), NewProject())).data.id
            made = await invite(
                tx, self.by("ann"), self.project, NewInvite(role="editor"), "http://x"
            )
            await accept_invite(tx, self.by("bob"), made.data.token)
            for name in "AB":
                await scenes.add_scene(tx, self.by("ann"), self.project, NewScene(name=name))

        self.run(self.step(work))

    @rule(user=USERS, fields=PATCHES)
    def create(self, user: str, fields: dict[str, Any]) -> None:
        new = NewScene(**fields)
        self.run(self.step(lambda tx: scenes.add_scene(tx, self.by(user), self.project, new)))

    @rule(user=USERS, pick=PICK, fields=PATCHES)
    def edit(self, user: str, pick: int, fields: dict[str, Any]) -> None:
        async def work(tx: Tx) -> None:
            if scene := await self.some_scene(pick):
                patch = ScenePatch(**fields)
                await scenes.change_scene(tx, self.by(user), scene, patch, None)

        self.run(self.step(work))

    @rule(user=USERS, pick=PICK, verb=st.sampled_from(["delete", "duplicate", "split", "restore"]))
    def act(self, user: str, pick: int, verb: str) -> None:
        async def work(tx: Tx) -> None:
            scene = await self.some_scene(pick, deleted=verb == "restore")
            if scene is None:
                return
            if verb == "split":
                found = await find_scene(tx, scene)
                if found is not None and found.duration > 1:
                    await scenes.split_scene(tx, self.by(user), scene, 1, None)
                return
            await getattr(scenes, f"{verb}_scene")(tx, self.by(user), scene, None)

        self.run(self.step(work))

    @rule(user=USERS, pick=PICK)
    def reorder(self, user: str, pick: int) -> None:
        async def work(tx: Tx) -> None:
            ids = await live_ids(tx, self.project)
            at = pick % max(len(ids), 1)
            moved = [UUID(one) for one in [*ids[at:], *ids[:at]][:: -1 if pick % 2 else 1]]
            await scenes.reorder_scenes(
                tx, self.by(user), self.project, SceneOrder(scene_ids=moved)
            )

        self.run(self.step(work))

    @rule(user=USERS, steps=STEPS)
    def turn(self, user: str, steps: list[tuple[str, int, dict[str, Any]]]) -> None:
        """Let a run change several scenes under one message."""

        async def work(tx: Tx) -> None:
            run = await begun(tx, user, self.project)
            for kind, pick, fields in steps:
                cause = Cause(
                    source="llm",
                    prompt=run.prompt,
                    message_id=run.assistant_message_id,
                    run_id=run.id,
                    call_id=new_id(),
                )
                async with changing(tx, self.project, actor_id=user, request_id=REQUEST) as change:
                    scene = await self.some_scene(pick)
                    if kind == "add" or scene is None:
                        given = {"name": "T", "tsx_code": "t", **fields}
                        await history.create(change, SceneState(**given), cause, position=pick % 3)
                    elif kind == "drop":
                        await history.delete(change, scene, cause)
                    else:
                        found = await find_scene(tx, scene)
                        assert found is not None
                        after = ScenePatch(**fields).applied(found.state)
                        await history.update(change, scene, after, "edit", cause)
            await ended(tx, self.project, run)

        self.run(self.step(work))

    @rule(user=USERS, pick=PICK, side=TARGETS, force=st.booleans())
    def revert_an_iteration(self, user: str, pick: int, side: Any, force: bool) -> None:
        async def work() -> None:
            iteration = await self.some_iteration(pick)
            before = await self.film()
            back = RevertRequest(target=side, force=force)
            done = await self.tried(
                lambda tx: revert_iteration(tx, self.by(user), iteration.id, back)
            )
            if isinstance(done, Conflict):
                assert not force
                assert done.details["later"]
                assert await self.film() == before
                return
            if iteration.scene_id is not None:
                scene = await find_scene(self.tx, iteration.scene_id)
                assert scene is not None
                expected = iteration.before if side == "before" else iteration.after
                assert has_state(plain(scene.state), expected)
            await self.and_back(user, done.data, before)

        self.run(work())

    @rule(user=USERS, pick=PICK, side=TARGETS, force=st.booleans())
    def revert_a_message(self, user: str, pick: int, side: Any, force: bool) -> None:
        async def work() -> None:
            iteration = await self.some_iteration(pick)
            if iteration.message_id is None:
                return
            message, before = iteration.message_id, await self.film()
            back = RevertRequest(target=side, force=force)
            done = await self.tried(lambda tx: revert_message(tx, self.by(user), message, back))
            if isinstance(done, Conflict):
                assert not force
                assert await self.film() == before
            else:
                await self.and_back(user, done.data, before)

        self.run(work())

    async def and_back(self, user: str, went: RevertResult, before: bytes) -> None:
        """Revert the revert, which restores the state before it; then undo that."""
        if went.message is None:
            assert await self.film() == before
            return
        message, after = went.message.id, await self.film()
        back = RevertRequest(target="before")
        await self.step(lambda tx: revert_message(tx, self.by(user), message, back))
        assert await self.film() == before
        await self.step(lambda tx: undo(tx, self.by(user), self.project, UndoRequest()))
        assert await self.film() == after

    @rule(user=USERS, scope=SCOPES, verb=st.sampled_from([undo, redo]))
    def walk(self, user: str, scope: Any, verb: Any) -> None:
        async def work() -> None:
            before = await self.film()
            done = await self.tried(
                lambda tx: verb(tx, self.by(user), self.project, UndoRequest(scope=scope))
            )
            if isinstance(done, Conflict):
                assert await self.film() == before

        self.run(work())

    @rule(user=USERS, pick=PICK)
    def compare_the_timeline(self, user: str, pick: int) -> None:
        """An entry is shown as restorable exactly when its revert loses nothing."""

        async def work() -> None:
            page = await read_timeline(self.tx, self.project, before=None, limit=100)
            entry = page.items[pick % len(page.items)]
            caller = self.by(user)
            async with changing(
                self.tx, self.project, actor_id=user, request_id=caller.request_id
            ) as change:
                rows = await self.tx.fetch(*LIST_ITERATIONS_OF_ENTRY(entry_id=entry.id))
                unit = [iteration_of(row) for row in rows]
                plan = await read_plan(change, unit, "before")
            assert entry.restorable == (not plan.lost), entry

        self.run(work())

    @rule(user=USERS, scope=SCOPES, most=st.integers(1, 6))
    def walk_down_and_up(self, user: str, scope: Any, most: int) -> None:
        async def work() -> None:
            films = [await self.film()]
            for _ in range(most):
                done = await self.tried(
                    lambda tx: undo(tx, self.by(user), self.project, UndoRequest(scope=scope))
                )
                if isinstance(done, Conflict):
                    break
                films.append(await self.film())
                assert films[-1] != films[-2]
            for expected in reversed(films[:-1]):
                await self.step(
                    lambda tx: redo(tx, self.by(user), self.project, UndoRequest(scope=scope))
                )
                assert await self.film() == expected

        self.run(work())

    @precondition(lambda self: self.project)
    @invariant()
    def every_invariant_holds(self) -> None:
        type(self).steps += 1
        assert [str(violation) for violation in self.run(check(self.tx))] == []


@pytest.fixture
async def machine_dsn(new_database: Callable[[], Awaitable[str]]) -> str:
    return await new_database()


def explore(dsn: str, examples: int, steps: int) -> int:
    with asyncio.Runner() as runner:
        Machine.runner, Machine.steps = runner, 0
        Machine.connection = runner.run(connect(dsn))
        try:
            run_state_machine_as_test(
                Machine,
                settings=settings(
                    max_examples=examples,
                    stateful_step_count=steps,
                    deadline=None,
                    derandomize=True,
                    suppress_health_check=list(HealthCheck),
                ),
            )
        finally:
            runner.run(Machine.connection.close())
    return Machine.steps


@pytest.mark.timeout(600)
def test_every_invariant_holds_after_each_of_many_steps(machine_dsn: str) -> None:
    examples, least = (50, 2000) if IN_CI else (20, 800)
    assert explore(machine_dsn, examples, 50) >= least


@pytest.mark.long
@pytest.mark.timeout(7200)
def test_every_invariant_holds_after_each_of_very_many_steps(machine_dsn: str) -> None:
    assert explore(machine_dsn, 400, 60) >= 20_000
