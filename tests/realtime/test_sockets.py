"""The frames that a WebSocket client may send, and the close codes that it receives."""

import asyncio

import msgspec
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from app.realtime.bus.local import LocalBus
from app.realtime.limits import Limits
from tests.harness.metrics import metric
from tests.harness.waiting import eventually
from tests.realtime.clients import say, socket
from tests.realtime.hub_server import NewProcess, Process, Project


@pytest.mark.parametrize(
    "frame",
    [
        "{",
        "[]",
        '{"type":"hello","after":5}',
        '{"type":"hello","more":1}',
        '{"type":"unknown"}',
        '{"type":"ping"}',
        b'{"type":"hello"}',
        "[" * 60_000,
        '{"type":"hello","after":"' + "x" * 66_000 + '"}',
        '{"type":"hello","' + "é" * 200 + '":1}',
        '{"type":"' + "😀" * 200 + '"}',
    ],
)
async def test_a_bad_first_frame_closes_with_4400(
    here: Process, project: Project, frame: str | bytes
) -> None:
    async with socket(here, project, hello=False) as (received, line):
        await line.send(frame)
        await received.over()
    assert (received.code, received.events) == (4400, [])


async def test_a_bad_frame_later_closes_with_4400(here: Process, project: Project) -> None:
    long = '{"type":"presence","sceneId":"' + "x" * 65 + '"}'
    for frame in ('{"type":"hello"}', "no", b"\x00", long):
        async with socket(here, project) as (received, line):
            await received.ready()
            await line.send(frame)
            await received.over()
        assert received.code == 4400


async def test_no_hello_closes_with_4408(process: NewProcess, project: Project) -> None:
    async with process(LocalBus(), Limits(hello=0.2)) as here:
        async with socket(here, project, hello=False) as (received, _):
            await received.over(within=3)
    assert received.code == 4408


async def test_a_project_without_the_right_to_read_closes_with_4404(here: Process) -> None:
    async with connect(f"{here.sockets}/p/foreign/socket") as line:
        with pytest.raises(ConnectionClosed):
            await line.recv()
    assert line.close_code == 4404
    assert line.subprotocol is None


@pytest.mark.parametrize("packed", [False, True])
async def test_ping_is_answered(here: Process, project: Project, packed: bool) -> None:
    async with socket(here, project, packed=packed) as (received, line):
        await received.ready()
        await say(line, {"type": "ping"}, packed=packed)
        await received.until(lambda received: "pong" in received.types)


async def test_a_client_with_too_many_frames_is_throttled(here: Process, project: Project) -> None:
    async with socket(here, project) as (received, line):
        await received.ready()
        loop = asyncio.get_running_loop()
        began = loop.time()
        for _ in range(60):
            await say(line, {"type": "ping"})
        await received.until(lambda received: received.types.count("pong") == 60)
        assert loop.time() - began > 1.5
        assert not received.ended.is_set()


async def test_without_a_subprotocol_json_is_sent(here: Process, project: Project) -> None:
    async with connect(f"{here.sockets}/p/{project.id}/socket") as line:
        await line.send('{"type":"hello"}')
        first = await line.recv()
    assert msgspec.json.decode(first)["type"] == "project.snapshot"


async def test_slow_reader_of_a_socket(
    process: NewProcess,
    project: Project,
) -> None:
    kills = metric("reelroom_slow_kills_total")
    async with process(LocalBus(), Limits(stall=0.5)) as here:
        url = f"{here.sockets}/p/{project.id}/socket"
        async with socket(here, project) as (quick, _):
            stuck = await connect(url, max_queue=1, compression=None, close_timeout=0.1)
            await stuck.send('{"type":"hello"}')
            await quick.ready()
            await eventually(lambda: len(here.subscriptions) == 2)
            for _ in range(100):
                await quick.revision(await project.note("x" * 100_000), within=1)
            await eventually(lambda: len(here.subscriptions) == 1, within=5)
            assert metric("reelroom_slow_kills_total") == kills + 1
            await quick.revision(await project.note("after the end of the slow one"))
            assert len(quick.logged) == 101
            with pytest.raises(ConnectionClosed):
                while True:
                    await stuck.recv()
            assert stuck.close_code in (4409, 1006)
