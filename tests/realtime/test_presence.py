"""Presence: the same in every process, published at a bounded rate, removed after a leave."""

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
from tests.realtime.clients import events, poll, present_users, say, socket
from tests.realtime.hub_server import NO_HEAD_CHECK, NewProcess, Process, Project, TwoProcesses
from tests.realtime.test_redis import kill_subscribers

pytestmark = pytest.mark.one_delivery


def shows(received: Received, *expected: tuple[str, str | None, int]) -> bool:
    """Whether the last presence event has exactly these (user, scene, connections)."""
    presences = received.of("presence.updated")
    return bool(presences) and [
        (one["userId"], one.get("sceneId"), one["connections"]) for one in presences[-1]["users"]
    ] == list(expected)


async def set_scene(line: Any, scene: str | None, *, packed: bool = False) -> None:
    await say(line, {"type": "presence"} | ({"sceneId": scene} if scene else {}), packed=packed)


@pytest.mark.parametrize("packed", [False, True])
async def test_joins_scene_changes_and_leaves_are_published(
    here: Process, project: Project, packed: bool
) -> None:
    async with events(here, project, user="ann") as ann:
        await ann.until(lambda one: shows(one, ("ann", None, 1)))
        assert ann.types.index("sync.ready") < ann.types.index("presence.updated")
        async with socket(here, project, packed=packed, user="bob") as (bob, line):
            both = ("ann", None, 1), ("bob", None, 1)
            await ann.until(lambda one: shows(one, *both))
            await bob.until(lambda one: shows(one, *both))
            await set_scene(line, "s1", packed=packed)
            for received in (ann, bob):
                await received.until(lambda h: shows(h, ("ann", None, 1), ("bob", "s1", 1)))
            await set_scene(line, None, packed=packed)
            await bob.until(lambda one: shows(one, *both))
        await ann.until(lambda one: shows(one, ("ann", None, 1)))
    assert all(place is None for place in ann.ids)
    await eventually(lambda: not here.hub(project.id).presence._here)


async def test_connections_of_one_user_are_counted_for_each_scene(
    here: Process, project: Project
) -> None:
    async with (
        events(here, project, user="ann") as received,
        events(here, project, user="ann"),
        socket(here, project, user="ann") as (one, first),
        socket(here, project, user="ann") as (two, second),
    ):
        await received.until(lambda one: shows(one, ("ann", None, 4)))
        await one.ready()
        await two.ready()
        await set_scene(first, "s2")
        await set_scene(second, "s1")
        await received.until(lambda one: shows(one, ("ann", "s1", 1), ("ann", "s2", 1)))


async def test_a_join_receives_the_presence_at_once(here: Process, project: Project) -> None:
    async with events(here, project, user="ann") as ann:
        await ann.until(lambda one: shows(one, ("ann", None, 1)))
        async with events(here, project, user="bob") as bob:
            await bob.until(lambda received: received.of("presence.updated"))
            assert bob.of("presence.updated")[0]["users"] == [{"userId": "ann", "connections": 1}]
            assert bob.types[-2:] == ["sync.ready", "presence.updated"]


async def test_a_long_poll_is_not_present(here: Process, project: Project) -> None:
    async with events(here, project, user="ann") as ann:
        await ann.until(lambda one: shows(one, ("ann", None, 1)))
        await poll(here, project, project.cursor(0), user="bob")
        await ann.revision(await project.note())
        assert len(ann.of("presence.updated")) == 1


async def test_frequent_presence_changes_are_joined(here: Process, project: Project) -> None:
    async with events(here, project, user="ann") as ann:
        await ann.ready()
        async with socket(here, project, user="bob") as (bob, line):
            await bob.ready()
            for number in range(15):
                await set_scene(line, f"s{number}")
                await asyncio.sleep(0.02)
            await ann.until(lambda one: shows(one, ("ann", None, 1), ("bob", "s14", 1)))
    assert len(ann.of("presence.updated")) <= 6


async def test_users_beyond_the_limit_are_counted(process: NewProcess, project: Project) -> None:
    async with (
        process(LocalBus(), Limits(presence_users=2)) as here,
        events(here, project, user="ann") as ann,
        events(here, project, user="bob"),
        events(here, project, user="cleo"),
    ):
        await ann.until(lambda one: one.of("presence.updated")[-1:] != [] and _more(one))
        assert present_users(ann) == ["ann", "bob"]
        assert ann.of("presence.updated")[-1]["more"] == 1


def _more(received: Received) -> bool:
    return "more" in received.of("presence.updated")[-1]


async def test_an_invalid_scene_id_is_refused(here: Process, project: Project) -> None:
    async with socket(here, project) as (received, line):
        await received.ready()
        await set_scene(line, "x" * 65)
        await received.over()
    assert received.code == 4400


async def test_presence_is_shared_between_processes(
    two: TwoProcesses,
    process: NewProcess,
    database: str,
    redis_server: RedisServer,
    project: Project,
) -> None:
    async with two(redis_server, NO_HEAD_CHECK) as (worker, web):
        async with (
            events(worker, project, user="ann") as ann,
            socket(web, project, user="bob") as (bob, line),
        ):
            await bob.ready()
            await set_scene(line, "s")
            both = ("ann", None, 1), ("bob", "s", 1)
            for received in (ann, bob):
                await received.until(lambda one: shows(one, *both))
            async with process(
                RedisBus(redis_server.url), NO_HEAD_CHECK, receives_commits=False
            ) as third:
                async with events(third, project, user="cleo") as cleo:
                    for received in (ann, bob, cleo):
                        await received.until(lambda one: shows(one, *both, ("cleo", None, 1)))
            await ann.until(lambda one: shows(one, *both))
        async with events(web, project, user="dan") as dan:
            await dan.until(lambda one: shows(one, ("dan", None, 1)))


async def test_presence_recovers_after_lost_messages(
    two: TwoProcesses, database: str, redis_server: RedisServer, project: Project
) -> None:
    async with two(redis_server, NO_HEAD_CHECK) as (worker, web):
        async with events(worker, project, user="ann") as ann:
            await ann.until(lambda one: shows(one, ("ann", None, 1)))
            for number in range(5):
                kill_subscribers(redis_server)
                async with events(web, project, user=f"user {number}") as received:
                    both = ("ann", None, 1), (f"user {number}", None, 1)
                    await received.until(lambda h, both=both: shows(h, *both), within=5)
                    await ann.until(lambda h, both=both: shows(h, *both), within=5)


async def test_the_presence_of_an_unreachable_process_expires(
    process: NewProcess,
    database: str,
    redis_server: RedisServer,
    project: Project,
) -> None:
    async with FaultProxy("127.0.0.1", redis_server.port).running() as proxy:
        url = f"redis://127.0.0.1:{proxy.port}/0"
        quick = Limits(head_check=3600.0, linger=1.0, presence_interval=0.3, presence_ttl=1.2)
        async with (
            process(RedisBus(redis_server.url), quick) as connected,
            process(RedisBus(url), quick, receives_commits=False) as cut_off,
            events(connected, project, user="ann") as ann,
            events(cut_off, project, user="bob") as bob,
        ):
            both = ("ann", None, 1), ("bob", None, 1)
            for received in (ann, bob):
                await received.until(lambda one: shows(one, *both))
            published = len(ann.of("presence.updated"))
            await eventually(lambda: cut_off.hub(project.id).presence._reported_at > 0)
            proxy.hold = True
            await ann.until(lambda one: shows(one, ("ann", None, 1)), within=4)
            assert len(ann.of("presence.updated")) == published + 1, "a report changed nothing"
            proxy.hold = False
            proxy.reset()
            await ann.until(lambda one: shows(one, *both), within=6)


async def test_presence_is_per_project(
    here: Process, project: Project, new_project: Callable[[], Awaitable[Project]]
) -> None:
    other = await new_project()
    async with events(here, project, user="ann") as ann:
        async with events(here, other, user="bob") as bob:
            await ann.until(lambda one: shows(one, ("ann", None, 1)))
            await bob.until(lambda one: shows(one, ("bob", None, 1)))


async def test_closed_presence_publishes_nothing() -> None:
    ended: list[EncodedEvent] = []
    ended_before = Presence("p", ended.append, lambda *_: None, Limits())
    ended_before.join("a", "ann")
    ended_before.close()
    ended_before.leave("a")
    later: list[EncodedEvent] = []
    Presence("p", later.append, lambda *_: None, Limits()).join("a", "ann")
    await eventually(lambda: later)
    assert not ended
