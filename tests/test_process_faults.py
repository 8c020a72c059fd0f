"""Faults of the process itself, by their numbers.

`tests/test_races_and_faults.py` lists the tests of all faults.
"""

import asyncio
import contextlib
import resource
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from app.realtime.limits import Limits
from tests.conftest import NewDatabase
from tests.harness.events import Received
from tests.harness.person import Person
from tests.harness.process import Reelroom, started
from tests.harness.waiting import eventually

# How long a process is stopped: longer than the interval of the head check of hubs.
STOPPED_SECONDS = Limits().head_check + 0.5


@pytest.fixture
async def reelroom(new_database: NewDatabase, tmp_path: Path) -> AsyncIterator[Reelroom]:
    async with started(cwd=tmp_path, DATABASE_URL=await new_database()) as one:
        yield one


@asynccontextmanager
async def streaming(
    reelroom: Reelroom, count: int
) -> AsyncIterator[tuple[Person, str, list[Received]]]:
    """The local admin, a new project of theirs, and `count` streams of it that are ready."""
    async with reelroom.local_admin() as person:
        project = await person.project("streamed")
        streams = [Received() for _ in range(count)]
        path = f"/api/projects/{project}/events"
        limits = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(
            base_url=reelroom.url, headers=person.headers, timeout=30, limits=limits
        ) as client:
            tasks = [asyncio.create_task(stream.read(client, path)) for stream in streams]
            for stream in streams:
                await stream.ready()
            yield person, project, streams
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def add(client: httpx.AsyncClient, project: str) -> int:
    """Add a scene; return the revision of the project after it."""
    answer = await client.post(f"/api/projects/{project}/scenes", json={})
    assert answer.status_code == 201, answer.text
    revision: int = answer.json()["meta"]["revision"]
    return revision


def files_of(reelroom: Reelroom) -> int:
    return len(list(Path(f"/proc/{reelroom.process.pid}/fd").iterdir()))


def unread_connections(reelroom: Reelroom) -> int:
    """The number of connections to the server with bytes that it has not read."""
    port = f":{int(reelroom.url.rpartition(':')[2]):04X}"
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    queues = [fields[4] for fields in lines if fields[1].endswith(port) and fields[3] == "01"]
    return sum(not queue.endswith(":00000000") for queue in queues)


def caught_up(streams: list[Received], revision: int) -> bool:
    """Whether this is the last revision that each of the streams received."""
    return all(stream.revisions[-1:] == [revision] for stream in streams)


@pytest.mark.parametrize(
    "signals", [[signal.SIGTERM] * 2, [signal.SIGINT] * 5], ids=["twice", "storm"]
)
async def test_f08_several_signals_end_it_once(reelroom: Reelroom, signals: list[int]) -> None:
    async with streaming(reelroom, 10) as (person, project, streams):
        await add(person, project)
        began = time.monotonic()
        for number in signals:
            with contextlib.suppress(ProcessLookupError):
                reelroom.send_signal(number)
        await asyncio.to_thread(reelroom.process.wait, 30)
        assert time.monotonic() - began < 25
        for stream in streams:
            await stream.over()
    assert "Traceback" not in reelroom.err


async def test_f10_a_stopped_process_loses_nothing(reelroom: Reelroom) -> None:
    async with streaming(reelroom, 10) as (person, project, streams):
        await add(person, project)
        reelroom.send_signal(signal.SIGSTOP)
        answers = [asyncio.create_task(add(person, project)) for _ in range(5)]
        await eventually(lambda: unread_connections(reelroom) == 5)
        await asyncio.sleep(STOPPED_SECONDS)
        reelroom.send_signal(signal.SIGCONT)
        last = max(await asyncio.gather(*answers))
        await eventually(lambda: caught_up(streams, last))
        first = streams[0].revisions[0]
        for stream in streams:
            assert stream.revisions == list(range(first, last + 1))
            assert not stream.ended.is_set()


async def test_f11_without_file_descriptors_it_survives_and_recovers(reelroom: Reelroom) -> None:
    async with streaming(reelroom, 5) as (person, project, streams):
        await add(person, project)
        opened = files_of(reelroom)
        limits = resource.prlimit(reelroom.process.pid, resource.RLIMIT_NOFILE)
        limit = opened + 20
        resource.prlimit(reelroom.process.pid, resource.RLIMIT_NOFILE, (limit, limits[1]))
        port = int(reelroom.url.rpartition(":")[2])
        idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(60)]
        await eventually(lambda: files_of(reelroom) >= limit)
        last = await add(person, project)
        await eventually(lambda: caught_up(streams, last))
        for _, writer in idle:
            writer.close()
        await eventually(
            lambda: files_of(reelroom) < limit - 10
        )  # until then it resets connections
        async with httpx.AsyncClient(base_url=reelroom.url, timeout=10) as another:
            assert (await another.get("/health/ready")).status_code == 200
        assert reelroom.process.poll() is None
        assert not any(stream.ended.is_set() for stream in streams)
