"""The check finds each broken promise, and nothing in data that keeps them all."""

import re

import pytest

from app.lifecycle.check import check
from app.store.engine import reading, transaction
from tests.studio import Studio
from tests.turns import begin_turn, end_turn, say

NEWEST = (
    "(select id from scene_iteration where scene_id is not null order by revision desc limit 1)"
)
DDL = re.compile(r"\s*(create|drop)\b")
NEW_GENERATIONS = """
    create table generation (id uuid primary key, project_id uuid not null,
        parent_generation_id uuid references generation (id));
"""


async def filled(studio: Studio) -> tuple[str, str]:
    """A project with something of everything; return it and its run that is over."""
    ann = await studio.person("ann")
    project_id, other = await ann.project(), await ann.project()
    ids = [(await ann.scene(project_id))["id"] for _ in range(3)]
    await ann.scene(other)
    await ann.do("PATCH", f"/api/scenes/{ids[0]}", {"name": "Other"})
    await ann.do("PATCH", f"/api/scenes/{ids[0]}", {"duration": 7})
    await ann.do("PUT", f"/api/projects/{project_id}/scene-order", {"sceneIds": ids[::-1]})
    await ann.do("DELETE", f"/api/scenes/{ids[1]}")
    await studio.member(ann, project_id, "bob", "viewer")
    await say(project_id, "Hello")
    over = await begin_turn(project_id)
    await end_turn(project_id, over)
    await begin_turn(project_id)
    return project_id, over


async def numbers() -> list[int]:
    async with reading(snapshot=True) as reader:
        return sorted({violation.invariant for violation in await check(reader)})


BREAKS: list[tuple[int, str, str]] = [
    (1, "a lost event", "with lost as (delete from project_event where type = 'brain.decision'"
     " returning run_id) update run set decision = null where id in (select run_id from lost)"),
    (1, "a revision without event", "update project set revision = revision + 1"),
    (2, "another after", f"update scene_iteration set after = after || '{{\"name\": \"X\"}}'"
     f" where id = {NEWEST}"),
    (2, "another deleted", "update scene_iteration set after = after || '{\"deleted\": false}'"
     " where operation_type = 'delete'"),
    (3, "another name in an event", "update project_event set payload ="
     " jsonb_set(payload, '{scene,name}', '\"X\"') where type = 'scene.created'"),
    (3, "a role that no event told", "update project_member set role = 'editor'"
     " where user_id = 'bob'"),
    (3, "an event that can't be read", "update project_event set payload = '{}'"
     " where type = 'member.updated'"),
    (4, "a hole in the order", "update scene set position = position + 1 where position > 0"),
    (5, "a change of a model without its message", "update scene_iteration set change_source ="
     " 'llm' where operation_type = 'rename'"),
    (5, "a change linked to the prompt", "update scene_iteration set change_source = 'llm',"
     " run_id = run.id, message_id = run.user_message_id from run"
     " where operation_type = 'rename' and run.status = 'succeeded'"),
    (5, "an answer that is pending for ever", "with stuck as (update message set status = 'pending'"
     " where id in (select assistant_message_id from run where status = 'succeeded') returning id)"
     " update project_event set payload = jsonb_set(payload, '{message,status}', '\"pending\"')"
     " where payload->'message'->>'id' in (select id::text from stuck)"),
    (5, "an answer that came too early", "with early as (update message set status = 'success'"
     " where id in (select assistant_message_id from run where status = 'queued') returning id)"
     " update project_event set payload = jsonb_set(payload, '{message,status}', '\"success\"')"
     " where payload->'message'->>'id' in (select id::text from early)"),
    (6, "a run that nobody works on", "with lost as (update run set status = 'running',"
     " lease_expires_at = clock_timestamp() - interval '61 seconds' where status = 'queued'"
     " returning id) update project_event set payload ="
     " jsonb_set(payload, '{run,status}', '\"running\"')"
     " where payload->'run'->>'id' in (select id::text from lost)"),
    (7, "a second end", "update project_event early set type = 'run.finished',"
     " payload = ending.payload from project_event ending where early.type = 'brain.decision'"
     " and ending.type = 'run.finished' and ending.run_id = early.run_id"),
    (8, "an open call", "insert into model_call (id, run_id, project_id, attempt, stage, provider,"
     " model, status, request_id) select id, id, project_id, 1, 'decide', 'offline', 'x', 'open',"
     " 'r' from run where status = 'succeeded'"),
    (9, "a lost iteration", "delete from scene_iteration where operation_type = 'rename'"),
    (9, "a lost order", "delete from scene_iteration where operation_type = 'reorder'"),
    (9, "an iteration of another request", "update scene_iteration set request_id = 'x'"
     " where operation_type = 'rename'"),
    (9, "a scene of another request", "update scene set request_id = 'x'"),
    (10, "a generation that is not there", "update scene_iteration set generation_id = id"
     " where operation_type = 'rename'"),
    (10, "a circle", NEW_GENERATIONS + "insert into generation select id, id, id from project"),
    (10, "a foreign parent", NEW_GENERATIONS + "insert into generation"
     " select id, id, null from project; insert into generation"
     " select a.owner, b.id, a.id from (select id, gen_random_uuid() as owner from project"
     " order by id limit 1) a, (select id from project order by id desc limit 1) b"),
]  # fmt: skip


async def test_clean_data_breaks_nothing(studio: Studio) -> None:
    await filled(studio)
    assert await numbers() == []


@pytest.mark.parametrize(("invariant", "what", "sql"), BREAKS, ids=[one[1] for one in BREAKS])
async def test_one_broken_fact_is_told_and_no_other(
    studio: Studio, invariant: int, what: str, sql: str
) -> None:
    await filled(studio)
    studio.broken = True
    await break_it(sql)
    assert await numbers() == [invariant], what


async def break_it(sql: str) -> None:
    async with transaction() as tx:
        for statement in sql.split(";"):
            if statement.strip():
                touched = await tx.execute(statement)
                assert touched or DDL.match(statement), "nothing was broken"


async def test_two_runs_at_once_are_told(studio: Studio) -> None:
    """The schema forbids it; the check does not rely on that."""
    project_id, _ = await filled(studio)
    await begin_turn(project_id)
    studio.broken = True
    await break_it(
        "drop index run_one_running; create index run_one_running_no_more on run (id);"
        " with lost as (update run set status = 'running',"
        " lease_expires_at = clock_timestamp() + interval '9 seconds' where status = 'queued'"
        " returning id) update project_event set payload ="
        " jsonb_set(payload, '{run,status}', '\"running\"')"
        " where payload->'run'->>'id' in (select id::text from lost)"
    )
    assert await numbers() == [6]


async def test_an_end_that_is_missing_is_told(studio: Studio) -> None:
    _, over = await filled(studio)
    studio.broken = True
    await break_it("update project_event set type = 'tool.finished' where type = 'run.finished'")
    async with reading(snapshot=True) as reader:
        found = await check(reader)
    assert [one.id for one in found if one.invariant == 7] == [over]


async def test_a_deleted_project_is_checked_as_well(studio: Studio) -> None:
    project_id, _ = await filled(studio)
    async with transaction() as tx:
        await tx.execute("update project set deleted_at = clock_timestamp()")
    studio.broken = True
    async with reading(snapshot=True) as reader:
        found = await check(reader)
    assert project_id in [one.project_id for one in found if one.invariant == 3]
