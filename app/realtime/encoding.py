"""Events made ready to be sent, and the formats in which a batch of them goes over a connection."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from app.realtime import metrics
from app.realtime.events import Cursor, LiveEvent
from app.realtime.log import Row

SYSTEM_ACTOR = "system"  # actor of events that no person caused
STREAM_REQUEST = "sync"  # request id of the events of the stream itself
TEXT_MESSAGE, BINARY_MESSAGE = 0x81, 0x82  # first byte of a WebSocket message of one frame
OVERHEAD_BYTES = 500  # of one event in memory besides its JSON, about

_json_encoded = metrics.ENCODED.labels("json")
_sse_encoded = metrics.ENCODED.labels("sse")
_msgpack_encoded = metrics.ENCODED.labels("msgpack")
_json = msgspec.json.Encoder()
_msgpack = msgspec.msgpack.Encoder()


class EncodedEvent:
    """One event with its JSON, which all subscribers share.

    `revision` and `commit` are 0 on events that are not durable. `cursor` is the text of the
    cursor after a durable event, else empty. `size` is about what it takes in memory, in bytes.
    """

    __slots__ = ("_msgpack", "commit", "cursor", "json", "revision", "run_id", "size", "type")

    def __init__(
        self,
        kind: str,
        project_id: str,
        data: str | bytes,
        *,
        at: datetime,
        request_id: str = STREAM_REQUEST,
        actor_id: str = SYSTEM_ACTOR,
        run_id: str | None = None,
        epoch: str = "",
        revision: int = 0,
        commit: int = 0,
    ) -> None:
        """`data` is JSON on one line; it becomes part of the event's JSON as it is."""
        head: dict[str, Any] = {"type": kind, "projectId": project_id}
        if revision:
            head["revision"] = revision
            head["commit"] = commit
        if run_id:
            head["runId"] = run_id
        head["requestId"] = request_id
        head["actorId"] = actor_id
        head["at"] = at
        body = data.encode() if isinstance(data, str) else data
        _json_encoded.inc()
        self.json = b'%b,"data":%b}' % (_json.encode(head)[:-1], body)
        self.type = kind
        self.revision = revision
        self.commit = commit
        self.run_id = run_id
        self.cursor = f"{epoch}.{revision}" if revision else ""
        self.size = len(self.json) + OVERHEAD_BYTES
        self._msgpack: bytes | None = None

    @property
    def event(self) -> Any:
        """The whole event as plain values, decoded anew at each call."""
        return msgspec.json.decode(self.json)

    @property
    def data(self) -> Any:
        """The event's data as plain values, decoded anew at each call."""
        return self.event["data"]

    @property
    def msgpack(self) -> bytes:
        """The event in MessagePack, encoded once."""
        if self._msgpack is None:
            _msgpack_encoded.inc()
            self._msgpack = _msgpack.encode(self.event)
        return self._msgpack

    @property
    def ends_commit(self) -> bool:
        """Whether a reader may stop after this event without having seen half a transaction."""
        return self.revision == self.commit


Batch = Sequence[EncodedEvent]
Payload = Any  # what a writer puts on its connection: bytes, or a list of messages
Encode = Callable[[Batch], Payload]


def sse_block(event: EncodedEvent) -> bytes:
    """The event as one block of Server-Sent Events; only durable ones have an `id:`."""
    place = b"id: %b\n" % event.cursor.encode() if event.cursor else b""
    return b"event: %b\n%bdata: %b\n\n" % (event.type.encode(), place, event.json)


def sse_blocks(batch: Batch) -> bytes:
    """A batch as blocks of Server-Sent Events."""
    _sse_encoded.inc(len(batch))
    return b"".join([sse_block(event) for event in batch])


def sse_chunk(batch: Batch) -> bytes:
    """A batch as one chunk of HTTP/1.1's chunked encoding that holds Server-Sent Events."""
    return chunk(sse_blocks(batch))


def json_messages(batch: Batch) -> list[str]:
    """A batch as text messages for an ASGI server's WebSocket."""
    return [event.json.decode() for event in batch]


def msgpack_messages(batch: Batch) -> list[bytes]:
    """A batch as binary messages for an ASGI server's WebSocket."""
    return [event.msgpack for event in batch]


def json_frames(batch: Batch) -> bytes:
    """A batch as finished WebSocket frames with text."""
    return b"".join([websocket_frame(TEXT_MESSAGE, event.json) for event in batch])


def msgpack_frames(batch: Batch) -> bytes:
    """A batch as finished WebSocket frames with MessagePack."""
    return b"".join([websocket_frame(BINARY_MESSAGE, event.msgpack) for event in batch])


def chunk(body: bytes) -> bytes:
    """A chunk of HTTP/1.1's chunked encoding (RFC 9112, 7.1)."""
    return b"%x\r\n%b\r\n" % (len(body), body)


def websocket_frame(kind: int, body: bytes) -> bytes:
    """A whole message of a WebSocket server: one frame, not masked (RFC 6455, 5.2)."""
    size = len(body)
    if size < 126:
        return bytes((kind, size)) + body
    if size < 65_536:
        return b"%c\x7e%b%b" % (kind, size.to_bytes(2, "big"), body)
    return b"%c\x7f%b%b" % (kind, size.to_bytes(8, "big"), body)


def split(batch: Batch, size: int) -> list[Batch]:
    """Cut a long batch into parts of about `size` bytes, each ending where a transaction does."""
    parts: list[Batch] = []
    start = counted = 0
    for index, event in enumerate(batch, 1):
        counted += event.size
        if counted > size and event.ends_commit:
            parts.append(batch[start:index])
            start, counted = index, 0
    return [*parts, batch[start:]] if start < len(batch) else parts


def durable_event(project_id: str, row: Row) -> EncodedEvent:
    """The event of a row of the log; its payload goes out as PostgreSQL printed it."""
    return EncodedEvent(
        row.type,
        project_id,
        row.payload,
        at=row.at.astimezone(UTC),
        request_id=row.request_id,
        actor_id=row.actor_id,
        run_id=row.run_id,
        epoch=row.epoch,
        revision=row.revision,
        commit=row.commit,
    )


def live_event(event: LiveEvent) -> EncodedEvent:
    """A live event as subscribers receive it."""
    return EncodedEvent(
        event.type,
        event.project_id,
        _json.encode(event.data),
        at=event.at,
        request_id=event.request_id,
        actor_id=event.actor_id,
        run_id=event.run_id,
    )


def stream_event(kind: str, project_id: str, data: Any) -> EncodedEvent:
    """An event of the stream itself, such as `sync.ready`; bytes as `data` are taken as JSON."""
    body = data if isinstance(data, bytes) else _json.encode(data)
    return EncodedEvent(kind, project_id, body, at=datetime.now(UTC))


def position_event(kind: str, project_id: str, cursor: Cursor) -> EncodedEvent:
    """`sync.ready` or `sync.heartbeat`: everything up to the cursor was delivered."""
    return stream_event(kind, project_id, {"cursor": str(cursor)})
