"""The changes of a message are reverted together, and survive the deletion of the message."""

import httpx
import pytest

from app.lifecycle.check import check
from app.projects.replay import MAX_MESSAGES
from tests.harness.database import DB
from tests.harness.person import Person
from tests.harness.studio import Studio, snapshot_of
from tests.harness.turns import begin_turn, end_turn
from tests.history.steps import (
    CODE,
    Json,
    Step,
    add,
    arrange,
    do_step,
    drop,
    film,
    newest,
    refused_revert,
    revert_iteration,
    rewrite,
    turn,
)


async def revert(person: Person, message_id: str, target: str = "before", **more: bool) -> Json:
    body = {"target": target, **more}
    went: Json = await person.do("POST", f"/api/messages/{message_id}/revert", body)
    return went


async def five(studio: Studio) -> tuple[Person, str, list[str]]:
    ann = await studio.person("ann")
    project_id = await ann.project()
    return ann, project_id, [(await ann.scene(project_id))["id"] for _ in range(5)]


def steps_of(name: str, ids: list[str]) -> list[Step]:
    a, b, c, d, e = ids
    return {
        "several scenes": [rewrite(a, name="A"), rewrite(b, tsx_code=CODE), drop(d), add()],
        "one scene many times": [rewrite(a, name="A"), rewrite(a, duration=3), drop(a)],
        "two neighbours": [drop(b), drop(c)],
        "the first and the last": [drop(a), drop(e), add(position=0), add(position=1)],
        "order and life": [arrange([e, d, c, b, a]), drop(c), add(position=2), drop(e)],
        "life and order": [drop(a), drop(d), arrange([e, b, c]), add(position=0)],
        "two orders": [arrange([b, a, c, d, e]), drop(b), arrange([e, a, c, d])],
        "made and gone": [add(), drop(a)],
    }[name]


NAMES = [
    "several scenes",
    "one scene many times",
    "two neighbours",
    "the first and the last",
    "order and life",
    "life and order",
    "two orders",
    "made and gone",
]


@pytest.mark.parametrize("name", NAMES)
async def test_a_message_is_reverted_and_restored_as_one(studio: Studio, name: str) -> None:
    ann, project_id, ids = await five(studio)
    before = await film(project_id)
    message_id = await turn(ann.user_id, project_id, *steps_of(name, ids))
    after = await film(project_id)
    async with studio.watching(project_id) as events:
        went = await revert(ann, message_id)
    assert await film(project_id) == before
    assert len({event.commit for event in events}) == 1
    assert len(went["scenes"]) == len({one["id"] for one in went["scenes"]})
    assert {one["messageId"] for one in went["iterations"]} == {went["message"]["id"]}
    again = await revert(ann, went["message"]["id"])
    assert await film(project_id) == after, "a revert of the revert"
    assert again["message"]["id"] != went["message"]["id"]
    await revert(ann, message_id)
    assert await film(project_id) == before
    async with studio.watching(project_id):
        await revert(ann, message_id, "after")
    assert await film(project_id) == after
    was = await snapshot_of(project_id)
    assert (await revert(ann, message_id, "after"))["message"] is None
    assert await snapshot_of(project_id) == was


async def test_one_later_change_of_one_scene_blocks_the_whole_message(studio: Studio) -> None:
    ann, project_id, ids = await five(studio)
    message_id = await turn(
        ann.user_id, project_id, rewrite(ids[0], name="A"), rewrite(ids[1], name="B")
    )
    await ann.do("PATCH", f"/api/scenes/{ids[1]}", {"name": "Mine"})
    was = await snapshot_of(project_id)
    error = await refused_revert(ann, f"messages/{message_id}")
    assert [one["sceneId"] for one in error["details"]["later"]] == [ids[1]]
    assert await snapshot_of(project_id) == was
    await revert(ann, message_id, force=True)
    names = [scene["name"] for scene in await film(project_id)]
    assert names == [f"Scene {number}" for number in range(1, 6)]


async def test_a_change_between_two_steps_of_a_turn_is_not_lost(studio: Studio) -> None:
    ann, project_id, ids = await five(studio)
    run = await begin_turn(ann.user_id, project_id)
    await do_step(run, rewrite(ids[0], tsx_code="a"))
    await ann.do("PATCH", f"/api/scenes/{ids[0]}", {"name": "Mine"})
    await do_step(run, rewrite(ids[0], tsx_code="b"))
    await end_turn(project_id, run)
    error = await refused_revert(ann, f"messages/{run.assistant_message_id}")
    assert [one["changesApplied"] for one in error["details"]["later"]] == [
        ["name Scene 1 \u2192 Mine"]
    ]
    page = await ann.do("GET", f"/api/projects/{project_id}/timeline?limit=2")
    assert {entry["runId"]: entry["restorable"] for entry in page["items"]}[run.id] is False


async def test_reverting_a_prompt_reverts_its_answer(studio: Studio) -> None:
    ann, project_id, ids = await five(studio)
    before = await film(project_id)
    message_id = await turn(ann.user_id, project_id, drop(ids[2]))
    asked = await DB.fetchval(
        "select user_message_id from run where assistant_message_id = $1", message_id
    )
    went = await revert(ann, asked)
    assert went["message"]["content"] == "Went back to before “A title”"
    assert await film(project_id) == before


async def test_a_message_without_changes_is_refused(studio: Studio) -> None:
    ann, project_id, _ = await five(studio)
    message_id = await turn(ann.user_id, project_id)
    body = {"target": "before"}
    refused = await ann.refused("POST", f"/api/messages/{message_id}/revert", body)
    assert refused == (422, "VALIDATION_FAILED")


async def test_real_runs_are_reverted(person: Person) -> None:
    """Create, edit and delete leave their iterations under the message of their run."""
    project = await person.project()
    made = await person.turn(project, 'Add a title "Hello" for 2 seconds')
    [scene] = made["data"]
    prompts = ["Make it red", "Make it 3 seconds long", "Delete the scene"]
    answers = [made] + [await person.turn(project, prompt) for prompt in prompts]
    kinds = []
    for answer in answers:
        path = f"/api/projects/{project}/iterations"
        messages = {"messageIds": answer["assistantMessageId"]}
        page = await person.do("GET", path, params=messages)
        [iteration] = page["items"]
        assert iteration["sceneId"] == scene["id"]
        assert iteration["changeSource"] == "llm"
        kinds.append(iteration["operationType"])
    assert kinds == ["create", "edit", "trim", "delete"]
    states = []
    for answer in reversed(answers):
        path = f"/api/messages/{answer['assistantMessageId']}/revert"
        await person.do("POST", path, {"target": "before"}, status=200)
        states.append((await person.snapshot(project))["scenes"])
    assert [len(scenes) for scenes in states] == [1, 1, 1, 0]
    assert states[2][0]["tsxCode"] == scene["tsxCode"]
    assert states[0][0]["duration"] == 90


async def test_a_subscriber_sees_a_revert_live(studio: Studio, client: httpx.AsyncClient) -> None:
    ann, project_id, ids = await five(studio)
    bob = await studio.member(ann, project_id, "bob", "editor")
    message_id = await turn(ann.user_id, project_id, drop(ids[0]), rewrite(ids[1], name="B"))
    cursor = (await snapshot_of(project_id))["cursor"]
    watcher = Person(studio.address, bob.user_id, bob.token)
    seen = []
    async with (
        watcher,
        watcher.stream_events(f"/api/projects/{project_id}/events?after={cursor}") as stream,
    ):
        went = await revert(ann, message_id)
        async for event in stream:
            if "revision" in event:
                seen.append(event)
            if len([one for one in seen if one["type"] == "iteration.created"]) == 2:
                break
    assert [event["type"] for event in seen] == [
        "message.created",
        "scene.updated",
        "iteration.created",
        "scene.restored",
        "iteration.created",
    ]
    assert seen[0]["data"]["message"] == went["message"]
    assert seen[3]["data"]["sceneIds"] == ids


async def test_a_deleted_message_leaves_its_history(studio: Studio) -> None:
    """The message is too old for a snapshot, since no event reports a deleted message."""
    ann, project_id, ids = await five(studio)
    before = await film(project_id)
    message_id = await turn(ann.user_id, project_id, drop(ids[0]), rewrite(ids[1], name="B"))
    made = await newest(ann, ids[1])
    assert made["messageId"] == message_id
    for _ in range(MAX_MESSAGES + 1):
        await ann.do("PATCH", f"/api/scenes/{ids[4]}", {"name": "x"})
        await ann.do("POST", f"/api/projects/{project_id}/undo")
    assert await DB.fetchval("delete from message where id = $1 returning id", message_id)
    left = await newest(ann, ids[1])
    assert left == {**made, "messageId": None}
    assert await check(DB) == []
    entry = (await ann.do("GET", f"/api/projects/{project_id}/timeline?limit=100"))["items"]
    assert all(one["messageId"] != message_id for one in entry)
    await ann.do("POST", f"/api/projects/{project_id}/undo")
    assert await film(project_id) == before
    went = await revert_iteration(ann, made["id"], "after")
    assert went["scenes"][0]["name"] == "B"
