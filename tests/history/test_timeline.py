"""The timeline, branches of a past state, and differences between iterations."""

from app.scenes.diff import MAX_COMPARED_LINES, code_difference
from app.store.ids import new_id
from tests.harness.database import DB
from tests.harness.person import Person
from tests.harness.studio import Studio, snapshot_of
from tests.history.steps import Json, add, drop, film, newest, revert_iteration, rewrite, turn
from tests.history.test_undo import many_steps, walk

CONTENT = ("name", "tsxCode", "duration", "props", "layoutJson", "position")


async def timeline(person: Person, project_id: str, query: str = "") -> list[Json]:
    page = await person.do("GET", f"/api/projects/{project_id}/timeline{query}")
    found: list[Json] = page["items"]
    return found


async def test_each_message_or_direct_change_is_one_entry(studio: Studio) -> None:
    ann = await studio.person("ann")
    project_id = await ann.project()
    bob = await studio.member(ann, project_id, "bob", "editor")
    a = (await ann.scene(project_id))["id"]
    message = await turn(bob.user_id, project_id, rewrite(a, name="A"), add("B"))
    await ann.do("POST", f"/api/scenes/{a}/split", {"atFrame": 40})
    await walk(ann, project_id, "undo")
    entries = await timeline(ann, project_id)
    assert [one["kind"] for one in entries] == ["undo", "change", "change", "change"]
    assert [one["title"] for one in entries] == [
        "Undid “Split at frame 40”",
        "Split at frame 40",
        "A title",
        "Add a blank scene",
    ]
    assert [one["changeSource"] for one in entries] == ["revert", "user", "llm", "user"]
    assert [one["actorId"] for one in entries] == [
        ann.user_id,
        ann.user_id,
        bob.user_id,
        ann.user_id,
    ]
    assert [one["actorName"] for one in entries] == ["Ann", "Ann", "Bob", "Ann"]
    assert [one["undone"] for one in entries] == [False, True, False, False]
    assert [one["messageId"] for one in entries][1:] == [None, message, None]
    shown = [
        [(one["operationType"], one["changesApplied"]) for one in e["changes"]] for e in entries
    ]
    assert shown[1] == [("split", ["duration 150 \u2192 40"]), ("split", ["created"])]
    assert shown[2] == [("edit", ["name Scene 1 \u2192 A"]), ("create", ["created"])]
    for entry in entries:
        path = f"/api/projects/{project_id}/snapshot?at={entry['revision']}"
        assert (await ann.do("GET", path))["revision"] == entry["revision"]


async def test_the_timeline_is_paginated(studio: Studio) -> None:
    ann = await studio.person("ann")
    project_id = await ann.project()
    await many_steps(ann, project_id)
    whole = await timeline(ann, project_id)
    seen, before = [], ""
    while True:
        page = await ann.do("GET", f"/api/projects/{project_id}/timeline?limit=3{before}")
        seen += page["items"]
        if page["nextCursor"] is None:
            break
        before = f"&before={page['nextCursor']}"
    assert seen == whole
    assert len(whole) == 12


async def test_an_entry_is_restorable_when_it_needs_no_force(studio: Studio) -> None:
    ann = await studio.person("ann")
    project_id = await ann.project()
    await many_steps(ann, project_id)
    for _ in range(4):
        await walk(ann, project_id, "undo")
    scene = (await ann.order(project_id))[0]
    await ann.do("PATCH", f"/api/scenes/{scene}", {"name": "Other"})
    tried = []
    for entry in await timeline(ann, project_id):
        if len(entry["changes"]) > 1 and entry["messageId"] is None:
            continue
        [path] = {
            f"/api/messages/{entry['messageId']}/revert"
            if entry["messageId"]
            else f"/api/iterations/{entry['changes'][0]['iterationId']}/revert"
        }
        key = new_id()
        was = await film(project_id)
        answer = await ann.ask("POST", path, {"target": "before"}, headers={"idempotency-key": key})
        assert answer.status_code == (200 if entry["restorable"] else 409), entry
        tried.append(entry["restorable"])
        if answer.is_success and answer.json()["data"]["message"]:
            await walk(ann, project_id, "undo")
        assert await film(project_id) == was
    assert {True, False} == set(tried)


async def test_a_branch_is_the_project_at_any_revision(studio: Studio) -> None:
    ann = await studio.person("ann")
    project_id = await ann.project("Film")
    await many_steps(ann, project_id)
    await ann.do("PATCH", f"/api/projects/{project_id}", {"format": "square", "title": "Later"})
    vic = await studio.member(ann, project_id, "vic", "viewer")
    head = (await snapshot_of(project_id))["revision"]
    for at in [*range(1, head, 3), head]:
        path = f"/api/projects/{project_id}"
        was = await ann.do("GET", f"{path}/snapshot?at={at}")
        answer = await vic.ask("POST", f"{path}/branch?at={at}")
        assert answer.status_code == 201, answer.text
        made = answer.json()["data"]
        assert (made["role"], made["ownerId"]) == ("owner", vic.user_id)
        assert made["title"].startswith(f"{was['project']['title']} (branch")
        assert made["format"] == was["project"]["format"]
        scenes = (await snapshot_of(made["id"]))["scenes"]
        assert [[one[name] for name in CONTENT] for one in scenes] == [
            [one[name] for name in CONTENT] for one in was["scenes"]
        ]
        assert not {one["id"] for one in scenes} & {one["id"] for one in was["scenes"]}
        for scene in scenes:
            [iteration] = (await vic.do("GET", f"/api/scenes/{scene['id']}/iterations"))["items"]
            assert (iteration["operationType"], iteration["before"]) == ("create", None)
        entries = await timeline(vic, made["id"])
        assert [one["kind"] for one in entries] == ["branch"] * bool(scenes)
        assert await vic.refused("POST", f"/api/projects/{made['id']}/undo") == (409, "CONFLICT")
    titles = [one["title"] for one in (await vic.do("GET", "/api/projects?limit=100"))["items"]]
    assert {"Film (branch)", "Film (branch 2)", "Later (branch)"} <= set(titles)


async def test_a_branch_of_the_head_is_independent(studio: Studio) -> None:
    ann = await studio.person("ann")
    project_id = await ann.project("x" * 200)
    await many_steps(ann, project_id)
    was = await film(project_id)
    made = await ann.do("POST", f"/api/projects/{project_id}/branch")
    assert made["title"] == "x" * 191 + " (branch)"
    for scene in await film(made["id"]):
        await ann.do("PATCH", f"/api/scenes/{scene['id']}", {"name": "Other"})
        await ann.do("DELETE", f"/api/scenes/{scene['id']}")
    assert await film(project_id) == was
    head = (await snapshot_of(project_id))["revision"]
    path = f"/api/projects/{project_id}/branch?at="
    assert await ann.refused("POST", f"{path}{head + 1}") == (400, "INVALID_INPUT")
    assert (await ann.refused("POST", f"{path}0"))[0] in (400, 422)


async def test_two_iterations_are_compared(studio: Studio) -> None:
    ann = await studio.person("ann")
    project_id = await ann.project()
    code = "one\ntwo \u2028 x\nthree\n"
    scene = (await ann.scene(project_id, tsxCode=code, props={"n": 1}))["id"]
    first = await newest(ann, scene)
    changed = {"tsxCode": "one\nTWO\r\nthree", "name": "New", "props": {"n": True}}
    await ann.do("PATCH", f"/api/scenes/{scene}", changed)
    second = await newest(ann, scene)
    path = f"/api/iterations/{first['id']}/diff"
    found = await ann.do("GET", f"{path}/{second['id']}")
    assert found["changed"] == ["name", "tsxCode", "props"]
    assert found["fields"] == [
        {"field": "name", "before": "Scene 1", "after": "New"},
        {"field": "props", "before": {"n": 1}, "after": {"n": True}},
    ]
    assert found["code"] == (
        "--- before\n+++ after\n@@ -1,3 +1,3 @@\n one\n-two \u2028 x\n-three\n+TWO\r\n+three\n"
        "\\ No newline at end of file\n"
    )
    same = await ann.do("GET", f"{path}/{first['id']}")
    assert (same["changed"], same["fields"], same["code"]) == ([], [], "")
    await ann.do("DELETE", f"/api/scenes/{scene}")
    gone = await newest(ann, scene)
    found = await ann.do("GET", f"/api/iterations/{second['id']}/diff/{gone['id']}")
    assert found["changed"] == ["deleted", "position"]


async def test_incomparable_iterations_are_refused(studio: Studio) -> None:
    ann, bob = await studio.person("ann"), await studio.person("bob")
    project_id = await ann.project()
    ids = [(await ann.scene(project_id))["id"] for _ in range(2)]
    one = (await newest(ann, ids[0]))["id"]
    other = (await newest(ann, (await ann.scene(await ann.project()))["id"]))["id"]
    foreign = (await newest(bob, (await bob.scene(await bob.project()))["id"]))["id"]
    await ann.do("PUT", f"/api/projects/{project_id}/scene-order", {"sceneIds": ids[::-1]})
    order = await DB.fetchval(
        "select id from scene_iteration where project_id = $1 and scene_id is null", project_id
    )
    path = f"/api/iterations/{one}/diff"
    assert await ann.refused("GET", f"{path}/{other}") == (403, "FORBIDDEN")
    assert await ann.refused("GET", f"{path}/{foreign}") == (404, "NOT_FOUND")
    assert await ann.refused("GET", f"{path}/{order}") == (422, "VALIDATION_FAILED")
    went = await revert_iteration(ann, order)
    back = went["iterations"][0]["id"]
    found = await ann.do("GET", f"/api/iterations/{order}/diff/{back}")
    assert found["changed"] == ["sceneIds"]


def test_a_very_long_code_is_shown_as_replaced() -> None:
    before = "".join(f"{number % 7}\n" for number in range(MAX_COMPARED_LINES + 1))
    shown = code_difference(before, "x\n")
    assert shown.startswith(f"--- before\n+++ after\n@@ -1,{MAX_COMPARED_LINES + 1} +1,1 @@\n-0\n")
    assert shown.endswith("\n+x\n")
    assert code_difference("", "x") == (
        "--- before\n+++ after\n@@ -0,0 +1 @@\n+x\n\\ No newline at end of file\n"
    )


async def test_a_deleted_scene_is_named_in_the_timeline(studio: Studio) -> None:
    ann = await studio.person("ann")
    project_id = await ann.project()
    scene = (await ann.scene(project_id, name="Gone"))["id"]
    await turn(ann.user_id, project_id, drop(scene))
    [entry, _] = await timeline(ann, project_id)
    assert [(one["sceneName"], one["operationType"]) for one in entry["changes"]] == [
        ("Gone", "delete")
    ]
