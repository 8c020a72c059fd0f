"""The requests that the guard refuses before any route, and the headers of every answer."""

import asyncio
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from app.http.guard import Guard
from app.settings import Settings
from tests.harness.in_process import serving
from tests.http.conftest import small_app
from tests.http.raw import send_raw

COOKIE = {"cookie": "reelroom_session=stolen"}
JSON = {"content-type": "application/json"}
THING = {"title": "One"}
OURS = Subprotocol("reelroom.v1.json")
HEAD = (
    b"POST /api/things HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    b"Content-Type: application/json\r\n"
)
PAGES = {"/api/things": 200, "/api/none": 404, "/api/broken": 500, "/": 200}


def problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    envelope: dict[str, Any] = answer.json()
    assert envelope["data"] is None
    assert envelope["meta"]["success"] is False
    assert envelope["meta"]["requestId"] == answer.headers["x-request-id"]
    assert envelope["error"]["code"] == code
    error: dict[str, Any] = envelope["error"]
    return error


async def test_a_well_formed_request_id_is_kept_and_any_other_replaced(
    client: httpx.AsyncClient,
) -> None:
    kept = await client.get("/api/things", headers={"x-request-id": "a.B-3_" + "x" * 58})
    assert kept.headers["x-request-id"] == kept.json()["meta"]["requestId"] == "a.B-3_" + "x" * 58
    for bad in ("x" * 65, "a b", "a\tb", ""):
        made = await client.get("/api/things", headers={"x-request-id": bad})
        assert made.headers["x-request-id"] == made.json()["meta"]["requestId"]
        assert len(made.headers["x-request-id"]) == 36


async def test_json_is_accepted_as_application_json_only(client: httpx.AsyncClient) -> None:
    body = '{"title":"One"}'
    for kind in (
        "text/plain", "application/x-www-form-urlencoded", "application/jsonp",
        "application/json; charset=latin-1", "multipart/form-data; boundary=x",
    ):  # fmt: skip
        answer = await client.post("/api/things", content=body, headers={"content-type": kind})
        problem(answer, 415, "UNSUPPORTED_MEDIA_TYPE")
    problem(await client.post("/api/things", content=body), 415, "UNSUPPORTED_MEDIA_TYPE")
    for kind in ("application/json", "Application/JSON; charset=UTF-8"):
        answer = await client.post("/api/things", content=body, headers={"content-type": kind})
        assert answer.status_code == 201


async def test_a_change_without_a_body_needs_no_media_type(client: httpx.AsyncClient) -> None:
    assert (await client.post("/api/things/cancel")).status_code == 200


async def test_compressed_bodies_are_refused(client: httpx.AsyncClient) -> None:
    for kind in ("gzip", "deflate", "zstd"):
        answer = await client.post(
            "/api/things", content=b"\x1f\x8b", headers={**JSON, "content-encoding": kind}
        )
        problem(answer, 415, "UNSUPPORTED_MEDIA_TYPE")


async def test_a_body_over_its_limit_is_refused_with_or_without_its_length(
    client: httpx.AsyncClient,
) -> None:
    answer = await client.post("/api/things", content=b" " * (1024 * 1024 + 1), headers=JSON)
    problem(answer, 413, "PAYLOAD_TOO_LARGE")

    async def chunks() -> Any:
        for _ in range(17):
            yield b" " * 65536

    answer = await client.post("/api/things", content=chunks(), headers=JSON)
    problem(answer, 413, "PAYLOAD_TOO_LARGE")


async def test_a_body_that_is_never_sent_times_out() -> None:
    impatient = Guard(small_app(), Settings(), body_seconds=0.1)
    async with serving(impatient) as address, asyncio.timeout(20):
        status, _ = await send_raw(address, HEAD + b"Content-Length: 5\r\n\r\n{")
    assert status == 400


async def test_a_body_declared_too_long_is_refused_before_it_is_sent(address: str) -> None:
    async with asyncio.timeout(20):
        status, _ = await send_raw(address, HEAD + b"Content-Length: 2000000\r\n\r\n{")
    assert status == 413


@pytest.mark.parametrize(
    "headers",
    [
        {"x-long": "x" * 70_000},
        {f"x-{number}": "1" for number in range(101)},
    ],
    ids=["bytes", "count"],
)
async def test_too_many_or_too_long_headers_are_refused(
    client: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    problem(await client.get("/api/things", headers=headers), 431, "INVALID_INPUT")


async def test_a_request_carries_exactly_one_host(address: str) -> None:
    for hosts in (b"", b"Host: localhost\r\nHost: evil.test\r\n", b"Host: a b\r\n"):
        request = b"GET /api/things HTTP/1.1\r\n" + hosts + b"Connection: close\r\n\r\n"
        status, _ = await send_raw(address, request)
        assert status == 400
    good = b"GET /api/things HTTP/1.1\r\nHost: LOCALHOST:80\r\nConnection: close\r\n\r\n"
    assert (await send_raw(address, good))[0] == 200


async def test_a_server_on_loopback_answers_to_loopback_names_only(
    client: httpx.AsyncClient,
) -> None:
    for host in ("evil.test", "localhost.evil.test", "localhost.", "192.168.0.1", "[::2]"):
        problem(await client.get("/api/things", headers={"host": host}), 403, "FORBIDDEN")
    for host in ("localhost", "LocalHost:8000", "127.0.0.1:1", "[::1]:8000", "Studio.example"):
        assert (await client.get("/api/things", headers={"host": host})).status_code == 200


async def test_a_server_on_a_public_address_answers_to_any_host() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    async with serving(Guard(app, Settings(host="0.0.0.0"))) as url:
        async with httpx.AsyncClient(base_url=url) as client:
            assert (await client.get("/", headers={"host": "studio.test"})).status_code == 204


ORIGINS_REFUSED = [
    "null", "https://evil.example", "http://127.0.0.1", "http://127.0.0.1:1", "http://localhost.",
    "https://studio.example.evil.com", "http://studio.example", "https://studio.example:444",
    "https://studio.example.", "",
]  # fmt: skip


@pytest.mark.parametrize("origin", ORIGINS_REFUSED)
async def test_a_change_with_a_cookie_from_another_origin_is_refused(
    client: httpx.AsyncClient, origin: str
) -> None:
    answer = await client.post("/api/things", json=THING, headers={**COOKIE, "origin": origin})
    problem(answer, 403, "FORBIDDEN")
    bodyless = await client.post("/api/things/cancel", headers={**COOKIE, "origin": origin})
    problem(bodyless, 403, "FORBIDDEN")


async def test_a_change_with_a_cookie_needs_an_origin_and_one_only(
    client: httpx.AsyncClient, address: str
) -> None:
    problem(await client.post("/api/things", json=THING, headers=COOKIE), 403, "FORBIDDEN")
    twice = [("cookie", COOKIE["cookie"]), ("origin", address), ("origin", "https://evil.example")]
    problem(await client.post("/api/things", json=THING, headers=twice), 403, "FORBIDDEN")
    for own in (address, address.upper(), "https://studio.example", "http://127.0.0.1:5173"):
        answer = await client.post("/api/things", json=THING, headers={**COOKIE, "origin": own})
        assert answer.status_code == 201, own


async def test_a_page_of_another_site_can_not_log_anyone_in_or_out(
    client: httpx.AsyncClient, address: str
) -> None:
    """Even without a cookie: the answer would set a session of the attacker."""
    evil = {"origin": "https://evil.example"}
    problem(await client.post("/api/things", json=THING, headers=evil), 403, "FORBIDDEN")
    cross = {**COOKIE, "origin": address, "sec-fetch-site": "cross-site"}
    problem(await client.post("/api/things", json=THING, headers=cross), 403, "FORBIDDEN")


async def test_a_bearer_token_needs_no_origin_but_another_scheme_does(
    client: httpx.AsyncClient,
) -> None:
    bearer = {"authorization": "Bearer user", "origin": "https://evil.example", **COOKIE}
    answer = await client.post("/api/things", json=THING, headers=bearer)
    assert answer.status_code == 201
    basic = {**bearer, "authorization": "Basic dTpw"}
    problem(await client.post("/api/things", json=THING, headers=basic), 403, "FORBIDDEN")


async def test_reads_need_no_origin_and_no_other_origin_is_allowed_to_read(
    client: httpx.AsyncClient,
) -> None:
    answer = await client.get("/api/things", headers={**COOKIE, "origin": "https://evil.example"})
    assert answer.status_code == 200
    assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize("origin", [None, *ORIGINS_REFUSED])
async def test_a_socket_from_another_origin_is_refused_before_it_opens(
    address: str, origin: str | None
) -> None:
    headers = {**COOKIE} | ({"Origin": origin} if origin is not None else {})
    with pytest.raises(InvalidStatus) as refused:
        await connect(f"{address}/api/socket".replace("http", "ws"), additional_headers=headers)
    assert refused.value.response.status_code == 403
    assert b'"FORBIDDEN"' in refused.value.response.body


async def test_a_socket_without_credentials_is_refused_before_it_opens(address: str) -> None:
    with pytest.raises(InvalidStatus) as refused:
        await connect(f"{address}/api/socket".replace("http", "ws"))
    assert refused.value.response.status_code == 403


async def test_a_socket_of_our_origin_or_with_a_token_opens(address: str) -> None:
    url = f"{address}/api/socket".replace("http", "ws")
    token = {"Authorization": "Bearer user"}
    for headers in (token, {**token, "Origin": address, "X-Request-Id": "mine"}):
        async with connect(url, additional_headers=headers, subprotocols=[OURS]) as socket:
            assert await socket.recv() == "hello"
            assert socket.response is not None
            expected = headers.get("X-Request-Id") or socket.response.headers["X-Request-Id"]
            assert socket.response.headers["X-Request-Id"] == expected


async def test_a_socket_without_an_account_is_closed_with_a_code(address: str) -> None:
    url = f"{address}/api/socket".replace("http", "ws")
    async with connect(
        url, additional_headers={"Origin": address}, subprotocols=[Subprotocol("other"), OURS]
    ) as socket:
        assert socket.subprotocol == OURS
        with pytest.raises(ConnectionClosed):
            await socket.recv()
        assert socket.close_code == 4401


async def test_every_answer_carries_the_security_headers(client: httpx.AsyncClient) -> None:
    for path, status in PAGES.items():
        answer = await client.get(path)
        headers = answer.headers
        assert answer.status_code == status
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cross-origin-opener-policy"] == "same-origin"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert "camera=()" in headers["permissions-policy"]
        assert "strict-transport-security" not in headers
        if path.startswith("/api"):
            assert headers["cache-control"] == "no-store"
            assert headers["content-type"].startswith("application/json")


async def test_pages_carry_their_policy_and_handlers_keep_their_own(
    client: httpx.AsyncClient,
) -> None:
    policy = (await client.get("/")).headers["content-security-policy"]
    assert "script-src 'self';" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe-eval" not in policy
    preview = await client.get("/preview")
    assert preview.headers.get_list("content-security-policy") == [
        "sandbox allow-scripts; frame-ancestors 'self'"
    ]


async def test_transport_security_is_promised_under_https_only() -> None:
    from app.http.headers import required_headers

    names = {name for name, _ in required_headers({"path": "/", "scheme": "https"})}
    assert b"strict-transport-security" in names


async def test_a_stream_is_not_buffered(client: httpx.AsyncClient) -> None:
    async with asyncio.timeout(20), client.stream("GET", "/api/endless") as answer:
        assert answer.headers.get_list("cache-control") == ["no-cache, no-transform"]
        async for line in answer.aiter_lines():
            assert line == "first"
            break


async def test_an_address_with_a_nul_is_refused(client: httpx.AsyncClient) -> None:
    problem(await client.get("/api/things?limit=%00"), 400, "INVALID_INPUT")
    problem(await client.get("/api/things%00"), 400, "INVALID_INPUT")


async def test_another_method_in_a_header_or_a_field_is_ignored(client: httpx.AsyncClient) -> None:
    answer = await client.get(
        "/api/things?_method=POST", headers={"x-http-method-override": "POST"}
    )
    assert answer.json()["meta"]["operation"] == "thing.list"
