"""Following as Server-Sent Events."""

import asyncio
import random
from collections.abc import Iterable
from contextlib import aclosing
from functools import partial
from typing import Any, cast

from litestar.response import Response
from litestar.types import Receive, Scope, Send

from app.realtime import frames, metrics
from app.realtime.follow import Follower
from app.realtime.hubs import Hubs
from app.realtime.stream import Stream
from app.realtime.watcher import Ending, Watcher
from app.realtime.wire import Wire, wire_of
from app.store.tasks import spawn

RETRY = 2000  # milliseconds
FIRST = frames.chunk(b"retry: %d\n\n" % RETRY)
HERD = (1000, 5000)  # milliseconds in which clients come again after a restart
SLICE = 256 * 1024  # bytes written at once: what a reader who does not read may cost
BREATHE = 16  # sends after which others get the loop, even if none of them had to wait
HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
]


async def stream_project(
    hubs: Hubs, project_id: str, watcher: Watcher, *, after: str | None = None
) -> "EventStream":
    """The project's events from a cursor on, or from a snapshot without one.

    `after` is `Last-Event-ID`, else the query's `after`: see `last_event_id`. The caller has
    authorised. Raises `NotFound`, `DatabaseError` or `ServiceUnavailable`.
    """
    await hubs.ready(project_id)
    return EventStream(hubs, project_id, watcher, after, None)


async def stream_run(
    hubs: Hubs,
    project_id: str,
    run_id: str,
    watcher: Watcher,
    *,
    after: str | None = None,
    begun: int | None = None,
) -> "EventStream":
    """One run's events from `run.queued`, or from a cursor, to `run.finished`; then it ends.

    Who called `hubs.ready` before the run began, and says at which revision it did, is told all
    live events; others get the text so far.
    """
    await hubs.ready(project_id)
    return EventStream(hubs, project_id, watcher, after, run_id, begun)


def last_event_id(scope: Any, after: str | None) -> str | None:
    """The header wins over the query: a browser sends its first URL again when it reconnects."""
    header = next((value for name, value in scope["headers"] if name == b"last-event-id"), b"")
    return header.decode("latin-1") if header else after


class EventStream(Response[None]):
    """A response that stays open; return it from a handler."""

    def __init__(
        self,
        hubs: Hubs,
        project_id: str,
        watcher: Watcher,
        after: str | None,
        run_id: str | None,
        begun: int | None = None,
    ) -> None:
        super().__init__(None, media_type="text/event-stream")
        self._target = (project_id, watcher, after)
        self._run_id = run_id
        self._begun = begun
        self._hubs = hubs
        self._extra: list[tuple[bytes, bytes]] = []

    def to_asgi_response(self, *_: Any, **more: Any) -> Any:
        """Ourselves: `more` may hold headers that other parts of the app add."""
        added: Iterable[tuple[bytes, bytes]] = more.get("encoded_headers") or ()
        extra = [
            (name.lower().encode("latin-1"), value.encode("latin-1"))
            for name, value in {**(more.get("headers") or {}), **self.headers}.items()
        ]
        self._extra = [*extra, *added]
        return self

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        wire = wire_of(cast(Any, scope)) if self._run_id is None else None
        if wire is not None:
            await self._take_over(wire, send)
            return
        async with self._hubs.follow(*self._target, self._run_id, begun=self._begun) as follower:
            watch = spawn(_watch(receive, follower), name="stream reader")
            try:
                await send(self._start())
                await _stream(send, follower)
            finally:
                watch.cancel()

    async def _take_over(self, wire: Wire, send: Send) -> None:
        """Begin the response as any other; then the connection is the hub's."""
        follower = await self._hubs.enter(*self._target, woken=False)
        try:
            stream = Stream(follower, wire, "sse", partial(_end, self._hubs))
            if stream.over:
                return
            await send(self._start())
            if not stream.over:
                stream.write(FIRST)
            await stream.join()
        except BaseException:
            follower.end("unavailable")
            self._hubs.leave(follower)
            raise
        wire.release()

    def _start(self) -> Any:
        headers = [*HEADERS, *self._extra]
        return {"type": "http.response.start", "status": 200, "headers": headers}


def _end(hubs: Hubs, stream: Stream) -> None:
    hubs.leave(stream.follower)
    last = _last(stream.follower)
    stream.wire.finish(frames.chunk(last) if last else b"")


async def _watch(receive: Receive, follower: Follower) -> None:
    """Notice that the client is gone, even while nothing is sent."""
    while (await receive())["type"] != "http.disconnect":
        pass
    follower.end("left")


async def _stream(send: Send, follower: Follower) -> None:
    stall = follower.pace.stall
    try:
        await _write(send, b"retry: %d\n\n" % RETRY, stall)
        sends = 1
        async with aclosing(follower.batches()) as batches:
            async for batch in batches:
                metrics.WRITES.inc()
                metrics.WRITTEN.inc(len(batch))
                body = batch[0].sse if len(batch) == 1 else b"".join([frame.sse for frame in batch])
                for start in range(0, len(body), SLICE):
                    await _write(send, body[start : start + SLICE], stall)
                    sends += 1
                    if sends % BREATHE == 0:
                        await asyncio.sleep(0)
        await _write(send, _last(follower), stall, more=False)
    except TimeoutError:
        follower.end("slow")
        metrics.SLOW_KILLS.inc()


async def _write(send: Send, body: bytes, stall: float, *, more: bool = True) -> None:
    async with asyncio.timeout(stall):
        await send({"type": "http.response.body", "body": body, "more_body": more})


def _last(follower: Follower) -> bytes:
    ending = follower.ending or Ending("left")
    if ending.kind in ("revoked", "deleted", "unauthorised"):
        data = {"reason": ending.reason}
        return frames.own("sync.revoked", follower.hub.project_id, data).sse
    if ending.kind in ("restart", "unavailable"):
        return b": come again\nretry: %d\n\n" % random.randint(*HERD)
    return b""
