"""What clients receive of a stream: parsed strictly and kept in order."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import msgspec

from app.realtime.live import utf16_length
from tests.harness.waiting import TOLERANCE

Json = dict[str, Any]


class SseParser:
    """Blocks of a stream, each held to the form that this server promises.

    LF line ends; `event:`, then `id:` on exactly the events that have a revision, then one
    `data:` line with the whole event, whose type and revision agree with the other fields.
    """

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, chunk: bytes) -> list[tuple[Json, str | None]]:
        """The events that are complete now, each with its id."""
        *blocks, self._rest = (self._rest + chunk).split(b"\n\n")
        parsed = [self._parse(block) for block in blocks]
        return [one for one in parsed if one is not None]

    def _parse(self, block: bytes) -> tuple[Json, str | None] | None:
        assert b"\r" not in block
        lines = block.split(b"\n")
        if lines[0].startswith((b"retry: ", b":")):
            return None
        assert lines[0].startswith(b"event: ")
        cursor = lines[1][4:].decode() if lines[1].startswith(b"id: ") else None
        data = lines[2 if cursor else 1 :]
        assert len(data) == 1
        assert data[0].startswith(b"data: ")
        event: Json = msgspec.json.decode(data[0][6:])
        assert event["type"] == lines[0][7:].decode()
        assert ("revision" in event) == (cursor is not None)
        if cursor:
            assert cursor.endswith(f".{event['revision']}")
        return event, cursor


async def read_events(answer: httpx.Response) -> AsyncIterator[Json]:
    """The events of an answer as they come."""
    parser = SseParser()
    async for chunk in answer.aiter_raw():
        for event, _ in parser.feed(chunk):
            yield event


class Received:
    """The events that one client received, in order, and how its stream ended.

    `ids` are those of SSE, `raw` its bytes; `code` is the close code of a WebSocket, and -1 for
    an HTTP answer that was cut.
    """

    def __init__(self) -> None:
        self.events: list[Json] = []
        self.ids: list[str | None] = []
        self.raw = b""
        self.ended = asyncio.Event()
        self.code: int | None = None
        self.headers: httpx.Headers | None = None
        self._changed = asyncio.Event()

    def add(self, event: Json, cursor: str | None = None) -> None:
        self.events.append(event)
        self.ids.append(cursor)
        self._changed.set()

    def end(self) -> None:
        self.ended.set()
        self._changed.set()

    @property
    def types(self) -> list[str]:
        return [event["type"] for event in self.events]

    @property
    def durable(self) -> list[Json]:
        """The events that the log holds."""
        return [event for event in self.events if "revision" in event]

    @property
    def revisions(self) -> list[int]:
        return [event["revision"] for event in self.durable]

    @property
    def logged(self) -> list[tuple[int, Any]]:
        """Revision and data of each durable event, as `logged` of a project gives them."""
        return [(event["revision"], event["data"]) for event in self.durable]

    def of(self, *types: str) -> list[Any]:
        """The data of the events of these types."""
        return [event["data"] for event in self.events if event["type"] in types]

    async def until(self, check: Callable[["Received"], Any], within: float = 10.0) -> None:
        """Wait until the check holds; fail when the stream ends or `within` seconds are over."""
        try:
            async with asyncio.timeout(TOLERANCE * within):
                while not check(self):
                    assert not self.ended.is_set(), f"ended after {self.types[-5:]}"
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise AssertionError(
                f"nothing of it after {len(self.events)} events: {self.types[-8:]}"
            ) from None

    async def ready(self) -> None:
        """Wait for the end of the catch-up."""
        await self.until(lambda received: "sync.ready" in received.types)

    async def revision(self, number: int, within: float = 10.0) -> None:
        """Wait for the event with this revision or a later one."""
        await self.until(
            lambda received: max(received.revisions[-1:], default=-1) >= number, within
        )

    async def over(self, within: float = 10.0) -> None:
        """Wait for the end of the stream."""
        async with asyncio.timeout(TOLERANCE * within):
            await self.ended.wait()

    async def read(self, client: httpx.AsyncClient, path: str, **request: Any) -> None:
        """Receive a stream over SSE until it ends or is cut."""
        try:
            async with client.stream("GET", path, **request) as answer:
                assert answer.status_code == 200, await answer.aread()
                self.headers = answer.headers
                parser = SseParser()
                async for chunk in answer.aiter_raw():
                    self.raw += chunk
                    for event, cursor in parser.feed(chunk):
                        self.add(event, cursor)
        except httpx.RemoteProtocolError:
            self.code = -1
        finally:
            self.end()


@asynccontextmanager
async def receiving(
    client: httpx.AsyncClient, path: str, **request: Any
) -> AsyncIterator[Received]:
    """Receive a stream over SSE within the block; raise what went wrong in it."""
    received = Received()
    task = asyncio.create_task(received.read(client, path, **request))
    try:
        yield received
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        if not task.cancelled() and (error := task.exception()):
            raise error


class ReceivedTurn(Received):
    """What a client of one run, or of one project, shows after the events so far.

    `messages` and `codes` are the texts that grew by deltas; `gaps` are the deltas that did not
    begin where the text before them ended.
    """

    def __init__(self) -> None:
        super().__init__()
        self.messages: dict[str, str] = {}
        self.codes: dict[str, str] = {}
        self.gaps: list[Any] = []
        self.snapshots: list[Any] = []

    @property
    def durable_types(self) -> list[str]:
        return [event["type"] for event in self.durable]

    @property
    def run(self) -> Any:
        """The run as its last event described it."""
        return self.of("run.queued", "run.started", "run.retrying", "run.finished")[-1]["run"]

    def add(self, event: Json, cursor: str | None = None) -> None:
        super().add(event, cursor)
        data = event["data"]
        match event["type"]:
            case "message.delta":
                self._grow(self.messages, data["messageId"], data)
            case "code.delta":
                self._grow(self.codes, data["callId"], data)
            case "run.retrying":
                self.messages.clear()
                self.codes.clear()
            case "run.snapshot":
                self.snapshots.append(data)
                for call in data["calls"]:
                    self.codes[call["callId"]] = call["code"]
                if "message" in data:
                    self.messages[data["message"]["messageId"]] = data["message"]["text"]

    def _grow(self, texts: dict[str, str], key: str, data: Any) -> None:
        text = texts.get(key, "")
        if data["offset"] != utf16_length(text):
            self.gaps.append((key, data["offset"], utf16_length(text)))
            return
        texts[key] = text + data["text"]


async def receive_turn(events: AsyncIterator[Json], *, until: str | None = None) -> ReceivedTurn:
    """Receive all of a stream, or the part up to the first event of a type."""
    received = ReceivedTurn()
    async with asyncio.timeout(90):
        async for event in events:
            received.add(event)
            if event["type"] == until:
                break
    return received
