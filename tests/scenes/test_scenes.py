"""Direct operations on scenes over HTTP."""

import asyncio
from typing import Any

import pytest

from app.scenes.blank import BLANK
from app.scenes.requests import MAX_PROPS_DEPTH
from app.store.ids import new_id
from tests.harness.person import Person
from tests.harness.studio import Studio, events_of, snapshot_of
from tests.harness.turns import begin_turn, end_turn, write_scene

CODE = "export default function Scene() { return null; }"


async def iterations(person: Person, scene_id: str) -> list[dict[str, Any]]:
    page = await person.do("GET", f"/api/scenes/{scene_id}/iterations")
    found: list[dict[str, Any]] = page["items"]
    return found


async def test_a_scene_without_fields_is_blank_and_numbered(studio: Studio) -> None:
    ann = await studio.person("ann")
    project_id = await ann.project()
    path = f"/api/projects/{project_id}/scenes"
    async with studio.watching(project_id) as events:
        answer = await ann.ask("POST", path, {})
    assert answer.status_code == 201
    body = answer.json()
    scene = body["data"]
    assert (scene["name"], scene["duration"], scene["props"]) == ("Scene 1", 150, {})
    assert (scene["tsxCode"], scene["revision"], scene["position"]) == (BLANK, 1, 0)
    assert body["meta"]["operation"] == "scene.create"
    assert body["meta"]["affectedIds"] == [scene["id"]]
    assert events[0].data["scene"] == scene
    assert events[0].data["sceneIds"] == [scene["id"]]
    assert {event.request_id for event in events} == {body["meta"]["requestId"]}
    names = [(await ann.scene(project_id))["name"] for _ in range(2)]
    assert names == ["Scene 2", "Scene 3"]
    await ann.do("DELETE", f"/api/scenes/{scene['id']}")
    assert (await ann.scene(project_id))["name"] == "Scene 4", "the name with 3 is in use"


async def test_a_scene_is_created_exactly_as_it_was_sent(studio: Studio) -> None:
    ann = await studio.person("ann")
    project_id = await ann.project()
    code = "a\r\nb\n\u2028 é e\u0301 👩‍👩‍👧 </script>\t\\u0041"
    fields = {
        "name": "<img src=x onerror=alert(1)>\r\n",
        "tsxCode": code,
        "duration": 18_000,
        "props": {"a b": [1, 2.5, None, True, {"é": "\u2028"}], "big": 10**300, "low": -(2**63)},
        "layoutJson": '{"x": 1}',
    }
    scene = await ann.scene(project_id, **fields)
    assert {name: scene[name] for name in fields} == fields
    assert await ann.do("GET", f"/api/scenes/{scene['id']}") == scene
    [iteration] = await iterations(ann, scene["id"])
    assert iteration["codeAfter"] == code
    assert iteration["after"]["props"] == fields["props"]
    assert (iteration["operationType"], iteration["changeSource"]) == ("create", "user")


@pytest.mark.parametrize(
    ("patch", "operation"),
    [
        ({"name": "New"}, "rename"),
        ({"duration": 75}, "trim"),
        ({"props": {"title": "Hi"}}, "props"),
        ({"tsxCode": CODE}, "edit"),
        ({"layoutJson": "{}"}, "edit"),
        ({"layoutJson": None}, None),
        ({"name": "New", "duration": 75}, "edit"),
        ({"name": "Scene 1", "duration": 75}, "trim"),
        ({"name": "Scene 1", "tsxCode": BLANK, "duration": 150, "props": {}}, None),
        ({}, None),
    ],
)
async def test_a_patch_is_one_iteration_or_none(
    studio: Studio, patch: dict[str, Any], operation: str | None
) -> None:
    ann = await studio.person("ann")
    project_id = await ann.project()
    before = await ann.scene(project_id)
    async with studio.watching(project_id) as events:
        after = await ann.do("PATCH", f"/api/scenes/{before['id']}", patch)
    known = await iterations(ann, before["id"])
    if operation is None:
        assert (after, events, len(known)) == (before, [], 1)
        return
    assert [event.type for event in events] == ["scene.updated", "iteration.created"]
    assert (known[0]["operationType"], len(known)) == (operation, 2)
    assert after["revision"] == 2
    for name in ("name", "tsxCode", "duration", "props", "layoutJson"):
        assert known[0]["before"][name] == before[name]
        assert known[0]["after"][name] == after[name] == patch.get(name, before[name])
    changed = [name for name in patch if patch[name] != before[name]]
    assert sorted(events[0].data["changed"]) == sorted(changed)


async def test_of_two_changes_of_the_same_revision_one_wins(studio: Studio) -> None:
    ann = await studio.person("ann")
    project_id = await ann.project()
    scene = await ann.scene(project_id)
    path = f"/api/scenes/{scene['id']}"
    answers = await asyncio.gather(
        ann.ask("PATCH", path, {"name": "A", "baseRevision": 1}),
        ann.ask("PATCH", path, {"name": "B"}, headers={"if-match": '"1"'}),
    )
    assert sorted(answer.status_code for answer in answers) == [200, 409]
    won, lost = sorted(answers, key=lambda answer: answer.status_code)
    assert lost.json()["error"]["code"] == "CONFLICT"
    assert lost.json()["error"]["details"]["scene"] == won.json()["data"]
    assert won.json()["data"]["revision"] == 2


async def test_every_change_checks_the_base_revision(studio: Studio) -> None:
    ann = await studio.person("ann")
    scene = await ann.scene(await ann.project())
    path = f"/api/scenes/{scene['id']}"
    stale: list[tuple[str, str, dict[str, Any]]] = [
        ("PATCH", path, {"name": "X"}),
        ("POST", f"{path}/trim", {"duration": 3}),
        ("POST", f"{path}/split", {"atFrame": 3}),
        ("POST", f"{path}/duplicate", {}),
        ("POST", f"{path}/restore", {}),
    ]
    for method, target, body in stale:
        assert await ann.refused(method, target, {**body, "baseRevision": 2}) == (409, "CONFLICT")
        assert await ann.refused(method, target, body, headers={"if-match": '"2"'}) == (
            409,
            "CONFLICT",
        )
    assert await ann.refused("DELETE", path, headers={"if-match": '"2"'}) == (409, "CONFLICT")
    for wrong in ('W/"1"', "1", '"x"', '"0"', '"01"', "*", '"1", "2"', '""'):
        assert await ann.refused("DELETE", path, headers={"if-match": wrong}) == (
            400,
            "INVALID_INPUT",
        )
    differ = {"name": "X", "baseRevision": 1}
    assert await ann.refused("PATCH", path, differ, headers={"if-match": '"2"'}) == (
        400,
        "INVALID_INPUT",
    )
    assert (await ann.do("GET", path))["revision"] == 1


async def test_delete_and_restore_keep_id_content_and_position(studio: Studio) -> None:
    ann = await studio.person("ann")
    project_id = await ann.project()
    ids = [(await ann.scene(project_id))["id"] for _ in range(3)]
    path = f"/api/scenes/{ids[1]}"
    before = await ann.do("GET", path)
    async with studio.watching(project_id) as events:
        gone = await ann.do("DELETE", path)
    assert (gone["position"], gone["deletedAt"] is None) == (None, False)
    assert events[0].data["sceneIds"] == [ids[0], ids[2]] == await ann.order(project_id)
    for method, target in (("GET", path), ("DELETE", path), ("POST", f"{path}/duplicate")):
        assert await ann.refused(method, target) == (404, "NOT_FOUND")
    assert await ann.refused("PATCH", path, {"name": "X"}) == (404, "NOT_FOUND")
    async with studio.watching(project_id) as events:
        back = await ann.do("POST", f"{path}/restore")
    assert events[0].type == "scene.restored"
    assert await ann.order(project_id) == ids
    for name in ("id", "name", "tsxCode", "duration", "props", "position"):
        assert back[name] == before[name]
    assert await ann.refused("POST", f"{path}/restore", {}) == (409, "CONFLICT")
    kinds = [one["operationType"] for one in await iterations(ann, ids[1])]
    assert kinds == ["restore", "delete", "create"]


async def test_a_duplicate_follows_its_original(studio: Studio) -> None:
    ann = await studio.person("ann")
    project_id = await ann.project()
    first = await ann.scene(project_id, name="x" * 200, tsxCode=CODE, duration=7, props={"a": 1})
    last = await ann.scene(project_id)
    async with studio.watching(project_id):
        answer = await ann.ask("POST", f"/api/scenes/{first['id']}/duplicate")
    assert answer.status_code == 201
    copy = answer.json()["data"]
    assert await ann.order(project_id) == [first["id"], copy["id"], last["id"]]
    assert copy["name"] == "x" * 195 + " copy"
    for name in ("tsxCode", "duration", "props", "layoutJson"):
        assert copy[name] == first[name]
    [iteration] = await iterations(ann, copy["id"])
    assert (iteration["operationType"], iteration["before"]) == ("duplicate", None)


async def test_a_split_keeps_the_total_duration(studio: Studio) -> None:
    ann = await studio.person("ann")
    project_id = await ann.project()
    scene = await ann.scene(project_id, duration=100, props={"title": "Hi"})
    last = await ann.scene(project_id)
    path = f"/api/scenes/{scene['id']}/split"
    async with studio.watching(project_id) as events:
        page = await ann.do("POST", path, {"atFrame": 40})
    first, second = page["items"]
    assert (first["id"], first["duration"], first["props"]) == (scene["id"], 40, {"title": "Hi"})
    assert (second["duration"], second["props"]) == (60, {"title": "Hi", "startFrom": 40})
    assert second["tsxCode"] == first["tsxCode"]
    assert await ann.order(project_id) == [first["id"], second["id"], last["id"]]
    assert [event.type for event in events] == [
        "scene.updated",
        "iteration.created",
        "scene.created",
        "iteration.created",
    ]
    assert {event.commit for event in events} == {events[-1].revision}
    again = await ann.do("POST", f"/api/scenes/{second['id']}/split", {"atFrame": 10})
    assert [one["props"]["startFrom"] for one in again["items"]] == [40, 50]
    for frame in (40, 41):
        assert await ann.refused("POST", path, {"atFrame": frame}) == (422, "VALIDATION_FAILED")
    assert await ann.refused("POST", path, {"atFrame": 0}) == (422, "VALIDATION_FAILED")


async def test_a_trim_changes_only_the_duration(studio: Studio) -> None:
    ann = await studio.person("ann")
    project_id = await ann.project()
    scene = await ann.scene(project_id)
    path = f"/api/scenes/{scene['id']}/trim"
    async with studio.watching(project_id) as events:
        assert (await ann.do("POST", path, {"duration": 30}))["duration"] == 30
        await ann.do("POST", path, {"duration": 30})
    assert len(events) == 2
    for wrong in (0, -1, 18_001, 10**30):
        assert (await ann.refused("POST", path, {"duration": wrong}))[0] in (400, 422)
    for wrong_type in (1.5, "30", None, True):
        refused = await ann.refused("POST", path, {"duration": wrong_type})
        assert refused == (400, "INVALID_INPUT")


async def test_a_new_order_names_each_live_scene_once(studio: Studio) -> None:
    ann = await studio.person("ann")
    bob = await studio.person("bob")
    project_id = await ann.project()
    ids = [(await ann.scene(project_id))["id"] for _ in range(4)]
    gone = ids.pop()
    await ann.do("DELETE", f"/api/scenes/{gone}")
    own = (await ann.scene(await ann.project()))["id"]
    foreign = (await bob.scene(await bob.project()))["id"]
    path = f"/api/projects/{project_id}/scene-order"
    refused: list[tuple[list[str], tuple[int, str]]] = [
        ([*ids[:2]], (422, "VALIDATION_FAILED")),
        ([*ids, ids[0]], (422, "VALIDATION_FAILED")),
        ([], (422, "VALIDATION_FAILED")),
        ([*ids, own], (403, "FORBIDDEN")),
        ([*ids, foreign], (404, "NOT_FOUND")),
        ([*ids, gone], (404, "NOT_FOUND")),
        ([*ids, new_id()], (404, "NOT_FOUND")),
        (["x"], (400, "INVALID_INPUT")),
    ]
    before = await snapshot_of(project_id)
    for scene_ids, expected in refused:
        assert await ann.refused("PUT", path, {"sceneIds": scene_ids}) == expected
    assert await snapshot_of(project_id) == before
    new_order = [ids[2], ids[0].upper(), ids[1]]
    async with studio.watching(project_id) as events:
        page = await ann.do("PUT", path, {"sceneIds": new_order})
        await ann.do("PUT", path, {"sceneIds": new_order})
    new_order[1] = ids[0]
    assert [scene["id"] for scene in page["items"]] == new_order == await ann.order(project_id)
    assert [event.type for event in events] == ["scenes.reordered", "iteration.created"]


async def test_an_order_is_stale_after_another_one(studio: Studio) -> None:
    ann = await studio.person("ann")
    project_id = await ann.project()
    ids = [(await ann.scene(project_id))["id"] for _ in range(3)]
    seen = (await snapshot_of(project_id))["revision"]
    path = f"/api/projects/{project_id}/scene-order"
    await ann.do("PATCH", f"/api/scenes/{ids[0]}", {"name": "That moves nothing"})
    answers = await asyncio.gather(
        *(
            ann.ask("PUT", path, {"sceneIds": order, "baseRevision": seen})
            for order in (ids[::-1], [ids[1], ids[0], ids[2]])
        )
    )
    assert sorted(answer.status_code for answer in answers) == [200, 409]
    lost = max(answers, key=lambda answer: answer.status_code)
    assert lost.json()["error"]["details"] == {"sceneIds": await ann.order(project_id)}


async def test_concurrently_created_scenes_get_consecutive_positions(studio: Studio) -> None:
    ann = await studio.person("ann")
    project_id = await ann.project()
    async with studio.watching(project_id):
        made = await asyncio.gather(*(ann.scene(project_id) for _ in range(20)))
    assert sorted(scene["position"] for scene in made) == list(range(20))
    assert sorted(await ann.order(project_id)) == sorted(scene["id"] for scene in made)
    assert sorted(scene["name"] for scene in made) == sorted(f"Scene {n}" for n in range(1, 21))


async def test_concurrent_writers_leave_one_history(studio: Studio) -> None:
    ann = await studio.person("ann")
    project_id = await ann.project()
    ids = [(await ann.scene(project_id))["id"] for _ in range(5)]
    async with studio.watching(project_id):
        await asyncio.gather(
            *(ann.ask("POST", f"/api/scenes/{one}/duplicate") for one in ids),
            *(ann.ask("DELETE", f"/api/scenes/{one}") for one in ids[:3]),
            *(ann.ask("POST", f"/api/scenes/{one}/restore") for one in ids[:3]),
            *(ann.ask("POST", f"/api/scenes/{one}/split", {"atFrame": 9}) for one in ids),
            ann.ask("PUT", f"/api/projects/{project_id}/scene-order", {"sceneIds": ids[::-1]}),
        )
    assert len(await ann.order(project_id)) >= 5


async def test_ten_equal_changes_with_one_key_have_one_effect(studio: Studio) -> None:
    ann = await studio.person("ann")
    project_id = await ann.project()
    scene = await ann.scene(project_id)
    path = f"/api/scenes/{scene['id']}"
    for method, target, body in (
        ("POST", f"/api/projects/{project_id}/scenes", {"name": "N"}),
        ("PATCH", path, {"name": "Other"}),
        ("POST", f"{path}/split", {"atFrame": 5}),
        ("DELETE", path, None),
    ):
        before = len(await events_of(project_id))
        answers = await asyncio.gather(
            *(
                ann.ask(method, target, body, headers={"idempotency-key": method + target})
                for _ in range(10)
            )
        )
        assert len({(answer.status_code, answer.content) for answer in answers}) == 1
        assert answers[0].is_success
        events = (await events_of(project_id))[before:]
        assert len({event.commit for event in events}) == 1
    other = f"/api/scenes/{(await ann.scene(project_id))['id']}"
    await ann.do("PATCH", other, {"name": "K"}, headers={"idempotency-key": "k"})
    third = f"/api/scenes/{(await ann.scene(project_id))['id']}"
    reused = await ann.refused("PATCH", third, {"name": "K"}, headers={"idempotency-key": "k"})
    assert reused == (409, "CONFLICT"), "a key belongs to the project, not to the scene"


def deep(levels: int) -> Any:
    """Return an object with `levels` levels."""
    value: Any = {}
    for _ in range(levels - 1):
        value = {"inside": value}
    return value


async def test_the_deepest_props_can_be_changed_and_deleted_again(studio: Studio) -> None:
    ann = await studio.person("ann")
    project_id = await ann.project()
    scene = await ann.scene(project_id, props=deep(MAX_PROPS_DEPTH))
    async with studio.watching(project_id):
        copy = await ann.do("POST", f"/api/scenes/{scene['id']}/duplicate", {})
        await ann.do("PATCH", f"/api/scenes/{scene['id']}", {"name": "Deep"})
        await ann.do("DELETE", f"/api/scenes/{scene['id']}")
    assert copy["props"] == deep(MAX_PROPS_DEPTH)


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"name": ""}, 422, "VALIDATION_FAILED"),
        ({"name": "x" * 201}, 422, "VALIDATION_FAILED"),
        ({"tsxCode": "x" * 200_001}, 422, "VALIDATION_FAILED"),
        ({"layoutJson": "x" * 100_001}, 422, "VALIDATION_FAILED"),
        ({"props": {"a": "x" * 100_000}}, 413, "PAYLOAD_TOO_LARGE"),
        ({"props": []}, 400, "INVALID_INPUT"),
        ({"props": deep(MAX_PROPS_DEPTH + 1)}, 422, "VALIDATION_FAILED"),
        ({"props": deep(900)}, 422, "VALIDATION_FAILED"),
        ({"duration": 0}, 422, "VALIDATION_FAILED"),
        ({"tsx_code": "x"}, 400, "INVALID_INPUT"),
        ({"projectId": "x"}, 400, "INVALID_INPUT"),
        ({"revision": 3}, 400, "INVALID_INPUT"),
        ({"position": 0}, 400, "INVALID_INPUT"),
    ],
)
async def test_an_invalid_request_changes_nothing(
    studio: Studio, fields: dict[str, Any], status: int, code: str
) -> None:
    ann = await studio.person("ann")
    project_id = await ann.project()
    scene = await ann.scene(project_id)
    before = await snapshot_of(project_id)
    path = f"/api/projects/{project_id}/scenes"
    assert await ann.refused("POST", path, fields) == (status, code)
    assert await ann.refused("PATCH", f"/api/scenes/{scene['id']}", fields) == (status, code)
    assert await snapshot_of(project_id) == before


async def test_a_history_is_paginated(studio: Studio) -> None:
    ann = await studio.person("ann")
    scene = await ann.scene(await ann.project())
    path = f"/api/scenes/{scene['id']}"
    for number in range(4):
        await ann.do("PATCH", path, {"name": f"Name {number}"})
    seen, before = [], ""
    for _ in range(3):
        page = await ann.do("GET", f"{path}/iterations?limit=2{before}")
        seen += page["items"]
        before = f"&before={page['nextCursor']}"
    assert page["nextCursor"] is None
    assert [one["after"]["name"] for one in seen] == [
        *(f"Name {number}" for number in (3, 2, 1, 0)),
        "Scene 1",
    ]
    assert [one["userEditedAgain"] for one in seen] == [False, True, True, True, True]
    await ann.do("DELETE", path)
    assert len(await iterations(ann, scene["id"])) == 6, "a deleted scene keeps its history"


async def test_iterations_of_many_messages_are_read_in_one_query(studio: Studio) -> None:
    ann, bob = await studio.person("ann"), await studio.person("bob")
    project_id, other = await ann.project(), await bob.project()
    scenes, messages = [], []
    for _ in range(2):
        turn = await begin_turn(ann.user_id, project_id)
        scenes.append(await write_scene(ann.user_id, project_id, turn))
        messages.append(str(turn.assistant_message_id))
        await end_turn(project_id, turn)
    path = f"/iterations?messageIds={','.join(messages)},{new_id()}"
    found = await ann.do("GET", f"/api/projects/{project_id}{path}")
    assert [one["sceneId"] for one in found["items"]] == scenes
    assert (await bob.do("GET", f"/api/projects/{other}{path}"))["items"] == []
    assert await bob.refused("GET", f"/api/projects/{project_id}{path}") == (404, "NOT_FOUND")
    batch = f"/api/projects/{project_id}/iterations"
    for wrong in ("", "?messageIds=x", f"?messageIds={','.join([new_id()] * 201)}"):
        assert (await ann.refused("GET", batch + wrong))[0] in (400, 422)
