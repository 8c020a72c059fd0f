"""What a server answered, as entries without anything that differs from run to run.

All else is kept byte for byte: a JSON text becomes a value only if writing the value down again
gives the same bytes (`wire_json`), so the order of keys, spacing and forms of numbers count. What
has no fixed order or amount is reduced to what is promised of it:

- Deltas of one text that follow each other are joined: how a text is cut into pieces is free, the
  offsets and the whole are not.
- `presence.updated` and `sync.heartbeat` come between other events at any time. They are left out
  of a stream's events unless a step waits for one of them.
- The methods of an `allow` header come in any order, and so do the headers that accept a WebSocket.
- Headers that are about the connection alone are each server's own and left out, as is the date.

An entry of an answer without headers has those of `API_HEADERS`.
"""

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

from msgspec import msgpack

from tests.recordings.client import Header, Reply
from tests.recordings.entry import Entry, joined, short_body, short_event
from tests.recordings.layout import SharedObjects, Texts, formatted
from tests.recordings.placeholders import Placeholders
from tests.recordings.wire_json import spaced_json, wire_json

UNORDERED = frozenset({"presence.updated", "sync.heartbeat"})
LEFT_OUT = frozenset({"date", "connection", "transfer-encoding"})
JSON_HEADERS = ["content-type: application/json", "content-length: <length>"]
SECURITY_HEADERS = [
    "x-content-type-options: nosniff",
    "referrer-policy: no-referrer",
    "cross-origin-opener-policy: same-origin",
    "cross-origin-resource-policy: same-origin",
    "permissions-policy: camera=(), microphone=(), geolocation=()",
]
API_HEADERS = [
    *JSON_HEADERS,
    *SECURITY_HEADERS,
    "cache-control: no-store",
    "content-security-policy: default-src 'none'; frame-ancestors 'none'",
    "x-request-id: <as sent>",
]
STREAM_HEADERS = [
    "content-type: text/event-stream; charset=utf-8",
    "cache-control: no-cache, no-transform",
    "x-accel-buffering: no",
    *SECURITY_HEADERS,
    "content-security-policy: default-src 'none'; frame-ancestors 'none'",
    "x-request-id: <as sent>",
]
SOCKET_HEADERS = ["sec-websocket-accept: aGfFlwO5EGZXzGLFSEdP+CWfous=", "upgrade: websocket"]
SHORTER = (
    (API_HEADERS, "API_HEADERS"),
    (STREAM_HEADERS, "STREAM_HEADERS"),
    (SECURITY_HEADERS, "SECURITY_HEADERS"),
    (SOCKET_HEADERS, "SOCKET_HEADERS"),
)
_EVENT = re.compile(r"event: (\S+)\n(?:id: (\S+)\n)?data: (.*)")


class Transcript:
    """Keeps the entries of one chapter."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self._texts = Texts()
        self._names = Placeholders()

    def written(self) -> str:
        """Return the text of the chapter's file."""
        layout = SharedObjects(self.entries).layout()
        return formatted({**layout, "texts": self._texts.lines()}) + "\n"

    def learn(self, reply: Reply) -> None:
        """Number the epochs and secrets of an answer that is not kept."""
        self._names.learn(reply.body.decode())
        for name, value in reply.headers:
            self._names.learn(f"{name}: {value}")

    def line(self, text: str) -> str:
        """Return the text with its placeholders."""
        return self._names.replace(text)

    def value(self, text: str) -> Any:
        """Return the value of a JSON text if nothing is lost by that, else the text."""
        return self._texts.named(self._value(text))

    def reply(self, reply: Reply, request_id: str, *, body: bool = True) -> Entry:
        """Return the entry of an answer: its status, headers and body."""
        headers = self.headers(reply.headers, request_id, reply.body)
        entry: Entry = {"status": reply.status.removeprefix("HTTP/1.1 ")}
        if headers != ["<API_HEADERS>"]:
            entry["headers"] = headers
        if body and reply.body:
            entry["body"] = short_body(self.value(reply.body.decode()), request_id)
        return entry

    def headers(
        self, headers: Sequence[Header], request_id: str, body: bytes | None = None
    ) -> list[str]:
        """Return the lines of the headers; what most answers have is replaced by its name."""
        lines = []
        for name, value in headers:
            if name.lower() == "content-length" and body is not None:
                assert int(value) == len(body) or not body, (value, len(body))
                value = "<length>"  # checked; it varies with the digits of milliseconds
            if name.lower() == "retry-after" and int(value) > 10:
                value = "<seconds>"  # what is left of a window
            if name.lower() == "x-request-id" and value == request_id:
                value = "<as sent>"
            if name.lower() == "allow":
                value = ", ".join(sorted(value.split(", ")))
            if name.lower() not in LEFT_OUT:
                lines.append(self.line(f"{name}: {value}"))
        for known, name in SHORTER:
            for start in range(len(lines)):
                if lines[start : start + len(known)] == known:
                    lines[start : start + len(known)] = [f"<{name}>"]
        return lines

    def blocks(self, blocks: Iterable[str], *, keep: frozenset[str] = frozenset()) -> list[Any]:
        """Return the entries of Server-Sent Events: what is no event stays as it came."""
        found: list[Any] = []
        for block in blocks:
            match = _EVENT.fullmatch(block)
            if match is None:
                found.append(self.line(block))
            elif match[1] not in UNORDERED - keep:
                lines = f"event: {match[1]}" + (f", id: {match[2]}" if match[2] else "")
                found.append({"sse": self.line(lines), "data": self._value(match[3])})
        return [self._texts.named(short_event(entry)) for entry in joined(found)]

    def frames(
        self, frames: Iterable[tuple[str, bytes]], *, keep: frozenset[str] = frozenset()
    ) -> list[Any]:
        """Return the entries of WebSocket frames: values, and close codes with their reasons."""
        found: list[Any] = []
        for kind, payload in frames:
            if kind == "close":
                code = int.from_bytes(payload[:2], "big")
                found.append({"close": [code, self.line(payload[2:].decode())]})
                continue
            value = self._unpacked(payload) if kind == "msgpack" else self._value(payload.decode())
            if not (isinstance(value, dict) and value.get("type") in UNORDERED - keep):
                found.append({kind: value})
        return [self._texts.named(short_event(entry)) for entry in joined(found)]

    def _value(self, text: str) -> Any:
        text = self._names.replace(text)
        try:
            value = json.loads(text)
        except ValueError:
            return text
        return value if wire_json(value) == text else text

    def _unpacked(self, payload: bytes) -> Any:
        value = msgpack.decode(payload)
        assert msgpack.encode(value) == payload, payload
        return json.loads(self._names.replace(spaced_json(value)))
