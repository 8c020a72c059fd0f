"""People who use projects and scenes over HTTP, and what must hold whatever they do."""

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import msgspec
import pytest
from litestar import Litestar, Router
from litestar.datastructures import State
from litestar.di import Provide
from litestar.openapi.config import OpenAPIConfig

from app.auth.credentials import Credentials
from app.auth.model import Caller, NewToken
from app.auth.tokens import issue_token
from app.http.errors import HANDLERS
from app.http.policy import CREDENTIALS, check_routes, require_access
from app.http.strict import StrictRequest
from app.lifecycle.check import comparable
from app.projects.replay import State as Replayed
from app.projects.replay import replay, shown, state_of
from app.projects.routes import router as projects
from app.realtime import log
from app.realtime.events import Event
from app.scenes.routes import router as scenes
from app.scenes.snapshot import read_snapshot
from app.settings import Settings
from tests.harness.database import DB

_numbers = itertools.count(1)

Json = dict[str, Any]


def studio_app(described: OpenAPIConfig | None = None) -> Litestar:
    """The routes of projects and scenes alone, to be listed and described."""
    settings = Settings()
    credentials = Credentials(DB, settings)
    app = Litestar(
        [
            Router(
                "",
                route_handlers=[projects, scenes],
                guards=[require_access],
                request_class=StrictRequest,
            )
        ],
        state=State({"settings": settings, "db": DB, CREDENTIALS: credentials}),
        dependencies={
            "caller": Provide(credentials.provide_caller),
            "db": Provide(lambda: DB, sync_to_thread=False),
        },
        exception_handlers=HANDLERS,
        openapi_config=described,
        logging_config=None,
    )
    if described is None:
        check_routes(app)
    return app


class Person:
    """Somebody with an account and an API token, or nobody."""

    def __init__(self, client: httpx.AsyncClient, user_id: str) -> None:
        self.client = client
        self.user_id = user_id

    @property
    def caller(self) -> Caller:
        """For what the test does itself, beside the server."""
        return Caller(user_id=self.user_id, name=self.user_id, role="user", request_id="direct")

    async def ask(self, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        if body is None:
            return await self.client.request(method, path, headers=given)
        return await self.client.request(method, path, json=body, headers=given)

    async def do(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """What a request that must succeed gives."""
        answer = await self.ask(method, path, body, **headers)
        assert answer.is_success, answer.text
        assert answer.json()["meta"]["success"] is True
        return answer.json()["data"]

    async def refused(
        self, method: str, path: str, body: Any = None, **headers: str
    ) -> tuple[int, str]:
        """Status and code of a request that must fail."""
        answer = await self.ask(method, path, body, **headers)
        assert not answer.is_success, answer.text
        assert answer.json()["data"] is None
        return answer.status_code, answer.json()["error"]["code"]

    async def project(self, title: str | None = None) -> str:
        project = await self.do("POST", "/api/projects", {"title": title} if title else {})
        return str(project["id"])

    async def scene(self, project_id: str, **fields: Any) -> Json:
        made: Json = await self.do("POST", f"/api/projects/{project_id}/scenes", fields)
        return made

    async def order(self, project_id: str) -> list[str]:
        page = await self.do("GET", f"/api/projects/{project_id}/scenes")
        assert [scene["position"] for scene in page["items"]] == list(range(len(page["items"])))
        return [scene["id"] for scene in page["items"]]

    async def events(self, project_id: str, after: int = 0) -> list[Event]:
        return await events_of(project_id, after)


async def events_of(project_id: str, after: int = 0) -> list[Event]:
    """The log as clients get it: JSON and back."""
    events: list[Event] = []
    async with DB.reading() as reader:
        while rows := await log.read(reader, project_id, after):
            after = rows[-1].revision
            events += [
                Event(
                    type=row.type,
                    project_id=project_id,
                    revision=row.revision,
                    commit=row.commit,
                    run_id=row.run_id,
                    request_id=row.request_id,
                    actor_id=row.actor_id,
                    at=row.at,
                    data=msgspec.json.decode(row.payload),
                )
                for row in rows
            ]
    return events


async def snapshot_of(project_id: str) -> Json:
    snapshot: Json = msgspec.json.decode((await read_snapshot(project_id)).body)
    return snapshot


def same(told: Json, snapshot: Json) -> None:
    """Assert that a replayed state is what the snapshot shows."""
    for part, value in told.items():
        assert comparable(part, value) == comparable(part, snapshot[part]), part


class Studio:
    """The server, and the people who use it."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._people: list[Person] = []
        self._number = next(_numbers)

    async def person(self, name: str) -> Person:
        """Somebody new; the ids of one test's people sort as their names do."""
        user_id = f"{name}-{self._number}"
        async with DB.transaction() as tx:
            await tx.execute(
                "insert into user_account (id, name, email) values ($1, $2, $3)",
                user_id,
                name.title(),
                f"{user_id}@example.com",
            )
            issued = await issue_token(tx, user_id, NewToken(name="tests"))
        return self._client(user_id, {"authorization": f"Bearer {issued.token}"})

    def nobody(self) -> Person:
        return self._client("", {})

    def _client(self, user_id: str, headers: dict[str, str]) -> Person:
        client = httpx.AsyncClient(base_url=self.address, headers=headers, timeout=20)
        self._people.append(Person(client, user_id))
        return self._people[-1]

    async def member(self, owner: Person, project_id: str, name: str, role: str) -> Person:
        """Somebody new who has joined by an invite."""
        guest = await self.person(name)
        path = f"/api/projects/{project_id}/invites"
        invite = await owner.do("POST", path, {"role": role})
        await guest.do("POST", f"/api/invites/{invite['token']}/accept")
        return guest

    @asynccontextmanager
    async def watching(self, project_id: str) -> AsyncIterator[list[Event]]:
        """Assert that the old snapshot and what happens in the block give the new snapshot."""
        before, events = await snapshot_of(project_id), list[Event]()
        yield events
        events += await events_of(project_id, before["revision"])
        state = state_of(before)
        for event in events:
            state = replay(state, event)
        after = await snapshot_of(project_id)
        same(shown(state), after)
        assert after["revision"] == before["revision"] + len(events)

    async def check(self) -> None:
        """Assert that the log of each project of these people gives its snapshot."""
        async with DB.reading() as reader:
            rows = await reader.fetch(
                "select id from project where deleted_at is null and owner_id = any($1)",
                [person.user_id for person in self._people],
            )
        for row in rows:
            state = Replayed()
            for event in await events_of(row["id"]):
                state = replay(state, event)
            same(shown(state), await snapshot_of(row["id"]))

    async def close(self) -> None:
        for person in self._people:
            await person.client.aclose()


@pytest.fixture
async def studio(server: str) -> AsyncIterator[Studio]:
    """The whole app, and people who are this test's own."""
    one = Studio(server)
    try:
        yield one
        await one.check()
    finally:
        await one.close()
