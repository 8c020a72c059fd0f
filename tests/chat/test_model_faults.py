"""Faults of a model: no part of a scene is stored, and the user gets the error."""

from typing import Any

import pytest

from app.chat.perform import FAILURE_PREFIX
from tests.chat.client import iterations_of, message_of, scenes_of, stream_turn
from tests.harness.deployment import Deployment
from tests.harness.events import ReceivedTurn
from tests.harness.model_server import (
    CODE,
    Behaviour,
    broken_json,
    code,
    decide,
    error_event,
    finish,
    hard_cut,
    html,
    no_finish,
    stall,
    status,
    truncate,
)
from tests.harness.person import Person

OTHER = CODE.replace("Hello from the model", "Another text")
BROKEN = CODE.replace("export default", "export defualt")
FOREIGN = "00000000-0000-7000-8000-000000000000"

WRITING = {
    "twice cut off": lambda: repeated(truncate(300)),
    "twice no finish_reason": lambda: repeated(no_finish()),
    "twice broken JSON": lambda: repeated(broken_json()),
    "twice a proxy's page": lambda: repeated(html()),
    "twice a reset": lambda: repeated(hard_cut(200)),
    "too long": lambda: finish("length"),
    "refused": lambda: finish("content_filter"),
    "an error in the stream": lambda: error_event(),
    "always busy": lambda: status(503, times=3),
    "not allowed": lambda: status(401),
    "twice no code": lambda: repeated(code("I can't do that.")),
    "twice broken code": lambda: repeated(code(BROKEN)),
}
DECIDING = {
    "twice cut off": lambda: repeated(truncate(30, '{"toolName": "addScene", "reasoning": "x"}')),
    "twice a proxy's page": lambda: repeated(html()),
    "always broken": lambda: status(500, times=3),
    "twice no JSON": lambda: repeated(decide("let me think")),
    "twice an unknown tool": lambda: repeated(decide(toolName="flyAway")),
    "twice an unknown scene": lambda: repeated(decide(toolName="editScene", targetSceneId=FOREIGN)),
    "twice no length": lambda: repeated(decide(toolName="trimScene", targetSceneId="SCENE")),
    "twice too short": lambda: repeated(
        decide(toolName="trimScene", targetSceneId="SCENE", targetDuration=0)
    ),
    "twice two answers": lambda: repeated(
        decide(toolName="addScene", workflow=[{"toolName": "addScene", "context": "x"}])
    ),
    "twice none": lambda: repeated(decide(toolName=None)),
}


def repeated(behaviour: Behaviour, times: int = 2) -> Behaviour:
    return Behaviour(behaviour.answer, times)


async def one_scene(deployment: Deployment, person: Person) -> tuple[str, Any]:
    """A project with a scene that the model made."""
    project = await person.project()
    deployment.model.script(decide(), code())
    assert (await person.turn(project, "Add a title"))["meta"]["success"]
    [scene] = await scenes_of(person, project)
    return project, scene


async def check_failed(
    person: Person, project: str, seen: ReceivedTurn, code: str = "AI_ERROR"
) -> None:
    run = seen.run
    assert (run["status"], run["error"]["code"]) == ("failed", code), run
    message = await message_of(person, project, run["assistantMessageId"])
    assert (message["status"], message["kind"]) == ("error", "error")
    assert FAILURE_PREFIX in message["content"]
    assert run["error"]["message"] in message["content"]
    assert seen.gaps == []
    assert seen.messages[message["id"]] == message["content"]
    started, finished = (
        [call["callId"] for call in seen.of(kind)] for kind in ("tool.started", "tool.finished")
    )
    assert started == finished


@pytest.mark.parametrize("what", WRITING)
async def test_a_fault_while_writing_stores_nothing(
    model_deployment: Deployment, modelled: Person, what: str
) -> None:
    project, scene = await one_scene(model_deployment, modelled)
    model_deployment.model.script(
        decide(toolName="editScene", targetSceneId=scene["id"]), WRITING[what]()
    )
    async with modelled.replaying(project):
        seen = await stream_turn(modelled, project, "Make it blue")
    await check_failed(modelled, project, seen)
    assert [call["success"] for call in seen.of("tool.finished")] == [False]
    assert await scenes_of(modelled, project) == [scene]
    calls = await model_deployment.fetch(
        "select stage, status, error is not null as failed, duration_ms from model_call"
        " where run_id = $1 order by created_at",
        seen.run["id"],
    )
    assert [(call["stage"], call["status"], call["failed"]) for call in calls] == [
        ("decide", "succeeded", False),
        ("write", "failed", True),
    ]
    assert all(call["duration_ms"] is not None for call in calls)


@pytest.mark.parametrize("what", DECIDING)
async def test_a_fault_while_deciding_stores_nothing(
    model_deployment: Deployment, modelled: Person, what: str
) -> None:
    project, scene = await one_scene(model_deployment, modelled)
    model_deployment.model.script(DECIDING[what]())
    async with modelled.replaying(project):
        seen = await stream_turn(modelled, project, "Make it blue")
    await check_failed(modelled, project, seen)
    assert not seen.of("brain.decision", "tool.started", "code.delta")
    assert await scenes_of(modelled, project) == [scene]


async def test_a_waiting_request_is_answered_with_the_model_error(
    model_deployment: Deployment, modelled: Person
) -> None:
    project = await modelled.project()
    model_deployment.model.script(decide(), repeated(truncate(100)))
    answer = await modelled.post(
        f"/api/projects/{project}/runs", json={"prompt": "x"}, headers={"prefer": "wait=30"}
    )
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "AI_ERROR")
    assert answer.json()["error"]["retryable"] is True
    assert answer.json()["error"]["details"]["run"]["status"] == "failed"


@pytest.mark.parametrize(
    "wrong",
    [
        decide("no JSON at all"),
        decide(toolName="flyAway"),
        decide(toolName="editScene", targetSceneId=FOREIGN),
        decide(toolName="trimScene"),
    ],
)
async def test_an_invalid_decision_is_requested_once_more(
    model_deployment: Deployment, modelled: Person, wrong: Behaviour
) -> None:
    project = await modelled.project()
    asked = len(model_deployment.model.requests)
    model_deployment.model.script(wrong, decide(), code())
    async with modelled.replaying(project):
        seen = await stream_turn(modelled, project, "Add a title")
    assert seen.run["status"] == "succeeded"
    assert len(model_deployment.model.requests) == asked + 3
    assert len(seen.of("brain.decision")) == 1
    assert len(await scenes_of(modelled, project)) == 1


@pytest.mark.parametrize(
    "bad", [code(BROKEN, delay=0.05), truncate(400), no_finish(), hard_cut(400), broken_json(90)]
)
async def test_invalid_code_is_discarded_and_requested_once_more(
    model_deployment: Deployment, modelled: Person, bad: Behaviour
) -> None:
    project = await modelled.project()
    model_deployment.model.script(decide(), bad, code(OTHER, delay=0.05))
    async with modelled.replaying(project):
        seen = await stream_turn(modelled, project, "Add a title")
    assert seen.run["status"] == "succeeded"
    assert seen.gaps == []
    places = [number for number, kind in enumerate(seen.types) if kind == "code.delta"]
    discarded = [
        number
        for number, event in enumerate(seen.events)
        if event["type"] == "run.snapshot"
        and [call["code"] for call in event["data"]["calls"]] == [""]
    ]
    assert any(places[0] < place < places[-1] for place in discarded)
    [iteration] = await iterations_of(modelled, project, seen.run["assistantMessageId"])
    assert iteration["codeAfter"] == OTHER == seen.codes[iteration["callId"]]


async def test_a_model_that_is_busy_for_a_moment_is_called_again(
    model_deployment: Deployment, modelled: Person
) -> None:
    project = await modelled.project()
    model_deployment.model.script(status(429, retry_after=1), decide(), status(500), code())
    seen = await stream_turn(modelled, project, "Add a title")
    assert seen.run["status"] == "succeeded"
    [iteration] = await iterations_of(modelled, project, seen.run["assistantMessageId"])
    assert iteration["modelUsed"] == "gpt-5-mini"
    assert iteration["tokensUsed"] == 2 * 165
    calls = await model_deployment.fetch(
        "select input_tokens, output_tokens, cached_tokens, usage_source from model_call"
        " where run_id = $1",
        seen.run["id"],
    )
    assert [tuple(call.values()) for call in calls] == [(120, 45, 64, "provider")] * 2


async def test_a_failed_second_step_keeps_the_first_and_its_summary(
    model_deployment: Deployment, modelled: Person
) -> None:
    project, scene = await one_scene(model_deployment, modelled)
    workflow = [
        {"toolName": "trimScene", "context": "shorter", "targetSceneId": scene["id"],
         "targetDuration": 60},
        {"toolName": "addScene", "context": "a title"},
        {"toolName": "deleteScene", "context": "away", "targetSceneId": scene["id"]},
    ]  # fmt: skip
    model_deployment.model.script(decide(toolName=None, workflow=workflow), repeated(truncate(200)))
    async with modelled.replaying(project):
        seen = await stream_turn(modelled, project, "Shorter, add a title, delete the first")
    await check_failed(modelled, project, seen)
    calls = seen.of("tool.finished")
    assert [(call["step"], call["success"]) for call in calls] == [(1, True), (2, False)]
    [now] = await scenes_of(modelled, project)
    assert (now["id"], now["duration"]) == (scene["id"], 60)
    [iteration] = await iterations_of(modelled, project, seen.run["assistantMessageId"])
    assert iteration["operationType"] == "trim"
    message = seen.of("message.updated")[-1]["message"]["content"]
    assert message.index(calls[0]["summary"]) < message.index(FAILURE_PREFIX)


async def test_offsets_beyond_the_basic_plane_count_utf16_units(
    model_deployment: Deployment, modelled: Person
) -> None:
    project = await modelled.project()
    text = CODE.replace("Hello from the model", "👩‍👩‍👧 🎬🎞️ e\u0301 \u2028")
    model_deployment.model.script(
        decide(userFeedback="I add 👩‍👩‍👧 now."), code(text, pieces=200, delay=0.002)
    )
    seen = await stream_turn(modelled, project, "Add a family")
    assert seen.gaps == []
    [iteration] = await iterations_of(modelled, project, seen.run["assistantMessageId"])
    assert iteration["codeAfter"] == text == seen.codes[iteration["callId"]]
    message = seen.of("message.updated")[-1]["message"]
    assert seen.messages[message["id"]] == message["content"]


@pytest.mark.long
@pytest.mark.parametrize("after", [0, 200])
async def test_a_model_that_stops_sending_times_out(
    model_deployment: Deployment, modelled: Person, after: int
) -> None:
    project, scene = await one_scene(model_deployment, modelled)
    model_deployment.model.script(
        decide(toolName="editScene", targetSceneId=scene["id"]), repeated(stall(after))
    )
    seen = await stream_turn(modelled, project, "Make it blue")
    await check_failed(modelled, project, seen)
    assert await scenes_of(modelled, project) == [scene]
