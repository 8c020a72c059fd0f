"""Clients that vanish without a word: no FIN, no reset, and no acknowledgement any more.

The client's own kernel is told to drop all that comes in for its socket (a packet filter, which
needs no privilege), so that the server's kernel waits for acknowledgements as behind a pulled plug.
"""

import asyncio
import ctypes
import socket as sockets
import struct
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from app.realtime.accelerated import writers
from app.realtime.bus.local import LocalBus
from app.realtime.limits import Limits
from tests.harness.events import Received
from tests.harness.metrics import metric
from tests.harness.waiting import eventually
from tests.realtime.clients import events
from tests.realtime.hub_server import NewProcess, Process, Project

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the kernel's options are Linux's")

ATTACH_FILTER = 26  # SO_ATTACH_FILTER, for which Python has no name
DROP_ALL = struct.pack("HBBI", 0x06, 0, 0, 0)  # one instruction: return 0 bytes of any packet
SOON = 1_000  # milliseconds without an acknowledgement, instead of `UNACKNOWLEDGED_MILLISECONDS`
UPGRADE = (
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
)
WAYS = {"sse": ("events", ""), "socket": ("socket", UPGRADE)}
HELLO = b"\x81\x90\x00\x00\x00\x00" + b'{"type":"hello"}'  # a text frame under a mask of zeros


def vanish(line: sockets.socket) -> None:
    """From now on nothing reaches this socket, and so it acknowledges nothing."""
    program = ctypes.create_string_buffer(DROP_ALL, len(DROP_ALL))
    line.setsockopt(
        sockets.SOL_SOCKET, ATTACH_FILTER, struct.pack("HP", 1, ctypes.addressof(program))
    )


@asynccontextmanager
async def plugged(
    where: Process, project: Project, transport: str, user: str
) -> AsyncIterator[sockets.socket]:
    """A client that has begun to follow; its socket stays open to the end."""
    host, port = where.address.removeprefix("http://").split(":")
    loop = asyncio.get_running_loop()
    with sockets.socket() as line:
        line.setblocking(False)
        await loop.sock_connect(line, (host, int(port)))
        last, more = WAYS[transport]
        head = f"GET /p/{project.id}/{last}?user={user} HTTP/1.1\r\nHost: x\r\n{more}\r\n"
        await loop.sock_sendall(line, head.encode())
        got = b""
        while b"\r\n\r\n" not in got:
            got += await loop.sock_recv(line, 65_536)
        if transport == "socket":
            await loop.sock_sendall(line, HELLO)
        while b"sync.ready" not in got:
            got += await loop.sock_recv(line, 65_536)
        yield line


def people(received: Received) -> list[str]:
    told = received.of("presence.updated")
    return [one["userId"] for one in told[-1]["users"]] if told else []


@pytest.mark.one_delivery  # ASGI shows no socket
@pytest.mark.parametrize("transport", ["sse", "socket"])
@pytest.mark.parametrize("patience", [SOON, pytest.param(None, marks=pytest.mark.long)])
async def test_half_open(
    process: NewProcess,
    project: Project,
    transport: str,
    patience: int | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The kernel gives it up; its person is gone for the others, who notice nothing else."""
    if patience is not None:
        options = [
            (level, name, patience if name == sockets.TCP_USER_TIMEOUT else value)
            for level, name, value in writers.OPTIONS
        ]
        monkeypatch.setattr(writers, "OPTIONS", options)
    within = 30 + (patience or writers.UNACKNOWLEDGED_MILLISECONDS) / 1000
    slow = metric("reelroom_slow_kills_total")
    # Nothing but the kernel may end it: no stall, no ping, no end of life.
    pace = Limits(heartbeat=0.3, stall=3600.0)
    async with process(LocalBus(), pace, ws_ping=3600.0) as here:
        async with (
            events(here, project, user="ann") as ann,
            plugged(here, project, transport, "bob") as bob,
        ):
            await ann.until(lambda received: people(received) == ["ann", "bob"])
            vanish(bob)
            for _ in range(3):
                await ann.revision(await project.note("told to nobody"))
            await eventually(lambda: len(here.subscriptions) == 1, within=within)
            await ann.until(lambda received: people(received) == ["ann"], within=20)
            assert bob.fileno() > 0, "it never closed"
            assert metric("reelroom_slow_kills_total") == slow
            await ann.revision(await project.note())
            assert ann.logged == await project.logged()


async def test_half_open_with_more_to_tell_than_fits(process: NewProcess, project: Project) -> None:
    """On either delivery: what nobody acknowledges piles up until the write stalls."""
    slow = metric("reelroom_slow_kills_total")
    async with process(LocalBus(), Limits(heartbeat=0.3, stall=0.5), ws_ping=3600.0) as here:
        async with (
            events(here, project, user="ann") as ann,
            plugged(here, project, "sse", "bob") as bob,
        ):
            await ann.until(lambda received: people(received) == ["ann", "bob"])
            vanish(bob)
            for _ in range(80):
                await ann.revision(await project.note("x" * 100_000))
            await eventually(lambda: len(here.subscriptions) == 1, within=15)
            assert metric("reelroom_slow_kills_total") == slow + 1
            await ann.until(lambda received: people(received) == ["ann"], within=20)
