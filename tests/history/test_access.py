"""Every route of the history for every kind of caller, and how many statements it runs."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from app.scenes.history_routes import router
from app.store.database import Tx
from app.store.ids import new_id
from tests.harness.person import Person
from tests.harness.studio import Studio, snapshot_of
from tests.history.steps import add, newest, rewrite, turn
from tests.history.test_undo import many_steps

RANK = {"viewer": 1, "editor": 2, "owner": 3}
BODIES = {"revert": {"target": "before"}, "undo": {}, "redo": {}}
ROUTES = [
    ("iteration.revert", "POST", "/api/iterations/{iteration}/revert", "editor"),
    ("message.revert", "POST", "/api/messages/{message}/revert", "editor"),
    ("project.undo", "POST", "/api/projects/{project}/undo", "editor"),
    ("project.redo", "POST", "/api/projects/{project}/redo", "editor"),
    ("project.timeline", "GET", "/api/projects/{project}/timeline", "viewer"),
    ("project.branch", "POST", "/api/projects/{project}/branch", "viewer"),
    ("iteration.diff", "GET", "/api/iterations/{iteration}/diff/{iteration}", "viewer"),
]


async def call(person: Person, method: str, path: str, ids: dict[str, str]) -> Any:
    return await person.ask(method, path.format(**ids), BODIES.get(path.rpartition("/")[2]))


def test_every_route_is_tested_here() -> None:
    declared = {
        (handler.opt["operation"], handler.opt["access"])
        for handlers in router.routes
        for handler in getattr(handlers, "route_handlers", [])
        if "operation" in handler.opt
    }
    assert declared == {(operation, access) for operation, _, _, access in ROUTES}


@pytest.mark.parametrize(("operation", "method", "path", "access"), ROUTES)
async def test_a_route_is_open_to_its_role_and_those_above(
    studio: Studio, operation: str, method: str, path: str, access: str
) -> None:
    ann = await studio.person("ann")
    project_id = await ann.project()
    people = {
        role: await studio.member(ann, project_id, role, role) for role in ("viewer", "editor")
    }
    scene = (await ann.scene(project_id))["id"]
    await people["editor"].do("PATCH", f"/api/scenes/{scene}", {"duration": 9})
    await people["editor"].do("POST", f"/api/projects/{project_id}/undo")
    message = await turn(people["editor"].user_id, project_id, rewrite(scene, name="A"))
    if operation == "project.redo":
        await people["editor"].do("POST", f"/api/projects/{project_id}/undo")
    ids = {
        "project": project_id,
        "message": message,
        "iteration": (await newest(ann, scene))["id"],
    }
    before = await snapshot_of(project_id)
    refused = {"anonymous": (401, "UNAUTHORIZED"), "stranger": (404, "NOT_FOUND")}
    refused |= {role: (403, "FORBIDDEN") for role in people if RANK[role] < RANK[access]}
    others = {"anonymous": studio.anonymous(), "stranger": await studio.person("sam"), **people}
    for role, expected in refused.items():
        answer = await call(others[role], method, path, ids)
        assert (answer.status_code, answer.json()["error"]["code"]) == expected, role
        assert await snapshot_of(project_id) == before
    answer = await call(people[access], method, path, ids)
    assert answer.is_success, answer.text
    assert answer.json()["meta"]["operation"] == operation


@pytest.mark.parametrize(("operation", "method", "path", "access"), ROUTES)
async def test_an_unknown_id_is_not_found(
    studio: Studio, operation: str, method: str, path: str, access: str
) -> None:
    ann = await studio.person("ann")
    for strange in ("1", new_id()):
        answer = await call(
            ann, method, path, dict.fromkeys(("project", "message", "iteration"), strange)
        )
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "NOT_FOUND")


@pytest.mark.parametrize(
    "body", [{}, {"target": "now"}, {"target": "before", "force": 1}, {"target": "after", "x": 1}]
)
async def test_a_wrong_body_is_refused(studio: Studio, body: dict[str, Any]) -> None:
    ann = await studio.person("ann")
    scene = (await ann.scene(await ann.project()))["id"]
    path = f"/api/iterations/{(await newest(ann, scene))['id']}/revert"
    assert (await ann.refused("POST", path, body))[0] in (400, 422)


async def test_a_deleted_project_cannot_be_reverted(studio: Studio) -> None:
    ann = await studio.person("ann")
    project_id = await ann.project()
    message = await turn(ann.user_id, project_id, add())
    scene = (await ann.order(project_id))[0]
    iteration = (await newest(ann, scene))["id"]
    await ann.do("DELETE", f"/api/projects/{project_id}")
    ids = {"project": project_id, "message": message, "iteration": iteration}
    for _, method, path, _ in ROUTES:
        answer = await call(ann, method, path, ids)
        assert answer.status_code == 404, path


async def test_the_description_matches_the_routes(client: httpx.AsyncClient) -> None:
    described = (await client.get("/schema/openapi.json")).json()
    for operation, method, path, _ in ROUTES:
        found = [
            spec[method.lower()]
            for known, spec in described["paths"].items()
            if re.sub(r"\{\w+\}", "{}", known) == re.sub(r"\{\w+\}", "{}", path)
        ]
        assert [one["operationId"] for one in found] == [operation]
        statuses = set(found[0]["responses"])
        assert {"400", "401", "403", "404", "422", "429", "500", "503"} <= statuses
        assert ("409" in statuses) == (method == "POST")
        assert found[0]["description"]


# Statements beside the request: recording the use of a token, looking for runs to claim.
_BACKGROUND = re.compile(r"api_token|skip locked|lease_expires_at")


@asynccontextmanager
async def counted(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[list[str]]:
    """Yield the statements that this process runs within the block."""
    seen: list[str] = []
    for name in ("fetch", "fetchrow", "fetchval", "execute"):
        kept = getattr(Tx, name)

        async def watched(self: Tx, sql: str, *values: Any, kept: Any = kept) -> Any:
            seen.append(sql)
            return await kept(self, sql, *values)

        monkeypatch.setattr(Tx, name, watched)
    yield seen
    monkeypatch.undo()


async def test_the_number_of_queries_does_not_grow(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann = await studio.person("ann")
    counts = []
    for size in (1, 6):
        project_id = await ann.project()
        for _ in range(size):
            await many_steps(ann, project_id)
        scene = (await ann.scene(project_id))["id"]
        message = await turn(ann.user_id, project_id, rewrite(scene, name="A"))
        iteration = (await newest(ann, scene))["id"]
        ids = {"project": project_id, "message": message, "iteration": iteration}
        counted_now: dict[str, int] = {}
        order = ["project.undo", "project.redo", "iteration.revert"]
        for operation in [*order, *(one[0] for one in ROUTES if one[0] not in order)]:
            [(_, method, path, _)] = [one for one in ROUTES if one[0] == operation]
            async with counted(monkeypatch) as seen:
                answer = await call(ann, method, path, ids)
            assert answer.is_success, answer.text
            counted_now[operation] = len([sql for sql in seen if not _BACKGROUND.search(sql)])
        counts.append(counted_now)
    assert counts[0] == counts[1]
    assert max(counts[0].values()) < 25, counts[0]
