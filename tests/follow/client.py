"""A client library for one project: its state, update by update, whatever the network does.

It imports nothing of the server: tests, scripts and load generators use it as outsiders do.
"""

import asyncio
import random as chance
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Any

import httpx

from tests.follow.commands import Command, Connect, Disconnect, ReadHead, ReadSnapshot, Update
from tests.follow.core import TICK, Core
from tests.follow.ladder import Ladder, Transport
from tests.follow.lines import LINES, Refused, Server
from tests.follow.wire import LOST, Closing, Json

ALL: tuple[Transport, ...] = ("sse", "socket", "poll")
FINAL = (400, 401, 403, 404)  # answers that no retry cures


class Following:
    """Iterate it for updates; it ends with `Refused` when the project may not be read any more."""

    def __init__(self, server: Server, transports: tuple[Transport, ...]) -> None:
        self.core = Core(Ladder(transports), chance.random)
        self._server = server
        self._loop = asyncio.get_running_loop()
        self._news = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._line: asyncio.Task[None] | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self._closed = False
        self.core.connect(self._loop.time())
        self._do()
        self._start(self._tick())

    @property
    def state(self) -> Json | None:
        return self.core.state

    def wake(self) -> None:
        """Say that the network is back: everything is checked at once."""
        self.core.wake(self._loop.time())
        self._do()

    async def __aiter__(self) -> AsyncIterator[Update]:
        while True:
            while self.core.updates:
                yield self.core.updates.pop(0)
            if self.core.ending:
                raise self.core.ending
            self._news.clear()
            await self._news.wait()

    async def close(self) -> None:
        self._closed = True
        if self._alarm:
            self._alarm.cancel()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _do(self) -> None:
        """Carry out what the core wants, and wake who waits for it."""
        if self._closed:
            return
        while self.core.commands:
            self._carry_out(self.core.commands.pop(0))
        if self._alarm:
            self._alarm.cancel()
        self._alarm = None
        if self.core.alarm:
            self._alarm = self._loop.call_at(self.core.alarm[0], self._ring)
        if self.core.updates or self.core.ending:
            self._news.set()

    def _carry_out(self, command: Command) -> None:
        match command:
            case Disconnect():
                self._hang_up()
            case Connect():
                self._hang_up()
                self._line = self._start(self._receive(command))
            case ReadSnapshot(attempt):
                self._start(self._read_snapshot(attempt))
            case ReadHead(attempt, after):
                self._start(self._read_head(attempt, after))

    def _hang_up(self) -> None:
        if self._line:
            self._line.cancel()
            self._line = None

    def _ring(self) -> None:
        self.core.ring(self._loop.time())
        self._do()

    async def _tick(self) -> None:
        while self.core.connection != "ended":
            await asyncio.sleep(TICK)
            self.core.tick(self._loop.time())
            self._do()

    async def _receive(self, command: Connect) -> None:
        def tell(event: Json | None) -> None:
            self.core.hear(self._loop.time(), command.attempt, event)
            self._do()

        closing: Closing = LOST
        try:
            closing = await LINES[command.transport](self._server, command.after, tell)
        finally:
            self.core.lost(self._loop.time(), command.attempt, closing)
            self._do()

    async def _read_snapshot(self, attempt: int) -> None:
        try:
            snapshot = await self._server.snapshot()
        except Refused as error:
            final = error.status in FINAL
            self.core.no_snapshot(self._loop.time(), attempt, error, final=final)
        except httpx.HTTPError as error:
            self.core.no_snapshot(self._loop.time(), attempt, error, final=False)
        else:
            self.core.snapshot(self._loop.time(), attempt, snapshot)
        self._do()

    async def _read_head(self, attempt: int, after: str) -> None:
        try:
            cursor = str((await self._server.changes(after))["cursor"])
        except (Refused, httpx.HTTPError):
            self.core.head(self._loop.time(), attempt, None)
        else:
            self.core.head(self._loop.time(), attempt, cursor)
        self._do()

    def _start(self, work: Awaitable[None]) -> asyncio.Task[None]:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            self.core.ending = error  # a bug of ours; who iterates is to see it
            self._news.set()


@asynccontextmanager
async def following(
    url: str, project: str, token: str, *, transport: Transport | None = None
) -> AsyncGenerator[Following, Any]:
    """Follow over one transport, or over the first that gets through."""
    limits = httpx.Limits(max_connections=None)
    headers = {"authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(headers=headers, limits=limits, trust_env=False) as client:
        one = Following(Server(client, url, project), (transport,) if transport else ALL)
        try:
            yield one
        finally:
            await one.close()


async def follow(
    url: str, project: str, token: str, *, transport: Transport | None = None
) -> AsyncGenerator[Update, None]:
    """Each change of the project's state, as it happens; close it (`aclosing`) when done."""
    async with following(url, project, token, transport=transport) as one:
        async for update in one:
            yield update
