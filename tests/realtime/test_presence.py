"""Who is here, on which scene: in every process, seldom, and not for longer than they are."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from app.realtime.bus.local import LocalBus
from app.realtime.bus.redis import RedisBus
from app.realtime.encoding import EncodedEvent
from app.realtime.limits import Limits
from app.realtime.presence import Presence
from tests.harness.events import Received
from tests.harness.proxies import FaultProxy
from tests.harness.redis import RedisServer
from tests.harness.waiting import eventually
from tests.realtime.clients import events, poll, say, socket
from tests.realtime.hub_server import RARE, NewProcess, Process, Project, TwoProcesses
from tests.realtime.test_redis import kill_subscribers

pytestmark = pytest.mark.one_delivery


def here_are(received: Received, *expected: tuple[str, str | None, int]) -> bool:
    """Whether these (user, scene, streams) and nobody else were told last."""
    told = received.of("presence.updated")
    return bool(told) and [
        (one["userId"], one.get("sceneId"), one["connections"]) for one in told[-1]["users"]
    ] == list(expected)


async def look_at(line: Any, scene: str | None, *, packed: bool = False) -> None:
    await say(line, {"type": "presence"} | ({"sceneId": scene} if scene else {}), packed=packed)


@pytest.mark.parametrize("packed", [False, True])
async def test_who_comes_moves_and_leaves_is_told(
    here: Process, project: Project, packed: bool
) -> None:
    async with events(here, project, user="ann") as ann:
        await ann.until(lambda one: here_are(one, ("ann", None, 1)))
        assert ann.types.index("sync.ready") < ann.types.index("presence.updated")
        async with socket(here, project, packed=packed, user="bob") as (bob, line):
            both = ("ann", None, 1), ("bob", None, 1)
            await ann.until(lambda one: here_are(one, *both))
            await bob.until(lambda one: here_are(one, *both))
            await look_at(line, "s1", packed=packed)
            for received in (ann, bob):
                await received.until(lambda h: here_are(h, ("ann", None, 1), ("bob", "s1", 1)))
            await look_at(line, None, packed=packed)
            await bob.until(lambda one: here_are(one, *both))
        await ann.until(lambda one: here_are(one, ("ann", None, 1)))
    assert all(place is None for place in ann.ids)
    await eventually(lambda: not here.hub(project.id).presence._here)


async def test_somebody_with_many_windows_is_where_they_are(
    here: Process, project: Project
) -> None:
    async with (
        events(here, project, user="ann") as received,
        events(here, project, user="ann"),
        socket(here, project, user="ann") as (one, first),
        socket(here, project, user="ann") as (two, second),
    ):
        await received.until(lambda one: here_are(one, ("ann", None, 4)))
        await one.ready()
        await two.ready()
        await look_at(first, "s2")
        await look_at(second, "s1")
        await received.until(lambda one: here_are(one, ("ann", "s1", 1), ("ann", "s2", 1)))


async def test_a_joiner_is_told_who_is_here_at_once(here: Process, project: Project) -> None:
    async with events(here, project, user="ann") as ann:
        await ann.until(lambda one: here_are(one, ("ann", None, 1)))
        async with events(here, project, user="bob") as bob:
            await bob.until(lambda received: received.of("presence.updated"))
            assert bob.of("presence.updated")[0]["users"] == [{"userId": "ann", "connections": 1}]
            assert bob.types[-2:] == ["sync.ready", "presence.updated"]


async def test_a_poller_and_a_follower_of_a_run_are_not_there(
    here: Process, project: Project
) -> None:
    async with events(here, project, user="ann") as ann:
        await ann.until(lambda one: here_are(one, ("ann", None, 1)))
        await poll(here, project, project.cursor(0), user="bob")
        await ann.revision(await project.note())
        assert len(ann.of("presence.updated")) == 1


async def test_much_coming_and_going_is_told_seldom(here: Process, project: Project) -> None:
    async with events(here, project, user="ann") as ann:
        await ann.ready()
        async with socket(here, project, user="bob") as (bob, line):
            await bob.ready()
            for number in range(15):
                await look_at(line, f"s{number}")
                await asyncio.sleep(0.02)
            await ann.until(lambda one: here_are(one, ("ann", None, 1), ("bob", "s14", 1)))
    assert len(ann.of("presence.updated")) <= 6


async def test_a_crowd_is_counted(process: NewProcess, project: Project) -> None:
    async with (
        process(LocalBus(), Limits(presence_users=2)) as here,
        events(here, project, user="ann") as ann,
        events(here, project, user="bob"),
        events(here, project, user="cleo"),
    ):
        await ann.until(lambda one: one.of("presence.updated")[-1:] != [] and _more(one))
        told = ann.of("presence.updated")[-1]
        assert [one["userId"] for one in told["users"]] == ["ann", "bob"]
        assert told["more"] == 1


def _more(received: Received) -> bool:
    return "more" in received.of("presence.updated")[-1]


async def test_a_scene_id_that_is_none_is_refused(here: Process, project: Project) -> None:
    async with socket(here, project) as (received, line):
        await received.ready()
        await look_at(line, "x" * 65)
        await received.over()
    assert received.code == 4400


async def test_presence_crosses_processes(
    two: TwoProcesses,
    process: NewProcess,
    database: str,
    redis_server: RedisServer,
    project: Project,
) -> None:
    async with two(redis_server, RARE) as (worker, web):
        async with (
            events(worker, project, user="ann") as ann,
            socket(web, project, user="bob") as (bob, line),
        ):
            await bob.ready()
            await look_at(line, "s")
            both = ("ann", None, 1), ("bob", "s", 1)
            for received in (ann, bob):
                await received.until(lambda one: here_are(one, *both))
            async with process(RedisBus(redis_server.url), RARE, receives_commits=False) as third:
                async with events(third, project, user="cleo") as cleo:
                    for received in (ann, bob, cleo):
                        await received.until(lambda one: here_are(one, *both, ("cleo", None, 1)))
            await ann.until(lambda one: here_are(one, *both))
        async with events(web, project, user="dan") as dan:
            await dan.until(lambda one: here_are(one, ("dan", None, 1)))


async def test_presence_heals_after_lost_words(
    two: TwoProcesses, database: str, redis_server: RedisServer, project: Project
) -> None:
    async with two(redis_server, RARE) as (worker, web):
        async with events(worker, project, user="ann") as ann:
            await ann.until(lambda one: here_are(one, ("ann", None, 1)))
            for number in range(5):
                kill_subscribers(redis_server)
                async with events(web, project, user=f"user {number}") as received:
                    both = ("ann", None, 1), (f"user {number}", None, 1)
                    await received.until(lambda h, both=both: here_are(h, *both), within=5)
                    await ann.until(lambda h, both=both: here_are(h, *both), within=5)


async def test_the_people_of_a_process_that_fell_silent_age_out(
    process: NewProcess,
    database: str,
    redis_server: RedisServer,
    project: Project,
) -> None:
    async with FaultProxy("127.0.0.1", redis_server.port).running() as wire:
        url = f"redis://127.0.0.1:{wire.port}/0"
        quick = Limits(head_check=3600.0, linger=1.0, presence_interval=0.3, presence_ttl=1.2)
        async with (
            process(RedisBus(redis_server.url), quick) as well,
            process(RedisBus(url), quick, receives_commits=False) as lost,
            events(well, project, user="ann") as ann,
            events(lost, project, user="bob") as bob,
        ):
            both = ("ann", None, 1), ("bob", None, 1)
            for received in (ann, bob):
                await received.until(lambda one: here_are(one, *both))
            told = len(ann.of("presence.updated"))
            await eventually(lambda: lost.hub(project.id).presence._reported_at > 0)
            wire.hold = True
            await ann.until(lambda one: here_are(one, ("ann", None, 1)), within=4)
            assert len(ann.of("presence.updated")) == told + 1, "who is said again is not told"
            wire.hold = False
            wire.reset()
            await ann.until(lambda one: here_are(one, *both), within=6)


async def test_presence_is_per_project(
    here: Process, project: Project, new_project: Callable[[], Awaitable[Project]]
) -> None:
    other = await new_project()
    async with events(here, project, user="ann") as ann:
        async with events(here, other, user="bob") as bob:
            await ann.until(lambda one: here_are(one, ("ann", None, 1)))
            await bob.until(lambda one: here_are(one, ("bob", None, 1)))


async def test_nothing_is_published_after_the_end() -> None:
    ended: list[EncodedEvent] = []
    ended_before = Presence("p", ended.append, lambda *_: None, Limits())
    ended_before.join("a", "ann")
    ended_before.close()
    ended_before.leave("a")
    later: list[EncodedEvent] = []
    Presence("p", later.append, lambda *_: None, Limits()).join("a", "ann")
    await eventually(lambda: later)
    assert not ended
