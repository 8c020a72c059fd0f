"""Races and faults of Redis, named by their number or race, as in `test_redis`."""

import asyncio
import random
from statistics import median
from typing import Any

import pytest

from app.realtime.bus.local import LocalBus
from app.realtime.bus.messages import LogHint
from app.realtime.bus.redis import RedisBus
from app.realtime.limits import Limits
from tests.harness.proxies import FaultProxy
from tests.harness.redis import RedisServer
from tests.harness.waiting import eventually
from tests.realtime.clients import events, poll, socket
from tests.realtime.hub_server import (
    NO_HEAD_CHECK,
    NewProcess,
    Process,
    Project,
    TwoProcesses,
    open_project,
)

pytestmark = pytest.mark.one_delivery


@pytest.fixture
async def redis_proxy(redis_server: RedisServer) -> Any:
    async with FaultProxy("127.0.0.1", redis_server.port).running() as proxy:
        yield proxy


async def test_redis_blackhole(
    process: NewProcess,
    database: str,
    redis_server: RedisServer,
    redis_proxy: FaultProxy,
    project: Project,
) -> None:
    """Packets are lost while the connection looks open: a probe notices, the log goes on."""
    bus = RedisBus(f"redis://127.0.0.1:{redis_proxy.port}/0", probe_after=1.0, give_up_after=2.0)
    async with process(bus, receives_commits=False) as web, events(web, project) as received:
        await received.ready()
        listening = bus._pubsub
        redis_proxy.hold = True
        loop, waits = asyncio.get_running_loop(), []
        for _ in range(2):
            began = loop.time()
            revision = await project.note("while packets are lost")
            waits.append(loop.time() - began)
            await received.revision(revision, within=2.7)
        assert min(waits) < 0.5
        await eventually(lambda: bus._pubsub is not listening, within=6)
        redis_proxy.hold = False
        redis_proxy.reset()
        await received.revision(await project.note("after the reconnect"), within=2.7)
        assert received.logged == await project.logged()


async def test_subscribe_ack_race(
    process: NewProcess,
    database: str,
    redis_server: RedisServer,
    redis_proxy: FaultProxy,
    project: Project,
) -> None:
    """A hub subscribes over a slow connection; commits and hints precede the acknowledgement."""
    bus = RedisBus(f"redis://127.0.0.1:{redis_proxy.port}/0")
    async with (
        process(RedisBus(redis_server.url), NO_HEAD_CHECK),
        process(bus, NO_HEAD_CHECK, receives_commits=False) as web,
    ):
        await eventually(lambda: bus._acked)
        redis_proxy.delay = 0.1
        joining = asyncio.create_task(_join(web, project))
        for number in range(12):
            await project.note(str(number))
            await asyncio.sleep(0.03)
        received = await joining
        try:
            await received[1].revision(12, within=2)
            first = received[1].logged[0][0]
            assert received[1].logged == (await project.logged())[first - 1 :]
            assert received[1].of("project.snapshot")[0]["revision"] == first - 1
        finally:
            await received[0].__aexit__(None, None, None)


async def _join(web: Process, project: Project) -> Any:
    stream = events(web, project)
    received = await stream.__aenter__()
    await received.ready()
    return stream, received


async def test_last_leave_first_join_while_unsubscribing(
    process: NewProcess,
    database: str,
    redis_server: RedisServer,
    redis_proxy: FaultProxy,
    project: Project,
) -> None:
    """A subscriber joins while the unsubscription of the last one is on its way to Redis."""
    bus = RedisBus(f"redis://127.0.0.1:{redis_proxy.port}/0")
    limits = Limits(head_check=3600.0, linger=0.02)
    async with (
        process(RedisBus(redis_server.url), NO_HEAD_CHECK),
        process(bus, limits, receives_commits=False) as web,
    ):
        redis_proxy.delay = 0.02
        for number in range(12):
            async with events(web, project) as received:
                await received.ready()
            await asyncio.sleep(0.01 * (number % 6))
            async with events(web, project) as again:
                await again.ready()
                await again.revision(await project.note(str(number)), within=2)
        assert again.logged == [(12, {"text": "11", "n": 0})]


async def test_subscriptions_change_while_redis_closes_the_connection(
    redis_server: RedisServer,
) -> None:
    """Nothing fails, and the bus ends up subscribed to exactly the requested channels."""
    bus = RedisBus(redis_server.url)
    await bus.open("test", lambda *_: None, lambda: None)
    with redis_server.admin as admin:
        for number in range(30):
            names = [f"p{number}.{which}" for which in range(3)]
            await asyncio.gather(*(bus.subscribe(name) for name in names))
            if number % 3 == 0:
                admin.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
                await asyncio.sleep(random.random() * 0.003)
            await asyncio.gather(*(bus.unsubscribe(name) for name in names))
        await bus.subscribe("last")

        def subscribed() -> bool:
            names = {name.decode() for name in admin.pubsub_channels("reelroom:*")}
            return names & {"reelroom:last"} == names - {"reelroom:"}

        await eventually(lambda: subscribed() and admin.pubsub_numsub("reelroom:last")[0][1] == 1)
    await bus.close()


async def test_heartbeats_go_on_when_the_bus_raises(process: NewProcess, project: Project) -> None:
    """A fault while one hub is closed does not stop the heartbeats of the others."""

    class Faulty(LocalBus):
        async def unsubscribe(self, channel: str) -> None:
            raise AttributeError("a fault of a library")

    limits = Limits(heartbeat=0.3, linger=0.1)
    async with process(Faulty(), limits) as here, events(here, project) as received:
        await received.ready()
        other = await open_project()
        async with events(here, other) as gone:
            await gone.ready()
        await eventually(lambda: not here.has_hub(other.id))
        count = len(received.of("sync.heartbeat"))
        await received.until(lambda received: len(received.of("sync.heartbeat")) > count + 2)


async def test_hub_callback_exception(here: Process, project: Project) -> None:
    """The writer of one subscription raises: the others go on."""

    def unwritable(payload: Any) -> None:
        raise RuntimeError("a connection with a fault")

    async with (
        events(here, project) as received,
        socket(here, project) as (other, _),
        socket(here, project, user="broken") as (broken, _),
    ):
        for each in (received, other, broken):
            await each.ready()
        for one in here.subscriptions:
            if one.subscriber.user_id == "broken":
                one.write = unwritable
        await project.note("breaks one")
        await broken.over()
        for each in (received, other):
            await each.revision(await project.note("for the others"))
            assert each.logged == await project.logged()
    await eventually(lambda: not here.subscriptions)


async def test_f12_two_processes_deliver_the_same_events(
    two: TwoProcesses, database: str, redis_server: RedisServer, project: Project
) -> None:
    async with two(redis_server, NO_HEAD_CHECK) as (one, other):
        async with (
            events(one, project) as first,
            socket(other, project, packed=True) as (second, _),
        ):
            await first.ready()
            await second.ready()
            await asyncio.gather(*(project.note(str(number), size=2) for number in range(25)))
            for received in (first, second):
                await received.revision(50, within=2)
        polled = await poll(other, project, project.cursor(0))
        assert first.logged == second.logged == await project.logged()
        assert [(e["revision"], e["data"]) for e in polled["events"]] == first.logged


async def test_f17_a_redis_that_comes_back_empty_loses_nothing(
    two: TwoProcesses, database: str, redis_server: RedisServer, project: Project
) -> None:
    async with two(redis_server) as (_, web), events(web, project) as received:
        await received.ready()
        await received.revision(await project.note(), within=2.6)
        redis_server.kill()
        redis_server.start()
        await received.revision(await project.note(), within=2.7)
        with redis_server.admin as admin:
            admin.flushall()
            assert admin.keys() == [], "nothing is stored in Redis"
        await received.revision(await project.note(), within=2.7)
        assert received.logged == await project.logged()


async def test_f20_a_slow_redis_slows_no_request(
    process: NewProcess,
    database: str,
    redis_server: RedisServer,
    redis_proxy: FaultProxy,
    project: Project,
) -> None:
    slow = RedisBus(f"redis://127.0.0.1:{redis_proxy.port}/0")
    async with process(slow) as one, events(one, project) as received:
        await received.ready()
        redis_proxy.delay = 0.1
        loop, waits = asyncio.get_running_loop(), []
        for _ in range(20):
            began = loop.time()
            revision = await project.note()
            waits.append(loop.time() - began)
            await received.revision(revision, within=0.5)
        assert median(waits) < redis_proxy.delay, "a commit does not wait for Redis"


async def test_f21_a_redis_without_memory_costs_no_event(
    two: TwoProcesses, database: str, redis_server: RedisServer, project: Project
) -> None:
    async with two(redis_server) as (_, web), events(web, project) as received:
        await received.ready()
        with redis_server.admin as admin:
            admin.config_set("maxmemory-policy", "noeviction")
            admin.config_set("maxmemory", "1")
            try:
                for _ in range(3):
                    await received.revision(await project.note(), within=2.7)
            finally:
                admin.config_set("maxmemory", "0")
        await received.revision(await project.note(), within=2.7)
        assert received.logged == await project.logged()


async def test_f23_duplicated_and_reordered_messages(process: NewProcess, project: Project) -> None:
    bus = LocalBus()
    async with process(bus, NO_HEAD_CHECK, receives_commits=False) as here:
        worker = bus.sibling()
        async with events(here, project) as received, socket(here, project) as (other, _):
            await received.ready()
            await other.ready()
            for _ in range(5):
                head = await project.note(size=3)
                for revision in (head, head - 1, head, head + 4, head - 2, 0):
                    worker.publish(project.id, LogHint(revision))
            for each in (received, other):
                await each.revision(15, within=2)
                assert each.logged == await project.logged()


@pytest.mark.parametrize("away", [False, True])
async def test_the_bus_closes_at_any_time(redis_server: RedisServer, away: bool) -> None:
    """redis-py may swallow a cancellation, and `close` would then never return."""
    if away:
        redis_server.kill()

    async def once() -> None:
        bus = RedisBus(redis_server.url)
        await bus.open("test", lambda *_: None, lambda: None)
        await asyncio.sleep(random.random() * 0.1)
        for number in range(5):
            bus.publish("p", LogHint(number))
            await asyncio.sleep(random.random() * 0.01)
        async with asyncio.timeout(5):
            await bus.close()

    for _ in range(4):
        await asyncio.gather(*(once() for _ in range(30)))
