"""Connections that close while they open leave no subscriber; a revoked token ends streams."""

import asyncio
import base64
import contextlib
import logging
import os
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed

from tests.conftest import NewDatabase
from tests.harness.metrics import metric
from tests.harness.person import Person
from tests.harness.process import started
from tests.projects.test_opening import socket_of

HELLO, BYE = (0x81, b'{"type":"hello"}'), (0x88, b"\x03\xe8")
END_SECONDS = 6.0  # until a stream must end; the next heartbeat is at least seven away


def count_subscribers() -> int:
    return int(metric("reelroom_followers"))


def masked(*frames: tuple[int, bytes]) -> bytes:
    """Return the frames as a client sends them, under a mask of zeros."""
    return b"".join(bytes((kind, 0x80 | len(body))) + bytes(4) + body for kind, body in frames)


def head(person: Person, project: str, *more: str, upgrade: bool) -> bytes:
    lines = [
        f"GET /api/projects/{project}/{'socket' if upgrade else 'events'} HTTP/1.1",
        f"Host: {person.base_url.netloc.decode()}",
        f"Authorization: Bearer {person.token}",
    ]
    if upgrade:
        key = base64.b64encode(os.urandom(16)).decode()
        lines += ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"]
        lines += [f"Sec-WebSocket-Key: {key}"]
    return "\r\n".join([*lines, *more, "", ""]).encode("latin-1")


async def until_subscribers(before: int) -> None:
    async with asyncio.timeout(20):
        while count_subscribers() != before:
            await asyncio.sleep(0.02)


@pytest.fixture
async def quiet_project(person: Person) -> str:
    """A project whose last subscriber has just left, so that the next one checks its log."""
    project = await person.project()
    before = count_subscribers()
    async with person.stream_events(f"/api/projects/{project}/events") as events:
        await anext(events)
    await until_subscribers(before)
    return project


async def test_a_hello_and_a_close_in_one_packet_leave_no_subscriber(
    new_database: NewDatabase, tmp_path: Path
) -> None:
    """In a process with the server's event loop: asyncio's allows writes after a close."""
    async with started(cwd=tmp_path, DATABASE_URL=await new_database()) as server:
        person = server.local_admin()

        async def remaining() -> int:
            metrics = (await person.get("/metrics")).text
            [line] = [one for one in metrics.splitlines() if one.startswith("reelroom_followers ")]
            return int(float(line.split()[1]))

        async with person, asyncio.timeout(40):
            for _ in range(5):
                project = await person.project()
                async with person.stream_events(f"/api/projects/{project}/events") as events:
                    await anext(events)
                while await remaining():
                    await asyncio.sleep(0.02)
                reader, writer = await asyncio.open_connection(
                    person.base_url.host, person.base_url.port
                )
                writer.write(head(person, project, upgrade=True))
                assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
                writer.write(masked(HELLO, BYE))
                await reader.read()
                writer.close()
                while await remaining():
                    await asyncio.sleep(0.02)


@pytest.mark.parametrize("upgrade", [False, True], ids=["stream", "socket"])
async def test_a_client_gone_before_the_first_event_leaves_no_subscriber(
    person: Person, quiet_project: str, upgrade: bool, caplog: pytest.LogCaptureFixture
) -> None:
    before = count_subscribers()
    for turn in range(40):
        reader, writer = await asyncio.open_connection(person.base_url.host, person.base_url.port)
        writer.write(head(person, quiet_project, upgrade=upgrade))
        if upgrade and turn % 2:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(masked(HELLO))
        for _ in range(turn // 2):
            await asyncio.sleep(0)
        writer.transport.abort()
        await until_subscribers(before)
    assert [one.getMessage() for one in caplog.records if one.levelno >= logging.ERROR] == []


@pytest.mark.parametrize("behind", ["an upgrade", "another", "a part"])
async def test_bytes_after_the_request_for_a_stream_break_no_connection(
    person: Person, quiet_project: str, behind: str, caplog: pytest.LogCaptureFixture
) -> None:
    """In the same packet: an upgrade ends the connection, and the remaining bytes are ignored."""
    before = count_subscribers()
    more = {
        "an upgrade": head(person, quiet_project, upgrade=True),
        "another": head(person, quiet_project, upgrade=False),
        "a part": b"GET /",
    }[behind]
    for _ in range(5):
        reader, writer = await asyncio.open_connection(person.base_url.host, person.base_url.port)
        writer.write(head(person, quiet_project, upgrade=False) + more)
        if behind != "an upgrade":
            await reader.readuntil(b"sync.ready")
        writer.close()
        await until_subscribers(before)
    assert [one.getMessage() for one in caplog.records if one.levelno >= logging.ERROR] == []


@pytest.mark.parametrize("transport", ["sse", "socket"])
async def test_a_revoked_token_ends_the_streams_that_it_opened(
    person: Person, transport: str
) -> None:
    project = await person.project()
    made = await person.do("POST", "/api/auth/tokens", {"name": "short"}, status=201)
    async with Person(str(person.base_url), person.user_id, made["token"]) as guest:
        if transport == "sse":
            async with guest.stream_events(f"/api/projects/{project}/events") as events:
                await anext(events)
                await person.do("DELETE", f"/api/auth/tokens/{made['id']}", status=200)
                async with asyncio.timeout(END_SECONDS):
                    last = [event async for event in events][-1]
            assert last["type"] == "sync.revoked"
            return
        async with socket_of(guest, project) as line:
            await line.send('{"type":"hello"}')
            await line.recv()
            await person.do("DELETE", f"/api/auth/tokens/{made['id']}", status=200)
            async with asyncio.timeout(END_SECONDS):
                with pytest.raises(ConnectionClosed):
                    while True:
                        await line.recv()
        assert line.close_code == 4401


@pytest.mark.parametrize(
    "odd",
    [
        ["Sec-WebSocket-Protocol:  , ,"],
        ["Sec-WebSocket-Protocol: reelroom.v1.json bad"],
        ["Sec-WebSocket-Protocol: reelroom.v1.json\xe9"],
        ["Origin: https://evil.example", "Origin: https://evil.example"],
    ],
    ids=["no name", "a space in it", "no ASCII", "two origins"],
)
async def test_a_malformed_handshake_is_refused(person: Person, odd: list[str]) -> None:
    project = await person.project()
    reader, writer = await asyncio.open_connection(person.base_url.host, person.base_url.port)
    writer.write(head(person, project, *odd, upgrade=True))
    status = (await reader.readline()).split()[1]
    assert status in (b"400", b"403")
    writer.close()


async def test_a_handshake_with_a_body_opens_no_socket(person: Person) -> None:
    project = await person.project()
    reader, writer = await asyncio.open_connection(person.base_url.host, person.base_url.port)
    writer.write(head(person, project, "Content-Length: 3", upgrade=True) + b"abc")
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(1):
            assert b" 101 " not in await reader.readline()
    writer.close()
