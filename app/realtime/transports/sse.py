"""Subscriptions over Server-Sent Events."""

import random
from collections.abc import Iterable, Iterator
from typing import Any

from litestar.response import Response
from litestar.types import Receive, Scope, Send

from app.realtime.encoding import Payload, sse_block, sse_blocks, stream_event
from app.realtime.hubs import Hubs
from app.realtime.subscription import Subscriber, Subscription
from app.realtime.transports.asgi import AsgiWriter, Message
from app.realtime.writer import DirectConnection, Ending, Writer, direct_connection

RETRY_MILLISECONDS = 2000  # after which a client reconnects
RETRY = b"retry: %d\n\n" % RETRY_MILLISECONDS
RECONNECT_MILLISECONDS = (1000, 5000)  # spread in which clients reconnect after a restart
MAX_WRITE_BYTES = 64 * 1024  # given to the server at once: what a client that does not read costs
HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
]


async def stream_project(
    hubs: Hubs, project_id: str, subscriber: Subscriber, *, after: str | None = None
) -> "EventStream":
    """Return the project's events from a cursor on, or from a snapshot without one.

    `after` is `Last-Event-ID`, else the query's `after`: see `last_event_id`. The caller has
    authorised. Raises `NotFound`, `DatabaseError` or `ServiceUnavailable`.
    """
    await hubs.ensure_ready(project_id)
    return EventStream(hubs, project_id, subscriber, after)


async def stream_run(
    hubs: Hubs,
    project_id: str,
    run_id: str,
    subscriber: Subscriber,
    *,
    after: str | None = None,
    begun: int | None = None,
) -> "EventStream":
    """Return one run's events from `run.queued`, or from a cursor, to `run.finished`.

    A caller that awaited `hubs.ensure_ready` before the run began and gives the revision at which
    it did as `begun` gets all live events; others get the text so far.
    """
    await hubs.ensure_ready(project_id)
    return EventStream(hubs, project_id, subscriber, after, run_id, begun)


def last_event_id(scope: Any, after: str | None) -> str | None:
    """Return the cursor of a request: the header wins, since a reconnecting browser repeats its
    first URL.
    """
    header = next((value for name, value in scope["headers"] if name == b"last-event-id"), b"")
    return header.decode("latin-1") if header else after


class EventStream(Response[None]):
    """A response that stays open; return it from a handler."""

    def __init__(
        self,
        hubs: Hubs,
        project_id: str,
        subscriber: Subscriber,
        after: str | None,
        run_id: str | None = None,
        begun: int | None = None,
    ) -> None:
        super().__init__(None, media_type="text/event-stream")
        self._hubs = hubs
        self._project_id = project_id
        self._subscriber = subscriber
        self._after = after
        self._run_id = run_id
        self._begun = begun
        self._extra: list[tuple[bytes, bytes]] = []

    def to_asgi_response(self, *_: Any, **more: Any) -> Any:
        """Return this object; `more` may hold headers that other parts of the app add."""
        added: Iterable[tuple[bytes, bytes]] = more.get("encoded_headers") or ()
        extra = [
            (name.lower().encode("latin-1"), value.encode("latin-1"))
            for name, value in {**(more.get("headers") or {}), **self.headers}.items()
        ]
        self._extra = [*extra, *added]
        return self

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        connection = direct_connection(scope)
        writer = connection.event_stream_writer(self._final_bytes) if connection else None
        if connection is not None and writer is not None:
            await self._serve_directly(connection, writer, send)
        else:
            await self._serve(receive, send)

    async def _serve(self, receive: Receive, send: Send) -> None:
        writer = EventStreamWriter(send, self._final_bytes)
        subscription = await self._subscribe(writer)
        try:
            await send(self._start())
            writer.write(writer.wrap(RETRY))
            await subscription.join()
            await writer.until_closed(_until_disconnected(receive))
        finally:
            subscription.end("left")

    async def _serve_directly(
        self, connection: DirectConnection, writer: Writer, send: Send
    ) -> None:
        """Begin the response as any other; then the connection belongs to the subscription."""
        subscription = await self._subscribe(writer)
        try:
            if subscription.over:
                return
            await send(self._start())
            if not subscription.over:
                subscription.write(writer.wrap(RETRY))
            await subscription.join()
        except BaseException:
            subscription.end("unavailable")
            raise
        connection.release()

    async def _subscribe(self, writer: Writer) -> Subscription:
        return await self._hubs.subscribe(
            self._project_id,
            self._subscriber,
            self._after,
            writer,
            run_id=self._run_id,
            begun=self._begun,
        )

    def _start(self) -> Any:
        headers = [*HEADERS, *self._extra]
        return {"type": "http.response.start", "status": 200, "headers": headers}

    def _final_bytes(self, ending: Ending) -> bytes:
        if ending.kind in ("revoked", "deleted", "unauthorised"):
            data = {"reason": ending.reason}
            return sse_block(stream_event("sync.revoked", self._project_id, data))
        if ending.kind in ("restart", "unavailable"):
            return b": come again\nretry: %d\n\n" % random.randint(*RECONNECT_MILLISECONDS)
        return b""


class EventStreamWriter(AsgiWriter):
    """Writes Server-Sent Events as the body of a response."""

    encode = staticmethod(sse_blocks)

    def __init__(self, send: Any, final_bytes: Any) -> None:
        super().__init__(send)
        self._final_bytes = final_bytes

    def messages(self, payload: Payload) -> Iterator[Message]:
        if len(payload) <= MAX_WRITE_BYTES:
            yield {"type": "http.response.body", "body": payload, "more_body": True}
            return
        for start in range(0, len(payload), MAX_WRITE_BYTES):
            part = payload[start : start + MAX_WRITE_BYTES]
            yield {"type": "http.response.body", "body": part, "more_body": True}

    def last_messages(self, ending: Ending) -> list[Message]:
        body = self._final_bytes(ending)
        return [{"type": "http.response.body", "body": body, "more_body": False}]


async def _until_disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
