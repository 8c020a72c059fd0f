"""Every transport delivers the same events, once and in order, whenever a subscriber joins."""

import asyncio

from app.realtime.bus.local import LocalBus
from tests.harness.events import Received
from tests.realtime.clients import events, poll, socket
from tests.realtime.hub_server import NO_HEAD_CHECK, NewProcess, Process, Project

ODD = {"id": "1", "event": "x", "retry": 5, "text": 'a\r\nb\rc\nd \u2028\u2029 \U0001f600 "q"'}


async def test_transport_equivalence(here: Process, project: Project) -> None:
    await project.note("before", 3)
    start = project.cursor(0)
    async with (
        events(here, project, after=start) as over_sse,
        socket(here, project, after=start) as (over_json, _),
        socket(here, project, after=start, packed=True) as (over_msgpack, _),
    ):
        for number in range(20):
            await project.commit(("scene.updated", ODD), ("message.created", {"n": number}))
        head = await project.head()
        for received in (over_sse, over_json, over_msgpack):
            await received.revision(head)
        polled, cursor = [], start
        while (answer := await poll(here, project, cursor, limit=7))["events"]:
            polled += [(event["revision"], event["data"]) for event in answer["events"]]
            cursor = answer["cursor"]
    logged = await project.logged()
    assert len(logged) == 43
    assert over_sse.logged == over_json.logged == over_msgpack.logged == polled == logged
    whole = [[e for e in h.events if "revision" in e] for h in (over_sse, over_json, over_msgpack)]
    assert whole[0] == whole[1] == whole[2]
    assert set(whole[0][0]) == {
        "type", "projectId", "revision", "commit", "requestId", "actorId", "at", "data"
    }  # fmt: skip


async def test_the_stream_has_the_headers_and_the_format_of_the_contract(
    here: Process, project: Project
) -> None:
    await project.commit(("scene.updated", ODD))
    async with events(here, project) as received:
        await received.ready()
        await project.commit(("scene.updated", ODD))
        await received.revision(2)
    assert received.headers is not None
    assert received.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert received.headers["cache-control"] == "no-cache, no-transform"
    assert received.headers["x-accel-buffering"] == "no"
    assert "content-encoding" not in received.headers
    assert received.raw.startswith(b"retry: 2000\n\n")
    types = [kind for kind in received.types if kind != "presence.updated"]  # at any time
    assert types == ["project.snapshot", "sync.ready", "scene.updated"]
    assert received.of("scene.updated") == [ODD]
    assert received.of("sync.ready") == [{"cursor": project.cursor(1)}]
    assert [place for place in received.ids if place] == [project.cursor(2)]


async def test_snapshot_then_commit_that_the_hub_does_not_know(
    process: NewProcess, database: str, project: Project
) -> None:
    async with process(LocalBus(), NO_HEAD_CHECK, receives_commits=False) as here:
        async with events(here, project) as early:
            await early.ready()
            here.hint(project.id, await project.note())
            await early.revision(1)
            await project.note("without a hint")
            async with events(here, project) as late:
                await late.ready()
                here.hint(project.id, await project.note())
                for received in (early, late):
                    await received.revision(3)
    assert early.revisions == [1, 2, 3]
    assert late.revisions == [3]
    assert late.of("project.snapshot")[0]["revision"] == 2


async def test_joins_while_eight_writers_commit_have_no_gap_and_no_duplicate(
    here: Process, project: Project
) -> None:
    clients: list[Received] = []
    done = asyncio.Event()

    async def write(number: int) -> None:
        turn = 0
        while len(clients) < 20 or turn < 10:
            await project.note(f"{number} {turn}", size=1 + turn % 3)
            turn += 1

    async def join(number: int) -> None:
        await asyncio.sleep(number * 0.03)
        after = {"after": project.cursor(await project.head())} if number % 2 else {}
        async with events(here, project, **after) as received:
            await received.ready()
            clients.append(received)
            await done.wait()
            await received.revision(await project.head())

    async with asyncio.TaskGroup() as group:
        for number in range(20):
            group.create_task(join(number))
        async with asyncio.TaskGroup() as writers:
            for number in range(8):
                writers.create_task(write(number))
        await project.note("last")
        done.set()
    logged = await project.logged()
    assert len(clients) == 20
    for received in clients:
        first = received.logged[0][0]
        assert received.logged == logged[first - 1 :]
        if received.types[0] == "project.snapshot":
            assert received.of("project.snapshot")[0]["revision"] == first - 1
