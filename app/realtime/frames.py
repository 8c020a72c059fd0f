"""An event made ready to be sent: encoded at most once in each encoding, whoever reads it."""

from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from app.realtime import metrics
from app.realtime.log import Row
from app.realtime.model import Cursor, LiveEvent

Encoding = Literal["sse", "json", "msgpack"]

TEXT, BINARY = 0x81, 0x82  # first byte of a WebSocket message of one frame
NOBODY = "system"  # actor of events that no person caused
SYNC = "sync"  # request id of the stream's own events

_encoded_json, _encoded_sse, _encoded_msgpack = (
    metrics.ENCODED.labels(encoding) for encoding in ("json", "sse", "msgpack")
)
_json = msgspec.json.Encoder()
_msgpack = msgspec.msgpack.Encoder()


class Frame:
    """One event. `revision` and `commit` are 0 on events that are not durable."""

    __slots__ = (
        "_data", "_framed", "_head", "_json", "_msgpack", "_sse", "_tail", "_text", "actor_id",
        "at", "commit", "cursor", "request_id", "revision", "run_id", "size", "type",
    )  # fmt: skip

    def __init__(
        self,
        kind: str,
        project_id: str,
        data: str | bytes,
        *,
        at: datetime,
        request_id: str = SYNC,
        actor_id: str = NOBODY,
        run_id: str | None = None,
        epoch: str = "",
        revision: int = 0,
        commit: int = 0,
    ) -> None:
        """`data` is JSON on one line; it is spliced in as it is."""
        self.type = kind
        self.revision = revision
        self.commit = commit
        self.run_id = run_id
        self.request_id = request_id
        self.actor_id = actor_id
        self.at = at
        self.cursor = f"{epoch}.{revision}" if revision else ""
        self._head = project_id
        self._tail = data
        self.size = len(data) + 300  # bytes, about
        self._data: Any = msgspec.UNSET
        self._json: bytes | None = None
        self._text: str | None = None
        self._sse: bytes | None = None
        self._msgpack: bytes | None = None
        self._framed: dict[Encoding, bytes] | None = None

    @property
    def data(self) -> Any:
        """The event's data as plain values."""
        if self._data is msgspec.UNSET:
            self._data = msgspec.json.decode(self._tail)
        return self._data

    @property
    def json(self) -> bytes:
        if self._json is None:
            _encoded_json.inc()
            known: dict[str, Any] = {"type": self.type, "projectId": self._head}
            if self.revision:
                known |= {"revision": self.revision, "commit": self.commit}
            if self.run_id:
                known["runId"] = self.run_id
            known |= {"requestId": self.request_id, "actorId": self.actor_id, "at": self.at}
            data = self._tail.encode() if isinstance(self._tail, str) else self._tail
            self._json = b'%b,"data":%b}' % (_json.encode(known)[:-1], data)
        return self._json

    @property
    def sse(self) -> bytes:
        if self._sse is None:
            _encoded_sse.inc()
            place = b"id: %b\n" % self.cursor.encode() if self.cursor else b""
            self._sse = b"event: %b\n%bdata: %b\n\n" % (self.type.encode(), place, self.json)
        return self._sse

    @property
    def text(self) -> str:
        """The JSON as text, for WebSockets."""
        if self._text is None:
            self._text = self.json.decode()
        return self._text

    @property
    def msgpack(self) -> bytes:
        if self._msgpack is None:
            _encoded_msgpack.inc()
            self._msgpack = _msgpack.encode(msgspec.json.decode(self.json))
        return self._msgpack

    def wire(self, encoding: Encoding) -> bytes:
        """The event as it goes over the wire, framing included."""
        if encoding == "sse":
            return self.sse
        if self._framed is None:
            self._framed = {}
        framed = self._framed.get(encoding)
        if framed is None:
            text = encoding == "json"
            framed = message(TEXT if text else BINARY, self.json if text else self.msgpack)
            self._framed[encoding] = framed
        return framed

    @property
    def ends_commit(self) -> bool:
        """Whether a reader may stop behind it without having seen half a transaction."""
        return self.revision == self.commit


def joined(encoding: Encoding, batch: list[Frame]) -> bytes:
    """A batch as one write: a chunk of SSE blocks, or WebSocket messages one behind the other."""
    body = b"".join([frame.wire(encoding) for frame in batch])
    return chunk(body) if encoding == "sse" else body


def chunk(body: bytes) -> bytes:
    """A chunk of HTTP/1.1's chunked encoding."""
    return b"%x\r\n%b\r\n" % (len(body), body)


def message(kind: int, body: bytes) -> bytes:
    """A message of a WebSocket server: one frame, not masked (RFC 6455, 5.2)."""
    size = len(body)
    if size < 126:
        return bytes((kind, size)) + body
    if size < 65_536:
        return b"%c\x7e%b%b" % (kind, size.to_bytes(2, "big"), body)
    return b"%c\x7f%b%b" % (kind, size.to_bytes(8, "big"), body)


def durable(project_id: str, row: Row) -> Frame:
    """The frame of a row of the log; its payload goes out as PostgreSQL printed it."""
    return Frame(
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


def live(event: LiveEvent) -> Frame:
    return Frame(
        event.type,
        event.project_id,
        _json.encode(event.data),
        at=event.at,
        request_id=event.request_id,
        actor_id=event.actor_id,
        run_id=event.run_id,
    )


def own(kind: str, project_id: str, data: Any) -> Frame:
    """An event of the stream itself, such as `sync.ready`; bytes are taken for finished JSON."""
    body = data if isinstance(data, bytes) else _json.encode(data)
    return Frame(kind, project_id, body, at=datetime.now(UTC))


def placed(kind: str, project_id: str, cursor: Cursor) -> Frame:
    """`sync.ready` or `sync.heartbeat`: how far the reader has been told everything."""
    return own(kind, project_id, {"cursor": str(cursor)})
