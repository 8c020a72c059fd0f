"""Requests of the chat, as its clients send them."""

import asyncio
from typing import Any

from tests.harness.events import ReceivedTurn, receive_turn
from tests.harness.person import Person

ENDED = {"succeeded", "failed", "cancelled"}


async def stream_turn(person: Person, project: str, prompt: str, **fields: Any) -> ReceivedTurn:
    """Send a prompt; receive the stream that answers it until it ends."""
    headers = fields.pop("headers", {})
    async with person.stream_events(
        f"/api/projects/{project}/runs",
        method="POST",
        json={"prompt": prompt, **fields},
        headers=headers,
    ) as events:
        return await receive_turn(events)


async def begin(person: Person, project: str, prompt: str, **fields: Any) -> Any:
    """The data of a 202: run, userMessage, assistantMessage."""
    path = f"/api/projects/{project}/runs"
    return await person.do("POST", path, {"prompt": prompt, **fields}, status=202)


async def run_now(person: Person, run_id: str) -> Any:
    return await person.do("GET", f"/api/runs/{run_id}")


async def until_over(person: Person, run_id: str, seconds: float = 60) -> Any:
    """The run once it has ended."""
    async with asyncio.timeout(seconds):
        while True:
            run = await run_now(person, run_id)
            if run["status"] in ENDED:
                return run
            await asyncio.sleep(0.05)


async def message_of(person: Person, project: str, message_id: str) -> Any:
    page = await person.do("GET", f"/api/projects/{project}/messages", params={"limit": 200})
    return next(message for message in page["items"] if message["id"] == message_id)


async def scenes_of(person: Person, project: str) -> list[Any]:
    items: list[Any] = (await person.do("GET", f"/api/projects/{project}/scenes"))["items"]
    return items


async def iterations_of(person: Person, project: str, *message_ids: str) -> list[Any]:
    """The iterations that these messages caused."""
    path = f"/api/projects/{project}/iterations"
    found = await person.do("GET", path, params={"messageIds": ",".join(message_ids)})
    items: list[Any] = found["items"]
    return items
