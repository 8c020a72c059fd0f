"""Races between commits and the readers of the log.

`tests/test_races_and_faults.py` lists the tests of each race and fault.
"""

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest

from app.problems import Problem
from app.realtime import log
from app.realtime.bus.local import LocalBus
from app.realtime.bus.messages import LogHint
from tests.harness.database import DB
from tests.harness.process import environment
from tests.realtime.clients import events, poll, socket
from tests.realtime.hub_server import (
    NO_HEAD_CHECK,
    USER,
    NewProcess,
    Process,
    Project,
    open_project,
)

pytestmark = pytest.mark.one_delivery

ROOT = Path(__file__).parents[2]


async def test_snapshot_then_commit(here: Process, project: Project) -> None:
    await project.note()
    async with events(here, project) as received:
        await received.ready()
    cursor = received.of("project.snapshot")[0]["cursor"]
    await project.note("between the snapshot and the stream")
    async with (
        events(here, project, after=cursor) as over_sse,
        socket(here, project, after=cursor) as (over_socket, _),
    ):
        for again in (over_sse, over_socket):
            await again.ready()
            await again.revision(2)
            assert again.revisions == [2]
    assert [e["revision"] for e in (await poll(here, project, cursor))["events"]] == [2]


async def test_inverted_publish(process: NewProcess, database: str, project: Project) -> None:
    """The hint of 42 arrives before that of 41, and before 41 is committed."""
    bus = LocalBus()
    async with process(bus, NO_HEAD_CHECK, receives_commits=False) as here:
        worker = bus.sibling()
        async with events(here, project) as received:
            await received.ready()
            release, locked = asyncio.Event(), asyncio.Event()

            async def slow() -> None:
                async with DB.transaction() as tx:
                    async with log.changing(tx, project.id, actor_id=USER, request_id="r") as it:
                        it.emit("scene.updated", {"n": 41})
                        locked.set()
                        await release.wait()

            first = asyncio.create_task(slow())
            await locked.wait()
            second = asyncio.create_task(project.note("42"))
            for revision in (2, 1, 2):
                worker.publish(project.id, LogHint(revision))
            assert (await poll(here, project, project.cursor(0), wait=0.1))["events"] == []
            release.set()
            await asyncio.gather(first, second)
            worker.publish(project.id, LogHint(2))
            worker.publish(project.id, LogHint(1))
            await received.revision(2, within=1)
            assert received.revisions == [1, 2]


COMMIT_AND_DIE = """
import asyncio, os, sys
from app.realtime import log
from app.store.database import Database

async def main(dsn, project):
    database = Database()
    database.signals.connect(log.LogGrew, lambda _: os._exit(9))
    async with database.opened(dsn) as db, db.transaction() as tx:
        async with log.changing(tx, project, actor_id="a", request_id="r") as change:
            change.emit("scene.updated", {"n": 1})

asyncio.run(main(*sys.argv[1:]))
"""


async def test_commit_no_publish(database: str, here: Process, project: Project) -> None:
    """A process dies between its commit and its hint; nothing else happens."""
    async with events(here, project) as received, socket(here, project) as (other, _):
        await received.ready()
        await other.ready()
        dying = await asyncio.create_subprocess_exec(
            sys.executable, "-c", COMMIT_AND_DIE, database, project.id, env=environment(), cwd=ROOT
        )
        assert await dying.wait() == 9
        assert await project.head() == 1
        await received.revision(1, within=2.6)
        await other.revision(1, within=2.6)


async def test_sequence_hole(here: Process, project: Project) -> None:
    """16 writers, a third of which roll back: reading `revision > last` misses nothing."""

    class RolledBack(Exception):
        pass

    done = asyncio.Event()
    naive: list[int] = []

    async def read() -> None:
        while not done.is_set() or (naive[-1:] or [0])[0] < await project.head():
            rows = await log.read(DB, project.id, naive[-1] if naive else 0, 5)
            naive.extend(row.revision for row in rows)
            await asyncio.sleep(0)

    async def write(number: int) -> None:
        for turn in range(8):
            try:
                async with DB.transaction() as tx:
                    async with log.changing(tx, project.id, actor_id=USER, request_id="r") as it:
                        it.emit("scene.updated", {"writer": number, "turn": turn})
                        await asyncio.sleep(0)
                        if (number + turn) % 3 == 0:
                            raise RolledBack
            except RolledBack:
                continue

    async with events(here, project) as received:
        await received.ready()
        reading = asyncio.create_task(read())
        await asyncio.gather(*(write(number) for number in range(16)))
        done.set()
        await reading
        head = await project.head()
        await received.revision(head)
    assert 60 < head < 128
    assert naive == list(range(1, head + 1)) == received.revisions
    assert received.logged == await project.logged()


async def test_duplicate_delivery(process: NewProcess, database: str, project: Project) -> None:
    """Each hint arrives three times, pages and ring overlap, clients resume at old cursors."""
    bus = LocalBus()
    async with process(bus, NO_HEAD_CHECK) as here:
        worker = bus.sibling()
        async with events(here, project) as received:
            await received.ready()
            for number in range(30):
                revision = await project.note(str(number), size=2)
                for _ in range(3):
                    worker.publish(project.id, LogHint(revision))
                    here.hint(project.id, revision)
                    here.lose_messages()
            await received.revision(60)
            last = 0
            while last < 60:
                async with events(here, project, after=project.cursor(last)) as again:
                    await again.ready()
                    assert again.revisions == list(range(last + 1, 61))
                last += 7
        assert received.logged == await project.logged()


@pytest.mark.parametrize("what", ["hole", "epoch"])
async def test_a_log_with_a_hole_resets_its_subscribers(
    process: NewProcess, project: Project, what: str
) -> None:
    """A partial restore, found by a hint: revisions are missing, or the epoch is another."""
    await project.note()
    async with process(LocalBus(), NO_HEAD_CHECK, receives_commits=False) as here:
        async with events(here, project) as received:
            await received.ready()
            last = await project.note("lost", size=2)
            async with DB.transaction() as tx:
                if what == "hole":
                    sql = "delete from project_event where project_id = $1 and revision = 2"
                else:
                    sql = "update project set epoch = 'other' where id = $1"
                await tx.execute(sql, project.id)
            here.hint(project.id, last)
            await received.until(lambda received: received.types.count("project.snapshot") == 2)
    assert received.logged == []
    assert received.of("project.snapshot")[1]["revision"] == last


async def test_deadlock(here: Process, project: Project) -> None:
    """Two projects locked in opposite orders: one change fails as retryable, nothing is lost."""
    other = await open_project()

    async def change(first: Project, second: Project, wait: asyncio.Barrier) -> str:
        try:
            async with DB.transaction() as tx:
                async with log.changing(tx, first.id, actor_id=USER, request_id="r") as one:
                    one.emit("scene.updated", {})
                    await wait.wait()
                    async with log.changing(tx, second.id, actor_id=USER, request_id="r") as two:
                        two.emit("scene.updated", {})
        except Problem as problem:
            return problem.code
        return "committed"

    async with events(here, project) as one, events(here, other) as two:
        await one.ready()
        await two.ready()
        barrier = asyncio.Barrier(2)
        won = await asyncio.gather(change(project, other, barrier), change(other, project, barrier))
        assert sorted(won) in (
            ["DATABASE_ERROR", "committed"],
            ["SERVICE_UNAVAILABLE", "committed"],
        )
        alone = asyncio.Barrier(1)
        first, second = sorted((project, other), key=lambda each: each.id)
        for _ in range(3):
            turns = await asyncio.gather(*(change(first, second, alone) for _ in range(4)))
            assert turns == ["committed"] * 4
        for received, where in ((one, project), (two, other)):
            await received.revision(13)
            assert received.logged == await where.logged()


async def test_rolling_deploy_with_two_event_schema_versions(
    here: Process, project: Project
) -> None:
    """The newer version writes types and fields that are unknown to this one."""
    newer: list[tuple[str, Any]] = [
        ("camera.moved", {"to": [1, 2]}),
        ("member.updated", {"member": {"userId": "u", "role": "director", "since": 4}}),
        ("member.updated", {"person": "u"}),
        ("run.started", {"run": {"attempt": "first"}}),
        ("project.updated", [1]),
    ]
    async with events(here, project) as received:
        await received.ready()
        for kind, data in newer:
            await project.commit((kind, data, "0197a000-0000-7000-8000-000000000000"))
        await received.revision(await project.note("old and known"))
        assert received.logged == await project.logged()
        assert [e["type"] for e in received.events if "revision" in e][:5] == [k for k, _ in newer]
