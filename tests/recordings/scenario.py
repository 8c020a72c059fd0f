"""All chapters, and the servers that they are played against, at once where that is possible."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from tests.harness.proxies import FaultProxy
from tests.recordings.chapter import Chapter
from tests.recordings.chapters import (
    accounts,
    faults,
    generations,
    history,
    login,
    meanwhile,
    operation,
    outage,
    patience,
    polls,
    projects,
    requests,
    restart,
    scenes,
    sockets,
    streams,
    turns,
    variations,
)
from tests.recordings.client import Address
from tests.recordings.model import Model
from tests.recordings.people import People
from tests.recordings.server import Delivery, Server, running

Recording = dict[str, str]  # file name -> content
Record = Callable[[Chapter], Awaitable[None]]

REDIS_PORT = 6379  # when its address names none

OFFLINE: dict[str, Record] = {
    "accounts": accounts.record,
    "generations": generations.record,
    "history": history.record,
    "patience": patience.record,
    "polls": polls.record,
    "projects": projects.record,
    "requests": requests.record,
    "scenes": scenes.record,
    "sockets": sockets.record,
    "streams": streams.record,
    "turns": turns.record,
}
MODELLED: dict[str, Callable[..., Awaitable[None]]] = {
    "faults": faults.record,
    "meanwhile": meanwhile.record,
    "variations": variations.record,
}
# What depends on how a server writes its answers; the rest is played through one delivery alone.
DELIVERED = frozenset(
    {
        "leaving",
        "meanwhile",
        "operation",
        "patience",
        "polls",
        "requests",
        "sockets",
        "streams",
        "turns",
    }
)
PLAYED: dict[Delivery, frozenset[str]] = {
    "plain": DELIVERED,
    "unaccelerated": frozenset({"polls", "requests", "sockets", "streams"}),
}


class Scenario:
    """Plays the chapters of a delivery against servers of one checkout.

    One server has the offline model and no Redis; the other has a scripted model and Redis, with
    proxies before that and its database. `databases` are two migrated ones without any account.
    """

    def __init__(
        self,
        checkout: Path,
        delivery: Delivery,
        folder: Path,
        databases: tuple[str, str],
        redis: str,
    ) -> None:
        self._running = partial(running, checkout, delivery, folder)
        self._delivery = delivery
        self._databases = databases
        self._redis = redis
        self._chapters: list[Chapter] = []
        self._sources = itertools.count(10)

    async def play(self) -> Recording:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._play_offline(self._databases[0]))
            if self._is_played("meanwhile"):
                group.create_task(self._play_modelled(self._databases[1]))
        return {one.name: one.transcript.written() for one in self._chapters}

    async def _play_offline(self, database: str) -> None:
        async with AsyncExitStack() as stack:
            people = await stack.enter_async_context(_people(database))
            server = await stack.enter_async_context(self._running(DATABASE_URL=database))
            play = partial(self._chapter, server, people)
            await play("login", partial(login.record, link=server.link))
            async with asyncio.TaskGroup() as group:
                for name, record in OFFLINE.items():
                    group.create_task(play(name, record))
            await play("operation", operation.record)  # the others have used all metrics

    async def _play_modelled(self, database: str) -> None:
        async with AsyncExitStack() as stack:
            people = await stack.enter_async_context(_people(database))
            model = await stack.enter_async_context(Model())
            proxies = []
            settings = {"OPENAI_BASE_URL": model.url, "OPENAI_API_KEY": "none"}
            for name, url in {"DATABASE_URL": database, "REDIS_URL": self._redis}.items():
                parts = urlsplit(url)
                assert parts.hostname
                proxy = FaultProxy(parts.hostname, parts.port or REDIS_PORT)
                proxies.append(await stack.enter_async_context(proxy.running()))
                login, at, _ = parts.netloc.rpartition("@")
                netloc = f"{login}{at}127.0.0.1:{proxy.port}"
                settings[name] = urlunsplit(parts._replace(netloc=netloc))
            new = partial(self._running, **settings)
            server = await stack.enter_async_context(new())
            play = partial(self._chapter, server, people)
            async with asyncio.TaskGroup() as group:
                for name, record in MODELLED.items():
                    group.create_task(play(name, partial(record, model=model)))
            database_proxy, redis_proxy = proxies
            await play("outage", partial(outage.record, database=database_proxy, redis=redis_proxy))
            left: list[restart.Unfinished] = []
            await play("leaving", partial(restart.leaving, model=model, server=server, left=left))
            await play("going-on", partial(restart.going_on, left=left, another=new))

    def _is_played(self, name: str) -> bool:
        return self._delivery not in PLAYED or name in PLAYED[self._delivery]

    async def _chapter(self, server: Server, people: People, name: str, record: Record) -> None:
        if not self._is_played(name):
            return
        address = Address(server.port, f"127.0.0.{next(self._sources)}")
        chapter = Chapter(name, address, people)
        self._chapters.append(chapter)
        async with chapter:
            await record(chapter)


@asynccontextmanager
async def _people(database: str) -> AsyncIterator[People]:
    connection = await asyncpg.connect(database)
    people = People(connection)
    await people.make_local()
    try:
        yield people
    finally:
        await connection.close()
