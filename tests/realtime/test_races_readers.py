"""Races and faults of readers: slow, cut off, gone, many at once, or without their role."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect

from app.realtime import log
from app.realtime.bus.local import LocalBus
from app.realtime.encoding import split
from app.realtime.limits import Limits
from app.realtime.ring import BATCH_BYTES
from tests.harness.database import DB
from tests.harness.events import SseParser
from tests.harness.metrics import metric
from tests.harness.proxies import FaultProxy
from tests.harness.waiting import eventually
from tests.realtime.clients import events, poll, present_users, socket
from tests.realtime.hub_server import NewProcess, Process, Project
from tests.realtime.test_rights import GUEST, member


@contextlib.asynccontextmanager
async def behind_proxy(where: Process) -> AsyncIterator[tuple[FaultProxy, str]]:
    """A proxy that injects network faults, and the address of the process behind it."""
    host, port = where.address.removeprefix("http://").split(":")
    async with FaultProxy(host, int(port)).running() as proxy:
        yield proxy, f"http://127.0.0.1:{proxy.port}"


async def test_catch_up_slower_than_writes(
    process: NewProcess, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More is written than each page holds: the replay ends with a snapshot."""
    limits = Limits(replay_events=1000, ring_events=100)
    async with process(LocalBus(), limits) as here:
        await _outrun(here, project, monkeypatch)


async def _outrun(here: Process, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    await project.note(size=400)
    page = here.hub(project.id).page

    async def slow(after: int) -> Any:
        await project.note(size=250)
        events = [event for part in await page(after) for event in part]
        return split(events[:200], BATCH_BYTES)

    monkeypatch.setattr(here.hub(project.id), "page", slow)
    async with events(here, project, after=project.cursor(0)) as received:
        await received.ready()
        monkeypatch.undo()
        await received.revision(await project.note("the last"))
    assert received.of("sync.reset") == [{"reason": "too_far"}]
    assert received.types.count("project.snapshot") == 1


@pytest.mark.parametrize("restored", [3, 9])
async def test_epoch_change_while_away(
    process: NewProcess, project: Project, restored: int
) -> None:
    """A backup is restored while no client is connected; its head is lower, or higher."""
    await project.note(size=5)
    async with process(LocalBus()) as here:
        async with events(here, project) as received:
            await received.ready()
    async with DB.transaction() as tx:
        await tx.execute("delete from project_event where project_id = $1", project.id)
        await tx.execute(
            "update project set epoch = 'other', revision = $2 where id = $1", project.id, restored
        )
    async with process(LocalBus()) as here:
        async with (
            events(here, project, after=project.cursor(5)) as over_sse,
            socket(here, project, after=project.cursor(5)) as (over_socket, _),
        ):
            for received in (over_sse, over_socket):
                await received.ready()
                assert received.of("sync.reset") == [{"reason": "epoch"}]
                assert received.logged == []
        answer = await poll(here, project, project.cursor(5))
        assert (answer["reset"], answer["cursor"]) == (True, f"other.{restored}")


async def test_retention_mid_catch_up(
    here: Process, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rest of the log is trimmed between two pages: a reset, and nothing before it."""
    for _ in range(6):
        await project.note(size=100)
    hub = here.hub(project.id)
    page, pages = hub.page, 0

    async def trimming(after: int) -> Any:
        nonlocal pages
        pages += 1
        if pages == 2:
            async with DB.transaction() as tx:
                await tx.execute(
                    "delete from project_event where project_id = $1 and revision <= 450",
                    project.id,
                )
            hub._pages.clear()
        return await page(after)

    monkeypatch.setattr(hub, "page", trimming)
    async with events(here, project, after=project.cursor(0)) as received:
        await received.ready()
        await received.revision(await project.note())
    numbers = received.revisions
    assert numbers == [*range(1, 201), 601]
    assert received.of("sync.reset") == [{"reason": "trimmed"}]
    assert received.of("project.snapshot")[0]["revision"] == 600


@pytest.mark.parametrize("cuts", [25, pytest.param(None, marks=pytest.mark.long)])
async def test_cut_at_every_byte(here: Process, project: Project, cuts: int | None) -> None:
    """Three events, cut after each of their bytes: resuming delivers exactly the rest."""
    for text in ("one", "two \U0001f600", "three"):
        await project.note(text)
    logged = await project.logged()
    path = f"/p/{project.id}/events?after={project.cursor(0)}"
    async with behind_proxy(here) as (proxy, address):
        whole = await _bytes_of(address + path, ends=b"sync.ready")
        length = len(whole)
        assert length > 600
        for cut in range(length):
            kept = whole[:cut]
            before = logged_in(kept)
            assert before == logged[: len(before)]
        places = range(1, 200 + length)  # including the response headers
        for cut in places if cuts is None else random.sample(places, cuts):
            proxy.cut_after = cut
            got = await _bytes_of(address + path, ends=None)
            before = logged_in(got)
            last = before[-1][0] if before else 0
            proxy.cut_after = None
            async with events(here, project, last_event_id=project.cursor(last)) as again:
                await again.ready()
            assert before + again.logged == logged


async def _bytes_of(url: str, *, ends: bytes | None) -> bytes:
    """The body up to the chunk with `ends`, or until the connection broke."""
    got = b""
    with contextlib.suppress(httpx.TransportError):
        async with httpx.AsyncClient() as client, client.stream("GET", url) as answer:
            async for chunk in answer.aiter_raw():
                got += chunk
                if ends and ends in got:
                    break
    return got


def logged_in(body: bytes) -> list[tuple[int, Any]]:
    """Revision and data of each complete durable event in the body of a stream."""
    return [
        (event["revision"], event["data"]) for event, cursor in SseParser().feed(body) if cursor
    ]


async def test_half_open_socket_by_its_ping(process: NewProcess, project: Project) -> None:
    """A socket stops answering pings: it is closed, and its user leaves the presence."""
    async with process(LocalBus(), Limits(heartbeat=0.2), ws_ping=0.3) as here:
        async with behind_proxy(here) as (proxy, address), events(here, project, user="ann") as ann:
            url = address.replace("http", "ws", 1) + f"/p/{project.id}/socket?user=bob"
            async with connect(url, ping_interval=None, close_timeout=0.1) as line:
                await line.send('{"type":"hello"}')
                await eventually(lambda: len(here.subscriptions) == 2)
                await ann.until(lambda received: present_users(received) == ["ann", "bob"])
                proxy.hold = True
                await eventually(lambda: len(here.subscriptions) == 1, within=4)
                await ann.until(lambda received: present_users(received) == ["ann"])
                proxy.hold = False


@pytest.mark.parametrize("clients", [300, pytest.param(2000, marks=pytest.mark.long)])
async def test_thundering_herd(
    process: NewProcess, project: Project, clients: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All clients reconnect within a second: each cursor takes one query."""
    for _ in range(3):
        await project.note(size=50)
    queried: list[int] = []
    read = log.read_many

    async def counting(reader: Any, places: list[log.LogPosition], limit: int) -> Any:
        queried.extend(after for project_id, after in places if project_id == project.id)
        return await read(reader, places, limit)

    heads = 0
    head_of = log.head_of

    async def counting_heads(reader: Any, project_id: str) -> Any:
        nonlocal heads
        heads += 1
        return await head_of(reader, project_id)

    async with process(LocalBus(), Limits(head_check=3600.0)) as here:
        host, port = here.address.removeprefix("http://").split(":")
        await here.hubs.ensure_ready(project.id)
        monkeypatch.setattr(log, "read_many", counting)
        monkeypatch.setattr(log, "head_of", counting_heads)
        cursors = [0, 50, 100, 120]
        writers: list[asyncio.StreamWriter] = []

        async def join(number: int) -> None:
            await asyncio.sleep(random.random())
            first = cursors[number % len(cursors)]
            reader, writer = await asyncio.open_connection(host, int(port))
            path = f"/p/{project.id}/events?after={project.cursor(first)}"
            writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            got = b""
            while b"event: sync.ready" not in got:
                chunk = await reader.read(65_536)
                assert chunk, "the stream ended"
                got += chunk
            assert got.count(b"\nid: ") == 150 - first
            writers.append(writer)

        await asyncio.gather(*(join(number) for number in range(clients)))
        for writer in writers:
            writer.close()
    assert set(queried) <= set(cursors)
    assert len(queried) <= len(cursors), queried
    assert heads <= 1, "a join beside other subscribers reads no head"


async def test_revoke_race_in_a_catch_up(here: Process, project: Project) -> None:
    """A member removed during their replay receives nothing after the removal."""
    for _ in range(10):
        await project.note(size=100)
    seen = project.cursor(await project.head())
    lost = await project.commit(member(None), ("scene.updated", {"secret": 1}))
    here.valid = False
    async with events(
        here, project, user=GUEST, role="editor", after=project.cursor(0), seen=seen
    ) as received:
        await received.over(within=3)
    assert max((revision for revision, _ in received.logged), default=0) <= lost - 2
    assert received.types[-1] == "sync.revoked"


async def test_random_lifetimes_spread_the_ends(process: NewProcess, project: Project) -> None:
    """Streams that start together don't end together: each has a random lifetime."""
    async with process(LocalBus(), Limits(lifetime=(600.0, 900.0))) as here:
        async with contextlib.AsyncExitStack() as stack:
            for _ in range(20):
                received = await stack.enter_async_context(events(here, project))
                await received.ready()
            ends = sorted(one._expires_at for one in here.subscriptions)
    now = asyncio.get_running_loop().time()
    assert len(set(ends)) == 20
    assert 590 < ends[0] - now < ends[-1] - now < 901
    assert ends[-1] - ends[0] > 60


async def test_f02_a_client_that_leaves_during_a_replay_is_gone_at_once(
    here: Process, project: Project
) -> None:
    for _ in range(10):
        await project.note("x" * 2000, size=100)
    joins = metric("reelroom_joins_total", source="log")
    for _ in range(10):
        async with httpx.AsyncClient() as client:
            url = f"{here.address}/p/{project.id}/events?after={project.cursor(0)}"
            async with client.stream("GET", url) as answer:
                async for _ in answer.aiter_raw():
                    break
    await eventually(lambda: not here.subscriptions, within=2)
    assert metric("reelroom_joins_total", source="log") > joins
