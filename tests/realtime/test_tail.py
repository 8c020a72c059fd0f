"""How hubs get new rows: from a commit of this process, or in a read for many hubs at once."""

import asyncio
import random
import socket as sockets
import time
from collections.abc import Sequence
from typing import Any, cast

import pytest

from app.realtime import log
from app.realtime.bus.local import LocalBus
from app.realtime.log import LogReader, _is_open
from tests.harness.database import DB
from tests.harness.metrics import metric
from tests.harness.waiting import eventually
from tests.realtime.clients import events, socket
from tests.realtime.hub_server import NO_HEAD_CHECK, NewProcess, Process, Project, open_project


def reads(use: str) -> float:
    return metric("reelroom_log_reads_total", use=use)


async def rows_of(project: Project, after: int) -> list[log.Row]:
    return await log.read(DB, project.id, after)


async def test_a_commit_of_this_process_is_published_without_a_read(
    process: NewProcess, project: Project
) -> None:
    async with process(LocalBus(), NO_HEAD_CHECK) as here, events(here, project) as received:
        await received.ready()
        handed, read = reads("handed"), reads("follow")
        for size in (1, 3, 1):
            await received.revision(await project.note(size=size))
        assert (reads("handed") - handed, reads("follow") - read) == (3, 0)
    assert received.logged == await project.logged()


async def test_rows_handed_over_by_a_commit_are_encoded_as_those_of_the_log(
    process: NewProcess, project: Project
) -> None:
    odd = {"z": 1.50, "a": '\u2028 \U0001f600 \\ "', "n": [1e30, -0.0, None, {"b": [], "a": {}}]}
    async with process(LocalBus(), NO_HEAD_CHECK) as here, events(here, project) as received:
        await received.ready()
        await project.commit(("scene.updated", odd), ("message.created", {"a": 2, "a ": 1}))
        await received.revision(await project.note("last"))
    async with process(LocalBus(), NO_HEAD_CHECK) as other:
        async with events(other, project, after=project.cursor(0)) as again:
            await again.ready()
    first, second = ([line for line in h.raw.split(b"\n\n") if b"\nid: " in line]
                     for h in (received, again))  # fmt: skip
    assert len(first) == 3
    assert first == second


async def test_a_gap_before_rows_handed_over_is_read_from_the_log(
    process: NewProcess, project: Project
) -> None:
    async with process(LocalBus(), NO_HEAD_CHECK) as here, events(here, project) as received:
        await received.ready()
        await received.revision(await project.note("here"))
        with here.missing_commits():
            await project.note("elsewhere", size=2)
        handed, read = reads("handed"), reads("follow")
        await received.revision(await project.note("here again"))
        assert (reads("handed") - handed, reads("follow") - read) == (0, 1)
        with here.missing_commits():
            hinted = await project.note("elsewhere")
        here.hint(project.id, hinted)  # as another process does
        await received.revision(await project.note("and here", size=2))
    assert received.logged == await project.logged()


async def test_duplicate_late_unordered_and_foreign_rows_are_not_published(
    process: NewProcess,
    project: Project,
) -> None:
    chance = random.Random(7)
    async with process(LocalBus(), NO_HEAD_CHECK) as here, events(here, project) as received:
        await received.ready()
        await received.revision(await project.note())
        here.hint(project.id, 2, [_changed(await rows_of(project, 0), 2, "forged")])
        with here.missing_commits():
            for _ in range(30):
                await project.note(size=chance.randint(1, 3))
        rows = await rows_of(project, 1)
        commits = [[r for r in rows if r.commit == c] for c in sorted({r.commit for r in rows})]
        chance.shuffle(commits)
        for commit in [*commits, *commits]:
            here.hint(project.id, commit[-1].revision, commit)
            if chance.random() < 0.3:
                await asyncio.sleep(0.005)
        await received.revision(rows[-1].revision)
    assert received.logged == await project.logged()


def _changed(rows: Sequence[log.Row], revision: int, epoch: str) -> log.Row:
    return rows[0]._replace(revision=revision, commit=revision, epoch=epoch)


async def test_events_of_two_hundred_projects_take_a_few_queries(
    process: NewProcess, database: str
) -> None:
    projects = [await open_project() for _ in range(200)]
    async with process(LocalBus(), NO_HEAD_CHECK, receives_commits=False) as here:
        for project in projects:
            await here.hubs.ensure_ready(project.id)
            await project.note(size=2)
        queries = metric("reelroom_log_queries_total")
        for project in projects:
            here.hint(project.id, 2)
        hubs = [here.hub(project.id) for project in projects]
        await eventually(lambda: all(hub.head == 2 for hub in hubs))
        assert metric("reelroom_log_queries_total") - queries <= 3


async def test_many_projects_far_behind_catch_up(process: NewProcess, database: str) -> None:
    projects = [await open_project() for _ in range(12)]
    async with process(LocalBus(), NO_HEAD_CHECK, receives_commits=False) as here:
        for project in projects:
            await here.hubs.ensure_ready(project.id)
            for _ in range(3):
                await project.note(size=25)
        for project in projects:
            here.hint(project.id, 75)
        hubs = [here.hub(project.id) for project in projects]
        await eventually(lambda: all(hub.head == 75 for hub in hubs))


async def test_the_connection_of_the_reader_is_released_and_replaced(project: Project) -> None:
    reader, pool = LogReader(DB), DB.pool
    await project.note()
    assert len(await reader.get(project.id, 0)) == 1
    kept = reader._tx
    assert kept is not None
    await kept.fetch("select 1")
    await DB.fetch("select pg_terminate_backend($1)", kept.connection.get_server_pid())
    await eventually(lambda: not _is_open(kept))
    assert len(await reader.get(project.id, 0)) == 1
    await eventually(lambda: reader._tx is None)
    await eventually(lambda: pool.get_idle_size() == pool.get_size())
    assert len(await reader.get(project.id, 0)) == 1
    await reader.close()


async def test_a_page_ends_at_the_end_of_a_transaction(project: Project) -> None:
    for _ in range(3):
        await project.note(size=3)
    places = [(project.id, after) for after in (0, 3, 9)]
    found = await log.read_many(DB, places, 4)
    assert [[row.revision for row in found[place]] for place in places] == [
        [1, 2, 3, 4, 5, 6], [4, 5, 6, 7, 8, 9], []
    ]  # fmt: skip


@pytest.mark.one_delivery  # ASGI shows no transport
async def test_bytes_buffered_by_the_transport_are_sent_first(
    process: NewProcess, project: Project
) -> None:
    """The client drains its socket while the transport holds bytes, and an event is published."""
    async with process(LocalBus(), NO_HEAD_CHECK) as here:
        host, port = here.address.removeprefix("http://").split(":")
        with sockets.socket() as line:
            line.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 8192)  # does not grow then
            line.connect((host, int(port)))
            line.sendall(f"GET /p/{project.id}/events HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            line.setblocking(False)
            await eventually(lambda: any(here.subscriptions))
            [subscription] = here.subscriptions
            transport = cast(Any, subscription.writer)._transport
            await eventually(lambda: subscription.at is not None)
            while not transport.get_write_buffer_size():
                await project.note("x" * 8000)
                await asyncio.sleep(0.02)  # until the kernel's buffers are full
            with here.missing_commits():
                last = await project.note("last")
            rows = await rows_of(project, last - 1)
            received = _drain(line, turns=50)  # the loop does not run meanwhile
            assert transport.get_write_buffer_size()
            here.hint(project.id, last, rows)
            async with asyncio.timeout(10):
                while b'"text": "last"' not in received:
                    received += _drain(line)
                    await asyncio.sleep(0.001)
    assert received.count(b"x" * 8000) == last - 1  # each complete
    numbers = [
        int(part.split(b"\n")[0]) for part in received.split(f"id: {project.epoch}.".encode())[1:]
    ]
    assert numbers == list(range(1, last + 1))


def _drain(line: sockets.socket, turns: int = 1) -> bytes:
    received = b""
    while turns:
        try:
            received += line.recv(1 << 20)
        except BlockingIOError:
            turns -= 1
            time.sleep(0.001)
    return received


async def test_control_frames_of_the_server_do_not_reorder_events(
    here: Process, project: Project
) -> None:
    async with socket(here, project) as (received, speaker):
        await received.ready()
        for number in range(20):
            await received.revision(await project.note(f"{number}"))
            await (await speaker.ping())
    assert received.logged == await project.logged()
