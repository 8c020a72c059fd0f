"""A part of the scenario, which sends requests to one server and records the answers."""

import json
import re
from collections.abc import Iterable
from contextlib import AsyncExitStack
from typing import Any

from tests.recordings.client import (
    Address,
    Connection,
    EventStream,
    Header,
    Reply,
    Socket,
    open_socket,
    open_stream,
    request_of,
)
from tests.recordings.entry import Entry
from tests.recordings.people import People, Person
from tests.recordings.transcript import Transcript

ABSENT = "00000000-0000-7000-8000-000000000000"
NOTHING: Any = object()
SHOWN_CHARACTERS = 300  # of a request's path and body in its entry
JSON, MSGPACK = "reelroom.v1.json", "reelroom.v1.msgpack"


class Chapter:
    """Sends requests to one server and keeps the answers as entries.

    Each chapter has a loopback address of its own, for limits are counted by address, and its own
    accounts, so that chapters can run beside each other. The id of a request is made of the names
    of the chapter and the step.
    """

    def __init__(self, name: str, server: Address, people: People) -> None:
        self.name = name
        self._people = people
        self.server = server
        self.transcript = Transcript()
        self._steps: set[str] = set()
        self._open = AsyncExitStack()

    async def __aenter__(self) -> "Chapter":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._open.aclose()

    async def call(
        self,
        step: str,
        who: Person | None,
        method: str,
        path: str,
        body: Any = NOTHING,
        *,
        raw: bytes | None = None,
        headers: Iterable[Header] = (),
        keep_body: bool = True,
    ) -> Any:
        """Send a request and keep its answer; returns what the answer's JSON holds.

        `body` is sent as JSON; `raw` as it is, without a content type.
        """
        reply = await self.exchange(step, who, method, path, body, raw=raw, headers=headers)
        kept = self.transcript.reply(reply, self.request_id(step), body=keep_body)
        entry = self._begun(step, method, path, body, headers) | kept
        self.transcript.entries.append(entry)
        kind = reply.header("content-type") or ""
        return reply.data if kind.startswith("application/json") and reply.body else None

    async def data(
        self, who: Person | None, method: str, path: str, body: Any = NOTHING, **more: Any
    ) -> Any:
        """Return the data of an answer that must be a success and is not kept."""
        reply = await self.exchange("unrecorded", who, method, path, body, **more)
        assert reply.status.split(" ")[1] < "300", (method, path, reply)
        return reply.data["data"]

    async def exchange(
        self,
        step: str,
        who: Person | None,
        method: str,
        path: str,
        body: Any = NOTHING,
        *,
        raw: bytes | None = None,
        headers: Iterable[Header] = (),
    ) -> Reply:
        sent, content = self._request(step, who, method, path, body, raw, headers)
        async with await Connection.open(self.server) as connection:
            await connection.send(request_of(method, path, sent, content))
            reply = await connection.reply(bodiless=method == "HEAD")
        self.transcript.learn(reply)
        return reply

    async def spoken(self, step: str, data: bytes, *, says: str = "") -> None:
        """Send bytes as they are and keep the answer; `says` stands for them in the entry."""
        async with await Connection.open(self.server) as connection:
            await connection.send(data)
            reply = await connection.reply()
        entry: Entry = {"step": step, "sent": says or self.transcript.line(data.decode("latin-1"))}
        self.transcript.entries.append(entry | self.transcript.reply(reply, self.request_id(step)))

    async def follow(
        self,
        step: str,
        who: Person | None,
        path: str,
        *,
        method: str = "GET",
        body: Any = NOTHING,
        headers: Iterable[Header] = (),
    ) -> EventStream:
        """Open a stream of events and keep the head of its answer."""
        headers = [("accept", "text/event-stream"), *headers]
        sent, content = self._request(step, who, method, path, body, None, headers)
        stream = await open_stream(self.server, method, path, sent, content)
        entry = self._begun(step, method, path, body, headers[1:])
        self.transcript.entries.append(entry)
        if isinstance(stream, Reply):
            entry |= self.transcript.reply(stream, self.request_id(step))
            raise AssertionError(f"no stream: {entry}")
        entry["status"] = stream.status.removeprefix("HTTP/1.1 ")
        entry["headers"] = self.transcript.headers(stream.headers, self.request_id(step))
        self._open.push_async_callback(stream.close)
        return stream

    def events(self, step: str, stream: EventStream, *, live: bool = True) -> None:
        """Keep the events since the last call; without `live` only the durable ones."""
        blocks = [one for one in stream.blocks.take() if live or "\nid: " in one]
        self._add(step, self.transcript.blocks(blocks), stream.blocks.over)

    async def event(self, step: str, stream: EventStream | Socket, kind: str, holds: str) -> None:
        """Wait for an event of an unordered type that holds a text, and keep that event."""
        keep = frozenset({kind})
        if isinstance(stream, EventStream):
            found = self.transcript.blocks([await stream.find(kind, holds)], keep=keep)
        else:
            found = self.transcript.frames([await stream.find(kind, holds)], keep=keep)
        self._add(step, found, False)

    async def connect(
        self,
        step: str,
        who: Person | None,
        path: str,
        *protocols: str,
        headers: Iterable[Header] = (),
    ) -> Socket:
        """Open a WebSocket and keep the head of the answer."""
        socket = await self.handshake(step, who, path, *protocols, headers=headers)
        assert isinstance(socket, Socket), socket
        return socket

    async def handshake(
        self,
        step: str,
        who: Person | None,
        path: str,
        *protocols: str,
        headers: Iterable[Header] = (),
    ) -> Socket | Reply:
        """Ask for a WebSocket; keep the head of the answer, or all of one that refuses it."""
        sent, _ = self._request(step, who, "GET", path, NOTHING, None, headers)
        origin = [] if any(name == "origin" for name, _ in headers) else [self.origin]
        offer = [("sec-websocket-protocol", ", ".join(protocols))] if protocols else []
        socket = await open_socket(self.server, path, [*sent, *origin, *offer])
        entry = self._begun(step, "GET", path, NOTHING, [*headers, *offer], kind="websocket")
        self.transcript.entries.append(entry)
        if isinstance(socket, Reply):
            entry |= self.transcript.reply(socket, self.request_id(step))
            return socket
        entry["status"] = socket.status.removeprefix("HTTP/1.1 ")
        headers = sorted((name.lower(), value) for name, value in socket.headers)
        entry["headers"] = self.transcript.headers(headers, self.request_id(step))
        self._open.push_async_callback(socket.close)
        return socket

    def frames(self, step: str, socket: Socket) -> None:
        """Keep the frames since the last call."""
        self._add(step, self.transcript.frames(socket.frames.take()), socket.frames.over)

    async def person(self, name: str) -> Person:
        """Make an account with a token."""
        return await self._people.make(name, self.name)

    async def project(self, who: Person, **fields: Any) -> str:
        """Make a project and return its id."""
        return str((await self.data(who, "POST", "/api/projects", fields))["id"])

    async def member(self, owner: Person, project: str, who: Person, role: str) -> None:
        """Make a person a member of a project, by an invite of its owner."""
        path = f"/api/projects/{project}/invites"
        invite = await self.data(owner, "POST", path, {"role": role})
        await self.data(who, "POST", f"/api/invites/{invite['token']}/accept", {})

    async def scene(self, who: Person, project: str, **fields: Any) -> Any:
        """Make a scene and return it."""
        return await self.data(who, "POST", f"/api/projects/{project}/scenes", fields)

    @property
    def origin(self) -> Header:
        return ("origin", f"http://{self.server.host}")

    def request_id(self, step: str) -> str:
        return f"{self.name}.{step}"

    def _request(
        self,
        step: str,
        who: Person | None,
        method: str,
        path: str,
        body: Any,
        raw: bytes | None,
        headers: Iterable[Header],
    ) -> tuple[list[Header], bytes]:
        given = {name.lower() for name, _ in headers}
        sent = [("host", self.server.host)] if "host" not in given else []
        if "x-request-id" not in given:
            sent.append(("x-request-id", self.request_id(step)))
        sent += [*(who.headers if who else []), *headers]
        content = raw if raw is not None else b""
        if body is not NOTHING:
            content = json.dumps(body).encode()
            if "content-type" not in given:
                sent.append(("content-type", "application/json"))
        if content and not given & {"content-length", "transfer-encoding"}:
            sent.append(("content-length", str(len(content))))
        return sent, content

    def _begun(
        self,
        step: str,
        method: str,
        path: str,
        body: Any,
        headers: Iterable[Header],
        kind: str = "sent",
    ) -> Entry:
        assert re.fullmatch(r"[a-z0-9.-]+", step), step
        assert step not in self._steps, f"{self.name} has two steps {step}"
        self._steps.add(step)
        shown_path = path if len(path) < SHOWN_CHARACTERS else f"{path[:SHOWN_CHARACTERS]}…"
        entry: Entry = {"step": step, kind: self.transcript.line(f"{method} {shown_path}")}
        shown = {name: self.transcript.line(value) for name, value in headers}
        if shown:
            entry["with"] = {name: value[:80] for name, value in shown.items()}
        if body is not NOTHING:
            text = json.dumps(body)
            if len(text) <= SHOWN_CHARACTERS:
                entry["json"] = json.loads(self.transcript.line(text))
        return entry

    def _add(self, step: str, found: list[Any], over: bool) -> None:
        assert step not in self._steps, f"{self.name} has two steps {step}"
        self._steps.add(step)
        self.transcript.entries.append(
            {"step": step, "came": found, **({"over": True} if over else {})}
        )
