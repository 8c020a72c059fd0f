"""Requests that are refused before a route sees them, methods, and idempotency keys."""

from tests.recordings.chapter import ABSENT, Chapter
from tests.recordings.client import Header
from tests.recordings.entry import Entry
from tests.recordings.people import Person

DEEP = b'{"title":' + b"[" * 3000 + b"]" * 3000 + b"}"
MEGABYTE = 1024 * 1024
PATH = "/api/projects"
KIND = [("content-type", "application/json")]


async def record(ch: Chapter) -> None:
    ann = await ch.person("ann")
    await _unreadable(ch, ann)
    await _fields(ch, ann)
    await _sizes(ch, ann)
    await _media_types(ch)
    await _addresses(ch)
    await _heads(ch)
    await _methods(ch)
    await _idempotency(ch)


async def _unreadable(ch: Chapter, ann: Person) -> None:
    for step, raw in {
        "not-json": b'{"title": ',
        "two-values": b"{} {}",
        "not-utf8": b'{"title":"\xff"}',
        "lone-surrogate": b'{"title":"\\ud800"}',
        "control-character": b'{"title":"a\x01b"}',
        "nul": b'{"title":"a\\u0000b"}',
        "nul-and-not-json": b'{"title":"a\\u0000b"',
        "deep": DEEP,
        "array": b"[]",
        "null": b"null",
        "text": b'"title"',
        "nan": b'{"fps":NaN}',
        "big-number": b'{"fps":1e400}',
        "key-twice": b'{"title":"one","title":"two"}',
        "byte-order-mark": b"\xef\xbb\xbf{}",
    }.items():
        await ch.call(f"body.{step}", ann, "POST", PATH, raw=raw, headers=KIND)
    await ch.call("body.none", ann, "POST", PATH)
    await ch.call("body.empty-typed", ann, "POST", PATH, headers=[*KIND, ("content-length", "0")])


async def _fields(ch: Chapter, ann: Person) -> None:
    for step, value in {
        "wrong-type": {"title": 3},
        "unknown-field": {"titel": "x"},
        "empty-text": {"title": ""},
        "blank": {"title": " \t"},
        "too-long": {"title": "x" * 201},
        "enum": {"format": "round"},
        "too-low": {"fps": 0},
        "too-high": {"fps": 121},
        "text-for-number": {"fps": "30"},
        "fraction": {"fps": 29.5},
        "whole-fraction": {"fps": 30.0},
        "true-for-number": {"fps": True},
        "null-for-number": {"fps": None},
    }.items():
        await ch.call(f"field.{step}", ann, "POST", PATH, value)


async def _sizes(ch: Chapter, ann: Person) -> None:
    large = b'{"title":"' + b"x" * MEGABYTE + b'"}'
    await ch.call("body.too-large", ann, "POST", PATH, raw=large, headers=KIND)
    chunked = [*KIND, ("transfer-encoding", "chunked")]
    raw = b"2\r\n{}\r\n0\r\n\r\n"
    await ch.call("body.chunked", ann, "POST", PATH, raw=raw, headers=chunked)
    raw = b"%x\r\n%b\r\n0\r\n\r\n" % (len(large), large)
    await ch.call("body.chunked-too-large", ann, "POST", PATH, raw=raw, headers=chunked)
    await ch.call("body.of-a-read", ann, "GET", PATH + "?limit=1", raw=b"ignored")


async def _media_types(ch: Chapter) -> None:
    bob = await ch.person("bob")
    for step, kind in {
        "text": "text/plain",
        "form": "application/x-www-form-urlencoded",
        "multipart": "multipart/form-data; boundary=x",
        "latin": "application/json; charset=latin-1",
        "utf8": 'Application/JSON; charset="UTF-8"',
    }.items():
        headers = [("content-type", kind)]
        await ch.call(f"media.{step}", bob, "POST", "/api/projects", raw=b"{}", headers=headers)
    await ch.call("media.none", bob, "POST", "/api/projects", raw=b"{}")
    twice = [("content-type", "application/json")] * 2
    await ch.call("media.twice", bob, "POST", "/api/projects", raw=b"{}", headers=twice)
    packed = [("content-type", "application/json"), ("content-encoding", "gzip")]
    await ch.call("media.gzip", bob, "POST", "/api/projects", raw=b"{}", headers=packed)
    html = [("accept", "text/html")]
    await ch.call("accept.html", bob, "GET", "/api/projects?limit=1", headers=html)


async def _addresses(ch: Chapter) -> None:
    eve = await ch.person("eve")
    for step, path in {
        "no-route": "/api/nothing",
        "api": "/api",
        "slash": "/api/projects/",
        "capital": "/API/projects",
        "no-uuid": "/api/projects/7",
        "capital-uuid": f"/api/projects/{ABSENT.upper()}",
        "dashless-uuid": f"/api/projects/{ABSENT.replace('-', '')}",
        "absent": f"/api/projects/{ABSENT}",
        "nul": "/api/projects/%00",
        "nul-query": "/api/projects?cursor=%00",
        "bad-percent": "/api/projects/%zz",
        "cursor": "/api/projects?cursor=odd",
        "cursor-number": f"/api/projects?cursor=9{'9' * 17}.{ABSENT}",
        "cursor-id": "/api/projects?cursor=1.odd",
        "cursor-long": f"/api/projects?cursor={'x' * 101}",
        "limit-zero": "/api/projects?limit=0",
        "limit-high": "/api/projects?limit=101",
        "limit-text": "/api/projects?limit=ten",
        "limit-empty": "/api/projects?limit=",
        "limit-twice": "/api/projects?limit=1&limit=2",
        "two-faults": "/api/projects?limit=0&cursor=" + "x" * 101,
        "unknown-parameter": "/api/projects?colour=red&limit=1",
        "root-file": "/favicon.ico",
        "dots": "/assets/../../pyproject.toml",
    }.items():
        await ch.call(f"address.{step}", eve, "GET", path)
    await ch.call("address.nobody", None, "GET", "/api/nothing")
    await ch.call("address.nobody-absent", None, "GET", f"/api/projects/{ABSENT}")


async def _heads(ch: Chapter) -> None:
    dan = await ch.person("dan")
    path = "/api/auth/me"
    for step, headers in {
        "other-host": [("host", "other.test")],
        "localhost": [("host", f"localhost:{ch.server.port}")],
        "odd-host": [("host", "a b")],
        "request-id": [("x-request-id", "a" * 64)],
        "long-request-id": [("x-request-id", "a" * 65)],
        "odd-request-id": [("x-request-id", "a b")],
        "many": [(f"x-{number}", "1") for number in range(101)],
        "large": [("x-large", "x" * (64 * 1024 + 1))],
        "cross-site-read": [("sec-fetch-site", "cross-site"), ("origin", "https://other.test")],
        "preflight": [
            ("origin", "https://other.test"),
            ("access-control-request-method", "POST"),
        ],
    }.items():
        reply = await ch.exchange(step, dan, "GET", path, headers=headers)
        shown = headers if len(headers) < 5 else [(f"{len(headers)} headers", "")]
        entry: Entry = {"step": f"head.{step}", "sent": f"GET {path}"}
        entry |= {"with": {name: ch.transcript.line(value[:80]) for name, value in shown}}
        ch.transcript.entries.append(entry | ch.transcript.reply(reply, ch.request_id(step)))
    line = f"GET {path} HTTP/1.1\r\n"
    own = f"x-request-id: {ch.name}.spoken\r\n"
    host = f"host: {ch.server.host}\r\n"
    for step, text in {
        "no-host": line + own,
        "two-hosts": line + host + host + own,
        "odd-length": f"POST {path} HTTP/1.1\r\n" + host + own + "content-length: x\r\n",
        "two-request-ids": line + host + own + own,
    }.items():
        await ch.spoken(f"spoken.{step}", (text + "\r\n").encode())
    await ch.spoken("spoken.noise", b"\x16\x03\x01\r\n\r\n")
    post = f"POST /api/projects HTTP/1.1\r\n{host}{own}expect: 100-continue\r\n"
    await ch.spoken("spoken.length-too-large", f"{post}content-length: 1048577\r\n\r\n".encode())


async def _methods(ch: Chapter) -> None:
    for step, method, path in (
        ("put-projects", "PUT", "/api/projects"),
        ("delete-projects", "DELETE", "/api/projects"),
        ("trace", "TRACE", "/api/projects"),
        ("head-projects", "HEAD", "/api/projects"),
        ("head-live", "HEAD", "/health/live"),
        ("options-projects", "OPTIONS", "/api/projects"),
        ("options-scene", "OPTIONS", f"/api/scenes/{ABSENT}"),
        ("post-health", "POST", "/health/live"),
        ("get-undo", "GET", f"/api/projects/{ABSENT}/undo"),
        ("get-socket", "GET", f"/api/projects/{ABSENT}/socket"),
        ("post-socket", "POST", f"/api/projects/{ABSENT}/socket"),
        ("invented", "PROPFIND", "/api/projects"),
    ):
        await ch.call(f"method.{step}", None, method, path)
    preflight: list[Header] = [
        ("origin", "https://other.test"),
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "content-type"),
    ]
    await ch.call("method.preflight", None, "OPTIONS", "/api/projects", headers=preflight)


async def _idempotency(ch: Chapter) -> None:
    kim = await ch.person("kim")
    path = "/api/projects"
    key = [("idempotency-key", "first")]
    await ch.call("key.first", kim, "POST", path, {"title": "Keyed"}, headers=key)
    await ch.call("key.again", kim, "POST", path, {"title": "Keyed"}, headers=key)
    await ch.call("key.other-body", kim, "POST", path, {"title": "Other"}, headers=key)
    await ch.call("key.other-query", kim, "POST", f"{path}?x=1", {"title": "Keyed"}, headers=key)
    kept = [("idempotency-key", "kept")]
    await ch.call("key.broken-rule", kim, "POST", path, {"title": " "}, headers=kept)
    await ch.call("key.broken-rule-again", kim, "POST", path, {"title": " "}, headers=kept)
    await ch.call("key.unreadable", kim, "POST", path, {"title": 1}, headers=kept)
    for step, value in {"empty": "", "too-long": "k" * 256, "longest": "k" * 255}.items():
        headers = [("idempotency-key", value)]
        await ch.call(f"key.{step}", kim, "POST", path, {"title": step}, headers=headers)
    tab = [("idempotency-key", "a\tb")]
    await ch.call("key.unprintable", kim, "POST", path, {}, headers=tab)
    ned = await ch.person("ned")
    await ch.call("key.of-another", ned, "POST", path, {"title": "Keyed"}, headers=key)
    project = await ch.project(ned)
    scenes = f"/api/projects/{project}/scenes"
    await ch.call("key.elsewhere", ned, "POST", scenes, {"name": "A"}, headers=key)
    scene = await ch.call("key.elsewhere-again", ned, "POST", scenes, {"name": "A"}, headers=key)
    one = f"/api/scenes/{scene['data']['id']}"
    stale = [("idempotency-key", "stale"), ("if-match", '"9"')]
    await ch.call("key.conflict", ned, "PATCH", one, {"name": "B"}, headers=stale)
    await ch.call("key.conflict-again", ned, "PATCH", one, {"name": "B"}, headers=stale)
    gone = [("idempotency-key", "gone")]
    await ch.call("key.delete", ned, "DELETE", one, headers=gone)
    await ch.call("key.delete-again", ned, "DELETE", one, headers=gone)
