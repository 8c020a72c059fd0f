"""Clients that vanish: no FIN, no reset, and no acknowledgement any more.

A packet filter, which needs no privilege, makes the client's kernel drop every incoming packet of
its socket, so that the server's kernel waits for acknowledgements as after a network failure.
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
from tests.harness.metrics import metric
from tests.harness.waiting import eventually
from tests.realtime.clients import events, present_users
from tests.realtime.hub_server import NewProcess, Process, Project

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the kernel's options are Linux's")

ATTACH_FILTER = 26  # SO_ATTACH_FILTER, for which Python has no name
DROP_ALL = struct.pack("HBBI", 0x06, 0, 0, 0)  # one instruction: return 0 bytes of any packet
SHORT_MILLISECONDS = 1_000  # without an acknowledgement; see `UNACKNOWLEDGED_MILLISECONDS`
UPGRADE = (
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
)
PATHS_AND_HEADERS = {"sse": ("events", ""), "socket": ("socket", UPGRADE)}
HELLO = b"\x81\x90\x00\x00\x00\x00" + b'{"type":"hello"}'  # a text frame under a mask of zeros


def vanish(line: sockets.socket) -> None:
    """Let no packet reach this socket from now on, so that it acknowledges nothing."""
    program = ctypes.create_string_buffer(DROP_ALL, len(DROP_ALL))
    line.setsockopt(
        sockets.SOL_SOCKET, ATTACH_FILTER, struct.pack("HP", 1, ctypes.addressof(program))
    )


@asynccontextmanager
async def raw_subscriber(
    where: Process, project: Project, transport: str, user: str
) -> AsyncIterator[sockets.socket]:
    """A client that has received `sync.ready`; its socket stays open until the block ends."""
    host, port = where.address.removeprefix("http://").split(":")
    loop = asyncio.get_running_loop()
    with sockets.socket() as line:
        line.setblocking(False)
        await loop.sock_connect(line, (host, int(port)))
        path, headers = PATHS_AND_HEADERS[transport]
        head = f"GET /p/{project.id}/{path}?user={user} HTTP/1.1\r\nHost: x\r\n{headers}\r\n"
        await loop.sock_sendall(line, head.encode())
        got = b""
        while b"\r\n\r\n" not in got:
            got += await loop.sock_recv(line, 65_536)
        if transport == "socket":
            await loop.sock_sendall(line, HELLO)
        while b"sync.ready" not in got:
            got += await loop.sock_recv(line, 65_536)
        yield line


@pytest.mark.one_delivery  # ASGI shows no socket
@pytest.mark.parametrize("transport", ["sse", "socket"])
@pytest.mark.parametrize(
    "milliseconds", [SHORT_MILLISECONDS, pytest.param(None, marks=pytest.mark.long)]
)
async def test_half_open(
    process: NewProcess,
    project: Project,
    transport: str,
    milliseconds: int | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The kernel ends the connection; its user leaves the presence, and nothing else changes."""
    if milliseconds is not None:
        options = [
            (level, name, milliseconds if name == sockets.TCP_USER_TIMEOUT else value)
            for level, name, value in writers.OPTIONS
        ]
        monkeypatch.setattr(writers, "OPTIONS", options)
    within = 30 + (milliseconds or writers.UNACKNOWLEDGED_MILLISECONDS) / 1000
    slow = metric("reelroom_slow_kills_total")
    # Only the kernel may end the connection: no stall, no ping, no lifetime.
    limits = Limits(heartbeat=0.3, stall=3600.0)
    async with process(LocalBus(), limits, ws_ping=3600.0) as here:
        async with (
            events(here, project, user="ann") as ann,
            raw_subscriber(here, project, transport, "bob") as bob,
        ):
            await ann.until(lambda received: present_users(received) == ["ann", "bob"])
            vanish(bob)
            for _ in range(3):
                await ann.revision(await project.note("while bob is gone"))
            await eventually(lambda: len(here.subscriptions) == 1, within=within)
            await ann.until(lambda received: present_users(received) == ["ann"], within=20)
            assert bob.fileno() > 0, "the client has not closed it"
            assert metric("reelroom_slow_kills_total") == slow
            await ann.revision(await project.note())
            assert ann.logged == await project.logged()


async def test_half_open_with_more_events_than_the_buffers_hold(
    process: NewProcess, project: Project
) -> None:
    """Unacknowledged bytes fill the buffers until the write stalls, on either delivery."""
    slow = metric("reelroom_slow_kills_total")
    async with process(LocalBus(), Limits(heartbeat=0.3, stall=0.5), ws_ping=3600.0) as here:
        async with (
            events(here, project, user="ann") as ann,
            raw_subscriber(here, project, "sse", "bob") as bob,
        ):
            await ann.until(lambda received: present_users(received) == ["ann", "bob"])
            vanish(bob)
            for _ in range(80):
                await ann.revision(await project.note("x" * 100_000))
            await eventually(lambda: len(here.subscriptions) == 1, within=15)
            assert metric("reelroom_slow_kills_total") == slow + 1
            await ann.until(lambda received: present_users(received) == ["ann"], within=20)
