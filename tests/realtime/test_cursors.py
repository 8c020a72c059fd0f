"""A cursor gets every later event, or a reset and a snapshot; never silently a part of them."""

import asyncio

import httpx
import pytest

from app.realtime.bus.local import LocalBus
from app.realtime.limits import Limits
from tests.harness.database import DB
from tests.harness.events import Received
from tests.harness.metrics import metric
from tests.harness.waiting import eventually
from tests.realtime.clients import events, poll, socket
from tests.realtime.hub_server import NewProcess, Process, Project

pytestmark = pytest.mark.one_delivery


def was_reset(received: Received, reason: str) -> bool:
    return received.types[:3] == ["sync.reset", "project.snapshot", "sync.ready"] and received.of(
        "sync.reset"
    ) == [{"reason": reason}]


@pytest.mark.parametrize(
    ("cursor", "reason"),
    [
        ("nonsense", "malformed"),
        ("{epoch}.-1", "malformed"),
        ("{epoch}.", "malformed"),
        ("{epoch}.1e3", "malformed"),
        ("{epoch}.99999999999999999999", "malformed"),
        ("00000000.1", "epoch"),
        ("{epoch}.4", "future"),
    ],
)
async def test_last_event_id_that_cannot_be_served(
    here: Process, project: Project, cursor: str, reason: str
) -> None:
    await project.note(size=3)
    cursor = cursor.format(epoch=project.epoch)
    async with (
        events(here, project, after=cursor) as over_sse,
        socket(here, project, after=cursor) as (over_socket, _),
    ):
        for received in (over_sse, over_socket):
            await received.ready()
            assert was_reset(received, reason)
        await project.note()
        for received in (over_sse, over_socket):
            await received.revision(4)
            assert received.revisions == [4]
    if reason != "malformed":
        answer = await poll(here, project, cursor.replace(".4", ".5"))
        assert answer["reset"] is True
        assert (answer["events"], answer["cursor"]) == ([], project.cursor(4))
        return
    async with httpx.AsyncClient() as client:
        refused = await client.get(
            f"{here.address}/p/{project.id}/changes", params={"after": cursor}
        )
    assert (refused.status_code, refused.json()) == (400, {"code": "INVALID_INPUT"})


async def test_last_event_id_vs_cursor(here: Process, project: Project) -> None:
    await project.note(size=5)
    async with events(
        here, project, last_event_id=project.cursor(4), after=project.cursor(1)
    ) as received:
        await received.ready()
    assert received.revisions == [5]


async def test_a_cursor_inside_a_transaction_gets_its_rest(here: Process, project: Project) -> None:
    await project.note(size=5)
    async with events(here, project, after=project.cursor(2)) as received:
        await received.ready()
    assert received.revisions == [3, 4, 5]


async def test_cursor_older_than_retention(here: Process, project: Project) -> None:
    await project.note(size=3)
    await project.note(size=3)
    async with DB.transaction() as tx:
        await tx.execute(
            "delete from project_event where project_id = $1 and revision <= 3", project.id
        )
    async with (
        events(here, project, after=project.cursor(2)) as lost,
        events(here, project, after=project.cursor(3)) as kept,
    ):
        await lost.ready()
        await kept.ready()
    assert was_reset(lost, "trimmed")
    assert kept.revisions == [4, 5, 6]
    assert (await poll(here, project, project.cursor(2)))["reset"] is True


async def test_too_far_behind_gets_a_snapshot(process: NewProcess, project: Project) -> None:
    await project.note(size=30)
    async with process(LocalBus(), Limits(replay_events=20)) as here:
        async with events(here, project, after=project.cursor(5)) as received:
            await received.ready()
    assert was_reset(received, "too_far")


async def test_ring_pg_seam(process: NewProcess, project: Project) -> None:
    """The ring drops events that the replay is about to reach: no hole and no duplicate."""
    for number in range(150):
        await project.note(str(number), size=4)
    async with process(LocalBus(), Limits(ring_events=30)) as here:
        await _join_while_writing(here, project)


async def _join_while_writing(here: Process, project: Project) -> None:
    stop = asyncio.Event()

    async def write() -> None:
        while not stop.is_set():
            await project.note("more", size=3)

    writer = asyncio.create_task(write())
    for first in (0, 1, 250, 597):
        async with events(here, project, after=project.cursor(first)) as received:
            await received.ready()
            head = await project.head()
            await received.revision(head + 30)
        got = received.logged
        assert received.types[0] != "sync.reset"
        logged = await project.logged()
        assert got == logged[first : first + len(got)]
    stop.set()
    await writer


async def test_readers_of_the_same_position_share_a_query(here: Process, project: Project) -> None:
    for _ in range(6):
        await project.note(size=100)
    before = metric("reelroom_log_reads_total", use="catch_up")

    async def join() -> None:
        async with events(here, project, after=project.cursor(0)) as received:
            await received.ready()
        assert len(received.logged) == 600

    await asyncio.gather(*(join() for _ in range(30)))
    reads = metric("reelroom_log_reads_total", use="catch_up") - before
    assert reads <= 6


async def test_epoch_change_while_connected(process: NewProcess, project: Project) -> None:
    await project.note(size=5)
    async with process(LocalBus(), Limits(head_check=0.1)) as here:
        async with (
            events(here, project) as over_sse,
            socket(here, project) as (over_socket, _),
        ):
            await over_sse.ready()
            await over_socket.ready()
            async with DB.transaction() as tx:  # as after a restore: history goes back
                await tx.execute(
                    "delete from project_event where project_id = $1 and revision > 2", project.id
                )
                await tx.execute(
                    "update project set epoch = 'restored', revision = 2 where id = $1", project.id
                )
            for received in (over_sse, over_socket):
                await received.until(lambda received: received.types.count("project.snapshot") == 2)
                assert received.of("sync.reset") == [{"reason": "epoch"}]
                assert received.of("project.snapshot")[1]["cursor"] == "restored.2"
            await project.note("new history")
            await over_sse.revision(3)
            await eventually(lambda: over_sse.ids[-1] == "restored.3")


async def test_a_commit_wakes_a_long_poll(here: Process, project: Project) -> None:
    await project.note()
    loop = asyncio.get_running_loop()
    began = loop.time()
    waiting = asyncio.create_task(poll(here, project, project.cursor(1), wait=20))
    idle = await poll(here, project, project.cursor(1), wait=0.2)
    assert (idle["events"], idle["cursor"], idle["reset"]) == ([], project.cursor(1), False)
    await project.note("two", size=2)
    answer = await waiting
    assert [event["revision"] for event in answer["events"]] == [2, 3]
    assert answer["cursor"] == project.cursor(3)
    assert loop.time() - began < 5


async def test_idle_subscribers_hold_no_pool_connection(here: Process, project: Project) -> None:
    """Every connection of the pool is idle while subscribers wait for events."""
    async with events(here, project) as one, events(here, project) as two:
        await one.ready()
        await two.ready()
        pool = DB.pool
        await eventually(lambda: pool.get_idle_size() == pool.get_size())
