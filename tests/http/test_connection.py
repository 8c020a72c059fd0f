"""Connections whose request head is slow, too long, or never complete."""

import asyncio

import httpx
import pytest

from app.http.connection import MAX_FRAMING_BYTES, Connection
from app.http.guard import Guard
from app.settings import Settings
from tests.harness.in_process import serving
from tests.http.conftest import small_app
from tests.http.raw import send_raw

HEAD = b"GET /api/things HTTP/1.1\r\nHost: 127.0.0.1\r\n"
LINE = b"X: " + b"x" * 65_000 + b"\r\n"
MANY_LINES = 1000  # more than all buffers between client and server hold


@pytest.mark.parametrize(
    ("begin", "more"),
    [
        (HEAD, LINE),
        (HEAD + b"X: ", b"x" * 65_536),
        (b"GET /", b"x" * 65_536),
        (
            b"POST /api/things HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n",
            LINE,
        ),
    ],
)
async def test_a_head_without_end_ends_the_connection(
    address: str, begin: bytes, more: bytes
) -> None:
    host, port = address.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    try:
        with pytest.raises(ConnectionError):
            async with asyncio.timeout(20):
                writer.write(begin)
                for _ in range(MANY_LINES):
                    writer.write(more)
                    await writer.drain()
    finally:
        writer.close()


class ShortTimeoutConnection(Connection):
    head_seconds = 0.2


async def test_an_incomplete_head_times_out() -> None:
    async with serving(Guard(small_app(), Settings()), http=ShortTimeoutConnection) as address:
        host, port = address.removeprefix("http://").split(":")
        for begin in (b"", HEAD, HEAD + b"\r\n" + HEAD):
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(begin)
            async with asyncio.timeout(20):
                answered = await reader.read()
            assert answered.count(b"HTTP/1.1 ") == begin.count(b"\r\n\r\n")
            writer.close()


async def test_a_head_that_is_too_long_is_answered(address: str) -> None:
    async with asyncio.timeout(20):
        status, answer = await send_raw(address, HEAD + LINE * 3 + b"Connection: close\r\n\r\n")
    assert status == 431
    assert b'"INVALID_INPUT"' in answer


async def test_bodies_and_repeated_requests_do_not_count_as_a_head(
    client: httpx.AsyncClient,
) -> None:
    for _ in range(5):
        for size in (MAX_FRAMING_BYTES, MAX_FRAMING_BYTES + 1, 3 * MAX_FRAMING_BYTES):
            body = b'{"title":"One"}'.ljust(size)
            headers = {"content-type": "application/json"}
            answer = await client.post("/api/things", content=body, headers=headers)
            assert answer.status_code == 201
