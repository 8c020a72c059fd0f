"""Clients that read slowly but steadily, and connections that are noticed to be gone."""

import asyncio

import pytest

from app.realtime.bus.local import LocalBus
from app.realtime.limits import Limits
from tests.harness.metrics import metric
from tests.harness.waiting import eventually
from tests.realtime.clients import say, socket
from tests.realtime.hub_server import NewProcess, Process, Project
from tests.realtime.test_endings import raw

LARGE = 3_000_000  # bytes of one event
STALL_SECONDS = 1.0
FRAMES = 5_000  # far more than a client may send in the time of a test


async def test_a_client_that_reads_slowly_but_steadily_receives_a_large_event(
    process: NewProcess, project: Project
) -> None:
    revision = await project.note("x" * LARGE)
    async with process(LocalBus(), Limits(stall=STALL_SECONDS, heartbeat=3600.0)) as here:
        killed = metric("reelroom_slow_kills_total")
        loop, size, begin, end = asyncio.get_running_loop(), 0, b"", b""
        async with raw(here, project, buffer=64 * 1024) as client:
            began = loop.time()
            while b"event: sync.ready" not in end:
                data = await asyncio.wait_for(loop.sock_recv(client, 64 * 1024), 10)
                assert data, "the connection was closed"
                size, begin, end = size + len(data), (begin + data)[:1000], (end + data)[-1000:]
                await asyncio.sleep(len(data) / LARGE * 4 * STALL_SECONDS)  # the client's pace
            assert loop.time() - began > 2 * STALL_SECONDS
            assert size > LARGE
            assert f"id: {project.cursor(revision)}".encode() in begin
        assert metric("reelroom_slow_kills_total") == killed


async def test_frames_of_a_client_that_has_gone_are_dropped(
    here: Process, project: Project
) -> None:
    tasks = len(asyncio.all_tasks())
    async with socket(here, project) as (received, line):
        await received.ready()
        for _ in range(FRAMES):
            await say(line, {"type": "ping"})
        line.transport.abort()
    await eventually(lambda: not here.subscriptions)
    await eventually(lambda: len(asyncio.all_tasks()) <= tasks)


@pytest.mark.one_delivery
async def test_a_subscriber_that_sent_a_body_and_left_is_noticed(
    process: NewProcess, project: Project
) -> None:
    async with process(LocalBus(), Limits(heartbeat=3600.0)) as here:
        host, port = here.address.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        head = f"GET /p/{project.id}/events HTTP/1.1\r\nHost: x\r\nContent-Length: 900000\r\n\r\n"
        writer.write(head.encode() + b"x" * 100_000)  # more than uvicorn reads on
        await reader.readuntil(b"sync.ready")
        writer.transport.abort()
        await eventually(lambda: not here.subscriptions)
