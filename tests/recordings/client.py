"""Connections of HTTP/1.1 and WebSocket that hand out what came over the wire as it came."""

import asyncio
import contextlib
import json
from collections.abc import Callable
from typing import Any, NamedTuple, Self

from msgspec import msgpack

PATIENCE_SECONDS = 30.0  # for anything that a server is waited for
WEBSOCKET_KEY = "cmVlbHJvb20tcmVjb3JkaQ=="  # always the same, so that the accept header is too
MASK = b"\x00\x00\x00\x00"  # of client frames: it leaves their bytes as they are
OPCODES = {1: "text", 2: "msgpack", 8: "close", 9: "ping", 10: "pong"}

Header = tuple[str, str]


class Address(NamedTuple):
    """Names a server's port, and the loopback address that its client connects from."""

    port: int
    source: str = "127.0.0.1"

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"


class Reply(NamedTuple):
    """Holds a whole HTTP answer; the chunks of its body are joined."""

    status: str
    headers: list[Header]
    body: bytes

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key.lower() == name), None)

    @property
    def data(self) -> Any:
        return json.loads(self.body)


class Connection:
    """Speaks HTTP/1.1 over one TCP connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def open(cls, to: Address) -> Self:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", to.port, local_addr=(to.source, 0), limit=2**24
        )
        return cls(reader, writer)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.close()
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()

    async def send(self, data: bytes) -> None:
        """Write; a server that has answered and closed already is no error."""
        self.writer.write(data)
        with contextlib.suppress(OSError):
            await self.writer.drain()

    async def head(self) -> tuple[str, list[Header]]:
        """Read the status line and the headers, in their order and spelling."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            text = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        status, *lines = text.removesuffix("\r\n\r\n").split("\r\n")
        return status, [
            (name, value) for name, _, value in (line.partition(": ") for line in lines)
        ]

    async def reply(self, *, bodiless: bool = False) -> Reply:
        """Read a whole answer; to a HEAD request it is `bodiless`."""
        status, headers = await self.head()
        known = {name.lower(): value for name, value in headers}
        body = b""
        async with asyncio.timeout(PATIENCE_SECONDS):
            if bodiless or status.split(" ")[1] in ("204", "304"):
                pass
            elif known.get("transfer-encoding") == "chunked":
                while piece := await self.chunk():
                    body += piece
            elif "content-length" in known:
                body = await self.reader.readexactly(int(known["content-length"]))
            else:
                body = await self.reader.read()
        return Reply(status, headers, body)

    async def chunk(self) -> bytes:
        """Read a chunk of a body; it is empty at the end, also when the server has left."""
        try:
            size = int(await self.reader.readuntil(b"\r\n"), 16)
            return (await self.reader.readexactly(size + 2))[:-2]
        except (asyncio.IncompleteReadError, OSError):
            return b""


def request_of(method: str, target: str, headers: list[Header], body: bytes = b"") -> bytes:
    """Return the bytes of a request; nothing is added to its headers."""
    head = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers)]
    return "\r\n".join([*head, "", ""]).encode("latin-1") + body


class Arriving:
    """Collects items from a reader task, and lets others wait for them."""

    def __init__(self) -> None:
        self.items: list[Any] = []
        self.over = False
        self._taken = self._found = 0
        self._news = asyncio.Event()

    def add(self, item: Any) -> None:
        self.items.append(item)
        self._news.set()

    def end(self) -> None:
        self.over = True
        self._news.set()

    async def until(self, matches: Callable[[Any], bool], what: str) -> Any:
        """Wait for the first item that matches and was not taken; nothing is taken by that."""
        seen = self._taken
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while True:
                    self._news.clear()
                    for item in self.items[seen:]:
                        if matches(item):
                            return item
                    seen = len(self.items)
                    assert not self.over, f"it ended without {what}: {self.items[self._taken :]}"
                    await self._news.wait()
        except TimeoutError:
            raise AssertionError(f"no {what}: {self.items[self._taken :]}") from None

    async def find(self, matches: Callable[[Any], bool], what: str) -> Any:
        """Wait for the first match after the last one that this found, taken or not."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while True:
                    self._news.clear()
                    while self._found < len(self.items):
                        self._found += 1
                        if matches(item := self.items[self._found - 1]):
                            return item
                    assert not self.over, f"it ended without {what}"
                    await self._news.wait()
        except TimeoutError:
            raise AssertionError(f"no {what}: {self.items}") from None

    async def ended(self) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not self.over:
                self._news.clear()
                await self._news.wait()

    def take(self) -> list[Any]:
        """Return the items since the last call."""
        taken, self._taken = self.items[self._taken :], len(self.items)
        return taken


class EventStream:
    """Reads the Server-Sent Events of one answer; `blocks` are what blank lines separate."""

    def __init__(self, connection: Connection, status: str, headers: list[Header]) -> None:
        self.status, self.headers = status, headers
        self.blocks = Arriving()
        self._connection = connection
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        rest = b""
        while piece := await self._connection.chunk():
            *whole, rest = (rest + piece).split(b"\n\n")
            for block in whole:
                self.blocks.add(block.decode())
        if rest:
            self.blocks.add(rest.decode() + " (without its blank line)")
        self.blocks.end()

    async def until(self, kind: str, holds: str = "") -> Any:
        """Wait for an event of a type whose block holds a text, and return its JSON."""
        block = await self.blocks.until(_names(kind, holds), f"{kind} with {holds}")
        return json.loads(block.partition("data: ")[2])

    async def find(self, kind: str, holds: str) -> str:
        block: str = await self.blocks.find(_names(kind, holds), f"{kind} with {holds}")
        return block

    async def close(self) -> None:
        self._reading.cancel()
        self._connection.writer.transport.abort()


class Socket:
    """Speaks over a WebSocket; `frames` are pairs of a kind, such as `text`, and a payload."""

    def __init__(self, connection: Connection, status: str, headers: list[Header]) -> None:
        self.status, self.headers = status, headers
        self.frames = Arriving()
        self._connection = connection
        self._reading = asyncio.create_task(self._read())

    async def send(self, value: Any, *, packed: bool = False) -> None:
        """Send a frame with the value as JSON or msgpack; text and bytes stay as they are."""
        if packed:
            await self.send_frame(2, value if isinstance(value, bytes) else msgpack.encode(value))
        else:
            text = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
            await self.send_frame(1, text.encode())

    async def send_frame(self, opcode: int, payload: bytes) -> None:
        size = len(payload)
        if size < 126:
            length = bytes([0x80 | size])
        elif size < 65_536:
            length = b"\xfe" + size.to_bytes(2, "big")
        else:
            length = b"\xff" + size.to_bytes(8, "big")
        await self._connection.send(bytes([0x80 | opcode]) + length + MASK + payload)

    async def until(self, kind: str, holds: str = "") -> Any:
        """Wait for an event of a type whose JSON holds a text, and return it."""
        return event_of(await self.frames.until(_is(kind, holds), f"{kind} with {holds}"))

    async def find(self, kind: str, holds: str) -> tuple[str, bytes]:
        frame: tuple[str, bytes] = await self.frames.find(_is(kind, holds), f"{kind} with {holds}")
        return frame

    async def closed(self) -> None:
        await self.frames.ended()

    async def close(self) -> None:
        self._reading.cancel()
        self._connection.writer.transport.abort()

    async def _read(self) -> None:
        reader = self._connection.reader
        try:
            while True:
                first, size = await reader.readexactly(2)
                if size == 126:
                    size = int.from_bytes(await reader.readexactly(2), "big")
                elif size == 127:
                    size = int.from_bytes(await reader.readexactly(8), "big")
                payload = await reader.readexactly(size)
                kind = OPCODES.get(first & 15, str(first & 15)) + ("" if first & 0x80 else "+")
                if kind == "ping":
                    await self.send_frame(10, payload)
                    continue
                self.frames.add((kind, payload))
                if kind == "close":
                    await self.send_frame(8, payload[:2])
        except (asyncio.IncompleteReadError, OSError):
            pass
        self.frames.end()


def event_of(frame: tuple[str, bytes]) -> Any:
    kind, payload = frame
    return msgpack.decode(payload) if kind == "msgpack" else json.loads(payload)


def _names(kind: str, holds: str) -> Callable[[str], bool]:
    return lambda block: block.startswith(f"event: {kind}\n") and holds in block


def _is(kind: str, holds: str) -> Callable[[tuple[str, bytes]], bool]:
    def matches(frame: tuple[str, bytes]) -> bool:
        if frame[0] not in ("text", "msgpack"):
            return False
        event = event_of(frame)
        return event.get("type") == kind and holds in json.dumps(event)

    return matches


async def open_stream(
    to: Address, method: str, target: str, headers: list[Header], body: bytes = b""
) -> EventStream | Reply:
    """Open a stream; return the whole answer instead when it is not one."""
    connection = await Connection.open(to)
    await connection.send(request_of(method, target, headers, body))
    status, found = await connection.head()
    if ("transfer-encoding", "chunked") in [(name.lower(), value) for name, value in found]:
        return EventStream(connection, status, found)
    known = {name.lower(): value for name, value in found}
    body = await connection.reader.readexactly(int(known.get("content-length", "0")))
    await connection.__aexit__()
    return Reply(status, found, body)


async def open_socket(to: Address, target: str, headers: list[Header]) -> Socket | Reply:
    """Open a WebSocket; return the answer instead when the handshake is refused."""
    connection = await Connection.open(to)
    handshake = [
        *headers,
        ("connection", "Upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", WEBSOCKET_KEY),
    ]
    await connection.send(request_of("GET", target, handshake))
    status, found = await connection.head()
    if " 101 " in status:
        return Socket(connection, status, found)
    known = {name.lower(): value for name, value in found}
    body = await connection.reader.readexactly(int(known.get("content-length", "0")))
    await connection.__aexit__()
    return Reply(status, found, body)
