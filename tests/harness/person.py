"""Clients of accounts of the server under test, and their requests over HTTP."""

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from app.auth.model import Caller, NewToken
from app.auth.tokens import issue_token
from tests.harness.database import DB
from tests.harness.events import Json, read_events
from tests.harness.replaying import assert_follows

PASSWORD = "correct horse battery"
TIMEOUT_SECONDS = 60.0
_numbers = itertools.count(1)


class Person(httpx.AsyncClient):
    """The HTTP client of an account; without a token it is anonymous."""

    def __init__(self, url: str, user_id: str = "", token: str = "") -> None:
        headers = {"authorization": f"Bearer {token}"} if token else {}
        super().__init__(base_url=url, headers=headers, timeout=TIMEOUT_SECONDS, trust_env=False)
        self.user_id = user_id
        self.token = token

    @property
    def caller(self) -> Caller:
        """The caller for actions that the test calls directly, without a server."""
        return Caller(user_id=self.user_id, name=self.user_id, role="user", request_id="direct")

    async def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        params: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
    ) -> httpx.Response:
        """The answer to a request, of any status."""
        if body is None:
            return await self.request(method, path, params=params, headers=headers)
        return await self.request(method, path, json=body, params=params, headers=headers)

    async def do(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        status: int | None = None,
        params: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
    ) -> Any:
        """The data of an answer that must be a success, with this status if one is given."""
        answer = await self.ask(method, path, body, params=params, headers=headers)
        assert answer.is_success, (method, path, answer.status_code, answer.text)
        assert status in (None, answer.status_code), (method, path, answer.status_code)
        assert answer.json()["meta"]["success"] is True
        return answer.json()["data"]

    async def refused(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        params: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
    ) -> tuple[int, str]:
        """Status and error code of an answer that must be a failure."""
        answer = await self.ask(method, path, body, params=params, headers=headers)
        assert not answer.is_success, (method, path, answer.text)
        assert answer.json()["data"] is None
        return answer.status_code, answer.json()["error"]["code"]

    async def project(self, title: str | None = None, **fields: Any) -> str:
        """The id of a new project."""
        body = fields | ({"title": title} if title else {})
        made = await self.do("POST", "/api/projects", body, status=201)
        return str(made["id"])

    async def scene(self, project_id: str, **fields: Any) -> Json:
        """A new scene of a project."""
        made: Json = await self.do("POST", f"/api/projects/{project_id}/scenes", fields)
        return made

    async def order(self, project_id: str) -> list[str]:
        """The ids of the scenes in their order; asserts that the positions have no gap."""
        page = await self.do("GET", f"/api/projects/{project_id}/scenes")
        assert [scene["position"] for scene in page["items"]] == list(range(len(page["items"])))
        return [scene["id"] for scene in page["items"]]

    async def turn(self, project_id: str, prompt: str, **fields: Any) -> Json:
        """The whole body of the answer to a prompt once its run is over."""
        path = f"/api/projects/{project_id}/runs"
        body = {"prompt": prompt, **fields}
        answer = await self.ask("POST", path, body, headers={"prefer": "wait=30"})
        whole: Json = answer.json()
        return whole

    async def snapshot(self, project_id: str) -> Json:
        snapshot: Json = await self.do("GET", f"/api/projects/{project_id}/snapshot")
        return snapshot

    async def changes(self, project_id: str, after: str) -> list[Json]:
        """All events after a cursor, by long poll."""
        events: list[Json] = []
        path = f"/api/projects/{project_id}/changes"
        while True:
            page = await self.do("GET", path, params={"after": after})
            events += page["events"]
            if not page["events"]:
                return events
            after = page["cursor"]

    @asynccontextmanager
    async def stream_events(
        self, path: str, *, method: str = "GET", **request: Any
    ) -> AsyncIterator[AsyncIterator[Json]]:
        """The events of a stream over SSE, until the block or the stream ends."""
        headers = {"accept": "text/event-stream", **request.pop("headers", {})}
        async with self.stream(method, path, headers=headers, **request) as answer:
            assert answer.status_code == 200, (answer.status_code, await answer.aread())
            yield read_events(answer)

    @asynccontextmanager
    async def replaying(self, project_id: str) -> AsyncIterator[list[Json]]:
        """Assert that the old snapshot and the events of the block give the new snapshot.

        The list holds the events once the block is over. A turn may still run then.
        """
        before = await self.snapshot(project_id)
        events: list[Json] = []
        yield events
        after = await self.snapshot(project_id)
        changes = await self.changes(project_id, before["cursor"])
        events += [event for event in changes if event["revision"] <= after["revision"]]
        assert_follows(before, events, after)

    async def invite(self, guest: "Person", project_id: str, role: str) -> None:
        """Make another account a member by an invite that it accepts."""
        path = f"/api/projects/{project_id}/invites"
        invite = await self.do("POST", path, {"role": role}, status=201)
        await guest.do("POST", f"/api/invites/{invite['token']}/accept", status=200)


async def new_person(url: str, name: str = "person") -> Person:
    """The client of a new account on the server at `url`, which uses the tests' database.

    The ids of accounts whose names differ sort as their names do.
    """
    user_id = f"{name}-{next(_numbers)}"
    async with DB.transaction() as tx:
        await tx.execute(
            "insert into user_account (id, name, email) values ($1, $2, $3)",
            user_id,
            name.title(),
            f"{user_id}@example.test",
        )
        issued = await issue_token(tx, user_id, NewToken(name="tests"))
    return Person(url, user_id, issued.token)


async def registered_person(url: str, name: str) -> Person:
    """The client of a new account on any server, registered over HTTP."""
    body = {"email": f"{name}@example.test", "password": PASSWORD, "name": name}
    origin = {"origin": url}
    async with Person(url) as visitor:
        account = await visitor.do("POST", "/api/auth/register", body, headers=origin)
        issued = await visitor.do("POST", "/api/auth/tokens", {"name": "tests"}, headers=origin)
    return Person(url, str(account["id"]), str(issued["token"]))
