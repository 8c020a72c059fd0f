"""What a server answered, with all that differs from run to run replaced by placeholders.

Everything else is kept byte for byte: a JSON text becomes a value only if writing the value down
again gives the same bytes (`wire_json`), so that order of keys, spacing and forms of numbers count.
What would be the same in most entries is shortened: headers, long texts, and as "usual meta" a
`meta` whose members are the usual ones in the usual order. An answer that has nothing but that and
an error shows the two as "refused" and "error".

What has no fixed order or amount is reduced to what is promised of it:

- Deltas of one text that follow each other are joined: how a text is cut into pieces is free, the
  offsets and the whole are not.
- `presence.updated` and `sync.heartbeat` come between other events at any time. They are left out
  of a stream's events unless a step waits for one of them.
- The methods of an `allow` header come in any order, and so do the headers that accept a WebSocket.
- Headers that are about the connection alone are each server's own.
"""

import hashlib
import itertools
import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from msgspec import msgpack

from tests.recordings.client import Header, Reply

LONG_CHARACTERS = 120  # of a string that is kept once, in `Texts`
KEPT_CHARACTERS = 2000  # of a string there; longer ones are known by their hash alone
SHARED_CHARACTERS = 100  # of an object that is written down once in a recording
EVENT_MEMBERS = frozenset({"sse", "text", "msgpack"})  # of entries that stay where they are
WIDTH = 118  # characters of a line in a recording
UNORDERED = frozenset({"presence.updated", "sync.heartbeat"})
DELTAS = frozenset({"code.delta", "message.delta"})
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

_ID = re.compile(
    r"\b(?!0{8}-)[0-9a-f]{8}-[0-9a-f]{4}-([0-9a-f])[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}\b"
)
_TIME = re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{6})?(?=Z|\+)")
_NUMBERS = re.compile(
    r'("(?:timestamp|executionTimeMs|milliseconds|generationTimeMs|durationMs)": ?)\d+\b'
)
_LIST_CURSOR = re.compile(r'(?:(?<=cursor=)|(?<=Cursor":"))\d{16}(?=\.)')
_PORT = re.compile(r"(?:127\.0\.0\.1|localhost):\d+")
_HERD = re.compile(r"(?<=: come again\nretry: )[1-5]\d{3}\b")
_EPOCH = re.compile(r'(?:"epoch": ?"|"cursor": ?"|\bid: |\betag: ")([0-9a-f]{8})(?=["\.])')
_SECRET = re.compile(
    r'(?:"token":"|/invites/|/login/|reelroom_session=)((?:rr_)?[\w-]{43})(?![\w-])'
)
_EVENT = re.compile(r"event: (\S+)\n(?:id: (\S+)\n)?data: (.*)")

Entry = dict[str, Any]


class Texts:
    """Long strings of a chapter, by a name that is made of their content."""

    def __init__(self) -> None:
        self.known: dict[str, str] = {}

    def named(self, value: Any) -> Any:
        """The value with each long string replaced by a name and its length."""
        if isinstance(value, str) and len(value) > LONG_CHARACTERS:
            return self.keep(value)
        if isinstance(value, dict):
            return {key: self.named(one) for key, one in value.items()}
        if isinstance(value, list):
            return [self.named(one) for one in value]
        return value

    def keep(self, text: str) -> str:
        name = hashlib.sha256(text.encode()).hexdigest()[:8]
        self.known[name] = text
        return f"<text {name}, {len(text)} characters>"

    def lines(self) -> dict[str, list[str]]:
        short = {name: text for name, text in self.known.items() if len(text) <= KEPT_CHARACTERS}
        return {name: text.splitlines(keepends=True) for name, text in sorted(short.items())}


class Placeholders:
    """Numbers what varies, in the order in which it appears."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._counts: dict[str, int] = {}

    def name(self, value: str, kind: str) -> str:
        if value not in self._names:
            self._counts[kind] = self._counts.get(kind, 0) + 1
            self._names[value] = f"<{kind} {self._counts[kind]}>"
        return self._names[value]

    def learn(self, text: str) -> None:
        """Name the epochs and secrets in a text, for they cannot be told by their form alone."""
        for pattern, kind in ((_EPOCH, "epoch"), (_SECRET, "secret")):
            for found in pattern.finditer(text):
                self.name(found[1], kind)

    def replace(self, text: str) -> str:
        self.learn(text)
        text = _ID.sub(self._id, text)
        for value, name in self._names.items():
            if name.startswith(("<epoch", "<secret")) and value in text:
                text = re.sub(rf"(?<![\w-]){re.escape(value)}(?![\w-])", name, text)
        text = _TIME.sub("<time>", text)
        text = _NUMBERS.sub(r'\1"<ms>"', text)
        text = _LIST_CURSOR.sub("<microseconds>", text)
        text = _HERD.sub("<1000 to 5999>", text)
        return _PORT.sub(lambda found: found[0].partition(":")[0] + ":<port>", text)

    def _id(self, found: re.Match[str]) -> str:
        """Ids are UUIDs of version 7; what has another version shows it."""
        return self.name(found[0], "id" if found[1] == "7" else f"id of version {found[1]}")


class Transcript:
    """The entries of one chapter."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self._texts = Texts()
        self._names = Placeholders()

    def written(self) -> str:
        """All of it as the text of a file."""
        return formatted({**shared(self.entries), "texts": self._texts.lines()}) + "\n"

    def add(self, entry: Entry) -> None:
        self.entries.append(entry)

    def learn(self, reply: Reply) -> None:
        """Know the epochs and secrets of an answer that is not kept."""
        self._names.learn(reply.body.decode())
        for name, value in reply.headers:
            self._names.learn(f"{name}: {value}")

    def line(self, text: str) -> str:
        return self._names.replace(text)

    def value(self, text: str) -> Any:
        """A JSON text as its value if nothing is lost by that, else the text."""
        return self._texts.named(self._value(text))

    def reply(self, reply: Reply, request_id: str, *, body: bool = True) -> Entry:
        """Status, headers and body of an answer."""
        headers = self.headers(reply.headers, request_id, reply.body)
        entry: Entry = {"status": reply.status.removeprefix("HTTP/1.1 ")}
        if headers != ["<API_HEADERS>"]:
            entry["headers"] = headers
        if body and reply.body:
            entry["body"] = _with_usual_meta(self.value(reply.body.decode()), request_id)
        return entry

    def headers(
        self, headers: Sequence[Header], request_id: str, body: bytes | None = None
    ) -> list[str]:
        """All but the date and those of one hop; those that most answers have are named."""
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
        """Server-Sent Events; each block's lines are as they were, its data is a value."""
        found: list[Any] = []
        for block in blocks:
            match = _EVENT.fullmatch(block)
            if match is None:
                found.append(self.line(block))
            elif match[1] not in UNORDERED - keep:
                lines = f"event: {match[1]}" + (f", id: {match[2]}" if match[2] else "")
                found.append({"sse": self.line(lines), "data": self._value(match[3])})
        return [self._texts.named(_short(entry)) for entry in _joined(found)]

    def frames(
        self, frames: Iterable[tuple[str, bytes]], *, keep: frozenset[str] = frozenset()
    ) -> list[Any]:
        """WebSocket frames: JSON and msgpack as values, a close frame as its code and reason."""
        found: list[Any] = []
        for kind, payload in frames:
            if kind == "close":
                code = int.from_bytes(payload[:2], "big")
                found.append({"close": [code, self.line(payload[2:].decode())]})
                continue
            value = self._unpacked(payload) if kind == "msgpack" else self._value(payload.decode())
            if not (isinstance(value, dict) and value.get("type") in UNORDERED - keep):
                found.append({kind: value})
        return [self._texts.named(_short(entry)) for entry in _joined(found)]

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
        return json.loads(self._names.replace(json.dumps(value, ensure_ascii=False)))


def _with_usual_meta(body: Any, request_id: str) -> Any:
    """The body with its `meta` shortened when its members and their order are the usual ones."""
    meta = body.get("meta") if isinstance(body, dict) else None
    if not isinstance(meta, dict):
        return body
    usual = {
        "requestId": request_id,
        "timestamp": "<ms>",
        "operation": meta.get("operation"),
        "entity": str(meta.get("operation")).partition(".")[0],
        "success": meta.get("success"),
        "affectedIds": meta.get("affectedIds"),
        "executionTimeMs": "<ms>",
        **({"revision": meta["revision"]} if "revision" in meta else {}),
    }
    if json.dumps(meta) != json.dumps(usual):
        return body
    shown = ("operation", "success", "affectedIds", "revision")
    short = {name: meta[name] for name in shown if name in meta}
    plain = not (body["data"] or meta["success"] or meta["affectedIds"] or "revision" in meta)
    if plain and [*body] == ["data", "meta", "error"]:
        return {"refused": meta["operation"], "error": body["error"]}
    return {("usual meta" if key == "meta" else key): body[key] for key in body} | {
        "usual meta": short
    }


def _short(entry: Any) -> Any:
    """An event with its head on one line when its members and their order are the usual ones."""
    if not isinstance(entry, dict) or not isinstance(event := entry[[*entry][-1]], dict):
        return entry
    place = ["revision", "commit"] if "commit" in event else []
    run = ["runId"] if "runId" in event else []
    members = ["type", "projectId", *place, *run, "requestId", "actorId", "at", "data"]
    if [*event] != members or event["at"] != "<time>Z" or not isinstance(event["data"], dict):
        return entry
    words = [event["type"], f"of {event['projectId']}"]
    if place:
        words.append(f"{event['revision']} up to {event['commit']}")
    if run:
        words.append(f"run {event['runId']}")
    head = ", ".join([*words, f"by {event['requestId']} of {event['actorId']}"])
    sse = entry.get("sse")
    if sse is not None:
        usual = f"event: {event['type']}"
        if place and (found := re.fullmatch(r"(.*), id: <epoch (\d+)>\.(\d+)", sse)):
            matches = found[1] == usual and int(found[3]) == event["revision"]
            return {"sse": f"{head}, epoch {found[2]}", "data": event["data"]} if matches else entry
        return {"sse": head, "data": event["data"]} if sse == usual else entry
    return {next(iter(entry)): head, "data": event["data"]}


def shared(entries: list[Entry]) -> dict[str, Any]:
    """Entries whose large objects, where they are repeated, are written down once."""
    counts = Counter[str]()

    def count(value: Any) -> None:
        if isinstance(value, dict) and not value.keys() & EVENT_MEMBERS:
            text = json.dumps(value)
            if len(text) >= SHARED_CHARACTERS:
                counts[text] += 1
        for one in _inner(value):
            count(one)

    names: dict[str, str] = {}
    objects: dict[str, Any] = {}
    uses = Counter[str]()

    def replaced(value: Any) -> Any:
        if not isinstance(value, (dict, list)):
            return value
        text = json.dumps(value)
        if isinstance(value, dict) and counts[text] > 1:
            if text not in names:
                names[text] = f"<object {hashlib.sha256(text.encode()).hexdigest()[:6]}>"
                objects[names[text]] = copied(value)
            uses[names[text]] += 1
            return names[text]
        return copied(value)

    def copied(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: replaced(one) for key, one in value.items()}
        return [replaced(one) for one in value]

    def inlined(value: Any) -> Any:
        """What came to be used once, within one object alone, is put where it belongs."""
        if isinstance(value, str) and value in objects and uses[value] == 1:
            return inlined(objects[value])
        if isinstance(value, dict):
            return {key: inlined(one) for key, one in value.items()}
        if isinstance(value, list):
            return [inlined(one) for one in value]
        return value

    count(entries)
    found = copied(entries)
    return {
        "entries": inlined(found),
        "objects": {name: inlined(objects[name]) for name in sorted(objects) if uses[name] > 1},
    }


def _inner(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _joined(found: list[Any]) -> list[Any]:
    """Entries with the deltas of one text that follow each other made one."""
    result: list[Any] = []
    for entry in found:
        joint = _joint(result[-1], entry) if result else None
        if joint:
            result[-1] = joint
        else:
            result.append(entry)
    return result


def _joint(last: Any, entry: Any) -> Any:
    """Both as one; None unless they are deltas that differ in nothing but their text."""
    if not (isinstance(last, dict) and isinstance(entry, dict) and [*last] == [*entry]):
        return None
    name = [*last][-1]  # data, text or msgpack
    one, other = last[name], entry[name]
    if not (isinstance(one, dict) and isinstance(other, dict) and one.get("type") in DELTAS):
        return None
    before, after = one["data"], other["data"]
    end = before["offset"] + len(before["text"].encode("utf-16-le")) // 2
    same = [*one] == [*other] and one | {"data": 0} == other | {"data": 0}
    if not same or before | {"offset": end, "text": ""} != after | {"text": ""}:
        return None
    return last | {name: one | {"data": before | {"text": before["text"] + after["text"]}}}


def wire_json(value: Any) -> str:
    """JSON as the server writes it: compact, but for the data of durable events.

    These go out as PostgreSQL prints them, with a space behind each comma and colon.
    """
    if isinstance(value, dict):
        durable = "commit" in value and "type" in value
        members = [
            f"{json.dumps(key, ensure_ascii=False)}:"
            + (_spaced(one) if durable and key == "data" else wire_json(one))
            for key, one in value.items()
        ]
        return "{" + ",".join(members) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(wire_json, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def _spaced(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def formatted(value: Any, indent: int = 0) -> str:
    """JSON whose lines are filled as far as they hold whole members."""
    line = json.dumps(value, ensure_ascii=False)
    if len(line) + indent <= WIDTH or not isinstance(value, (dict, list)) or not value:
        return line
    if isinstance(value, dict):
        parts = [
            f"{json.dumps(key, ensure_ascii=False)}: {formatted(one, indent + 1)}"
            for key, one in value.items()
        ]
    else:
        parts = [formatted(one, indent + 1) for one in value]
    pad = "\n" + " " * (indent + 1)
    lines = [parts[0]]
    for before, part in itertools.pairwise(parts):
        room = WIDTH - indent - 3 - len(lines[-1].rpartition("\n")[2])
        if "\n" in before or "\n" in part or len(part) > room:
            lines.append(part)
        else:
            lines[-1] += f", {part}"
    opens, closes = "{}" if isinstance(value, dict) else "[]"
    return f"{opens}{pad}{f',{pad}'.join(lines)}\n{' ' * indent}{closes}"
