"""A client that follows turns, and checks on the way what it is told."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from app.lifecycle.check import comparable
from app.projects.replay import replay, shown, state_of
from app.realtime.events import Event
from app.realtime.live import utf16_length
from tests.people import Person, Sse

OVER = {"succeeded", "failed", "cancelled"}


class Seen:
    """What a client of one run, or of one project, holds after the events so far."""

    def __init__(self) -> None:
        self.events: list[Sse] = []
        self.messages: dict[str, str] = {}
        self.codes: dict[str, str] = {}
        self.gaps: list[Any] = []
        self.snapshots: list[Any] = []

    @property
    def types(self) -> list[str]:
        return [event.event for event in self.events]

    @property
    def durable(self) -> list[Any]:
        return [event.data for event in self.events if "revision" in event.data]

    @property
    def durable_types(self) -> list[str]:
        return [event["type"] for event in self.durable]

    def of(self, *kinds: str) -> list[Any]:
        return [event.data["data"] for event in self.events if event.event in kinds]

    @property
    def run(self) -> Any:
        """The run as its last event told it."""
        return self.of("run.queued", "run.started", "run.retrying", "run.finished")[-1]["run"]

    def take(self, event: Sse) -> None:
        self.events.append(event)
        data = event.data["data"]
        if event.event == "message.delta":
            self._grow(self.messages, data["messageId"], data)
        elif event.event == "code.delta":
            self._grow(self.codes, data["callId"], data)
        elif event.event == "run.retrying":
            self.messages.clear()
            self.codes.clear()
        elif event.event == "run.snapshot":
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


async def watch(events: AsyncIterator[Sse], *, until: str | None = None) -> Seen:
    """All of a stream, or the part up to the first event of a type."""
    seen = Seen()
    async with asyncio.timeout(90):
        async for event in events:
            seen.take(event)
            if event.event == until:
                break
    return seen


async def stream_turn(person: Person, project: str, prompt: str, **fields: Any) -> Seen:
    """A prompt, followed by the reply to its own request until that ends."""
    headers = fields.pop("headers", {})
    async with person.listening(
        f"/api/projects/{project}/runs",
        method="POST",
        json={"prompt": prompt, **fields},
        headers=headers,
    ) as events:
        return await watch(events)


async def begin(person: Person, project: str, prompt: str, **fields: Any) -> Any:
    """The data of a 202: run, userMessage, assistantMessage."""
    path = f"/api/projects/{project}/runs"
    return await person.ok("POST", path, 202, json={"prompt": prompt, **fields})


async def run_now(person: Person, run_id: str) -> Any:
    return await person.ok("GET", f"/api/runs/{run_id}")


async def until_over(person: Person, run_id: str, seconds: float = 60) -> Any:
    async with asyncio.timeout(seconds):
        while True:
            run = await run_now(person, run_id)
            if run["status"] in OVER:
                return run
            await asyncio.sleep(0.05)


async def message_of(person: Person, project: str, message_id: str) -> Any:
    page = await person.ok("GET", f"/api/projects/{project}/messages", params={"limit": 200})
    return next(message for message in page["items"] if message["id"] == message_id)


async def scenes_of(person: Person, project: str) -> list[Any]:
    items: list[Any] = (await person.ok("GET", f"/api/projects/{project}/scenes"))["items"]
    return items


async def iterations_of(person: Person, project: str, *message_ids: str) -> list[Any]:
    path = f"/api/projects/{project}/iterations"
    found = await person.ok("GET", path, params={"messageIds": ",".join(message_ids)})
    items: list[Any] = found["items"]
    return items


@asynccontextmanager
async def followed(person: Person, project: str) -> AsyncIterator[list[Any]]:
    """Assert that the old snapshot and the events of the block give the new snapshot."""
    before = await person.snapshot(project)
    events: list[Any] = []
    yield events
    events += await person.changes(project, before["cursor"])
    state = state_of(before)
    for event in events:
        state = replay(
            state,
            Event(
                type=event["type"],
                project_id=event["projectId"],
                revision=event["revision"],
                run_id=event.get("runId"),
                request_id=event["requestId"],
                actor_id=event["actorId"],
                at=event["at"],
                data=event["data"],
            ),
        )
    after = await person.snapshot(project)
    for part, value in shown(state).items():
        assert comparable(part, value) == comparable(part, after[part]), part
    assert [event["revision"] for event in events] == list(
        range(before["revision"] + 1, after["revision"] + 1)
    )
