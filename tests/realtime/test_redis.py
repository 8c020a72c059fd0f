"""Two processes over a real Redis, and the faults of Redis."""

import asyncio

import pytest
from redis import Redis

from app.realtime.bus.messages import LogHint
from app.realtime.bus.redis import RedisBus
from app.realtime.limits import Limits
from app.store.ids import new_id
from tests.harness.metrics import metric
from tests.harness.redis import RedisServer
from tests.harness.waiting import eventually
from tests.realtime.clients import events
from tests.realtime.hub_server import NO_HEAD_CHECK, NewProcess, Notice, Project, Turn, TwoProcesses
from tests.realtime.test_live import ODD_TEXT, stream_code, text_of

pytestmark = pytest.mark.one_delivery


def count(outcome: str) -> float:
    return metric("reelroom_bus_total", outcome=outcome)


def fenced() -> float:
    """The count of live events that were dropped because their attempt had lost its lease."""
    return metric("reelroom_live_dropped_total", cause="attempt")


def subscribers(admin: Redis, project: Project) -> tuple[int, int]:
    """The processes subscribed to the common channel, and to that of a project."""
    counts = admin.pubsub_numsub("reelroom:", f"reelroom:{project.id}")
    return counts[0][1], counts[1][1]


def kill_subscribers(server: RedisServer) -> None:
    with server.admin as admin:
        admin.execute_command("CLIENT", "KILL", "TYPE", "pubsub")


async def test_an_event_of_one_process_is_published_by_another_at_once(
    two: TwoProcesses, database: str, redis_server: RedisServer, project: Project
) -> None:
    async with two(redis_server, NO_HEAD_CHECK) as (worker, web):
        async with events(web, project) as there, events(worker, project) as here:
            await there.ready()
            await here.ready()
            for _ in range(20):
                revision = await project.note(size=2)
                await there.revision(revision, within=1)
                await here.revision(revision, within=1)
            assert there.logged == here.logged == await project.logged()


async def test_redis_kill(
    two: TwoProcesses, database: str, redis_server: RedisServer, project: Project
) -> None:
    async with two(redis_server, NO_HEAD_CHECK) as (_, web):
        async with events(web, project) as received:
            await received.ready()
            for number in range(200):
                await project.note(str(number))
                if number % 40 == 20:
                    kill_subscribers(redis_server)
            kill_subscribers(redis_server)
            await project.note("the last, which no hint follows")
            await received.revision(201, within=3)
            assert received.logged == await project.logged()


async def test_redis_restart(
    two: TwoProcesses, database: str, redis_server: RedisServer, project: Project
) -> None:
    async with two(redis_server) as (_, web):
        async with events(web, project) as received:
            await received.ready()
            redis_server.kill()
            try:
                loop, waits = asyncio.get_running_loop(), []
                for _ in range(3):
                    began = loop.time()
                    revision = await project.note("while Redis is away")
                    waits.append(loop.time() - began)
                    await received.revision(revision, within=2.6)
                assert min(waits) < 0.2
                async with events(web, project, after=project.cursor(0)) as joined:
                    await joined.revision(3, within=2.6)
            finally:
                redis_server.start()
            with redis_server.admin as admin:
                await eventually(lambda: subscribers(admin, project) == (2, 1))
            web.hubs.limits = NO_HEAD_CHECK
            await received.revision(await project.note("Redis is back"), within=2.6)
            assert received.logged == await project.logged()


async def test_a_frozen_redis_delays_no_commit(
    two: TwoProcesses, database: str, redis_server: RedisServer, project: Project
) -> None:
    async with two(redis_server) as (worker, web):
        async with events(web, project) as there, events(worker, project) as here:
            await there.ready()
            await here.ready()
            with redis_server.frozen():
                loop, waits = asyncio.get_running_loop(), []
                for _ in range(3):
                    began = loop.time()
                    revision = await project.note()
                    await here.revision(revision, within=0.5)
                    waits.append(loop.time() - began)
                    await there.revision(revision, within=2.7)
                assert min(waits) < 0.5
            assert there.logged == here.logged == await project.logged()


async def test_poison_event(
    two: TwoProcesses, database: str, redis_server: RedisServer, project: Project
) -> None:
    async with two(redis_server, NO_HEAD_CHECK) as (_, web):
        async with events(web, project) as received:
            await received.ready()
            before = count("poison")
            channel = f"reelroom:{project.id}"
            poison = [
                b"{", b"", b"\xff\x00", b"x" * 2_000_000, b"[]", b'{"sender":"x","word":{}}',
                b'{"sender":"x","word":{"type":"hint","revision":"1"}}',
                b'{"sender":"x","word":{"type":"live","event":{}}}',
                b'{"sender":"x","word":' + b"[" * 20_000 + b"]" * 20_000 + b"}",
                b'{"sender":"x","word":{"type":"hint","revision":1,"epoch":"%b","rows":[[1,1,"x",{},'
                b'null,"r","a","0001-01-01T00:00:00+14:00"]]}}' % project.epoch.encode(),
            ]  # fmt: skip
            disconnected = count("disconnected")
            with redis_server.admin as admin:
                for message in poison:
                    admin.publish(channel, message)
                admin.publish("reelroom:", b"nonsense")
                for revision in (5, 4, 5, 9, 10**15, -1):  # duplicated, reordered, ahead of the log
                    admin.publish(
                        channel,
                        b'{"sender":"x","word":{"type":"hint","revision":%d}}' % revision,
                    )
            await eventually(lambda: count("poison") >= before + len(poison) + 1)
            assert count("disconnected") == disconnected
            await received.revision(await project.note(size=3), within=1)
            assert received.logged == await project.logged()


async def test_deltas_reach_other_processes_and_late_subscribers(
    two: TwoProcesses,
    process: NewProcess,
    database: str,
    redis_server: RedisServer,
    project: Project,
) -> None:
    async with two(redis_server, NO_HEAD_CHECK) as (worker, web):
        turn, call = Turn(project, worker.hubs), new_id()
        async with events(web, project) as early:
            await early.ready()
            await turn.start()
            await turn.call(call)
            await stream_code(turn, call, ODD_TEXT, pause=0.01)
            await early.until(lambda received: text_of(received, call) == ODD_TEXT)
            assert "run.snapshot" not in early.types
        async with process(
            RedisBus(redis_server.url), NO_HEAD_CHECK, receives_commits=False
        ) as third:
            async with events(third, project) as late:
                await late.ready()
                await late.until(lambda received: text_of(received, call) == ODD_TEXT)
                turn.write("and more", call)
                await late.until(lambda received: text_of(received, call) == ODD_TEXT + "and more")
                await turn.durable("tool.finished", {"callId": call, "success": True})
                await turn.finish()
                turn.write("too late", call)
                await late.revision(turn.after)
                await late.revision(await project.note())
                assert text_of(late, call) == ODD_TEXT + "and more"


async def test_zombie_worker(
    two: TwoProcesses, database: str, redis_server: RedisServer, project: Project
) -> None:
    async with two(redis_server, NO_HEAD_CHECK) as (worker, web):
        turn, call = Turn(project, worker.hubs), new_id()
        zombie = Turn(project, web.hubs)
        async with events(web, project) as received:
            await received.ready()
            await turn.start()
            await turn.call(call)
            zombie.id, zombie.after = turn.id, turn.after
            turn.attempt = 2
            await turn.durable("run.retrying", turn.run())
            await turn.call(call)
            await received.revision(turn.after)
            before = fenced()
            zombie.write("zombie", call)
            turn.write("mine", call)
            await received.until(lambda received: received.of("code.delta"))
            await eventually(lambda: fenced() > before)
            turn.write(" alone", call)
            await received.until(lambda received: text_of(received, call) == "mine alone")


async def test_a_broadcast_reaches_the_receivers_of_the_other_processes(
    two: TwoProcesses, database: str, redis_server: RedisServer
) -> None:
    async with two(redis_server) as (worker, web):
        received: list[Notice] = []

        def broken(_: Notice) -> None:
            raise RuntimeError("a broken receiver")

        worker.hubs.received.connect(Notice, broken)
        worker.hubs.received.connect(Notice, received.append)
        web.hubs.received.connect(Notice, lambda _: pytest.fail("its own broadcast"))
        await eventually(lambda: metric("reelroom_bus_up") == 1)
        for number in range(100):
            web.hubs.broadcast(Notice(f"stop {number}"))
            if received:
                break
            await asyncio.sleep(0.02)
        await eventually(lambda: received)
        assert received[0].text.startswith("stop ")


async def test_last_leave_first_join(
    process: NewProcess, database: str, redis_server: RedisServer, project: Project
) -> None:
    channel = f"reelroom:{project.id}"

    def listeners() -> int:
        with redis_server.admin as admin:
            return int(admin.pubsub_numsub(channel)[0][1])

    async with process(RedisBus(redis_server.url), Limits(linger=0.1)) as one:
        for _ in range(5):
            async with events(one, project) as first, events(one, project) as second:
                await first.ready()
                await second.ready()
                assert listeners() == 1
            await eventually(lambda: listeners() == 0)


async def test_a_full_queue_drops_the_oldest_without_waiting(redis_server: RedisServer) -> None:
    bus = RedisBus("redis://127.0.0.1:1/0")
    before = count("overflow")
    for number in range(2000):
        bus.publish("p", LogHint(number))
    assert count("overflow") == before + 2000 - 1024
    await bus.close()


async def test_f15_redis_may_be_away_at_the_start(
    two: TwoProcesses, database: str, redis_server: RedisServer, project: Project
) -> None:
    redis_server.kill()
    async with two(redis_server) as (_, web):
        async with events(web, project) as received:
            await received.ready()
            await received.revision(await project.note(), within=2.6)
            redis_server.start()
            channel = f"reelroom:{project.id}"
            with redis_server.admin as admin:
                await eventually(lambda: admin.pubsub_numsub(channel)[0][1] == 1, within=6)
            web.hubs.limits = NO_HEAD_CHECK
            await received.revision(await project.note(), within=2.6)
            await received.revision(await project.note(), within=0.5)


async def test_output_buffer_kill(
    two: TwoProcesses, database: str, redis_server: RedisServer, project: Project
) -> None:
    async with two(redis_server, NO_HEAD_CHECK) as (_, web):
        async with events(web, project) as received:
            await received.ready()
            before = count("disconnected")
            with redis_server.admin as admin:
                kept = admin.config_get("client-output-buffer-limit")
                admin.config_set("client-output-buffer-limit", "pubsub 1mb 512kb 1")
                for _ in range(40):  # the event loop stands still and reads nothing
                    admin.publish(f"reelroom:{project.id}", b"x" * 1_000_000)
                await project.note("to a connection that Redis has closed")
                await received.revision(1, within=3)
                admin.config_set("client-output-buffer-limit", "pubsub 32mb 8mb 60")
                assert kept
            await eventually(lambda: count("disconnected") > before)
            await received.revision(await project.note(), within=3)
            assert received.logged == await project.logged()
