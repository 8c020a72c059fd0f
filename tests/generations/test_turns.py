"""Each attempt of a run to write code is a generation, and a scene's chain is its history."""

from typing import Any

from tests.chat.client import begin, until_over
from tests.conftest import NewPerson
from tests.generations.making import chain, read
from tests.harness.deployment import Deployment
from tests.harness.model_server import CODE, ModelServer, code, decide, status
from tests.harness.person import Person

EDITED = CODE.replace("Hello from the model", "Something else")


async def listed(person: Person, project: str) -> list[Any]:
    page = await person.do("GET", "/api/generations", params={"projectId": project})
    items: list[Any] = page["items"]
    return items


async def test_a_run_creates_the_generation_of_its_scene(person: Person) -> None:
    project = await person.project()
    cursor = (await person.snapshot(project))["cursor"]
    turn = await person.turn(project, 'Add a title "Hello" for 2 seconds')
    [scene] = turn["data"]
    made = await read(person, scene["generationId"])
    assert (made["status"], made["tsxCode"]) == ("success", scene["tsxCode"])
    assert made["sceneId"] == scene["id"]
    assert made["parentGenerationId"] is None
    assert made["prompt"] == 'Add a title "Hello" for 2 seconds'
    assert made["usage"]["outputTokens"] > 0
    assert made["endedAt"] > made["createdAt"]
    [iteration] = (await person.do("GET", f"/api/scenes/{scene['id']}/iterations"))["items"]
    assert iteration["generationId"] == made["id"]
    assert iteration["callId"] == made["callId"]
    events = await person.changes(project, cursor)
    published = [event for event in events if event["type"].startswith("generation.")]
    assert [event["type"] for event in published] == ["generation.created", "generation.updated"]
    assert [event["data"]["generation"]["status"] for event in published] == ["pending", "success"]
    assert all("tsxCode" not in event["data"]["generation"] for event in published)
    commits = {event["type"]: event["commit"] for event in events}
    assert commits["generation.updated"] == commits["scene.created"]  # in one transaction


async def test_an_edit_by_chat_refines_what_its_scene_shows(person: Person) -> None:
    project = await person.project()
    [first] = (await person.turn(project, 'Add a title "Hello"'))["data"]
    [second] = (await person.turn(project, 'Change "Hello" to "Goodbye"'))["data"]
    assert second["id"] == first["id"]
    line = await chain(person, second["generationId"])
    assert [one["tsxCode"] for one in line["items"]] == [first["tsxCode"], second["tsxCode"]]
    root, child = line["items"]
    assert line["rootId"] == root["id"] == first["generationId"]
    assert line["truncated"] is False
    assert child["parentGenerationId"] == root["id"]
    assert child["prompt"] == root["prompt"]
    assert child["refinementPrompt"] == 'Change "Hello" to "Goodbye"'
    # A manual edit is no generation; the next edit refines the one that was shown before it.
    await person.do("PATCH", f"/api/scenes/{first['id']}", {"name": "Mine"}, status=200)
    [third] = (await person.turn(project, "Make the background dark blue"))["data"]
    assert [one["id"] for one in (await chain(person, third["generationId"]))["items"]] == [
        root["id"],
        child["id"],
        third["generationId"],
    ]


async def test_an_edit_of_a_scene_without_a_generation_starts_a_chain(person: Person) -> None:
    project = await person.project()
    blank = await person.do("POST", f"/api/projects/{project}/scenes", {}, status=201)
    assert blank["generationId"] is None
    [scene] = (await person.turn(project, 'Change "New scene" to "Hello"'))["data"]
    line = await chain(person, scene["generationId"])
    assert [one["refinementPrompt"] for one in line["items"]] == [None]
    copied = await person.do("POST", f"/api/scenes/{scene['id']}/duplicate", {}, status=201)
    assert copied["generationId"] == scene["generationId"]


async def test_an_edit_that_changed_nothing_is_a_failed_generation(
    modelled: Person, model_deployment: Deployment
) -> None:
    project = await modelled.project()
    model_deployment.model.script(decide(), code())
    [scene] = (await modelled.turn(project, "Add a title"))["data"]
    edit = decide(toolName="editScene", targetSceneId=scene["id"])
    model_deployment.model.script(edit, code())
    turn = await modelled.turn(project, "Make it better")
    assert turn["data"] == []
    first, second = await listed(modelled, project)
    assert (second["status"], second["errorCode"]) == ("failed", "VALIDATION_FAILED")
    assert "nothing changed" in second["errorMessage"]
    assert second["parentGenerationId"] == first["id"]
    [now] = (await modelled.snapshot(project))["scenes"]
    assert now["generationId"] == first["id"]


async def test_a_failed_attempt_keeps_its_error(
    modelled: Person, model_deployment: Deployment
) -> None:
    project = await modelled.project()
    model_deployment.model.script(decide(), *[status(401, message="No such key")])
    begun = await begin(modelled, project, "Add a title")
    run = await until_over(modelled, begun["run"]["id"])
    assert run["status"] == "failed"
    [failed] = await listed(modelled, project)
    assert failed["status"] == "failed"
    assert failed["errorCode"] == "AI_ERROR"
    assert failed["errorMessage"] == run["error"]["message"]
    assert failed["tsxCode"] is None


async def test_a_cancelled_run_ends_its_generation(
    modelled: Person, model_deployment: Deployment
) -> None:
    project = await modelled.project()
    model_deployment.model.script(decide(), code(pieces=60, delay=0.25))
    begun = await begin(modelled, project, "Add a title")
    await model_deployment.until(
        "select 1 from generation where run_id = $1 and status = 'pending'", begun["run"]["id"]
    )
    await modelled.do("POST", f"/api/runs/{begun['run']['id']}/cancel", {}, status=200)
    [left] = await listed(modelled, project)
    assert (left["status"], left["errorCode"]) == ("failed", "CANCELLED")


async def test_a_scene_changed_during_a_run_is_written_again(
    modelled: Person, model_deployment: Deployment
) -> None:
    project = await modelled.project()
    model: ModelServer = model_deployment.model
    model.script(decide(), code())
    [scene] = (await modelled.turn(project, "Add a title"))["data"]
    edit = decide(toolName="editScene", targetSceneId=scene["id"])
    model.script(edit, code(EDITED, pieces=20, delay=0.1), code(EDITED))
    begun = await begin(modelled, project, "Change the title")
    await model_deployment.until(
        "select 1 from model_call where stage = 'write' and run_id = $1", begun["run"]["id"]
    )
    await modelled.do("PATCH", f"/api/scenes/{scene['id']}", {"name": "Mine"}, status=200)
    assert (await until_over(modelled, begun["run"]["id"]))["status"] == "succeeded"
    first, stale, last = await listed(modelled, project)
    assert (stale["status"], stale["errorCode"]) == ("failed", "STALE_BASE")
    assert stale["parentGenerationId"] == last["parentGenerationId"] == first["id"]
    [now] = (await modelled.snapshot(project))["scenes"]
    assert (now["generationId"], now["name"]) == (last["id"], "Mine")


async def test_a_stranger_sees_no_generation(person: Person, new_person: NewPerson) -> None:
    project = await person.project()
    [scene] = (await person.turn(project, "Add a title"))["data"]
    bob = await new_person()
    for path in ("", "/chain"):
        answer = await bob.get(f"/api/generations/{scene['generationId']}{path}")
        assert answer.json()["error"]["code"] == "NOT_FOUND"
