"""A prompt becomes a scene: what is stored, published and answered."""

from typing import Any

import pytest

from tests.chat.client import iterations_of, message_of, run_now, scenes_of, stream_turn
from tests.harness.events import ReceivedTurn, receive_turn
from tests.harness.person import Person

TITLE = 'Add a title "Hello"'
TWO_LINES = 'Add a title "One" and add a title "Two"'


def check_order(seen: ReceivedTurn, steps: int) -> None:
    """Assert the order of the events of a run."""
    types = [kind for kind in seen.types if kind not in ("run.progress", "run.snapshot")]
    assert types[:3] == ["message.created", "message.created", "run.queued"]
    assert types[3] == "run.started"
    assert types[-2:] == ["message.updated", "run.finished"]
    places = {kind: types.index(kind) for kind in types}
    if steps:
        assert places["brain.decision"] < places["tool.started"]
        assert types.count("tool.started") == types.count("tool.finished") == steps
    for number, kind in enumerate(types):
        if kind == "code.delta":
            assert "tool.started" in types[:number]
        if kind == "iteration.created":
            assert types[number - 1].startswith("scene.")
            assert types[number + 1] == "tool.finished"
    assert types.count("run.finished") == 1


async def check_texts(person: Person, seen: ReceivedTurn) -> None:
    """Assert that the concatenated deltas are the stored text and code."""
    run = seen.run
    message = await message_of(person, run["projectId"], run["assistantMessageId"])
    assert seen.gaps == []
    assert seen.messages == {message["id"]: message["content"]}
    assert seen.of("message.updated")[-1]["message"]["content"] == message["content"]
    for made in seen.of("iteration.created"):
        iteration = made["iteration"]
        assert iteration["messageId"] == message["id"]
        if iteration["operationType"] in ("create", "edit"):
            assert seen.codes[iteration["callId"]] == iteration["codeAfter"]


def check_commits(seen: ReceivedTurn) -> None:
    """Assert that the events of a transaction are adjacent and `commit` is the last revision."""
    commits = [event["commit"] for event in seen.durable]
    assert commits == sorted(commits)
    for commit in set(commits):
        revisions = [event["revision"] for event in seen.durable if event["commit"] == commit]
        assert revisions[-1] == commit
        assert revisions == list(range(revisions[0], commit + 1))


async def test_a_prompt_becomes_a_scene_with_its_whole_history(person: Person) -> None:
    project = await person.project()
    async with person.replaying(project):
        seen = await stream_turn(person, project, TITLE, headers={"x-request-id": "the-request"})
    check_order(seen, 1)
    check_commits(seen)
    await check_texts(person, seen)
    run = await run_now(person, seen.run["id"])
    assert (run["status"], run["attempt"], run["error"]) == ("succeeded", 1, None)
    user, assistant = (made["message"] for made in seen.of("message.created"))
    assert (user["role"], user["content"], user["status"]) == ("user", TITLE, "success")
    assert (assistant["role"], assistant["status"]) == ("assistant", "pending")
    assert (user["sequence"] + 1, assistant["id"]) == (
        assistant["sequence"],
        run["assistantMessageId"],
    )
    [scene] = await scenes_of(person, project)
    [iteration] = await iterations_of(person, project, assistant["id"])
    assert scene["tsxCode"] == iteration["codeAfter"] == iteration["after"]["tsxCode"]
    assert "Hello" in scene["tsxCode"]
    assert iteration["codeBefore"] is None
    assert iteration["before"] is None
    assert (iteration["sceneId"], iteration["runId"]) == (scene["id"], run["id"])
    assert iteration["messageId"] == assistant["id"]
    assert (iteration["operationType"], iteration["changeSource"]) == ("create", "llm")
    assert iteration["userPrompt"] == TITLE
    assert iteration["brainReasoning"] == seen.of("brain.decision")[0]["decision"]["reasoning"]
    assert iteration["toolReasoning"]
    assert iteration["modelUsed"] == "reelroom-offline-1"
    assert iteration["generationTimeMs"] > 0
    assert iteration["tokensUsed"] > 0
    assert {event["requestId"] for event in seen.durable} == {"the-request"}
    assert {event["runId"] for event in seen.durable} == {run["id"]}
    assert {event["actorId"] for event in seen.durable} == {person.user_id}
    last = seen.durable[-1]["commit"]
    together = [event["type"] for event in seen.durable if event["commit"] == last]
    assert together[:3] == ["scene.created", "iteration.created", "tool.finished"]
    assert together[-2:] == ["message.updated", "run.finished"]


@pytest.mark.parametrize(
    ("prompt", "operations", "kind"),
    [
        ('Change "Hello" to "Goodbye"', ["edit"], "message"),
        ("Make it 3 seconds", ["trim"], "message"),
        ("Delete scene 1", ["delete"], "message"),
        ('Add a title "Last", make scene 1 3 seconds and delete scene 2',
         ["create", "trim", "delete"], "message"),
        ("delete scene", [], "clarification"),
        ("hello", [], "clarification"),
    ],
)  # fmt: skip
async def test_every_kind_of_turn_publishes_what_it_stores(
    person: Person, prompt: str, operations: list[str], kind: str
) -> None:
    project = await person.project()
    await person.turn(project, TITLE)
    await person.turn(project, 'Add a list "a", "b"')
    selected = (await scenes_of(person, project))[0]["id"] if len(operations) == 1 else None
    more = {"selectedSceneId": selected} if selected else {}
    async with person.replaying(project):
        seen = await stream_turn(person, project, prompt, **more)
    check_order(seen, len(operations))
    check_commits(seen)
    await check_texts(person, seen)
    assert seen.run["status"] == "succeeded"
    made = [data["iteration"] for data in seen.of("iteration.created")]
    assert [iteration["operationType"] for iteration in made] == operations
    message = seen.of("message.updated")[-1]["message"]
    assert (message["kind"], message["status"]) == (kind, "success")
    assert message["content"]
    for call in seen.of("tool.started"):
        assert call["steps"] == len(operations)
    assert [call["step"] for call in seen.of("tool.finished")] == list(
        range(1, len(operations) + 1)
    )


async def test_a_turn_without_a_change_says_so_and_keeps_the_scenes(person: Person) -> None:
    project = await person.project()
    await person.turn(project, TITLE)
    await person.turn(project, "Make it 3 seconds")
    before = await scenes_of(person, project)
    async with person.replaying(project):
        seen = await stream_turn(person, project, "Make it 3 seconds")
    check_order(seen, 1)
    await check_texts(person, seen)
    assert seen.run["status"] == "succeeded"
    assert not seen.of("scene.updated", "iteration.created")
    assert [call["success"] for call in seen.of("tool.finished")] == [False]
    assert await scenes_of(person, project) == before


async def test_a_waiting_request_is_answered_with_scenes_and_reasoning(person: Person) -> None:
    project = await person.project()
    answer = await person.post(
        f"/api/projects/{project}/runs", json={"prompt": TITLE}, headers={"prefer": "wait=30"}
    )
    assert answer.status_code == 200, answer.text
    body = answer.json()
    [scene] = await scenes_of(person, project)
    assert body["data"] == [scene]
    assert body["meta"]["operation"] == "run.create"
    assert body["meta"]["affectedIds"] == [scene["id"]]
    assert body["meta"]["revision"] == (await person.snapshot(project))["revision"]
    assert body["context"]["reasoning"]
    assert body["context"]["suggestions"]
    message = await message_of(person, project, body["assistantMessageId"])
    assert body["context"]["chatResponse"] == message["content"]
    asked = await person.turn(project, "delete scene")
    assert asked["data"] == []
    assert asked["context"]["needsClarification"] is True
    assert await scenes_of(person, project) == [scene]


async def test_an_accepted_turn_is_answered_with_its_first_rows(person: Person) -> None:
    project = await person.project()
    answer = await person.post(f"/api/projects/{project}/runs", json={"prompt": TITLE})
    assert answer.status_code == 202
    data = answer.json()["data"]
    assert data["run"]["status"] == "queued"
    assert data["run"]["userMessageId"] == data["userMessage"]["id"]
    assert data["run"]["assistantMessageId"] == data["assistantMessage"]["id"]
    assert data["assistantMessage"]["status"] == "pending"
    assert answer.json()["meta"]["affectedIds"] == [data["run"]["id"]]
    async with person.stream_events(f"/api/runs/{data['run']['id']}/events") as events:
        seen = await receive_turn(events)
    assert seen.types[-1] == "run.finished"
    assert (await run_now(person, data["run"]["id"]))["status"] == "succeeded"


async def test_a_finished_run_is_replayed_from_its_first_event_to_its_last(
    person: Person,
) -> None:
    project = await person.project()
    first = await stream_turn(person, project, TITLE)
    await person.turn(project, "Make it 3 seconds")
    path = f"/api/runs/{first.run['id']}/events"
    async with person.stream_events(path) as events:
        again = await receive_turn(events)
    assert again.durable == first.durable
    middle = first.durable[4]
    cursor = (await person.snapshot(project))["epoch"] + f".{middle['commit']}"
    async with person.stream_events(path, headers={"last-event-id": cursor}) as events:
        rest = await receive_turn(events)
    assert rest.durable == [e for e in first.durable if e["revision"] > middle["commit"]]


async def test_a_subscriber_that_joins_in_the_middle_has_the_whole_text(person: Person) -> None:
    project = await person.project()
    path = f"/api/projects/{project}/runs"
    async with person.stream_events(path, method="POST", json={"prompt": TWO_LINES}) as events:
        begun = await receive_turn(events, until="code.delta")
        async with person.stream_events(f"/api/runs/{begun.run['id']}/events") as others:
            joined = await receive_turn(others)
        async for event in events:
            begun.add(event)
    assert begun.gaps == joined.gaps == []
    await check_texts(person, begun)
    await check_texts(person, joined)
    assert begun.durable == joined.durable


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"prompt": ""}, 422, "VALIDATION_FAILED"),
        ({"prompt": "x" * 12_001}, 422, "VALIDATION_FAILED"),
        ({"prompt": 7}, 400, "INVALID_INPUT"),
        ({}, 400, "INVALID_INPUT"),
        ({"prompt": "x", "onBusy": "wait"}, 422, "VALIDATION_FAILED"),
        ({"prompt": "x", "user": "y"}, 400, "INVALID_INPUT"),
        ({"prompt": "x", "selectedSceneId": "00000000-0000-7000-8000-000000000000"}, 404,
         "NOT_FOUND"),
        ({"prompt": "x", "imageUrls": ["javascript:x"]}, 422, "VALIDATION_FAILED"),
    ],
)  # fmt: skip
async def test_an_invalid_prompt_stores_nothing(
    person: Person, body: Any, status: int, code: str
) -> None:
    project = await person.project()
    before = await person.snapshot(project)
    answer = await person.post(f"/api/projects/{project}/runs", json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert await person.snapshot(project) == before


async def test_a_viewer_may_not_prompt_or_cancel(person: Person, new_person: Any) -> None:
    project = await person.project()
    reader, stranger = await new_person(), await new_person()
    await person.invite(reader, project, "viewer")
    path = f"/api/projects/{project}/runs"
    for member, status in ((reader, 403), (stranger, 404)):
        assert (await member.post(path, json={"prompt": TITLE})).status_code == status
    seen = await stream_turn(person, project, TITLE)
    run = seen.run["id"]
    assert (await run_now(reader, run))["id"] == run
    for member, status in ((reader, 403), (stranger, 404)):
        assert (await member.post(f"/api/runs/{run}/cancel", json={})).status_code == status
    assert (await stranger.get(f"/api/runs/{run}")).status_code == 404
    assert (await stranger.get(f"/api/runs/{run}/events")).status_code == 404
