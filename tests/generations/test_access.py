"""The routes of generations for every kind of caller, and their OpenAPI description."""

import re
from typing import Any

import pytest
from litestar import Litestar, Router
from litestar.datastructures import State
from litestar.di import Provide
from litestar.openapi.config import OpenAPIConfig

from app.auth.credentials import Credentials
from app.generations.routes import router as generations
from app.http.errors import HANDLERS
from app.http.policy import CREDENTIALS_KEY, handlers_of, require_access
from app.http.strict import StrictRequest
from app.runs.waiting import Waiting
from app.settings import Settings
from app.store.ids import new_id
from tests.harness.database import DB
from tests.harness.person import Person
from tests.harness.studio import Studio, snapshot_of

RANK = {"viewer": 1, "editor": 2, "owner": 3}
BODIES: dict[str, Any] = {
    "generation.create": {"prompt": "A title"},
    "generation.refine": {"refinementPrompt": "Make it red"},
    "generation.apply": {},
}


def generations_app() -> Litestar:
    credentials = Credentials(DB, Settings())
    return Litestar(
        [
            Router(
                "",
                route_handlers=[generations],
                guards=[require_access],
                request_class=StrictRequest,
            )
        ],
        state=State({"settings": Settings(), "db": DB, CREDENTIALS_KEY: credentials}),
        dependencies={
            "caller": Provide(credentials.provide_caller),
            "db": Provide(lambda: DB, sync_to_thread=False),
            "waiting": Provide(lambda: Waiting(DB), sync_to_thread=False),
        },
        exception_handlers=HANDLERS,
        openapi_config=OpenAPIConfig(title="R", version="1", use_handler_docstrings=True),
        logging_config=None,
    )


def routes() -> list[tuple[str, str, str, str]]:
    """Operation, access, method and path of every route, taken from the app itself."""
    found = []
    for path, handler in handlers_of(generations_app()):
        operation = handler.opt.get("operation")
        if operation is None or not operation.startswith("generation."):
            continue  # a route of the description itself
        [method] = set(getattr(handler, "http_methods", ())) - {"OPTIONS", "HEAD"}
        found.append((operation, handler.opt["access"], method, path))
    return sorted(found)


async def call(person: Person, operation: str, method: str, path: str, ids: dict[str, str]) -> Any:
    for name, value in ids.items():
        path = re.sub(rf"\{{{name}(:\w+)?\}}", value, path)
    if operation == "generation.list":
        path += f"?parentId={ids['generation_id']}"
    return await person.ask(method, path, BODIES.get(operation))


def test_every_route_is_here() -> None:
    one = "/api/generations/{generation_id:uuid}"
    assert {(method, path) for _, _, method, path in routes()} == {
        ("GET", "/api/generations"),
        ("GET", one),
        ("GET", f"{one}/chain"),
        ("POST", f"{one}/apply"),
        ("POST", f"{one}/refine"),
        ("DELETE", one),
        ("POST", "/api/projects/{project_id:uuid}/generations"),
    }


@pytest.mark.parametrize(("operation", "access", "method", "path"), routes())
async def test_a_route_is_open_to_its_role_and_those_above(
    studio: Studio, operation: str, access: str, method: str, path: str
) -> None:
    ann = await studio.person("ann")
    project = await ann.project()
    people = {
        "viewer": await studio.member(ann, project, "vic", "viewer"),
        "editor": await studio.member(ann, project, "ed", "editor"),
        "stranger": await studio.person("sam"),
        "anonymous": studio.anonymous(),
    }
    wait = {"prefer": "wait=30"}
    page = await ann.do(
        "POST", f"/api/projects/{project}/generations", {"prompt": "A title"}, headers=wait
    )
    ids = {"project_id": project, "generation_id": page["items"][0]["id"]}
    before = await snapshot_of(project)
    refused = {"anonymous": (401, "UNAUTHORIZED"), "stranger": (404, "NOT_FOUND")}
    refused |= {role: (403, "FORBIDDEN") for role in RANK if RANK[role] < RANK[access]}
    for role, expected in refused.items():
        answer = await call(people[role], operation, method, path, ids)
        assert (answer.status_code, answer.json()["error"]["code"]) == expected, role
        assert await snapshot_of(project) == before, role
    answer = await call(people[access], operation, method, path, ids)
    assert answer.is_success, answer.text
    assert answer.json()["meta"]["operation"] == operation


@pytest.mark.parametrize(("operation", "access", "method", "path"), routes())
async def test_an_invalid_id_is_not_found(
    studio: Studio, operation: str, access: str, method: str, path: str
) -> None:
    ann = await studio.person("ann")
    ids = {"project_id": new_id(), "generation_id": new_id()}
    answer = await call(ann, operation, method, path, ids)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "NOT_FOUND")


def test_every_route_is_described_with_its_errors() -> None:
    described = generations_app().openapi_schema.to_schema()
    found = {
        operation["operationId"]: operation
        for path in described["paths"].values()
        for operation in path.values()
    }
    assert {name for name, _, _, _ in routes()} == set(found)
    for name, operation in found.items():
        assert operation["description"], name
        assert {"400", "401", "403", "404", "422", "429", "500", "503"} <= set(
            operation["responses"]
        ), name
    assert "409" in found["generation.apply"]["responses"]
