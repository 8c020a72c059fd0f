"""Creating, changing, listing and deleting projects over HTTP."""

import asyncio
from datetime import timedelta

import pytest

from tests.harness.studio import Studio, events_of, snapshot_of


async def test_a_new_project_has_defaults_and_a_first_event(studio: Studio) -> None:
    ann = await studio.person("ann")
    answer = await ann.ask("POST", "/api/projects", {})
    assert answer.status_code == 201
    body = answer.json()
    project = body["data"]
    assert body["meta"]["operation"] == "project.create"
    assert body["meta"]["affectedIds"] == [project["id"]]
    assert body["meta"]["revision"] == project["revision"] == 2
    assert (project["title"], project["format"], project["fps"]) == (
        "Untitled video",
        "landscape",
        30,
    )
    assert (project["ownerId"], project["role"], project["isWelcome"]) == (
        ann.user_id,
        "owner",
        True,
    )
    first, second = await events_of(project["id"])
    assert (first.type, first.data["changed"]) == ("project.updated", ["created"])
    assert second.type == "member.updated"
    assert second.data == {
        "member": {
            "projectId": project["id"],
            "userId": ann.user_id,
            "name": "Ann",
            "role": "owner",
        },
        "previousRole": None,
    }
    assert first.commit == second.commit == 2
    assert {first.request_id, second.request_id} == {body["meta"]["requestId"]}


async def test_concurrent_untitled_projects_are_numbered(studio: Studio) -> None:
    ann = await studio.person("ann")
    made = await asyncio.gather(*(ann.do("POST", "/api/projects", {}) for _ in range(6)))
    numbers = ["Untitled video", *(f"Untitled video {n}" for n in range(2, 7))]
    assert sorted(project["title"] for project in made) == numbers
    second = next(project for project in made if project["title"] == "Untitled video 2")
    await ann.do("DELETE", f"/api/projects/{second['id']}")
    assert (await ann.do("POST", "/api/projects", {}))["title"] == "Untitled video 2"


async def test_a_title_is_unique_among_the_projects_of_its_owner(studio: Studio) -> None:
    ann, bob = await studio.person("ann"), await studio.person("bob")
    taken, other = await ann.project("Film"), await ann.project("Other")
    body = {"title": "  Film\n"}
    assert await ann.refused("POST", "/api/projects", body) == (409, "ALREADY_EXISTS")
    path = f"/api/projects/{other}"
    assert await ann.refused("PATCH", path, body) == (409, "ALREADY_EXISTS")
    await bob.project("Film")
    await ann.do("DELETE", f"/api/projects/{taken}")
    async with studio.watching(other):
        assert (await ann.do("PATCH", path, body))["title"] == "Film"


async def test_of_many_concurrent_equal_titles_one_wins(studio: Studio) -> None:
    ann = await studio.person("ann")
    answers = await asyncio.gather(
        *(ann.ask("POST", "/api/projects", {"title": "Film"}) for _ in range(8))
    )
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 7


async def test_a_patch_changes_only_its_fields(studio: Studio) -> None:
    ann = await studio.person("ann")
    project_id = await ann.project("Film")
    path = f"/api/projects/{project_id}"
    async with studio.watching(project_id) as events:
        changed = await ann.do("PATCH", path, {"format": "portrait", "fps": 60})
    assert (changed["title"], changed["format"], changed["fps"]) == ("Film", "portrait", 60)
    assert [(event.type, event.data["changed"]) for event in events] == [
        ("project.updated", ["format", "fps"])
    ]
    async with studio.watching(project_id) as events:
        answer = await ann.ask("PATCH", path, {"format": "portrait", "title": " Film "})
    assert answer.status_code == 200
    assert (answer.json()["meta"]["affectedIds"], events) == ([], [])


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"title": ""}, 422, "VALIDATION_FAILED"),
        ({"title": " \t"}, 422, "VALIDATION_FAILED"),
        ({"title": "x" * 201}, 422, "VALIDATION_FAILED"),
        ({"fps": 0}, 422, "VALIDATION_FAILED"),
        ({"fps": 121}, 422, "VALIDATION_FAILED"),
        ({"fps": "30"}, 400, "INVALID_INPUT"),
        ({"title": 7}, 400, "INVALID_INPUT"),
        ({"ownerId": "bob"}, 400, "INVALID_INPUT"),
        ({"owner_id": "bob"}, 400, "INVALID_INPUT"),
        ({"revision": 9}, 400, "INVALID_INPUT"),
        ([], 400, "INVALID_INPUT"),
    ],
)
async def test_an_invalid_request_changes_nothing(
    studio: Studio, body: object, status: int, code: str
) -> None:
    ann = await studio.person("ann")
    project_id = await ann.project("Film")
    before = await snapshot_of(project_id)
    assert await ann.refused("POST", "/api/projects", body) == (status, code)
    assert await ann.refused("PATCH", f"/api/projects/{project_id}", body) == (status, code)
    assert await snapshot_of(project_id) == before
    assert len((await ann.do("GET", "/api/projects"))["items"]) == 1


async def test_text_is_kept_byte_by_byte(studio: Studio) -> None:
    ann = await studio.person("ann")
    for title in (
        "a\r\nb",
        "e\u0301 ≠ é",
        "x\u2028y\u2029z",
        "👩‍👩‍👧",
        "<svg onload=alert(1)>",
        "%s{}\\",
    ):
        project_id = await ann.project(title)
        assert (await ann.do("GET", f"/api/projects/{project_id}"))["title"] == title
        assert (await snapshot_of(project_id))["project"]["title"] == title


async def test_a_deleted_project_is_gone_and_its_log_ends_with_that(studio: Studio) -> None:
    ann = await studio.person("ann")
    project_id = await ann.project()
    bob = await studio.member(ann, project_id, "bob", "editor")
    path = f"/api/projects/{project_id}"
    gone = await ann.do("DELETE", path)
    assert gone["deletedAt"] is not None
    for person in (ann, bob):
        assert await person.refused("GET", path) == (404, "NOT_FOUND")
        assert await person.refused("GET", f"{path}/snapshot") == (404, "NOT_FOUND")
        assert await person.refused("POST", f"{path}/scenes", {}) == (404, "NOT_FOUND")
        assert (await person.do("GET", "/api/projects"))["items"] == []
    assert await ann.refused("DELETE", path) == (404, "NOT_FOUND")
    last = (await events_of(project_id))[-1]
    assert last.type == "project.updated"
    assert last.data["changed"] == ["deletedAt"]
    assert last.data["project"]["deletedAt"] == gone["deletedAt"]


async def test_a_list_is_paginated_and_has_only_the_user_s_projects(studio: Studio) -> None:
    ann, bob = await studio.person("ann"), await studio.person("bob")
    ids = [await ann.project() for _ in range(5)]
    shared = await bob.project()
    invite = await bob.do("POST", f"/api/projects/{shared}/invites", {"role": "viewer"})
    await ann.do("POST", f"/api/invites/{invite['token']}/accept", {})
    await bob.project("Secret")
    expected, seen, cursor = [*ids, shared][::-1], [], ""
    for _ in range(3):
        page = await ann.do("GET", f"/api/projects?limit=2{cursor}")
        seen += page["items"]
        cursor = f"&cursor={page['nextCursor']}"
    assert [project["id"] for project in seen] == expected
    assert page["nextCursor"] is None
    assert [project["role"] for project in seen] == ["viewer"] + ["owner"] * 5


@pytest.mark.parametrize(
    "cursor",
    ["x", "1", ".", "-1.0190a2b4-0000-7000-8000-000000000000", "9" * 18 + ".x", "1.abc", "٣.x"],
)
async def test_a_malformed_cursor_is_refused(studio: Studio, cursor: str) -> None:
    ann = await studio.person("ann")
    assert await ann.refused("GET", f"/api/projects?cursor={cursor}") == (400, "INVALID_INPUT")
    for limit in ("0", "101", "x"):
        status, _ = await ann.refused("GET", f"/api/projects?limit={limit}")
        assert status in (400, 422)


async def test_ten_equal_posts_with_one_key_make_one_project(studio: Studio) -> None:
    ann = await studio.person("ann")
    answers = await asyncio.gather(
        *(
            ann.ask("POST", "/api/projects", {"title": "Film"}, headers={"idempotency-key": "k"})
            for _ in range(10)
        )
    )
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert len((await ann.do("GET", "/api/projects"))["items"]) == 1
    other = {"title": "Another"}
    assert await ann.refused("POST", "/api/projects", other, headers={"idempotency-key": "k"}) == (
        409,
        "CONFLICT",
    )


async def test_the_first_scene_ends_the_welcome_state(studio: Studio) -> None:
    ann = await studio.person("ann")
    project_id = await ann.project()
    async with studio.watching(project_id) as events:
        await ann.scene(project_id)
    assert [event.type for event in events] == [
        "scene.created",
        "iteration.created",
        "project.updated",
    ]
    assert (await ann.do("GET", f"/api/projects/{project_id}"))["isWelcome"] is False
    async with studio.watching(project_id) as events:
        await ann.scene(project_id)
    assert [event.type for event in events] == ["scene.created", "iteration.created"]


def test_a_cursor_is_parsed_from_its_text() -> None:
    from app.projects.projects import UNIX_EPOCH, parse_cursor

    born, last = parse_cursor("1700000000000001.0190A2B4-0000-7000-8000-00000000000f")
    assert born - UNIX_EPOCH == timedelta(microseconds=1700000000000001)
    assert last == "0190a2b4-0000-7000-8000-00000000000f"
