"""A schedule explorer for two transactions that take turns at their statements.

At each statement one of the actors that can go on is chosen; PostgreSQL shows which of them waits
for a lock of the other. `every` goes through all choices, depth first, by running again from the
start with another choice at the last point where there was one; `some` takes them at random, from
a seed. A choice that leaves an actor which could go on is a preemption: a few of them reach nearly
all that a race can do, and bounding their number bounds that of the schedules
(Musuvathi and Qadeer, "Iterative context bounding", PLDI 2007).
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, NamedTuple

from asyncpg import Connection

from app.store.database import Tx

POLL_SECONDS = 0.001  # between two queries for the lock that an actor waits for
STUCK_SECONDS = 10.0  # after which a schedule that does not end fails
BLOCKED = "select cardinality(pg_blocking_pids($1)) > 0"

Act = Callable[[Tx], Awaitable[object]]
Choose = Callable[[int], int]  # from the number of actors that can run to the index of one


class Actor:
    """One transaction, which waits for its turn before each of its statements."""

    def __init__(self, connection: Connection, pid: int, changed: asyncio.Event) -> None:
        self.connection = connection
        self.pid = pid
        self.waiting: asyncio.Event | None = None
        self.over = False
        self.result: object = None
        self._changed = changed

    async def turn(self) -> None:
        self.waiting = asyncio.Event()
        self._changed.set()
        await self.waiting.wait()

    def go(self) -> None:
        assert self.waiting is not None
        event, self.waiting = self.waiting, None
        event.set()

    async def perform(self, act: Act) -> None:
        try:
            await self.turn()
            transaction = self.connection.transaction()
            await transaction.start()
            try:
                self.result = await act(Stepped(self))
            except Exception as error:  # noqa: BLE001  the caller examines it
                self.result = error
                await self.turn()
                await transaction.rollback()
            else:
                await self.turn()
                await transaction.commit()
        finally:
            self.over = True
            self._changed.set()


class Stepped(Tx):
    """A transaction whose every statement waits for its turn."""

    def __init__(self, actor: Actor) -> None:
        super().__init__(actor.connection)
        self._actor = actor

    async def fetch(self, sql: str, *values: Any) -> Any:
        await self._actor.turn()
        return await super().fetch(sql, *values)

    async def fetchrow(self, sql: str, *values: Any) -> Any:
        await self._actor.turn()
        return await super().fetchrow(sql, *values)

    async def fetchval(self, sql: str, *values: Any) -> Any:
        await self._actor.turn()
        return await super().fetchval(sql, *values)

    async def execute(self, sql: str, *values: Any) -> int:
        await self._actor.turn()
        return await super().execute(sql, *values)


class Choice(NamedTuple):
    """The index chosen among the `able` actors; all but the first preempt unless `free`."""

    taken: int
    able: int
    free: bool

    @property
    def costs(self) -> int:
        return int(self.taken > 0 and not self.free)


class Result(NamedTuple):
    """What each act returned or raised, and the choices of the schedule."""

    results: list[object]
    trace: list[Choice]


class Explorer:
    """Runs schedules on two connections; a third one queries which of them waits for a lock."""

    def __init__(self, connections: list[Connection], admin: Connection) -> None:
        self._connections = connections
        self._admin = admin
        self._pids: list[int] = []

    async def run(self, acts: list[Act], choose: Choose) -> Result:
        """Run one schedule until all of its actors have ended."""
        if not self._pids:
            self._pids = [
                await one.fetchval("select pg_backend_pid()") for one in self._connections
            ]
        changed = asyncio.Event()
        actors = [
            Actor(connection, pid, changed)
            for connection, pid in zip(self._connections, self._pids, strict=True)
        ]
        tasks = [
            asyncio.create_task(actor.perform(act)) for actor, act in zip(actors, acts, strict=True)
        ]
        trace = list[Choice]()
        last: Actor | None = None
        async with asyncio.timeout(STUCK_SECONDS):
            while True:
                await self._settled(actors, changed)
                able = [actor for actor in actors if actor.waiting is not None]
                if not able:
                    break
                able.sort(key=lambda actor: actor is not last)
                taken = choose(len(able)) if len(able) > 1 else 0
                if len(able) > 1:
                    trace.append(Choice(taken, len(able), free=able[0] is not last))
                last = able[taken]
                last.go()
            await asyncio.gather(*tasks)
        return Result([actor.result for actor in actors], trace)

    async def _settled(self, actors: list[Actor], changed: asyncio.Event) -> None:
        """Wait until each actor has ended, waits for its turn, or waits for a lock."""
        while True:
            changed.clear()
            moving = [actor for actor in actors if not (actor.over or actor.waiting)]
            if not moving:
                return
            try:
                await asyncio.wait_for(changed.wait(), POLL_SECONDS)
            except TimeoutError:
                held = [await self._admin.fetchval(BLOCKED, actor.pid) for actor in moving]
                still = [actor for actor in moving if not (actor.over or actor.waiting)]
                if all(held) and still == moving and len(moving) < len(actors):
                    if all(actor.over for actor in actors if actor not in moving):
                        continue  # the lock was released: the actor continues soon
                    return

    async def every(
        self, make: Callable[[], Awaitable[list[Act]]], *, preemptions: int | None = None
    ) -> AsyncIterator[Result]:
        """Run all schedules, or those with at most `preemptions` preemptions."""
        prefix: list[int] | None = []
        while prefix is not None:
            ran = await self.run(await make(), _following(prefix))
            yield ran
            prefix = _next(ran.trace, preemptions)

    async def some(
        self, make: Callable[[], Awaitable[list[Act]]], number: int, seed: int
    ) -> AsyncIterator[Result]:
        """Run `number` random schedules, and among them both sequential ones."""
        chance = random.Random(seed)
        for index in range(number):
            choose = _following([index]) if index < 2 else chance.randrange
            yield await self.run(await make(), choose)


def _following(prefix: list[int]) -> Choose:
    known: Iterator[int] = iter(prefix)
    return lambda _: next(known, 0)


def _next(trace: list[Choice], preemptions: int | None) -> list[int] | None:
    """Return the prefix up to the last choice that can differ, with its next alternative."""
    for index in reversed(range(len(trace))):
        taken, able, free = trace[index]
        spent = sum(choice.costs for choice in trace[:index])
        other = Choice(taken + 1, able, free)
        if other.taken < able and (preemptions is None or spent + other.costs <= preemptions):
            return [*(choice.taken for choice in trace[:index]), other.taken]
    return None
