"""Changes of a project by others while a run works on it."""

import asyncio
from contextlib import aclosing
from typing import Any

import msgspec

from app.auth.session import TOKEN_PREFIX, secret_hash
from app.realtime.log import changing
from app.scenes.history import Cause, update
from app.scenes.reads import find_scene
from app.store.ids import new_id
from tests.chat.client import begin, iterations_of, message_of, run_now, scenes_of, until_over
from tests.chat.test_model_faults import OTHER, one_scene
from tests.harness.deployment import Deployment
from tests.harness.events import ReceivedTurn, receive_turn
from tests.harness.model_server import CODE, code, decide, never_answer
from tests.harness.person import Person

BY_HAND = CODE.replace("Hello from the model", "By hand")
PAUSE = 0.15  # seconds between two of the eight pieces of a code


async def edit_meanwhile(
    person: Person, project: str, scene: Any, *changes: dict[str, Any], method: str = "PATCH"
) -> ReceivedTurn:
    """Run a turn; make a manual change after the first delta of each of its codes."""
    path = f"/api/projects/{project}/runs"
    left = list(changes)
    seen = ReceivedTurn()
    armed = False
    async with person.stream_events(path, method="POST", json={"prompt": "Edit it"}) as events:
        async for event in events:
            seen.add(event)
            if event["type"] in ("tool.started", "run.snapshot"):
                armed = True
            if event["type"] == "code.delta" and armed and left:
                armed = False
                body = left.pop(0)
                at = f"/api/scenes/{scene['id']}"
                answer = await person.request(method, at, json=body or None)
                assert answer.status_code == 200, answer.text
    assert not left, seen.types
    return seen


async def test_after_a_manual_edit_the_model_writes_again_on_the_new_base(
    model_deployment: Deployment, modelled: Person
) -> None:
    project, scene = await one_scene(model_deployment, modelled)
    edit = decide(toolName="editScene", targetSceneId=scene["id"])
    model_deployment.model.script(edit, code(OTHER, delay=PAUSE), code(OTHER, delay=PAUSE))
    seen = await edit_meanwhile(modelled, project, scene, {"tsxCode": BY_HAND})
    assert seen.run["status"] == "succeeded"
    assert seen.gaps == []
    [iteration] = await iterations_of(modelled, project, seen.run["assistantMessageId"])
    assert (iteration["codeBefore"], iteration["codeAfter"]) == (BY_HAND, OTHER)
    assert seen.codes[iteration["callId"]] == OTHER
    assert "By hand" in str(model_deployment.model.requests[-1])  # the model got the new base
    message = seen.of("message.updated")[-1]["message"]
    assert seen.messages[message["id"]] == message["content"]
    assert message["content"].count(seen.of("tool.finished")[0]["summary"]) == 1


async def test_after_two_manual_edits_the_run_fails_and_both_are_kept(
    model_deployment: Deployment, modelled: Person
) -> None:
    project, scene = await one_scene(model_deployment, modelled)
    edit = decide(toolName="editScene", targetSceneId=scene["id"])
    model_deployment.model.script(edit, code(OTHER, delay=PAUSE), code(OTHER, delay=PAUSE))
    seen = await edit_meanwhile(
        modelled, project, scene, {"tsxCode": BY_HAND}, {"name": "By hand again"}
    )
    assert (seen.run["status"], seen.run["error"]["code"]) == ("failed", "STALE_BASE")
    [now] = await scenes_of(modelled, project)
    assert (now["tsxCode"], now["name"]) == (BY_HAND, "By hand again")
    assert await iterations_of(modelled, project, seen.run["assistantMessageId"]) == []


async def test_a_scene_deleted_during_a_run_stays_deleted(
    model_deployment: Deployment, modelled: Person
) -> None:
    project, scene = await one_scene(model_deployment, modelled)
    edit = decide(toolName="editScene", targetSceneId=scene["id"])
    model_deployment.model.script(edit, code(OTHER, delay=PAUSE))
    seen = await edit_meanwhile(modelled, project, scene, {}, method="DELETE")
    assert (seen.run["status"], seen.run["error"]["code"]) == ("failed", "NOT_FOUND")
    assert await scenes_of(modelled, project) == []


async def member(deployment: Deployment, owner: Person, project: str, name: str) -> Person:
    """Another account with an editor's role."""
    await deployment.fetch(
        "insert into user_account (id, name, email) values ($1, $2, $3) returning 1",
        name,
        name.title(),
        f"{name}@example.test",
    )
    await deployment.fetch(
        "insert into api_token (id, user_id, name, secret_hash) values ($1, $2, 't', $3)"
        " returning 1",
        new_id(),
        name,
        secret_hash(TOKEN_PREFIX + name),
    )
    person = Person(str(owner.base_url), name, TOKEN_PREFIX + name)
    await owner.invite(person, project, "editor")
    return person


async def test_a_run_of_a_user_lowered_to_viewer_changes_nothing(
    model_deployment: Deployment, modelled: Person
) -> None:
    project = await modelled.project()
    async with aclosing(await member(model_deployment, modelled, project, "lowered")) as guest:
        model_deployment.model.script(decide(), code(delay=PAUSE))
        running = await begin(guest, project, "Add a title")
        waiting = await begin(guest, project, "Add a title")
        path = f"/api/runs/{running['run']['id']}/events"
        async with modelled.stream_events(path) as events:
            await receive_turn(events, until="code.delta")
        asked = len(model_deployment.model.requests)
        await modelled.do(
            "PUT", f"/api/projects/{project}/members/lowered", {"role": "viewer"}, status=200
        )
        for begun in (running, waiting):
            run = await until_over(modelled, begun["run"]["id"])
            assert (run["status"], run["error"]["code"]) == ("failed", "FORBIDDEN")
            message = await message_of(modelled, project, begun["assistantMessage"]["id"])
            assert message["status"] == "error"
        assert len(model_deployment.model.requests) == asked  # the second run called no model
    assert await scenes_of(modelled, project) == []


async def test_a_run_of_a_removed_user_changes_nothing(
    model_deployment: Deployment, modelled: Person
) -> None:
    project = await modelled.project()
    async with aclosing(await member(model_deployment, modelled, project, "removed")) as guest:
        model_deployment.model.script(decide(), code(delay=PAUSE))
        begun = await begin(guest, project, "Add a title")
        await modelled.do("DELETE", f"/api/projects/{project}/members/removed", {}, status=200)
        run = await until_over(modelled, begun["run"]["id"])
    assert (run["status"], run["error"]["code"]) == ("failed", "FORBIDDEN")
    assert await scenes_of(modelled, project) == []
    model_deployment.model.forget_script()  # the calls that the refused run did not make


async def test_the_runs_of_a_deleted_project_end(
    model_deployment: Deployment, modelled: Person
) -> None:
    project = await modelled.project()
    model_deployment.model.script(decide(), never_answer())
    running = await begin(modelled, project, "Add a title")
    waiting = await begin(modelled, project, "Add a title")
    async with modelled.stream_events(f"/api/runs/{running['run']['id']}/events") as events:
        await receive_turn(events, until="tool.started")
    await modelled.do("DELETE", f"/api/projects/{project}", status=200)
    for begun in (running, waiting):
        rows = await model_deployment.until(
            "select status from run where id = $1 and ended_at is not null",
            begun["run"]["id"],
            seconds=15,
        )
        assert rows[0]["status"] == "cancelled"
    async with asyncio.timeout(20):
        while model_deployment.model.open_streams:
            await asyncio.sleep(0.02)
    assert (await modelled.get(f"/api/runs/{running['run']['id']}")).status_code == 404


async def test_an_interruption_stops_the_model(
    model_deployment: Deployment, modelled: Person
) -> None:
    project = await modelled.project()
    model_deployment.model.script(decide(), never_answer())
    stuck = await begin(modelled, project, "Add a title")
    async with modelled.stream_events(f"/api/runs/{stuck['run']['id']}/events") as events:
        await receive_turn(events, until="tool.started")
    urgent = await begin(modelled, project, "Add a title", onBusy="interrupt")
    assert (await until_over(modelled, urgent["run"]["id"], 10))["status"] == "succeeded"
    assert (await run_now(modelled, stuck["run"]["id"]))["status"] == "cancelled"
    assert len(await scenes_of(modelled, project)) == 1


async def test_an_edit_just_before_the_commit_discards_the_text_of_the_step(
    model_deployment: Deployment, modelled: Person
) -> None:
    """The worker has found its base unchanged, and waits for the project's lock."""
    project, scene = await one_scene(model_deployment, modelled)
    edit = decide(toolName="editScene", targetSceneId=scene["id"])
    model_deployment.model.script(edit, code(OTHER, delay=PAUSE), code(OTHER, delay=PAUSE))

    async def edit_when_it_waits() -> None:
        async with model_deployment.reading() as tx, tx.connection.transaction():
            async with changing(tx, project, actor_id="local", request_id="by-hand") as change:
                await model_deployment.until(
                    "select 1 from pg_stat_activity where datname = current_database()"
                    " and wait_event_type = 'Lock'",
                    seconds=10,
                )
                before = await find_scene(tx, scene["id"])
                assert before is not None
                after = msgspec.structs.replace(before.state, tsx_code=BY_HAND)
                await update(change, scene["id"], after, "edit", Cause(source="user", prompt=""))

    seen = ReceivedTurn()
    other: asyncio.Task[None] | None = None
    path = f"/api/projects/{project}/runs"
    async with modelled.stream_events(path, method="POST", json={"prompt": "Edit it"}) as events:
        async for event in events:
            seen.add(event)
            if event["type"] == "code.delta" and other is None:
                other = asyncio.create_task(edit_when_it_waits())
    assert other is not None
    await other
    assert "By hand" in str(model_deployment.model.requests[-1])  # written again on the new base
    assert seen.run["status"] == "succeeded"
    assert seen.gaps == []
    [iteration] = await iterations_of(modelled, project, seen.run["assistantMessageId"])
    assert (iteration["codeBefore"], iteration["codeAfter"]) == (BY_HAND, OTHER)
    message = seen.of("message.updated")[-1]["message"]
    assert message["content"].count(seen.of("tool.finished")[0]["summary"]) == 1
    assert seen.messages[message["id"]] == message["content"]
