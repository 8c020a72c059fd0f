"""Replica lag: the process reads at a real standby, whose replay the test pauses."""

import asyncio
import random
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import asyncpg
import pytest

from app.realtime import log
from app.realtime.bus.local import LocalBus
from app.realtime.limits import Limits
from app.store import embedded
from app.store.binaries import find_programs
from app.store.database import Tx
from app.store.embedded import Embedded, start
from app.store.migration import migrate
from tests.harness.database import DB, connect
from tests.realtime.clients import events, poll
from tests.realtime.hub_server import NewProcess, Process, Project, open_processes, open_project

pytestmark = [pytest.mark.one_delivery, pytest.mark.slow]

WAIT_SECONDS = 30.0  # until the standby, or a subscriber, must have caught up


@pytest.fixture(scope="module")
def replicating() -> Iterator[None]:
    """Servers started from now on have the options that replication needs on both sides."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(embedded.OPTIONS, "wal_level", "replica")
        patch.setitem(embedded.OPTIONS, "max_wal_senders", "4")
        yield


@pytest.fixture(scope="module")
async def primary(
    replicating: None, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Embedded]:
    with start(tmp_path_factory.mktemp("primary") / "data", durable=False) as server:
        await migrate(server.dsn)
        yield server


@pytest.fixture(scope="module")
def standby(primary: Embedded, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedded]:
    """A standby that streams the primary's log, and whose replay can be paused."""
    folder = tmp_path_factory.mktemp("standby") / "data"
    folder.mkdir(mode=0o700)
    source = primary._cluster.parent
    shutil.copy(source / "password", folder / "password")
    backup = find_programs(None, None) / "pg_basebackup"
    arguments = ["-d", primary.dsn, "-D", str(folder / "database"), "-R", "-c", "fast", "--no-sync"]
    subprocess.run([str(backup), *arguments], check=True, capture_output=True, timeout=60)
    with start(folder, durable=False) as server:
        yield server


class Replicated:
    """A project that is written at the primary and read at the standby."""

    def __init__(
        self, project: Project, writer: asyncpg.Connection, reader: asyncpg.Connection
    ) -> None:
        self.project, self.writer, self.reader = project, writer, reader

    async def note(self, size: int = 1) -> int:
        """Commit `size` events in one transaction; every process gets the hint at once."""
        async with self.writer.transaction():
            tx = Tx(self.writer)
            async with log.changing(
                tx, self.project.id, actor_id="user 1", request_id="test"
            ) as change:
                for number in range(size):
                    change.emit("scene.updated", {"n": number})
        for each in open_processes:  # the hint of another process
            each.hint(self.project.id, change.revision)
        return change.revision

    async def set_lag(self, behind: bool) -> None:
        name = "pg_wal_replay_pause" if behind else "pg_wal_replay_resume"
        await self.reader.execute(f"select {name}()")
        state = "paused" if behind else "not paused"
        async with asyncio.timeout(WAIT_SECONDS):
            while await self.reader.fetchval("select pg_get_wal_replay_pause_state()") != state:
                await asyncio.sleep(0.01)

    async def head(self) -> int:
        """The revision of the project at the standby."""
        return int(
            await self.reader.fetchval(
                "select revision from project where id = $1", self.project.id
            )
        )

    async def caught_up(self, revision: int) -> None:
        async with asyncio.timeout(WAIT_SECONDS):
            while await self.head() < revision:
                await asyncio.sleep(0.01)

    async def logged(self) -> list[tuple[int, Any]]:
        rows = await self.writer.fetch(
            "select revision, payload from project_event where project_id = $1 order by revision",
            self.project.id,
        )
        return [(row["revision"], row["payload"]) for row in rows]


@asynccontextmanager
async def one_database(dsn: str) -> AsyncIterator[None]:
    """Let `DB` use this database within the block."""
    outer, DB._pool = DB._pool, None
    try:
        async with DB.opened(dsn, connections=5):
            yield
    finally:
        DB._pool = outer


@pytest.fixture
async def replicated(primary: Embedded, standby: Embedded) -> AsyncIterator[Replicated]:
    async with one_database(primary.dsn):
        project = await open_project()
    writer = await connect(primary.dsn)
    reader = await asyncpg.connect(standby.dsn)
    made = Replicated(project, writer, reader)
    async with asyncio.timeout(WAIT_SECONDS):
        sql = "select exists (select from project where id = $1)"
        while not await reader.fetchval(sql, project.id):
            await asyncio.sleep(0.01)
    async with one_database(standby.dsn):
        assert await DB.fetchval("select pg_is_in_recovery()")
        yield made
    await made.set_lag(False)
    await writer.close()
    await reader.close()


async def test_replica_lag(process: NewProcess, replicated: Replicated) -> None:
    """A subscriber receives events late and without a hole, whatever the hints say."""
    async with process(LocalBus(), Limits(head_check=0.3)) as here:
        async with events(here, replicated.project) as received:
            await received.ready()
            for turn in range(6):
                await replicated.set_lag(turn % 2 == 0)
                for _ in range(5):
                    head = await replicated.note(random.randint(1, 3))
                assert received.revisions == list(range(1, len(received.logged) + 1))
                if turn % 2 == 0:
                    assert len(received.logged) <= await replicated.head() < head
            await received.revision(head, within=WAIT_SECONDS)
        assert received.logged == await replicated.logged()
        assert received.types.count("project.snapshot") == 1


async def test_replica_lag_behind_the_cursor_of_a_client(
    process: NewProcess, replicated: Replicated
) -> None:
    """A cursor from another server is ahead of the standby: it is reset, and misses nothing.

    A new client's snapshot is old but complete: the later events follow it.
    """
    project = replicated.project
    async with process(LocalBus(), Limits(head_check=0.3)) as here:
        async with AsyncExitStack() as stack:
            early = await stack.enter_async_context(events(here, project))
            await early.ready()
            known = await replicated.note(4)
            await early.revision(known, within=WAIT_SECONDS)
            await replicated.set_lag(True)
            ahead = await replicated.note(5)
            late = await stack.enter_async_context(
                events(here, project, after=project.cursor(ahead))
            )
            new = await stack.enter_async_context(events(here, project))
            await late.ready()
            await new.ready()
            assert late.of("sync.reset") == [{"reason": "future"}]
            assert new.of("sync.reset") == []
            answer = await poll(here, project, project.cursor(ahead))
            assert (answer["reset"], answer["events"]) == (True, [])
            assert answer["cursor"] == project.cursor(known)
            await replicated.set_lag(False)
            head = await replicated.note(2)
            for received in (early, late, new):
                await received.revision(head, within=WAIT_SECONDS)
            for received in (late, new):
                assert received.of("project.snapshot")[0]["revision"] == known
                assert received.revisions == list(range(known + 1, head + 1))
            assert early.logged == await replicated.logged()


async def test_replica_lag_while_subscribers_join_and_leave(
    process: NewProcess, replicated: Replicated
) -> None:
    """Each subscriber receives every event after its cursor, or after its snapshot."""
    project, chance = replicated.project, random.Random()

    async def follow(here: Process, after: int) -> None:
        async with events(here, project, after=project.cursor(after)) as received:
            await received.ready()
        first = received.of("project.snapshot")
        start = first[-1]["revision"] if first else after
        assert received.revisions == list(range(start + 1, start + 1 + len(received.logged)))
        assert not first or "sync.reset" in received.types

    async with process(LocalBus(), Limits(head_check=0.3)) as here:
        async with events(here, project) as received:
            await received.ready()
            for _ in range(12):
                await replicated.set_lag(chance.random() < 0.5)
                head = await replicated.note(chance.randint(1, 3))
                await asyncio.gather(*(follow(here, chance.randint(0, head)) for _ in range(4)))
            await replicated.set_lag(False)
            await received.revision(head, within=WAIT_SECONDS)
        assert received.logged == await replicated.logged()
