"""The cost of reading a long history: pages of the timeline, alternating with a trivial query.

The project has ten thousand iterations by default, each of a scene with three kilobytes of code,
written as the product writes them.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec

from app.auth.model import Caller
from app.lifecycle.check import check
from app.projects.model import NewProject
from app.projects.projects import create_project
from app.scenes.branching import read_past
from app.scenes.requests import NewScene, ScenePatch
from app.scenes.scenes import add_scene, change_scene
from app.scenes.timeline import read_timeline
from app.scenes.undo import UndoRequest, redo, undo
from app.store import embedded
from app.store.migration import migrate
from tests.harness.database import DB, connected

SCENES = 50
LINE = 'const word = "a line of a scene, as long as they often are";\n'
ANN = Caller(user_id="ann", name="Ann", request_id="bench")
LIMIT_MS = 50.0  # the longest that a page may take


async def fill(iterations: int) -> str:
    """A project whose scenes were edited in turn."""
    async with DB.transaction() as tx:
        await tx.execute("insert into user_account (id, name) values ('ann', 'Ann')")
        project_id = (await create_project(tx, ANN, NewProject())).data.id
    scenes = []
    for _ in range(SCENES):
        async with DB.transaction() as tx:
            scenes.append((await add_scene(tx, ANN, project_id, NewScene())).data.id)
    for number in range(iterations - SCENES):
        patch = ScenePatch(tsx_code=f"// {number}\n{LINE * 50}")
        async with DB.transaction() as tx:
            await change_scene(tx, ANN, scenes[number % SCENES], patch, None)
    return project_id


async def timed(work: Callable[[], Awaitable[object]]) -> float:
    began = time.perf_counter()
    await work()
    return (time.perf_counter() - began) * 1000


async def measure(project_id: str, iterations: int, rounds: int) -> bool:
    middle = iterations  # half of the revisions: each change makes two

    def page(before: int | None) -> Callable[[], Awaitable[object]]:
        async def read() -> bytes:
            async with DB.reading(snapshot=True) as reader:
                found = await read_timeline(reader, project_id, before=before, limit=50)
            return msgspec.json.encode(found)

        return read

    async def trivial() -> None:
        async with DB.reading(snapshot=True) as reader:
            await reader.fetchval("select 1")

    async def past() -> None:
        async with DB.reading(snapshot=True) as reader:
            await read_past(reader, project_id, middle)

    async def to_and_fro() -> None:
        for verb in (undo, redo):
            async with DB.transaction() as tx:
                await verb(tx, ANN, project_id, UndoRequest())

    works = {
        "a trivial query": trivial,
        "timeline, newest page": page(None),
        "timeline, a page of the middle": page(middle),
        "timeline, last page": page(60),
        "the project as of the middle": past,
        "undo and redo": to_and_fro,
    }
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            times[name].append(await timed(work))
    floor = statistics.median(times["a trivial query"])
    for name, found in times.items():
        median = statistics.median(found)
        print(f"{name:32} {median:8.2f} ms  {median / floor:8.1f} x  worst {max(found):8.2f} ms")
    return all(
        statistics.median(found) < LIMIT_MS for name, found in times.items() if "timeline" in name
    )


async def run(dsn: str, iterations: int, rounds: int) -> None:
    await migrate(dsn)
    async with connected(dsn, connections=2) as db:
        project_id = await fill(iterations)
        await db.fetch("analyze")
        fast = await measure(project_id, iterations, rounds)
        broken = await check(db)
    print(f"{iterations} iterations; a page of the timeline under {LIMIT_MS:.0f} ms: {fast}")
    print(f"invariants: {broken or 'all hold'}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench history")
    parser.add_argument("--iterations", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=30)
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        embedded.start(Path(folder) / "postgres", durable=False) as postgres,
    ):
        asyncio.run(run(postgres.dsn, options.iterations, options.rounds))
