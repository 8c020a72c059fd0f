"""Every route of projects and scenes for every kind of caller."""

import re
from typing import Any

import pytest

from app.http.policy import handlers_of
from app.store.ids import new_id
from tests.harness.person import Person
from tests.harness.studio import Studio, snapshot_of
from tests.scenes.app import studio_app

RANK = {"viewer": 1, "editor": 2, "owner": 3}
BODIES: dict[str, Any] = {
    "project.create": {},
    "project.update": {"format": "square"},
    "member.update": {"role": "viewer"},
    "invite.create": {"role": "viewer"},
    "scene.create": {},
    "scene.reorder": {"sceneIds": ["{scene_id}"]},
    "scene.update": {"name": "New"},
    "scene.split": {"atFrame": 5},
    "scene.trim": {"duration": 5},
}
QUERIES = {"iteration.batch": f"?messageIds={new_id()}"}
# A viewer may remove only themselves; here the target is another member.
EXCEPTIONS = {"member.delete": "owner"}


def routes() -> list[tuple[str, str, str, str]]:
    """List operation, access, method and path of the routes of the app itself."""
    found = []
    for path, handler in handlers_of(studio_app()):
        [method] = set(getattr(handler, "http_methods", ())) - {"OPTIONS", "HEAD"}
        found.append((handler.opt["operation"], handler.opt["access"], method, path))
    return sorted(found)


def body_of(operation: str, ids: dict[str, str]) -> Any:
    body = BODIES.get(operation)
    if operation == "scene.reorder":
        return {"sceneIds": [ids["scene_id"]]}
    return body


async def call(person: Person, operation: str, method: str, path: str, ids: dict[str, str]) -> Any:
    for name, value in ids.items():
        path = re.sub(rf"\{{{name}(:\w+)?\}}", value, path)
    target = path + QUERIES.get(operation, "")
    return await person.ask(method, target, body_of(operation, ids))


@pytest.mark.parametrize(("operation", "access", "method", "path"), routes())
async def test_a_route_is_open_to_its_role_and_those_above(
    studio: Studio, operation: str, access: str, method: str, path: str
) -> None:
    ann = await studio.person("ann")
    project_id = await ann.project()
    people = {
        "viewer": await studio.member(ann, project_id, "vic", "viewer"),
        "editor": await studio.member(ann, project_id, "ed", "editor"),
        "stranger": await studio.person("sam"),
        "owner": ann,
        "anonymous": studio.anonymous(),
    }
    mia = await studio.member(ann, project_id, "mia", "editor")
    scene = await ann.scene(project_id)
    if operation == "scene.restore":
        await ann.do("DELETE", f"/api/scenes/{scene['id']}")
    ids = {
        "project_id": project_id,
        "scene_id": scene["id"],
        "user_id": mia.user_id,
        "token": "unknown",
    }
    before = await snapshot_of(project_id)
    needed = EXCEPTIONS.get(operation, access)
    refused = {"anonymous": (401, "UNAUTHORIZED")}
    if needed in RANK:
        refused["stranger"] = (404, "NOT_FOUND")
        refused |= {role: (403, "FORBIDDEN") for role in RANK if RANK[role] < RANK[needed]}
    for role, expected in refused.items():
        answer = await call(people[role], operation, method, path, ids)
        assert (answer.status_code, answer.json()["error"]["code"]) == expected, role
        assert await snapshot_of(project_id) == before, role
        assert scene["tsxCode"][:20] not in answer.text
    if needed in RANK:
        answer = await call(people[needed], operation, method, path, ids)
        assert answer.is_success, answer.text
        assert answer.json()["meta"]["operation"] == operation


@pytest.mark.parametrize(
    ("operation", "access", "method", "path"),
    [route for route in routes() if "{" in route[3]],
)
async def test_an_invalid_id_is_not_found(
    studio: Studio, operation: str, access: str, method: str, path: str
) -> None:
    ann = await studio.person("ann")
    for strange in ("1", new_id(), "'; drop table scene; --"):
        ids = {"project_id": strange, "scene_id": strange, "user_id": "mia", "token": strange}
        if operation == "scene.reorder":
            continue  # its body has ids as well; the test of the order covers it
        answer = await call(ann, operation, method, path, ids)
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "NOT_FOUND")


def test_every_documented_route_exists() -> None:
    found = {(method, re.sub(r":\w+\}", "}", path)) for _, _, method, path in routes()}
    project, scene = "/api/projects/{project_id}", "/api/scenes/{scene_id}"
    assert found == {
        ("GET", "/api/projects"),
        ("POST", "/api/projects"),
        ("GET", project),
        ("PATCH", project),
        ("DELETE", project),
        ("GET", f"{project}/members"),
        ("PUT", f"{project}/members/{{user_id}}"),
        ("DELETE", f"{project}/members/{{user_id}}"),
        ("POST", f"{project}/invites"),
        ("POST", "/api/invites/{token}/accept"),
        ("GET", f"{project}/snapshot"),
        ("GET", f"{project}/scenes"),
        ("POST", f"{project}/scenes"),
        ("PUT", f"{project}/scene-order"),
        ("GET", f"{project}/iterations"),
        ("GET", scene),
        ("PATCH", scene),
        ("DELETE", scene),
        ("POST", f"{scene}/restore"),
        ("POST", f"{scene}/duplicate"),
        ("POST", f"{scene}/split"),
        ("POST", f"{scene}/trim"),
        ("GET", f"{scene}/iterations"),
    }
