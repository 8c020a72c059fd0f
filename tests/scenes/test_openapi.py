"""The OpenAPI description of these routes matches their behaviour."""

from typing import Any

import msgspec
import pytest
from litestar.openapi.config import OpenAPIConfig

from app.http.policy import handlers_of
from tests.harness.studio import Studio
from tests.scenes.app import studio_app


@pytest.fixture(scope="module")
def described() -> dict[str, Any]:
    app = studio_app(OpenAPIConfig(title="Reelroom", version="1", use_handler_docstrings=True))
    return app.openapi_schema.to_schema()


def schema_of(described: dict[str, Any], reference: dict[str, Any]) -> dict[str, Any]:
    """Return the component that a schema refers to."""
    name = reference["$ref"].rpartition("/")[2]
    found: dict[str, Any] = described["components"]["schemas"][name]
    return found


def test_every_route_is_described_with_its_errors(described: dict[str, Any]) -> None:
    operations = {
        operation["operationId"]: operation
        for path in described["paths"].values()
        for operation in path.values()
    }
    assert set(operations) == {handler.opt["operation"] for _, handler in handlers_of(studio_app())}
    for name, operation in operations.items():
        assert operation["description"], name
        statuses = set(operation["responses"])
        assert {"400", "401", "403", "404", "422", "429", "500", "503"} <= statuses, name
        [good] = [status for status in statuses if status.startswith("2")]
        content = operation["responses"][good]["content"]["application/json"]["schema"]
        envelope = schema_of(described, content)
        assert set(envelope["required"]) >= {"data", "meta"}, name


def test_bodies_and_answers_are_the_structs(described: dict[str, Any]) -> None:
    body = described["paths"]["/api/projects/{project_id}/scenes"]["post"]["requestBody"]
    new = schema_of(described, body["content"]["application/json"]["schema"])
    assert set(new["properties"]) == {"name", "tsxCode", "duration", "props", "layoutJson"}
    schemas = described["components"]["schemas"]
    assert {"Scene", "Iteration", "MyProject", "Member", "ProjectSnapshot"} <= {
        name.rpartition("_")[2] for name in schemas
    } | set(schemas)


async def test_answers_have_the_fields_that_are_described(
    studio: Studio, described: dict[str, Any]
) -> None:
    ann = await studio.person("ann")
    scene = await ann.scene(await ann.project())
    assert set(scene) == set(described["components"]["schemas"]["Scene"]["properties"])


def test_the_description_is_json(described: dict[str, Any]) -> None:
    assert msgspec.json.decode(msgspec.json.encode(described)) == described
