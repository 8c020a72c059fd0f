"""The check finds each violated invariant, and no violation in valid data."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from uuid import UUID

import pytest

from app.auth.model import Caller
from app.brain.model import TokenUsage
from app.generations.changes import apply
from app.generations.model import Apply
from app.generations.records import GeneratedCode, NewGeneration, begin, fail, succeed
from app.lifecycle.check import check
from app.projects.access import changing_project
from app.projects.members import accept_invite, invite
from app.projects.model import NewInvite, NewProject
from app.projects.projects import create_project
from app.runs.model import Run
from app.scenes.blank import BLANK
from app.scenes.requests import NewScene, SceneOrder, ScenePatch
from app.scenes.revert import RevertRequest, revert_iteration
from app.scenes.scenes import add_scene, change_scene, delete_scene, reorder_scenes
from app.scenes.undo import UndoRequest, undo
from app.store.database import Tx
from tests.harness.database import connect
from tests.harness.turns import begun, ended, said

NEWEST = (
    "(select id from scene_iteration where scene_id is not null order by revision desc limit 1)"
)
DDL = re.compile(r"\s*(create|drop)\b")
MADE = "select id from generation where status = 'success' order by revision"
NEW_GENERATION = """
    insert into generation (id, project_id, parent_generation_id, root_generation_id, prompt,
        status, attempt, lease_expires_at, ended_at, error_message, run_id, actor_id, request_id,
        revision)
"""


async def generated(tx: Tx, caller: Caller, project_id: str) -> None:
    """Make generations: a root, its refinement on a scene, a failed one and a pending one."""
    made = GeneratedCode(code=BLANK, model="m", usage=TokenUsage(), milliseconds=1)
    async with changing_project(tx, caller, project_id, "editor") as (change, _):
        root = await begin(change, NewGeneration(prompt="One", format="square"))
        await succeed(change, root.id, made)
        child = await begin(change, NewGeneration(prompt="One", format="square", parent=root))
        await succeed(change, child.id, made)
        broken = await begin(change, NewGeneration(prompt="Two", format="square"))
        await fail(change, broken.id, "AI_ERROR", "It broke.")
        await begin(change, NewGeneration(prompt="Three", format="square"))
    async with tx.savepoint():
        await apply(tx, caller, child.id, Apply(), None)


@pytest.fixture
async def database(new_database: Callable[[], Awaitable[str]]) -> AsyncIterator[Tx]:
    """A database of the test's own, which no server uses."""
    connection = await connect(await new_database())
    yield Tx(connection)
    await connection.close()


async def filled(tx: Tx) -> tuple[str, Run]:
    """Make a project with rows of every kind; return its id and its ended run."""
    for name in ("ann", "bob"):
        await tx.execute("insert into user_account (id, name) values ($1, $2)", name, name)
    ann, bob = [
        Caller(user_id=name, name=name, role="user", request_id=f"by-{name}")
        for name in ("ann", "bob")
    ]
    async with tx.savepoint():
        project_id = (await create_project(tx, ann, NewProject())).data.id
        other = (await create_project(tx, ann, NewProject())).data.id
        await add_scene(tx, ann, other, NewScene())
    async with tx.savepoint():
        ids = [(await add_scene(tx, ann, project_id, NewScene())).data.id for _ in range(3)]
    for patch in (ScenePatch(name="Other"), ScenePatch(duration=7)):
        async with tx.savepoint():
            await change_scene(tx, ann, ids[0], patch, None)
    async with tx.savepoint():
        order = SceneOrder(scene_ids=[UUID(scene_id) for scene_id in ids[::-1]])
        await reorder_scenes(tx, ann, project_id, order)
    for kind in ("reorder", "rename"):
        changed = await tx.fetchval(
            "select id from scene_iteration where operation_type = $1", kind
        )
        async with tx.savepoint():
            await revert_iteration(tx, ann, changed, RevertRequest(target="before", force=True))
    async with tx.savepoint():
        await undo(tx, ann, project_id, UndoRequest())
    async with tx.savepoint():
        await delete_scene(tx, ann, ids[1], None)
        made = await invite(tx, ann, project_id, NewInvite(role="viewer"), "http://x")
        await accept_invite(tx, bob, made.data.token)
    async with tx.savepoint():
        await said(tx, "ann", project_id, "Hello")
    async with tx.savepoint():
        over = await begun(tx, "ann", project_id)
    async with tx.savepoint():
        await ended(tx, project_id, over)
    async with tx.savepoint():
        await begun(tx, "ann", project_id)
    async with tx.savepoint():
        await generated(tx, ann, project_id)
    return project_id, over


async def numbers(tx: Tx) -> list[int]:
    return sorted({violation.invariant for violation in await check(tx)})


FAULTS: list[tuple[int, str, str]] = [
    (1, "a lost event", "with lost as (delete from project_event where type = 'brain.decision'"
     " returning run_id) update run set decision = null where id in (select run_id from lost)"),
    (1, "a revision without event", "update project set revision = revision + 1"),
    (2, "another after", f"update scene_iteration set after = after || '{{\"name\": \"X\"}}'"
     f" where id = {NEWEST}"),
    (2, "another deleted", "update scene_iteration set after = after || '{\"deleted\": false}'"
     " where operation_type = 'delete'"),
    (3, "another name in an event", "update project_event set payload ="
     " jsonb_set(payload, '{scene,name}', '\"X\"') where type = 'scene.created'"),
    (3, "a role without an event", "update project_member set role = 'editor'"
     " where user_id = 'bob'"),
    (3, "an event that can't be read", "update project_event set payload = '{}'"
     " where type = 'member.updated'"),
    (4, "a hole in the order", "update scene set position = position + 1 where position > 0"),
    (5, "a change of a model without its message", "update scene_iteration set change_source ="
     " 'llm' where operation_type = 'rename'"),
    (5, "a change linked to the prompt", "update scene_iteration set change_source = 'llm',"
     " run_id = run.id, message_id = run.user_message_id from run"
     " where operation_type = 'rename' and run.status = 'succeeded'"),
    (5, "an answer that stays pending", "with stuck as (update message set status = 'pending'"
     " where id in (select assistant_message_id from run where status = 'succeeded') returning id)"
     " update project_event set payload = jsonb_set(payload, '{message,status}', '\"pending\"')"
     " where payload->'message'->>'id' in (select id::text from stuck)"),
    (5, "an answer that came too early", "with early as (update message set status = 'success'"
     " where id in (select assistant_message_id from run where status = 'running') returning id)"
     " update project_event set payload = jsonb_set(payload, '{message,status}', '\"success\"')"
     " where payload->'message'->>'id' in (select id::text from early)"),
    (6, "a run with an expired lease", "update run set lease_expires_at = clock_timestamp()"
     " - interval '61 seconds' where status = 'running'"),
    (6, "a run that was never claimed", "update run set lease_expires_at = null"
     " where status = 'running'"),
    (7, "a second end", "update project_event early set type = 'run.finished',"
     " payload = ending.payload from project_event ending where early.type = 'brain.decision'"
     " and ending.type = 'run.finished' and ending.run_id = early.run_id"),
    (8, "an open call", "insert into model_call (id, run_id, project_id, attempt, stage, provider,"
     " model, status, request_id) select id, id, project_id, 1, 'decide', 'offline', 'x', 'open',"
     " 'r' from run where status = 'succeeded'"),
    (9, "a lost iteration", "delete from scene_iteration where operation_type = 'trim'"),
    (9, "a lost order", "delete from scene_iteration where operation_type = 'reorder'"),
    (9, "an iteration of another request", "update scene_iteration set request_id = 'x'"
     " where operation_type = 'rename'"),
    (9, "a scene of another request", "update scene set request_id = 'x'"),
    (10, "a cycle", f"update generation set parent_generation_id = ({MADE} offset 1 limit 1)"
     " where id in (select id from generation where prompt = 'One')"),
    (10, "a foreign parent", "update generation set parent_generation_id = null,"
     " root_generation_id = null where parent_generation_id is not null;"
     f"{NEW_GENERATION} select gen_random_uuid(), (select id from project order by id desc limit"
     " 1), id, id, 'x', 'pending', 0, null, null, null, null, actor_id, request_id, revision"
     " from generation where id = (" + MADE + " limit 1)"),
    (10, "another root", "update generation set root_generation_id = null"
     " where parent_generation_id is not null"),
    (10, "a scene that shows a failed generation", "with failed as (update generation set status ="
     " 'failed', error_message = 'No', tsx_code = null where id in (select generation_id from"
     " scene) returning id) update project_event set payload = jsonb_set(jsonb_set(payload,"
     " '{generation,status}', '\"failed\"'), '{generation,errorMessage}', '\"No\"')"
     " where payload->'generation'->>'id' in (select id::text from failed)"),
    (10, "a history of a pending one", "update scene_iteration set generation_id = (select id"
     " from generation where status = 'pending') where generation_id is not null"),
    (10, "a scene that shows a deleted generation", "with gone as (update generation"
     " set deleted_at = clock_timestamp() where id in (select generation_id from scene)"
     " returning id) update project_event set payload = jsonb_set(payload,"
     " '{generation,deletedAt}', '\"now\"') where payload->'generation'->>'id' in"
     " (select id::text from gone)"),
    (10, "a generation with an expired lease", "update generation set attempt = 1,"
     " lease_expires_at = clock_timestamp() - interval '61 seconds' where status = 'pending'"),
    (10, "a generation of an ended run", "update generation set run_id = (select id from run"
     " where status = 'succeeded') where status = 'pending'"),
    (10, "an end without an event", "update generation set error_message = 'Other'"
     " where status = 'failed'"),
    (10, "an end without a time", "update generation set ended_at = null where status = 'failed'"),
    (11, "a revert of nothing", "update scene_iteration set reverts_iteration_id = null"
     " where change_source = 'revert' and scene_id is null"),
    (11, "a revert of itself", "update scene_iteration set reverts_iteration_id = id"
     " where change_source = 'revert' and scene_id is null"),
    (11, "a revert to another state", "update scene_iteration older set before = older.before ||"
     " '{\"name\": \"X\"}', after = older.after || '{\"name\": \"Y\"}' from scene_iteration newer"
     " where newer.reverts_iteration_id = older.id and older.operation_type = 'rename'"),
    (11, "a revert to another order", "update scene_iteration older set before = other.ids,"
     " after = other.ids from scene_iteration newer, lateral (select jsonb_build_object('sceneIds',"
     " jsonb_build_array(newer.before->'sceneIds'->1, newer.before->'sceneIds'->0,"
     " newer.before->'sceneIds'->2)) as ids) other"
     " where newer.reverts_iteration_id = older.id and older.scene_id is null"),
    (11, "an edit that says it is a revert", "update scene_iteration set reverts_iteration_id = id"
     " where change_source = 'user' and operation_type = 'rename'"),
    (11, "an entry that ends too early", "update history_entry set last_revision ="
     " last_revision - 1"),
    (11, "an iteration in no entry", "update scene_iteration set entry_id = null"
     " where operation_type = 'rename'"),
    (11, "an entry of another user", "update scene_iteration i set entry_id = other.id"
     " from history_entry other where other.project_id <> i.project_id"
     " and i.operation_type = 'rename'"),
    (11, "undone by a change", "update history_entry set undone_by_id = id"),
]  # fmt: skip


async def test_valid_data_violates_no_invariant(database: Tx) -> None:
    await filled(database)
    assert await numbers(database) == []


@pytest.mark.parametrize(("invariant", "what", "sql"), FAULTS, ids=[one[1] for one in FAULTS])
async def test_each_violation_is_found_and_no_other(
    database: Tx, invariant: int, what: str, sql: str
) -> None:
    await filled(database)
    await violate(database, sql)
    assert await numbers(database) == [invariant], what


async def violate(tx: Tx, sql: str) -> None:
    for statement in sql.split(";"):
        if statement.strip():
            touched = await tx.execute(statement)
            assert touched or DDL.match(statement), "the statement changed nothing"


async def test_two_running_runs_are_found(database: Tx) -> None:
    """The schema forbids this; the check does not rely on the schema."""
    project_id, _ = await filled(database)
    await violate(database, "drop index run_one_running")
    async with database.savepoint():
        await begun(database, "ann", project_id)
    assert await numbers(database) == [6]


async def test_a_missing_end_is_found(database: Tx) -> None:
    _, ended = await filled(database)
    await violate(
        database,
        "update project_event set type = 'tool.finished' where type = 'run.finished'",
    )
    found = await check(database)
    assert [one.id for one in found if one.invariant == 7] == [ended.id]


async def test_a_deleted_project_is_checked_as_well(database: Tx) -> None:
    project_id, _ = await filled(database)
    await violate(database, "update project set deleted_at = clock_timestamp()")
    found = await check(database)
    assert project_id in [one.project_id for one in found if one.invariant == 3]


async def test_projects_unchanged_since_a_time_are_not_replayed(database: Tx) -> None:
    await filled(database)
    await violate(database, "update project_member set role = 'editor' where user_id = 'bob'")
    now = await database.fetchval("select clock_timestamp()")
    assert [one.invariant for one in await check(database, since=now - timedelta(hours=1))] == [3]
    assert await check(database, since=now) == []
