"""Faults of the process itself, by their numbers.

Where each of the others is tested: `tests/test_races_and_faults.py`.
"""

import asyncio
import contextlib
import resource
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import NewDatabase
from tests.running import Reelroom

TOKEN = {"authorization": "Bearer local"}


@pytest.fixture
async def reelroom(new_database: NewDatabase, tmp_path: Path) -> AsyncIterator[Reelroom]:
    settings = {"DATABASE_URL": await new_database(), "REELROOM_LOCAL_TOKEN": "local"}
    with Reelroom(cwd=tmp_path, **settings) as one:
        await asyncio.to_thread(one.ready)
        yield one


class Stream:
    """The revisions that one client was told, and whether its stream has ended."""

    def __init__(self) -> None:
        self.revisions: list[int] = []
        self.ready = asyncio.Event()
        self.ended = False

    async def read(self, client: httpx.AsyncClient, project: str) -> None:
        path = f"/api/projects/{project}/events"
        try:
            async with client.stream("GET", path) as answer:
                async for line in answer.aiter_lines():
                    if line == "event: sync.ready":
                        self.ready.set()
                    elif line.startswith("id: "):
                        self.revisions.append(int(line.rpartition(".")[2]))
        finally:
            self.ended = True


@asynccontextmanager
async def streaming(
    reelroom: Reelroom, count: int
) -> AsyncIterator[tuple[httpx.AsyncClient, str, list[Stream]]]:
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(
        base_url=reelroom.url, headers=TOKEN, timeout=30, limits=limits
    ) as client:
        made = await client.post("/api/projects", json={"title": "streamed"})
        project = made.json()["data"]["id"]
        streams = [Stream() for _ in range(count)]
        tasks = [asyncio.create_task(stream.read(client, project)) for stream in streams]
        async with asyncio.timeout(20):
            for stream in streams:
                await stream.ready.wait()
        yield client, project, streams
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def add(client: httpx.AsyncClient, project: str) -> int:
    answer = await client.post(f"/api/projects/{project}/scenes", json={})
    assert answer.status_code == 201, answer.text
    revision: int = answer.json()["meta"]["revision"]
    return revision


def files_of(reelroom: Reelroom) -> int:
    return len(list(Path(f"/proc/{reelroom.process.pid}/fd").iterdir()))


async def until(fact: Any, within: float = 10.0) -> None:
    async with asyncio.timeout(within):
        while not fact():
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    "signals", [[signal.SIGTERM] * 2, [signal.SIGINT] * 5], ids=["twice", "storm"]
)
async def test_f08_more_signals_than_one_end_it_once(
    reelroom: Reelroom, signals: list[int]
) -> None:
    async with streaming(reelroom, 10) as (client, project, streams):
        await add(client, project)
        began = time.monotonic()
        for number in signals:
            with contextlib.suppress(ProcessLookupError):
                reelroom.tell(number)
        await asyncio.to_thread(reelroom.process.wait, 30)
        assert time.monotonic() - began < 25
        await until(lambda: all(stream.ended for stream in streams))
    assert "Traceback" not in reelroom.err


async def test_f10_a_process_that_stood_still_loses_nothing(reelroom: Reelroom) -> None:
    async with streaming(reelroom, 10) as (client, project, streams):
        await add(client, project)
        reelroom.tell(signal.SIGSTOP)
        answers = [asyncio.create_task(add(client, project)) for _ in range(5)]
        await asyncio.sleep(3)
        reelroom.tell(signal.SIGCONT)
        last = max(await asyncio.gather(*answers))
        await until(lambda: all(stream.revisions[-1:] == [last] for stream in streams))
        first = streams[0].revisions[0]
        for stream in streams:
            assert stream.revisions == list(range(first, last + 1))
            assert not stream.ended


async def test_f11_without_file_descriptors_it_lives_and_recovers(reelroom: Reelroom) -> None:
    async with streaming(reelroom, 5) as (client, project, streams):
        await add(client, project)
        opened = files_of(reelroom)
        limits = resource.prlimit(reelroom.process.pid, resource.RLIMIT_NOFILE)
        most = opened + 20
        resource.prlimit(reelroom.process.pid, resource.RLIMIT_NOFILE, (most, limits[1]))
        port = int(reelroom.url.rpartition(":")[2])
        crowd = [await asyncio.open_connection("127.0.0.1", port) for _ in range(60)]
        await until(lambda: files_of(reelroom) >= most)
        last = await add(client, project)
        await until(lambda: all(stream.revisions[-1:] == [last] for stream in streams))
        for _, writer in crowd:
            writer.close()
        await until(lambda: files_of(reelroom) < most - 10)  # until then it resets who comes
        async with httpx.AsyncClient(base_url=reelroom.url, timeout=10) as another:
            assert (await another.get("/health/ready")).status_code == 200
        assert reelroom.process.poll() is None
        assert not any(stream.ended for stream in streams)
