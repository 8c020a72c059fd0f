"""Clients that are strict about the wire: each keeps a list of all that it was told."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from tests.realtime.studio import BUSY, Process, Project


class Heard:
    """The events that a client got, in order, and how it ended."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.ids: list[str | None] = []
        self.raw = b""
        self.ended = asyncio.Event()
        self.code: int | None = None
        self.headers: httpx.Headers | None = None
        self._news = asyncio.Event()

    def add(self, event: dict[str, Any], place: str | None = None) -> None:
        self.events.append(event)
        self.ids.append(place)
        self._news.set()

    def end(self) -> None:
        self.ended.set()
        self._news.set()

    @property
    def types(self) -> list[str]:
        return [event["type"] for event in self.events]

    @property
    def durable(self) -> list[tuple[int, Any]]:
        return [(e["revision"], e["data"]) for e in self.events if "revision" in e]

    def of(self, kind: str) -> list[Any]:
        return [event["data"] for event in self.events if event["type"] == kind]

    async def until(self, check: Callable[["Heard"], Any], within: float = 10.0) -> None:
        try:
            async with asyncio.timeout(BUSY * within):
                while not check(self):
                    assert not self.ended.is_set(), f"ended after {self.types[-5:]}"
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise AssertionError(f"in vain; {len(self.events)}: {self.types[-8:]}") from None

    async def ready(self) -> None:
        await self.until(lambda heard: "sync.ready" in heard.types)

    async def revision(self, number: int, within: float = 10.0) -> None:
        await self.until(lambda heard: heard.durable and heard.durable[-1][0] >= number, within)

    async def over(self, within: float = 10.0) -> None:
        async with asyncio.timeout(BUSY * within):
            await self.ended.wait()


def parse(block: bytes, heard: Heard) -> None:
    """One SSE block, held to the contract's form."""
    assert b"\r" not in block
    lines = block.split(b"\n")
    if lines[0].startswith((b"retry: ", b":")):
        return
    assert lines[0].startswith(b"event: ")
    place = lines[1][4:].decode() if lines[1].startswith(b"id: ") else None
    data = lines[2 if place else 1 :]
    assert len(data) == 1
    assert data[0].startswith(b"data: ")
    event = msgspec.json.decode(data[0][6:])
    assert event["type"] == lines[0][7:].decode()
    assert ("revision" in event) == (place is not None)
    if place:
        assert place.endswith(f".{event['revision']}")
    heard.add(event, place)


@asynccontextmanager
async def sse(
    where: Process, path: str, *, last_event_id: str | None = None, **query: Any
) -> AsyncIterator[Heard]:
    heard = Heard()
    headers = {"Last-Event-ID": last_event_id} if last_event_id else {}

    async def read() -> None:
        try:
            async with httpx.AsyncClient(timeout=60, verify=False) as client:
                async with client.stream(
                    "GET", where.address + path, params=query, headers=headers
                ) as answer:
                    assert answer.status_code == 200, await answer.aread()
                    heard.headers = answer.headers
                    rest = b""
                    async for chunk in answer.aiter_raw():
                        heard.raw += chunk
                        *blocks, rest = (rest + chunk).split(b"\n\n")
                        for block in blocks:
                            parse(block, heard)
        except httpx.RemoteProtocolError:
            heard.code = -1
        finally:
            heard.end()

    task = asyncio.create_task(read())
    try:
        yield heard
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        if not task.cancelled() and (error := task.exception()):
            raise error


def events(where: Process, project: Project, **query: Any) -> Any:
    return sse(where, f"/p/{project.id}/events", **query)


@asynccontextmanager
async def socket(
    where: Process,
    project: Project,
    *,
    packed: bool = False,
    after: str | None = None,
    hello: bool = True,
    **query: Any,
) -> AsyncIterator[tuple[Heard, ClientConnection]]:
    heard = Heard()
    name = "reelroom.v1.msgpack" if packed else "reelroom.v1.json"
    url = httpx.URL(f"{where.sockets}/p/{project.id}/socket", params=query)
    async with connect(
        str(url), subprotocols=[Subprotocol(name)], compression=None, max_size=None
    ) as line:
        assert line.subprotocol == name

        async def read() -> None:
            try:
                async for message in line:
                    assert isinstance(message, bytes) == packed
                    heard.add(
                        msgspec.msgpack.decode(message)
                        if isinstance(message, bytes)
                        else msgspec.json.decode(message)
                    )
            except ConnectionClosed:
                pass
            finally:
                heard.code = line.close_code
                heard.end()

        task = asyncio.create_task(read())
        if hello:
            await say(line, {"type": "hello"} | ({"after": after} if after else {}), packed=packed)
        try:
            yield heard, line
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def say(line: ClientConnection, frame: Any, *, packed: bool = False) -> None:
    await line.send(
        msgspec.msgpack.encode(frame) if packed else msgspec.json.encode(frame).decode()
    )


async def poll(where: Process, project: Project, after: str, **query: Any) -> dict[str, Any]:
    async with httpx.AsyncClient(timeout=60, verify=False) as client:
        answer = await client.get(
            f"{where.address}/p/{project.id}/changes", params={"after": after, **query}
        )
    assert answer.status_code == 200, answer.text
    result: dict[str, Any] = answer.json()
    return result
