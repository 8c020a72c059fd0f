"""People who use the server under test, and what they do."""

import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import msgspec

from app.auth.model import NewToken
from app.auth.tokens import issue_token
from tests.harness.database import DB

_numbers = itertools.count(1)


class Sse(msgspec.Struct):
    """One event of a stream as it came."""

    event: str
    id: str | None
    data: Any


class Person(httpx.AsyncClient):
    """An account's HTTP client; `id` is the account's."""

    id: str
    token: str

    async def ok(self, method: str, path: str, status: int = 200, **more: Any) -> Any:
        """The data of an answer that must have this status."""
        answer = await self.request(method, path, **more)
        assert answer.status_code == status, (answer.status_code, answer.text)
        return answer.json()["data"]

    async def project(self, **fields: Any) -> str:
        """The id of a new project."""
        made = await self.ok("POST", "/api/projects", 201, json=fields)
        return str(made["id"])

    async def turn(self, project: str, prompt: str, **fields: Any) -> dict[str, Any]:
        """The answer to a prompt once its run is over."""
        answer = await self.post(
            f"/api/projects/{project}/runs",
            json={"prompt": prompt, **fields},
            headers={"prefer": "wait=30"},
        )
        body: dict[str, Any] = answer.json()
        return body

    async def snapshot(self, project: str) -> Any:
        return await self.ok("GET", f"/api/projects/{project}/snapshot")

    async def changes(self, project: str, after: str) -> list[Any]:
        """All events after a cursor."""
        events: list[Any] = []
        while True:
            page = await self.ok("GET", f"/api/projects/{project}/changes", params={"after": after})
            events += page["events"]
            if not page["events"]:
                return events
            after = page["cursor"]

    @asynccontextmanager
    async def listening(
        self, path: str, *, method: str = "GET", **more: Any
    ) -> AsyncIterator[AsyncIterator[Sse]]:
        """The events of a stream, until the block or the stream ends."""
        headers = {"accept": "text/event-stream", **more.pop("headers", {})}
        async with self.stream(method, path, headers=headers, **more) as answer:
            assert answer.status_code == 200, (answer.status_code, await answer.aread())
            yield read_events(answer)


async def read_events(answer: httpx.Response) -> AsyncIterator[Sse]:
    """Parse a stream the way the standard says, for LF line ends."""
    fields: dict[str, str] = {}
    async for line in _lines(answer):
        if not line:
            if "data" in fields:
                data = json.loads(fields["data"])
                yield Sse(fields.get("event", "message"), fields.get("id"), data)
            fields = {}
            continue
        name, _, value = line.partition(":")
        if name:
            fields[name] = value.removeprefix(" ")


async def _lines(answer: httpx.Response) -> AsyncIterator[str]:
    """Lines end with LF alone: httpx also breaks them at U+2028, which data may hold."""
    rest = ""
    async for text in answer.aiter_text():
        *whole, rest = (rest + text).split("\n")
        for line in whole:
            yield line


async def make_person(url: str) -> Person:
    """A new account on the server at `url`, which shares this process's database."""
    name = f"person-{next(_numbers)}"
    async with DB.transaction() as tx:
        await tx.execute(
            "insert into user_account (id, email, name) values ($1, $2, $3)",
            name,
            f"{name}@example.test",
            name.title(),
        )
        issued = await issue_token(tx, name, NewToken(name="tests"))
    made = Person(base_url=url, timeout=40, headers={"authorization": f"Bearer {issued.token}"})
    made.id, made.token = name, issued.token
    return made
