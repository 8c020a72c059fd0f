"""How connections end: slow, closed, at the end of their lifetime, or at a shutdown."""

import asyncio
import contextlib
import socket as sockets
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from app.realtime.bus.local import LocalBus
from app.realtime.limits import Limits
from app.realtime.subscription import BATCHES_PER_TURN, Subscriber
from app.realtime.transports.sse import EventStreamWriter, stream_project
from tests.harness.database import DB
from tests.harness.metrics import metric
from tests.harness.waiting import eventually
from tests.realtime.clients import events, poll, socket
from tests.realtime.hub_server import USER, NewProcess, Process, Project


@contextlib.asynccontextmanager
async def raw(
    where: Process, project: Project, *, buffer: int = 4096
) -> AsyncIterator[sockets.socket]:
    """A plain socket that has requested the whole log; only the test reads from it."""
    host, port = where.address.removeprefix("http://").split(":")
    client = sockets.socket()
    client.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, buffer)
    client.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(client, (host, int(port)))
    path = f"/p/{project.id}/events?after={project.cursor(0)}"
    await loop.sock_sendall(client, f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    try:
        yield client
    finally:
        client.close()


async def longest_wait(where: Process, seconds: float) -> float:
    """The slowest answer to a plain request, in seconds, within so many seconds."""
    loop = asyncio.get_running_loop()
    until, worst = loop.time() + seconds, 0.0
    async with httpx.AsyncClient(timeout=10) as client:
        while loop.time() < until:
            began = loop.time()
            assert (await client.get(where.address + "/health")).status_code == 200
            worst = max(worst, loop.time() - began)
    return worst


async def test_a_client_that_leaves_a_long_replay_blocks_no_request(
    here: Process, project: Project
) -> None:
    for _ in range(20):
        await project.note("x" * 2000, size=200)
    async with raw(here, project) as client:
        await asyncio.get_running_loop().sock_recv(client, 2000)
    assert await longest_wait(here, 1.0) < 3
    await eventually(lambda: not here.subscriptions, within=2)


async def test_slow_reader(
    process: NewProcess,
    project: Project,
) -> None:
    kills = metric("reelroom_slow_kills_total")
    async with process(LocalBus(), Limits(stall=0.5)) as here:
        async with events(here, project) as quick, raw(here, project) as client:
            await quick.ready()
            await eventually(lambda: len(here.subscriptions) == 2)
            for _ in range(60):
                revision = await project.note("x" * 100_000)
                await quick.revision(revision, within=1)
            await eventually(lambda: len(here.subscriptions) == 1, within=3)
            assert metric("reelroom_slow_kills_total") == kills + 1
            assert client.fileno() > 0
            await quick.revision(await project.note("after the end of the slow one"))
            assert len(quick.logged) == 61


@pytest.mark.parametrize("from_log", [True, False])
async def test_a_long_backlog_is_sent_in_bounded_writes(
    here: Process, project: Project, from_log: bool
) -> None:
    for number in range(20):
        await project.note(f"{number}" + "x" * 200_000)
    if from_log:  # the ring of a new hub is empty
        after: str | None = project.cursor(0)
    else:
        after = project.cursor(await project.note("y" * 3_000_000) - 1)
    subscriber = Subscriber(user_id=USER, role="owner", recheck=None)
    sizes: list[int] = []
    received = bytearray()
    over = asyncio.Event()

    async def send(message: Any) -> None:
        if body := message.get("body"):
            sizes.append(len(body))
            received.extend(body)
            if b"sync.ready" in body:
                over.set()

    async def receive() -> Any:
        await over.wait()
        return {"type": "http.disconnect"}

    stream = await stream_project(here.hubs, project.id, subscriber, after=after)
    async with asyncio.timeout(10):
        scope: Any = {}
        await stream(scope, receive, send)
    assert max(sizes) <= 256 * 1024
    assert len(received) > (20 * 200_000 if from_log else 3_000_000)
    assert received.count(b"event: scene.updated\n") == (20 if from_log else 1)


async def test_a_slow_reader_beyond_the_ring_catches_up_from_the_log(
    process: NewProcess, project: Project
) -> None:
    behind = metric("reelroom_fell_behind_total")
    got = b""
    loop = asyncio.get_running_loop()
    async with (
        process(LocalBus(), Limits(stall=120.0)) as here,
        events(here, project) as quick,
        raw(here, project) as client,
    ):
        await quick.ready()
        await eventually(lambda: len(here.subscriptions) == 2)
        for number in range(120):
            await project.note(f"{number} " + "x" * 100_000)
        await quick.revision(120)
        async with asyncio.timeout(20):
            while f"id: {project.cursor(120)}\n".encode() not in got[-300_000:]:
                got += await loop.sock_recv(client, 1_000_000)
    assert metric("reelroom_fell_behind_total") > behind
    ids = [int(line.rpartition(b".")[2]) for line in got.split(b"\n") if line.startswith(b"id: ")]
    assert ids == list(range(1, 121))
    assert b"sync.reset" not in got


async def test_a_shutdown_ends_all_streams_at_once_and_loses_nothing(
    process: NewProcess, project: Project
) -> None:
    await project.note()
    loop = asyncio.get_running_loop()
    async with process(LocalBus()) as here:
        async with (
            events(here, project) as over_sse,
            socket(here, project) as (over_socket, _),
        ):
            await over_sse.ready()
            await over_socket.ready()
            waiting = asyncio.create_task(poll(here, project, project.cursor(1), wait=30))
            await eventually(lambda: here.readers == 3)
            began = loop.time()
            here.hubs.close()
            await over_sse.over()
            await over_socket.over()
            answer = await waiting
            assert loop.time() - began < 10
        assert over_sse.code is None, "the body ended in order"
        assert over_socket.code == 1012
        last = over_sse.raw.split(b"\n\n")[-2].split(b"\n")
        assert last[0].startswith(b":")
        assert 1000 <= int(last[1].removeprefix(b"retry: ")) <= 5000
        assert (answer["events"], answer["reset"]) == ([], False)
        async with httpx.AsyncClient() as client:
            refused = await client.get(f"{here.address}/p/{project.id}/events")
        assert refused.status_code == 503
    await project.note()
    async with process(LocalBus()) as other:
        async with events(other, project, after=project.cursor(1)) as again:
            await again.revision(2)


async def test_a_connection_has_a_maximum_lifetime(process: NewProcess, project: Project) -> None:
    async with process(LocalBus(), Limits(lifetime=(0.3, 0.6), heartbeat=0.4)) as here:
        async with (
            events(here, project) as over_sse,
            socket(here, project) as (over_socket, _),
        ):
            await over_sse.over(within=3)
            await over_socket.over(within=3)
    assert over_sse.code is None
    assert over_socket.code == 1012


async def test_heartbeats_carry_the_current_cursor(process: NewProcess, project: Project) -> None:
    async with process(LocalBus(), Limits(heartbeat=0.15)) as here:
        async with (
            events(here, project) as over_sse,
            socket(here, project) as (over_socket, _),
        ):
            for received in (over_sse, over_socket):
                await received.until(lambda received: len(received.of("sync.heartbeat")) >= 2)
            revision = await project.note()
            for received in (over_sse, over_socket):
                await received.until(
                    lambda received: (
                        received.of("sync.heartbeat")[-1]["cursor"] == project.cursor(revision)
                    )
                )


async def test_a_hub_without_subscribers_is_closed(process: NewProcess, project: Project) -> None:
    async with process(LocalBus(), Limits(linger=0.2)) as here:
        async with events(here, project) as received:
            await received.ready()
            await asyncio.sleep(0.4)
            assert here.has_hub(project.id)
        await eventually(lambda: not here.has_hub(project.id), within=3)
        await project.note()
        async with events(here, project, after=project.cursor(0)) as received:
            await received.revision(1)


async def test_commit_no_publish_is_found_by_the_head_check(
    process: NewProcess,
    project: Project,
) -> None:
    async with process(LocalBus(), receives_commits=False) as here:
        async with events(here, project) as received:
            await received.ready()
            await project.note()
            await received.revision(1, within=2.6)


async def test_ended_streams_leave_nothing_behind(here: Process, project: Project) -> None:
    before = len(asyncio.all_tasks())
    for _ in range(20):
        async with events(here, project) as one, socket(here, project) as (two, _):
            await one.ready()
            await two.ready()
    await eventually(lambda: not here.subscriptions)
    await eventually(lambda: len(asyncio.all_tasks()) <= before + 1)
    pool = DB.pool
    await eventually(lambda: pool.get_idle_size() == pool.get_size())


async def test_a_backlog_yields_to_other_tasks(here: Process, project: Project) -> None:
    """uvicorn's `send` returns at once when the client is gone, so that it never suspends."""
    await project.note(size=2000)
    turns = sent = 0
    over = False

    async def count_turns() -> None:
        nonlocal turns
        while not over:
            turns += 1
            await asyncio.sleep(0)

    async def send(message: Any) -> None:
        nonlocal sent
        sent += 1

    counting = asyncio.create_task(count_turns())
    writer = EventStreamWriter(send, lambda _: b"")
    subscriber = Subscriber(user_id="u", role="viewer")
    subscription = await here.hubs.subscribe(project.id, subscriber, project.cursor(0), writer)
    await subscription.join()
    over = True
    await counting
    subscription.end("left")
    assert sent >= 5
    assert turns > sent / BATCHES_PER_TURN
