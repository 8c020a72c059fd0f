"""A generation is applied to a scene, or deleted; stale requests are refused."""

import asyncio
from typing import Any

import pytest

from tests.conftest import NewPerson
from tests.generations.making import (
    apply,
    chain,
    new_chain,
    read,
    refined,
    variations,
)
from tests.harness.database import DB
from tests.harness.person import Person
from tests.harness.studio import Studio, snapshot_of


async def test_a_variation_becomes_a_new_scene(person: Person) -> None:
    project = await person.project()
    one, other = await variations(person, project, 'A title "Hello"', count=2, duration=75)
    scene = await apply(person, other["id"], 201)
    assert scene["tsxCode"] == other["tsxCode"]
    assert (scene["duration"], scene["position"]) == (75, 0)
    assert scene["generationId"] == other["id"]
    [iteration] = (await person.do("GET", f"/api/scenes/{scene['id']}/iterations"))["items"]
    assert iteration["changeSource"] == "user"
    assert iteration["operationType"] == "create"
    assert iteration["generationId"] == other["id"]
    assert iteration["userPrompt"] == 'A title "Hello"'
    assert iteration["messageId"] is None
    assert (await read(person, other["id"]))["sceneId"] == scene["id"]
    assert (await read(person, one["id"]))["sceneId"] is None


async def test_a_variation_replaces_a_scene_s_code(person: Person) -> None:
    project = await person.project()
    [scene] = (await person.turn(project, 'Add a title "Hello" for 2 seconds'))["data"]
    [made] = await variations(person, project, "Make it red", sceneId=scene["id"])
    changed = await apply(person, made["id"], sceneId=scene["id"])
    assert changed["tsxCode"] == made["tsxCode"]
    assert (changed["name"], changed["duration"]) == (scene["name"], 60)
    assert changed["revision"] == scene["revision"] + 1
    newest, first = (await person.do("GET", f"/api/scenes/{scene['id']}/iterations"))["items"]
    assert newest["before"] == first["after"]
    assert newest["codeAfter"] == made["tsxCode"]
    assert newest["generationId"] == made["id"]
    ids = [one["id"] for one in (await chain(person, made["id"]))["items"]]
    assert ids == [scene["generationId"], made["id"]]


async def test_applying_the_same_again_changes_nothing(person: Person) -> None:
    project = await person.project()
    [made] = await variations(person, project, "A title")
    scene = await apply(person, made["id"], 201)
    before = await snapshot_of(project)
    assert await apply(person, made["id"], sceneId=scene["id"]) == scene
    assert await snapshot_of(project) == before


async def test_an_older_generation_can_be_applied_again(person: Person) -> None:
    project = await person.project()
    [first] = await variations(person, project, 'A title "Hello"')
    scene = await apply(person, first["id"], 201)
    [second] = await refined(person, first["id"], "Make the background green")
    assert second["sceneId"] == scene["id"]
    await apply(person, second["id"], sceneId=scene["id"])
    back = await apply(person, first["id"], sceneId=scene["id"])
    assert back["tsxCode"] == first["tsxCode"]
    assert back["generationId"] == first["id"]


async def test_a_stale_revision_is_refused(person: Person) -> None:
    project = await person.project()
    [scene] = (await person.turn(project, "Add a title"))["data"]
    [made] = await variations(person, project, "Make it red", sceneId=scene["id"])
    await person.do("PATCH", f"/api/scenes/{scene['id']}", {"name": "Mine"}, status=200)
    path = f"/api/generations/{made['id']}/apply"
    body = {"sceneId": scene["id"], "baseRevision": scene["revision"]}
    answer = await person.post(path, json=body)
    assert answer.status_code == 409
    assert answer.json()["error"]["details"]["scene"]["name"] == "Mine"
    tag = {"if-match": f'"{scene["revision"] + 1}"'}
    changed = await person.do("POST", path, {"sceneId": scene["id"]}, status=200, headers=tag)
    assert changed["name"] == "Mine"


async def test_only_scenes_of_its_project_accept_it(person: Person, new_person: NewPerson) -> None:
    project, other = await person.project(), await person.project()
    [made] = await variations(person, project, "A title")
    elsewhere = await person.do("POST", f"/api/projects/{other}/scenes", {}, status=201)
    bob = await new_person()
    foreign = await bob.do("POST", f"/api/projects/{await bob.project()}/scenes", {}, status=201)
    path = f"/api/generations/{made['id']}/apply"
    for scene, expected in ((elsewhere, (403, "FORBIDDEN")), (foreign, (404, "NOT_FOUND"))):
        assert await person.refused("POST", path, {"sceneId": scene["id"]}) == expected
    gone = await apply(person, made["id"], 201)
    await person.do("DELETE", f"/api/scenes/{gone['id']}", status=200)
    assert (await person.refused("POST", path, {"sceneId": gone["id"]}))[0] == 404


async def test_a_generation_that_a_scene_shows_is_not_deleted(person: Person) -> None:
    project = await person.project()
    [made] = await variations(person, project, "A title")
    scene = await apply(person, made["id"], 201)
    path = f"/api/generations/{made['id']}"
    assert await person.refused("DELETE", path) == (409, "CONFLICT")
    await person.do("DELETE", f"/api/scenes/{scene['id']}", status=200)
    assert await person.refused("DELETE", path) == (409, "CONFLICT")  # the scene may be restored
    assert (await read(person, made["id"]))["tsxCode"] == scene["tsxCode"]


async def test_a_key_applies_once(person: Person) -> None:
    project = await person.project()
    [made] = await variations(person, project, "A title")
    path, headers = f"/api/generations/{made['id']}/apply", {"idempotency-key": "once"}
    first, second = await asyncio.gather(
        *(person.post(path, json={}, headers=headers) for _ in range(2))
    )
    assert (first.status_code, first.content) == (201, second.content)
    assert len((await person.snapshot(project))["scenes"]) == 1


async def test_old_snapshot_and_events_give_the_new_snapshot(studio: Studio) -> None:
    ann = await studio.person("ann")
    project = await ann.project()
    path = f"/api/projects/{project}/generations"
    async with studio.watching(project) as events:
        wait = {"prefer": "wait=30"}
        page = await ann.do("POST", path, {"prompt": "A title", "count": 2}, headers=wait)
        one, other = (item["id"] for item in page["items"])
        scene = await ann.do("POST", f"/api/generations/{one}/apply", {})
        await ann.do("POST", f"/api/generations/{other}/apply", {"sceneId": scene["id"]})
        await ann.do("DELETE", f"/api/generations/{one}")
    kinds = [event.type for event in events]
    assert kinds[-8:] == [
        "scene.created",
        "iteration.created",
        "project.updated",
        "generation.updated",
        "scene.updated",
        "iteration.created",
        "generation.updated",
        "generation.updated",
    ]


async def gathered(*asked: Any) -> list[int]:
    return sorted(answer.status_code for answer in await asyncio.gather(*asked))


@pytest.mark.parametrize("round_", range(5))
async def test_of_two_concurrent_applies_one_wins(person: Person, round_: int) -> None:
    project = await person.project()
    scene = await person.do("POST", f"/api/projects/{project}/scenes", {}, status=201)
    ids = await new_chain(person, project, 2)
    body = {"sceneId": scene["id"], "baseRevision": 1}
    answers = await gathered(
        *(person.post(f"/api/generations/{one}/apply", json=body) for one in ids)
    )
    assert answers == [200, 409]
    now = await person.do("GET", f"/api/scenes/{scene['id']}")
    assert now["revision"] == 2
    assert now["tsxCode"] == (await read(person, now["generationId"]))["tsxCode"]


@pytest.mark.parametrize("based", [True, False])
async def test_a_concurrent_apply_and_edit(person: Person, based: bool) -> None:
    project = await person.project()
    scene = await person.do("POST", f"/api/projects/{project}/scenes", {}, status=201)
    [one] = await new_chain(person, project, 1)
    base = {"baseRevision": 1} if based else {}
    answers = await gathered(
        person.post(f"/api/generations/{one}/apply", json={"sceneId": scene["id"], **base}),
        person.patch(
            f"/api/scenes/{scene['id']}", json={"tsxCode": scene["tsxCode"] + "\n", **base}
        ),
    )
    assert answers == ([200, 409] if based else [200, 200])
    page = await person.do("GET", f"/api/scenes/{scene['id']}/iterations")
    after = [item["after"] for item in page["items"]]
    before = [item["before"] for item in page["items"]]
    assert after[1:] == before[:-1]  # each change started from the result of the one before it
    assert len(after) == (2 if based else 3)


@pytest.mark.parametrize("round_", range(5))
async def test_a_concurrent_delete_and_refinement(person: Person, round_: int) -> None:
    """The child is either refused or starts from the code of its parent."""
    project = await person.project()
    [parent] = await variations(person, project, 'A title "Hello"')
    path = f"/api/generations/{parent['id']}"
    asked = {"refinementPrompt": 'Change "Hello" to "Bye"'}
    gone, child = await asyncio.gather(
        person.delete(path),
        person.post(f"{path}/refine", json=asked, headers={"prefer": "wait=30"}),
    )
    assert gone.status_code == 200
    assert (await read(person, parent["id"]))["tsxCode"] is None
    if child.status_code == 200:
        [made] = child.json()["data"]["items"]
        assert made["tsxCode"] == parent["tsxCode"].replace('"Hello"', '"Bye"')
        assert made["parentGenerationId"] == parent["id"]
    else:
        assert child.json()["error"]["code"] == "NOT_FOUND"


@pytest.mark.parametrize("round_", range(5))
async def test_a_concurrent_delete_and_apply(person: Person, round_: int) -> None:
    project = await person.project()
    [one] = await new_chain(person, project, 1)
    path = f"/api/generations/{one}"
    answers = await gathered(person.delete(path), person.post(f"{path}/apply", json={}))
    assert answers in ([200, 409], [201, 409])


async def test_nothing_deletes_a_row(person: Person) -> None:
    project = await person.project()
    [one] = await new_chain(person, project, 1)
    await person.do("DELETE", f"/api/generations/{one}", status=200)
    async with DB.reading() as reader:
        assert await reader.fetchval("select count(*) from generation where id = $1", one) == 1
    assert await DB.fetchval("select tsx_code from generation where id = $1", one) is None
