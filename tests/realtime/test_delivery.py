"""The hub's own writing: the same bytes to all, nothing for the idle, little for the stalled."""

import asyncio
import gc
import re
import socket as sockets
import subprocess
from collections import defaultdict
from typing import Any, cast

import pytest
from websockets.asyncio.client import connect
from websockets.frames import Frame as Parsed
from websockets.streams import StreamReader

from app.realtime import metrics
from app.realtime.accelerated.writers import SEND_BUFFER_BYTES
from app.realtime.bus.local import LocalBus
from app.realtime.encoding import (
    BINARY_MESSAGE,
    json_frames,
    sse_block,
    sse_chunk,
    stream_event,
    websocket_frame,
)
from app.realtime.limits import Limits
from app.realtime.subscription import Subscription
from tests.harness.events import Received
from tests.harness.metrics import metric
from tests.harness.waiting import eventually
from tests.realtime.clients import events, say, socket
from tests.realtime.hub_server import NewProcess, Process, Project
from tests.realtime.test_endings import raw


def encodings() -> dict[str, float]:
    return {
        kind: metric("reelroom_encoded_total", encoding=kind) for kind in ("json", "sse", "msgpack")
    }


async def test_an_event_is_encoded_once_in_each_encoding_however_many_read_it(
    process: NewProcess, project: Project
) -> None:
    async with (
        process(LocalBus(), Limits(heartbeat=3600.0)) as here,
        events(here, project) as a, events(here, project) as b, events(here, project) as c,
        socket(here, project) as (d, _), socket(here, project) as (e, _),
        socket(here, project, packed=True) as (f, _), socket(here, project, packed=True) as (g, _),
    ):  # fmt: skip
        everybody = (a, b, c, d, e, f, g)
        for received in everybody:
            await received.until(_all_are_present)  # after which nothing else is published
        before = encodings()
        revision = await project.note("once", size=3)
        for received in everybody:
            await received.revision(revision)
        grown = {kind: value - before[kind] for kind, value in encodings().items()}
        assert grown == {"json": 3, "sse": 3, "msgpack": 3}


def _all_are_present(received: Received) -> bool:
    updates = received.of("presence.updated")
    return bool(updates) and sum(user["connections"] for user in updates[-1]["users"]) == 7


@pytest.mark.one_delivery
async def test_all_at_one_place_are_written_the_same_bytes_object_at_once(
    here: Process, project: Project
) -> None:
    async with (
        events(here, project) as a, events(here, project) as b, socket(here, project) as (c, _),
    ):  # fmt: skip
        for received in (a, b, c):
            await received.ready()
        written: dict[Any, list[bytes]] = defaultdict(list)
        for subscription in here.subscriptions:

            def write(payload: bytes, subscription: Subscription = subscription) -> None:
                written[subscription.writer.encode].append(payload)
                subscription.writer.write(payload)

            subscription.write = write
        revision = await project.note("x", size=5)
        for received in (a, b, c):
            await received.revision(revision)
    first, second = written[sse_chunk]
    assert first is second
    assert first.count(b"event: scene.updated") == 5
    assert len(written[json_frames]) == 1
    assert written[json_frames][0].count(b'"type":"scene.updated"') == 5


@pytest.mark.one_delivery
async def test_an_open_stream_holds_no_task_and_no_request(here: Process, project: Project) -> None:
    tasks = len(asyncio.all_tasks())
    lines: list[sockets.socket] = []
    loop = asyncio.get_running_loop()
    host, port = here.address.removeprefix("http://").split(":")
    try:
        for _ in range(20):
            line = sockets.socket()
            line.setblocking(False)
            await loop.sock_connect(line, (host, int(port)))
            path = f"/p/{project.id}/events?after={project.cursor(0)}"
            await loop.sock_sendall(line, f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            lines.append(line)
        await eventually(lambda: len([s for s in here.subscriptions if s.at]) == 20)
        await eventually(lambda: len(asyncio.all_tasks()) == tasks)
        gc.collect()
        cycles = [o for o in gc.get_objects() if type(o).__name__ == "RequestResponseCycle"]
        assert not [cycle for cycle in cycles if cycle.scope["path"].endswith("/events")]
    finally:
        for line in lines:
            line.close()
    await eventually(lambda: not here.subscriptions)


@pytest.mark.one_delivery
async def test_a_client_that_goes_on_talking_to_a_stream_is_heard_out_then_cut(
    here: Process, project: Project
) -> None:
    async with events(here, project) as quick, raw(here, project) as client:
        await quick.ready()
        await eventually(lambda: len(here.subscriptions) == 2)
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(client, b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        await quick.revision(await project.note())
        told = await loop.sock_recv(client, 100_000)
        assert b"HTTP/1.1 200" in told
        assert told.count(b"HTTP/1.1") == 1, "no second answer inside the stream"
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            for _ in range(100):
                await loop.sock_sendall(client, b"x" * 10_000)
                await asyncio.sleep(0.01)
        await eventually(lambda: len(here.subscriptions) == 1)


@pytest.mark.one_delivery
@pytest.mark.parametrize("over", ["sse", "socket"])
async def test_a_stalled_reader_holds_less_than_256_kb_and_is_reset(
    process: NewProcess, project: Project, over: str
) -> None:
    async with process(LocalBus(), Limits(stall=1.5)) as here:
        async with events(here, project) as quick:
            await quick.ready()
            [known] = here.subscriptions
            if over == "sse":
                stuck: Any = raw(here, project)
            else:
                stuck = connect(
                    f"{here.sockets}/p/{project.id}/socket",
                    max_queue=1, compression=None, ping_interval=None,
                )  # fmt: skip
            async with stuck as client:
                if over == "socket":
                    client.transport.get_extra_info("socket").setsockopt(
                        sockets.SOL_SOCKET, sockets.SO_RCVBUF, 4096
                    )
                    await say(client, {"type": "hello"})
                await eventually(lambda: len(here.subscriptions) == 2)
                slow = next(s for s in here.subscriptions if s is not known)
                transport = cast(Any, slow.writer)._protocol.transport
                if over == "socket":
                    client.transport.pause_reading()
                port = transport.get_extra_info("peername")[1]
                most = 0
                for _ in range(60):
                    await quick.revision(await project.note("x" * 30_000), within=1)
                    if not slow.over:
                        most = max(most, kernel(port) + transport.get_write_buffer_size())
                assert 30_000 < most < 256 * 1024
                await eventually(lambda: slow.over, within=4)
                assert slow.ending
                assert slow.ending.kind == "slow"
                await eventually(lambda: kernel(port) == 0)
            assert len(quick.logged) == 60


def kernel(port: int) -> int:
    """Bytes that the kernel holds for the server's end of a connection from a port."""
    told = subprocess.run(
        ["ss", "-tmnH", "dst", f":{port}"], capture_output=True, text=True, check=True
    ).stdout
    return sum(int(size) for size in re.findall(r"skmem:\(.*?,w(\d+),", told))


@pytest.mark.one_delivery
async def test_connections_are_bounded_and_watched_by_the_kernel(
    here: Process, project: Project
) -> None:
    async with events(here, project) as a, socket(here, project) as (b, _):
        await a.ready()
        await b.ready()
        for one in here.subscriptions:
            line = cast(Any, one.writer)._protocol.transport.get_extra_info("socket")
            assert line.getsockopt(sockets.SOL_SOCKET, sockets.SO_SNDBUF) == 2 * SEND_BUFFER_BYTES
            assert line.getsockopt(sockets.IPPROTO_TCP, sockets.TCP_USER_TIMEOUT) == 20_000
            assert line.getsockopt(sockets.SOL_SOCKET, sockets.SO_KEEPALIVE) == 1
            assert line.getsockopt(sockets.IPPROTO_TCP, sockets.TCP_KEEPIDLE) == 20


async def test_many_commits_while_a_project_rests_are_one_read_of_the_log(
    process: NewProcess, project: Project
) -> None:
    pausing = Limits(pause_per_subscriber=0.5, pause_range=(1e-3, 0.3))
    async with (
        process(LocalBus(), pausing) as here,
        events(here, project) as received,
        events(here, project) as other,
    ):
        await received.ready()
        await other.ready()
        await received.revision(await project.note())
        reads = metric("reelroom_log_reads_total", use="follow")
        for _ in range(10):
            revision = await project.note()
        await received.revision(revision)
        await other.revision(revision)
        assert metric("reelroom_log_reads_total", use="follow") - reads <= 2


async def test_the_lag_from_commit_to_write_is_counted(here: Process, project: Project) -> None:
    def count() -> float:
        [family] = metrics.LAG.collect()
        return next(s.value for s in family.samples if s.name.endswith("_count"))

    async with events(here, project) as received:
        await received.ready()
        before = count()
        await received.revision(await project.note(size=3))
        assert count() == before + 3


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536, 100_000])
def test_a_prebuilt_message_is_what_a_websocket_client_reads(size: int) -> None:
    body = b"x" * size
    reader = StreamReader()
    reader.feed_data(websocket_frame(BINARY_MESSAGE, body))
    parsing = Parsed.parse(reader.read_exact, mask=False)
    with pytest.raises(StopIteration) as parsed:
        next(parsing)
    assert (parsed.value.value.data, parsed.value.value.fin) == (body, True)


def test_a_batch_over_sse_is_one_chunk() -> None:
    batch = [stream_event("a", "p", {}), stream_event("b", "p", {})]
    head, _, rest = sse_chunk(batch).partition(b"\r\n")
    assert int(head, 16) == len(rest) - 2
    assert rest == sse_block(batch[0]) + sse_block(batch[1]) + b"\r\n"
