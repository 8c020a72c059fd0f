"""The cost of a chain of fifty generations: one query, beside `select 1` in the same run."""

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncpg

from app.auth.model import Caller
from app.brain.model import TokenUsage
from app.generations.reads import LIST_CHAIN, chain_of
from app.generations.records import GeneratedCode, NewGeneration, begin, succeed
from app.projects.model import NewProject
from app.projects.projects import create_project
from app.realtime.log import changing
from app.scenes.blank import BLANK
from app.store import embedded
from app.store.database import Tx, set_type_codecs
from app.store.migration import migrate

DEPTH = 50
LIMIT_MS = 5.0  # the longest that the query may take


async def fill(tx: Tx, others: int) -> str:
    """Insert a chain of this depth among other generations; return the id of its end."""
    await tx.execute("insert into user_account (id, name) values ('ann', 'ann')")
    caller = Caller(user_id="ann", name="ann", role="user", request_id="bench")
    project = (await create_project(tx, caller, NewProject())).data.id
    made = GeneratedCode(code=BLANK, model="bench", usage=TokenUsage(), milliseconds=1)
    parent = None
    async with changing(tx, project, actor_id="ann", request_id="bench") as change:
        for _ in range(DEPTH):
            parent = await begin(change, NewGeneration(prompt="x", format="square", parent=parent))
            parent = await succeed(change, parent.id, made)
            for _ in range(others // DEPTH):
                other = await begin(
                    change, NewGeneration(prompt="x", format="square", parent=parent)
                )
                await succeed(change, other.id, made)
    assert parent is not None
    await tx.execute("analyze generation")
    return parent.id


async def timed(times: int, ask: Callable[[], Awaitable[object]]) -> float:
    """The median in milliseconds."""
    took = []
    for _ in range(times):
        began = time.perf_counter()
        await ask()
        took.append((time.perf_counter() - began) * 1000)
    return statistics.median(took)


async def measure(dsn: str, times: int, others: int) -> None:
    connection = await asyncpg.connect(dsn)
    await set_type_codecs(connection)
    tx = Tx(connection)
    end = await fill(tx, others)
    seen: list[str] = []

    def note(record: Any) -> None:
        seen.append(record.query)

    connection.add_query_logger(note)
    found = await chain_of(tx, end)
    await asyncio.sleep(0)  # the logger is called by the loop
    connection.remove_query_logger(note)
    assert (len(found.items), found.truncated, seen) == (DEPTH, False, [LIST_CHAIN.sql])
    rounds = [
        (
            await timed(times, lambda: tx.fetchval("select 1")),
            await timed(times, lambda: chain_of(tx, end)),
        )
        for _ in range(5)
    ]
    await connection.close()
    one = statistics.median(least for least, _ in rounds)
    chain = statistics.median(whole for _, whole in rounds)
    print(f"generations in the table             {others + DEPTH}")
    print(f"queries for a chain of {DEPTH}            {len(seen)}")
    print(f"`select 1`                           {one:.3f} ms")
    print(f"the chain, as values                 {chain:.3f} ms")
    print(f"ratio                                {chain / one:.1f}")
    print(
        f"under {LIMIT_MS:.0f} ms                           {'yes' if chain < LIMIT_MS else 'NO'}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=200)
    parser.add_argument("--others", type=int, default=2000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        with embedded.start(Path(folder), durable=False) as server:
            asyncio.run(migrate(server.dsn))
            asyncio.run(measure(server.dsn, given.times, given.others))
