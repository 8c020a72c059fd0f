"""Follow one project from Python: its state, update by update, whatever the network does.

    async with open_feed("http://localhost:8000", project_id, token) as feed:
        async for update in feed:
            print(update.state["revision"], [event["type"] for event in update.events])

The feed begins with a snapshot, reconnects by itself, continues where it was, and changes the
transport when one does not get through. This package uses nothing else of the server.
"""

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Any

import httpx2

from app.client.commands import Command, Connect, Disconnect, ReadHead, ReadSnapshot, State, Update
from app.client.fallback import Transport, TransportFallback
from app.client.protocol import TICK_SECONDS, ConnectionState, FeedProtocol
from app.client.transports import RECEIVERS, ProjectApi, RequestRefused
from app.client.wire import LOST, Closing, Json

TRANSPORTS: tuple[Transport, ...] = ("sse", "socket", "poll")  # in the order of preference
FINAL_STATUSES = (400, 401, 403, 404)  # of HTTP, which no further attempt changes


class ProjectFeed:
    """The updates of one project, as an asynchronous iterator.

    The iteration does not end by itself. It raises `RequestRefused` when the project may not be
    read any more; `status` then says why. Made by `open_feed`, which also closes it.
    """

    def __init__(self, api: ProjectApi, transports: tuple[Transport, ...] = TRANSPORTS) -> None:
        self._protocol = FeedProtocol(TransportFallback(transports), random.random)
        self._api = api
        self._loop = asyncio.get_running_loop()
        self._changed = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._receiving: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False
        self._protocol.connect(self._loop.time())
        self._run_commands()
        self._start(self._tick())

    @property
    def state(self) -> State | None:
        """The newest state; None before the first snapshot. See `app.client.state`."""
        return self._protocol.state

    @property
    def connection(self) -> ConnectionState:
        """Whether updates arrive as they happen: only while this is "live"."""
        return self._protocol.connection

    @property
    def transport(self) -> Transport:
        """The transport of the current attempt."""
        return self._protocol.fallback.transport

    @property
    def attempts(self) -> int:
        """How often a connection or a snapshot was tried; grows with each reconnection."""
        return self._protocol.attempts

    @property
    def resets(self) -> int:
        """How often a snapshot replaced the state, so that events between were not seen."""
        return self._protocol.resets

    def use_token(self, token: str) -> None:
        """Send another API token from the next request on."""
        self._api.http.headers["authorization"] = f"Bearer {token}"

    def wake(self) -> None:
        """Reconnect now, or check the connection: call it when the network is back."""
        self._protocol.wake(self._loop.time())
        self._run_commands()

    async def __aiter__(self) -> AsyncIterator[Update]:
        while True:
            while self._protocol.updates:
                yield self._protocol.updates.pop(0)
            if self._protocol.failure:
                raise self._protocol.failure
            self._changed.clear()
            await self._changed.wait()

    async def close(self) -> None:
        """Close the connection and end all work of the feed."""
        self._closed = True
        if self._timer:
            self._timer.cancel()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _run_commands(self) -> None:
        """Carry out the protocol's commands, set its timer, and wake who waits for an update."""
        if self._closed:
            return
        while self._protocol.commands:
            self._run(self._protocol.commands.pop(0))
        if self._timer:
            self._timer.cancel()
        self._timer = None
        if self._protocol.timer:
            self._timer = self._loop.call_at(self._protocol.timer[0], self._timer_fired)
        if self._protocol.updates or self._protocol.failure:
            self._changed.set()

    def _run(self, command: Command) -> None:
        match command:
            case Disconnect():
                self._disconnect()
            case Connect():
                self._disconnect()
                self._receiving = self._start(self._receive(command))
            case ReadSnapshot(attempt):
                self._start(self._read_snapshot(attempt))
            case ReadHead(attempt, after):
                self._start(self._read_head(attempt, after))

    def _disconnect(self) -> None:
        if self._receiving:
            self._receiving.cancel()
            self._receiving = None

    def _timer_fired(self) -> None:
        self._protocol.timer_fired(self._loop.time())
        self._run_commands()

    async def _tick(self) -> None:
        while self._protocol.connection != "ended":
            await asyncio.sleep(TICK_SECONDS)
            self._protocol.tick(self._loop.time())
            self._run_commands()

    async def _receive(self, command: Connect) -> None:
        def receive(event: Json | None) -> None:
            self._protocol.event_received(self._loop.time(), command.attempt, event)
            self._run_commands()

        closing: Closing = LOST
        try:
            closing = await RECEIVERS[command.transport](self._api, command.after, receive)
        finally:
            self._protocol.connection_lost(self._loop.time(), command.attempt, closing)
            self._run_commands()

    async def _read_snapshot(self, attempt: int) -> None:
        try:
            snapshot = await self._api.snapshot()
        except RequestRefused as error:
            final = error.status in FINAL_STATUSES
            self._protocol.snapshot_failed(self._loop.time(), attempt, error, final=final)
        except httpx2.HTTPError as error:
            self._protocol.snapshot_failed(self._loop.time(), attempt, error, final=False)
        else:
            self._protocol.snapshot_received(self._loop.time(), attempt, snapshot)
        self._run_commands()

    async def _read_head(self, attempt: int, after: str) -> None:
        try:
            cursor = str((await self._api.changes(after))["cursor"])
        except (RequestRefused, httpx2.HTTPError):
            self._protocol.head_received(self._loop.time(), attempt, None)
        else:
            self._protocol.head_received(self._loop.time(), attempt, cursor)
        self._run_commands()

    def _start(self, work: Awaitable[None]) -> asyncio.Task[None]:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._finish)
        return task

    def _finish(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            self._protocol.failure = error  # a defect of this package: raised by the iteration
            self._changed.set()


@asynccontextmanager
async def open_feed(
    url: str, project_id: str, token: str, *, transport: Transport | None = None
) -> AsyncGenerator[ProjectFeed, Any]:
    """Follow a project of the server at `url` with an API token until the block ends.

    With `transport` only that one is used; else the first of `TRANSPORTS` that gets through.
    """
    limits = httpx2.Limits(max_connections=None)
    headers = {"authorization": f"Bearer {token}"}
    async with httpx2.AsyncClient(headers=headers, limits=limits, trust_env=False) as http:
        transports = (transport,) if transport else TRANSPORTS
        feed = ProjectFeed(ProjectApi(http, url, project_id), transports)
        try:
            yield feed
        finally:
            await feed.close()
