"""Every error is answered in the envelope, with its code."""

import logging
from typing import Annotated, Any

import httpx
import msgspec
import pytest

from app.http.errors import detail_of
from tests.http.conftest import SECRET
from tests.http.test_guard import JSON, problem


async def sent(client: httpx.AsyncClient, body: bytes | str) -> httpx.Response:
    return await client.post("/api/things", content=body, headers=JSON)


UNREADABLE_BODIES: dict[str, bytes] = {
    "bad utf-8": b'{"title":"\xff"}',
    "overlong": b'{"title":"\xc0\xaf"}',
    "surrogate bytes": b'{"title":"\xed\xa0\x80"}',
    "deep array": b"[" * 100_000,
    "deep value": b'{"title":' + b"[" * 100_000,
    "nul": b'{"title":"a\\u0000b"}',
    "nul in a key": b'{"title":"a","\\u0000":1}',
    "raw nul": b'{"title":"a\x00b"}',
    "lone high surrogate": b'{"title":"\\ud800"}',
    "lone low surrogate": b'{"title":"\\udc00"}',
    "byte order mark": b'\xef\xbb\xbf{"title":"a"}',
    "half": b'{"title":',
    "nan": b'{"title":"a","shotCount":NaN}',
    "huge exponent": b'{"title":"a","shotCount":1e400}',
    "huge integer": b'{"title":"a","shotCount":' + b"9" * 5000 + b"}",
    "nothing": b" ",
    "another type": b"[]",
    "null": b"null",
}


@pytest.mark.parametrize("name", UNREADABLE_BODIES)
async def test_a_malformed_body_is_a_client_error(client: httpx.AsyncClient, name: str) -> None:
    problem(await sent(client, UNREADABLE_BODIES[name]), 400, "INVALID_INPUT")


async def test_an_escaped_backslash_before_u0000_is_plain_text(
    client: httpx.AsyncClient,
) -> None:
    answer = await sent(client, rb'{"title":"\\u0000"}')
    assert answer.json()["data"]["title"] == "\\u0000"
    assert (await sent(client, rb'{"title":"\ud83d\ude00"}')).json()["data"]["title"] == "😀"


@pytest.mark.parametrize(
    ("body", "path", "rule"),
    [
        ('{"title":"a","shotCount":"3"}', "shotCount", "type"),
        ('{"title":"a","shotCount":1.5}', "shotCount", "type"),
        ('{"title":["a"]}', "title", "type"),
        ("{}", "title", "required"),
        ('{"title":"a","ownerId":"me"}', "ownerId", "unknown"),
        ('{"title":"a","parts":[{"atFrame":1},{"frame":2}]}', "parts.1.frame", "unknown"),
        ('{"title":"a","parts":[{"atFrame":1},{}]}', "parts.1.atFrame", "required"),
    ],
)
async def test_a_wrong_shape_is_invalid_input_at_its_path(
    client: httpx.AsyncClient, body: str, path: str, rule: str
) -> None:
    error = problem(await sent(client, body), 400, "INVALID_INPUT")
    assert [(one["path"], one["rule"]) for one in error["details"]] == [(path, rule)]


@pytest.mark.parametrize(
    ("body", "path", "rule"),
    [
        ('{"title":""}', "title", "minLength"),
        ('{"title":"12345678901"}', "title", "maxLength"),
        ('{"title":"a","kind":"far"}', "kind", "enum"),
        ('{"title":"a","parts":[{"atFrame":101}]}', "parts.0.atFrame", "maximum"),
        ('{"title":"a","parts":[{"atFrame":-1}]}', "parts.0.atFrame", "minimum"),
    ],
)
async def test_a_broken_rule_is_a_failed_validation_at_its_path(
    client: httpx.AsyncClient, body: str, path: str, rule: str
) -> None:
    error = problem(await sent(client, body), 422, "VALIDATION_FAILED")
    assert [(one["path"], one["rule"]) for one in error["details"]] == [(path, rule)]
    assert error["details"][0]["message"]


async def test_faults_of_query_parameters_have_the_same_codes(client: httpx.AsyncClient) -> None:
    error = problem(await client.get("/api/things?limit=101"), 422, "VALIDATION_FAILED")
    assert error["details"][0]["path"] == "limit"
    problem(await client.get("/api/things?limit=many"), 400, "INVALID_INPUT")


async def test_an_absent_body_is_named(client: httpx.AsyncClient) -> None:
    error = problem(await client.post("/api/things"), 400, "INVALID_INPUT")
    assert error["message"] == "A JSON body is required."


async def test_a_missing_route_and_a_wrong_method_answer_in_the_envelope(
    client: httpx.AsyncClient,
) -> None:
    problem(await client.get("/api/none"), 404, "NOT_FOUND")
    answer = await client.delete("/api/things")
    problem(answer, 405, "METHOD_NOT_ALLOWED")
    assert {"GET", "POST"} <= set(answer.headers["allow"].split(", "))


async def test_a_plain_request_to_a_websocket_is_refused_with_a_reason(
    client: httpx.AsyncClient,
) -> None:
    error = problem(await client.get("/api/socket"), 405, "METHOD_NOT_ALLOWED")
    assert error["message"].startswith("This is a WebSocket")


async def test_a_limit_is_answered_with_retry_after(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/busy")
    assert problem(answer, 429, "RATE_LIMITED")["retryable"] is True
    assert answer.headers["retry-after"] == "7"


async def test_an_internal_error_is_logged_with_its_request_and_reveals_nothing(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        answer = await client.get("/api/broken", headers={"x-request-id": "find-me"})
    problem(answer, 500, "INTERNAL_ERROR")
    for text in (SECRET, "LookupError", "select", ".py"):
        assert text not in answer.text
    record = next(record for record in caplog.records if "find-me" in record.getMessage())
    assert record.exc_info is not None
    assert SECRET in str(record.exc_info[1])


def test_every_message_of_a_failed_validation_is_known() -> None:
    meta = msgspec.Meta
    cases: list[tuple[msgspec.Meta, Any, Any, str]] = [
        (meta(ge=1), int, 0, "minimum"),
        (meta(le=1), int, 2, "maximum"),
        (meta(gt=1), float, 1, "exclusiveMinimum"),
        (meta(lt=1), float, 1, "exclusiveMaximum"),
        (meta(multiple_of=2), int, 1, "multipleOf"),
        (meta(pattern="^a"), str, "b", "pattern"),
        (meta(min_length=2), list[int], [1], "minLength"),
        (meta(max_length=1), dict[str, int], {"a": 1, "b": 2}, "maxLength"),
    ]
    for rule_of, kind, value, rule in cases:
        with pytest.raises(msgspec.ValidationError) as broken:
            msgspec.convert(value, Annotated[kind, rule_of])
        assert detail_of(str(broken.value))["rule"] == rule
