"""Variations of a prompt, and refinements: made beside the scenes, by any worker."""

import asyncio
from typing import Any

import pytest

from app.tools.code import find_faults
from tests.conftest import NewPerson
from tests.generations.making import (
    WAIT,
    code_of,
    generations,
    read,
    refined,
    variations,
)
from tests.harness.deployment import Deployment
from tests.harness.model_server import CODE, code, status
from tests.harness.person import Person

PROMPT = 'A title "Hello" in red'


async def test_four_variations_differ_and_touch_no_scene(person: Person) -> None:
    project = await person.project(format="square")
    before = await person.snapshot(project)
    items = await variations(person, project, PROMPT, count=4, duration=90)
    assert [one["status"] for one in items] == ["success"] * 4
    assert [one["variationIndex"] for one in items] == [0, 1, 2, 3]
    assert len({one["batchId"] for one in items}) == 1
    assert len({one["tsxCode"] for one in items}) == 4
    for one in items:
        assert find_faults(one["tsxCode"]) == []
        assert (one["format"], one["duration"], one["prompt"]) == ("square", 90, PROMPT)
        assert one["sceneId"] is one["parentGenerationId"] is one["runId"] is None
    after = await person.snapshot(project)
    assert after["scenes"] == before["scenes"]
    events = await person.changes(project, before["cursor"])
    kinds = [event["type"] for event in events]
    assert kinds[:4] == ["generation.created"] * 4
    assert sorted(kinds[4:]) == ["generation.updated"] * 4
    again = await variations(person, project, PROMPT, count=4, duration=90)
    assert [one["tsxCode"] for one in again] == [one["tsxCode"] for one in items]


async def test_the_answer_does_not_wait_for_the_variations(
    modelled: Person, model_deployment: Deployment
) -> None:
    project = await modelled.project()
    model_deployment.model.script(code(pieces=20, delay=0.1))
    page = await modelled.do(
        "POST", f"/api/projects/{project}/generations", {"prompt": PROMPT}, status=202
    )
    [one] = page["items"]
    assert (one["status"], one["tsxCode"], one["attempt"]) == ("pending", None, 0)
    answer = await modelled.post(
        f"/api/projects/{project}/generations",
        json={"prompt": PROMPT, "count": 2},
        headers=WAIT,
    )
    assert answer.status_code == 200
    assert [item["status"] for item in answer.json()["data"]["items"]] == ["success"] * 2
    assert answer.json()["meta"]["operation"] == "generation.create"
    await model_deployment.until(
        "select 1 from generation where id = $1 and status = 'success'", one["id"]
    )


async def test_one_of_four_may_fail(modelled: Person, model_deployment: Deployment) -> None:
    project = await modelled.project()
    model_deployment.model.script(*[code() for _ in range(3)], status(401, message="Not this one"))
    items = await variations(modelled, project, PROMPT, count=4)
    assert sorted(one["status"] for one in items) == ["failed", "success", "success", "success"]
    assert sorted(one["variationIndex"] for one in items) == [0, 1, 2, 3]
    [failed] = [one for one in items if one["status"] == "failed"]
    assert failed["errorCode"] == "AI_ERROR"
    assert failed["errorMessage"]
    assert failed["tsxCode"] is None
    rows = await model_deployment.fetch(
        "select status, run_id from model_call where generation_id = $1", failed["id"]
    )
    assert rows == [{"status": "failed", "run_id": None}]


async def test_the_prompt_names_the_number_of_the_variation(
    modelled: Person, model_deployment: Deployment
) -> None:
    project = await modelled.project()
    seen = len(model_deployment.model.requests)
    await variations(modelled, project, PROMPT, count=2)
    asked = [body["messages"][-1]["content"] for body in model_deployment.model.requests[seen:]]
    assert sorted("variation 1 of 2" in text for text in asked) == [False, True]
    assert sorted("variation 2 of 2" in text for text in asked) == [False, True]


async def test_variations_of_a_scene_start_from_its_code(person: Person) -> None:
    project = await person.project()
    [scene] = (await person.turn(project, 'Add a title "Hello"'))["data"]
    items = await variations(
        person, project, 'Change "Hello" to "Bye"', count=2, sceneId=scene["id"]
    )
    for one in items:
        assert one["status"] == "success"
        assert one["parentGenerationId"] == scene["generationId"]
        assert one["refinementPrompt"] == 'Change "Hello" to "Bye"'
        assert "Bye" in one["tsxCode"]
        assert one["sceneId"] == scene["id"]
    assert items[0]["tsxCode"] == scene["tsxCode"].replace('"Hello"', '"Bye"')
    assert items[1]["tsxCode"] != items[0]["tsxCode"]


async def test_a_refinement_starts_from_its_parent_and_copies_its_settings(person: Person) -> None:
    project = await person.project(format="portrait")
    [parent] = await variations(person, project, PROMPT, duration=75)
    [child] = await refined(person, parent["id"], 'Change "Hello" to "Bye"')
    assert child["status"] == "success"
    assert child["tsxCode"] == parent["tsxCode"].replace('"Hello"', '"Bye"')
    assert child["parentGenerationId"] == parent["id"]
    assert child["refinementPrompt"] == 'Change "Hello" to "Bye"'
    for name in ("prompt", "format", "duration"):
        assert child[name] == parent[name]
    assert await read(person, parent["id"]) == parent
    both = await refined(person, parent["id"], "Make the background green", count=2)
    assert len({one["tsxCode"] for one in both}) == 2
    assert {one["batchId"] for one in both} != {child["batchId"]}


async def test_a_refinement_that_changes_nothing_fails(
    modelled: Person, model_deployment: Deployment
) -> None:
    project = await modelled.project()
    [parent] = await variations(modelled, project, PROMPT)
    model_deployment.model.script(code(parent["tsxCode"]))
    [child] = await refined(modelled, parent["id"], "Do it better")
    assert (child["status"], child["errorCode"]) == ("failed", "VALIDATION_FAILED")


async def test_a_failed_generation_can_not_be_refined_or_applied(
    modelled: Person, model_deployment: Deployment
) -> None:
    project = await modelled.project()
    model_deployment.model.script(status(401))
    [failed] = await variations(modelled, project, PROMPT)
    path = f"/api/generations/{failed['id']}"
    asked = {"refinementPrompt": "Better"}
    assert await modelled.refused("POST", f"{path}/refine", asked) == (
        422,
        "VALIDATION_FAILED",
    )
    assert await modelled.refused("POST", f"{path}/apply", {}) == (409, "CONFLICT")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"prompt": ""},
        {"prompt": "x" * 12_001},
        {"prompt": "x", "count": 0},
        {"prompt": "x", "count": 5},
        {"prompt": "x", "duration": 0},
        {"prompt": "x", "sceneId": "no"},
        {"prompt": "x", "status": "success"},
    ],
)
async def test_an_invalid_request_creates_nothing(person: Person, body: dict[str, Any]) -> None:
    project = await person.project()
    code, _ = await person.refused("POST", f"/api/projects/{project}/generations", body)
    assert code in (400, 422)
    assert await generations(project) == []


async def test_a_scene_of_another_project_is_refused(person: Person, new_person: NewPerson) -> None:
    project, other = await person.project(), await person.project()
    mine = await person.do("POST", f"/api/projects/{other}/scenes", {}, status=201)
    bob = await new_person()
    foreign = await bob.do("POST", f"/api/projects/{await bob.project()}/scenes", {}, status=201)
    path = f"/api/projects/{project}/generations"
    for scene, expected in ((mine, (403, "FORBIDDEN")), (foreign, (404, "NOT_FOUND"))):
        body = {"prompt": "x", "sceneId": scene["id"]}
        assert await person.refused("POST", path, body) == expected
    assert await generations(project) == []


async def test_a_project_has_at_most_twenty_pending_variations(
    modelled: Person, model_deployment: Deployment
) -> None:
    project = await modelled.project()
    model_deployment.model.script(*[code(pieces=40, delay=0.05) for _ in range(20)])
    path = f"/api/projects/{project}/generations"
    for _ in range(5):
        await modelled.do("POST", path, {"prompt": PROMPT, "count": 4}, status=202)
    answer = await modelled.post(path, json={"prompt": PROMPT})
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "5")
    async with asyncio.timeout(60):
        while await model_deployment.fetch("select 1 from generation where status = 'pending'"):
            await asyncio.sleep(0.05)


async def test_equal_requests_with_one_key_are_one(person: Person) -> None:
    project = await person.project()
    path, headers = f"/api/projects/{project}/generations", {"idempotency-key": "k", **WAIT}
    body = {"prompt": PROMPT, "count": 2}
    first, second = await asyncio.gather(
        person.post(path, json=body, headers=headers), person.post(path, json=body, headers=headers)
    )
    assert (first.status_code, first.content) == (200, second.content)
    assert len(await generations(project)) == 2
    assert await person.refused(
        "POST", path, {"prompt": "Other"}, headers={"idempotency-key": "k"}
    ) == (409, "CONFLICT")


async def test_a_requester_who_lost_the_role_gets_no_variation(
    modelled: Person, model_deployment: Deployment
) -> None:
    project = await modelled.project()
    model_deployment.model.script(code(pieces=20, delay=0.1))
    page = await modelled.do(
        "POST", f"/api/projects/{project}/generations", {"prompt": PROMPT}, status=202
    )
    [one] = page["items"]
    await model_deployment.until("select 1 from model_call where generation_id = $1", one["id"])
    role = "update project_member set role = $2 where project_id = $1"
    await model_deployment.fetch(role, project, "viewer")
    try:
        [row] = await model_deployment.until(
            "select * from generation where id = $1 and status <> 'pending'", one["id"]
        )
    finally:
        await model_deployment.fetch(role, project, "owner")
    assert (row["status"], row["error_code"], row["tsx_code"]) == ("failed", "FORBIDDEN", None)


async def test_a_deleted_project_gets_no_variation(
    modelled: Person, model_deployment: Deployment
) -> None:
    project = await modelled.project()
    model_deployment.model.script(code(pieces=20, delay=0.1))
    page = await modelled.do(
        "POST", f"/api/projects/{project}/generations", {"prompt": PROMPT}, status=202
    )
    [one] = page["items"]
    await model_deployment.until("select 1 from model_call where generation_id = $1", one["id"])
    await modelled.do("DELETE", f"/api/projects/{project}", status=200)
    rows = await model_deployment.until(
        "select * from generation where id = $1 and status <> 'pending'", one["id"], seconds=30
    )
    assert (rows[0]["status"], rows[0]["tsx_code"]) == ("failed", None)


async def test_a_deleted_variation_is_not_made(
    modelled: Person, model_deployment: Deployment
) -> None:
    project = await modelled.project()
    model_deployment.model.script(code(pieces=20, delay=0.1))
    page = await modelled.do(
        "POST", f"/api/projects/{project}/generations", {"prompt": PROMPT}, status=202
    )
    [one] = page["items"]
    await model_deployment.until("select 1 from model_call where generation_id = $1", one["id"])
    gone = await modelled.do("DELETE", f"/api/generations/{one['id']}", status=200)
    assert (gone["status"], gone["errorCode"]) == ("failed", "CANCELLED")
    async with asyncio.timeout(20):
        while model_deployment.model.open_streams:
            await asyncio.sleep(0.05)
    now = await read(modelled, one["id"])
    assert (now["status"], now["tsxCode"]) == ("failed", None)
    assert now["deletedAt"]


async def test_invalid_code_is_requested_once_more_and_then_fails(
    modelled: Person, model_deployment: Deployment
) -> None:
    project = await modelled.project()
    model_deployment.model.script(code("nonsense"), code(CODE))
    [good] = await variations(modelled, project, PROMPT)
    assert good["tsxCode"] == CODE
    model_deployment.model.script(code("nonsense"), code("nonsense"))
    [bad] = await variations(modelled, project, PROMPT)
    assert (bad["status"], bad["errorCode"]) == ("failed", "AI_ERROR")


def test_code_differs_by_its_number() -> None:
    assert code_of(1) != code_of(2)
    assert find_faults(code_of(1)) == []
