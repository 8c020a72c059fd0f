"""`/schema` describes every route of the API, with its bodies, answers and errors."""

from typing import Any

import httpx
import pytest

STREAMS = {"project.follow", "run.follow"}
ERRORS = {"400", "401", "403", "404", "422", "429", "500", "503"}


@pytest.fixture
async def described(client: httpx.AsyncClient) -> dict[str, Any]:
    answer = await client.get("/schema/openapi.json")
    assert answer.status_code == 200
    schema: dict[str, Any] = answer.json()
    return schema


def operations(described: dict[str, Any]) -> dict[str, Any]:
    return {
        operation["operationId"]: operation
        for path, methods in described["paths"].items()
        if path.startswith("/api/")
        for operation in methods.values()
    }


async def test_every_operation_has_words_errors_and_an_envelope(described: dict[str, Any]) -> None:
    found = operations(described)
    assert len(found) > 35
    for name, operation in found.items():
        assert operation.get("description"), name
        responses = operation["responses"]
        assert set(responses) >= ERRORS, name
        for status, response in responses.items():
            if name in STREAMS and status == "200":
                assert list(response["content"]) == ["text/event-stream"]
            elif status not in ("204", "304"):
                reference = response["content"]["application/json"]["schema"]["$ref"]
                envelope = described["components"]["schemas"][reference.rpartition("/")[2]]
                assert {"data", "meta"} <= set(envelope["properties"]), (name, status)


async def test_a_changing_operation_says_how_it_conflicts(described: dict[str, Any]) -> None:
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            if path.startswith("/api/") and method != "get":
                assert {"409", "413", "415"} <= set(operation["responses"]), operation


async def test_a_turn_is_described_with_an_example_and_all_its_answers(
    described: dict[str, Any],
) -> None:
    operation = operations(described)["run.create"]
    assert {"200", "202", "502"} <= set(operation["responses"])
    reference = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"]
    body = described["components"]["schemas"][reference.rpartition("/")[2]]
    assert "neon title" in str(body["properties"]["prompt"]["examples"])
    assert body["properties"]["prompt"]["maxLength"] == 12_000
