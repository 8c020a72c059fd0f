"""Records what a checkout of the server answers: `python -m tests.recordings.record CHECKOUT`."""

import argparse
import asyncio
import tempfile
from pathlib import Path

import asyncpg

from app.store.embedded import start
from tests.harness.redis import RedisServer
from tests.recordings.scenario import Recording, Scenario
from tests.recordings.server import Delivery, migrated

DATA = Path(__file__).with_name("data")


async def record(checkout: Path, delivery: Delivery) -> Recording:
    """Start PostgreSQL and Redis, and play the scenario against servers of the checkout."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "postgres").mkdir()
        with (
            start(folder / "postgres", durable=False) as postgres,
            RedisServer(folder) as redis,
        ):
            one, two = [await _database(postgres.dsn, name) for name in ("one", "two")]
            for database in (one, two):
                await migrated(checkout, folder, database)
            recording = await Scenario(checkout, delivery, folder, (one, two), redis.url).play()
    return recording


async def _database(dsn: str, name: str) -> str:
    connection = await asyncpg.connect(dsn)
    await connection.execute(f"create database {name} template template0")
    await connection.close()
    return f"{dsn.rpartition('/')[0]}/{name}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--plain", action="store_true", help="through uvicorn's own protocols")
    parser.add_argument("--to", type=Path, default=DATA, help="the folder of the recordings")
    options = parser.parse_args()
    delivery: Delivery = "plain" if options.plain else "accelerated"
    recording = asyncio.run(record(options.checkout.resolve(), delivery))
    options.to.mkdir(exist_ok=True)
    for chapter, text in recording.items():
        (options.to / f"{chapter}.json").write_text(text)
