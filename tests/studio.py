"""A real server with the routes of projects and scenes, a fresh database for each test."""

import asyncio
import itertools
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import httpx
import msgspec
import pytest
import uvicorn
from litestar import Litestar, Router
from litestar.datastructures import State
from litestar.di import Provide
from litestar.openapi.config import OpenAPIConfig

from app.auth.session import TOKEN_PREFIX, find_caller, provide_caller, secret_hash
from app.http.errors import HANDLERS
from app.http.guard import Guard
from app.http.policy import FIND_CALLER, check_routes, require_access
from app.http.strict import StrictRequest
from app.lifecycle.check import check, comparable
from app.projects.replay import State as Replayed
from app.projects.replay import replay, shown, state_of
from app.projects.routes import router as projects
from app.realtime import log
from app.realtime.model import Event
from app.scenes.routes import router as scenes
from app.scenes.snapshot import read_snapshot
from app.settings import Settings
from app.store.embedded import Embedded, start
from app.store.engine import DB, connected, reading
from app.store.ids import new_id
from app.store.migration import migrate

TEMPLATE = "studio_template"
_numbers = itertools.count(1)

Json = dict[str, Any]


def studio_app(described: OpenAPIConfig | None = None) -> Litestar:
    settings = Settings()
    app = Litestar(
        [
            Router(
                "",
                route_handlers=[projects, scenes],
                guards=[require_access],
                request_class=StrictRequest,
            )
        ],
        state=State({"settings": settings, FIND_CALLER: find_caller}),
        dependencies={"caller": Provide(provide_caller)},
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
    async with reading() as reader:
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

    def __init__(self, address: str, app: Litestar) -> None:
        self.address = address
        self.app = app
        self.broken = False  # a test that breaks the data on purpose says so
        self._clients: list[httpx.AsyncClient] = []

    async def person(self, name: str) -> Person:
        secret = TOKEN_PREFIX + name
        async with reading() as reader:
            await reader.fetch(
                "insert into user_account (id, name, email) values ($1, $2, $3)",
                name,
                name.title(),
                f"{name}@example.com",
            )
            await reader.fetch(
                "insert into api_token (id, user_id, name, secret_hash)"
                " values ($1, $2, 'test', $3)",
                new_id(),
                name,
                secret_hash(secret),
            )
        return self._client(name, {"authorization": f"Bearer {secret}"})

    def nobody(self) -> Person:
        return self._client("", {})

    def _client(self, user_id: str, headers: dict[str, str]) -> Person:
        client = httpx.AsyncClient(base_url=self.address, headers=headers, timeout=20)
        self._clients.append(client)
        return Person(client, user_id)

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
        """Assert that all invariants hold and that each project's log gives its snapshot."""
        async with reading(snapshot=True) as reader:
            assert await check(reader) == []
            rows = await reader.fetch("select id from project where deleted_at is null")
        for row in rows:
            state = Replayed()
            for event in await events_of(row["id"]):
                state = replay(state, event)
            same(shown(state), await snapshot_of(row["id"]))

    async def close(self) -> None:
        for client in self._clients:
            await client.aclose()


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedded]:
    with start(tmp_path_factory.mktemp("postgres"), durable=False) as server:
        yield server


@pytest.fixture(scope="session")
async def template(postgres: Embedded) -> str:
    """The DSN of the server's own database, beside which the migrated template lies."""
    await _run(postgres.dsn, f"create database {TEMPLATE} template template0")
    await migrate(_beside(postgres.dsn, TEMPLATE))
    return postgres.dsn


@pytest.fixture
async def studio(template: str) -> AsyncIterator[Studio]:
    name = f"studio_{next(_numbers)}"
    await _run(template, f"create database {name} template {TEMPLATE} strategy file_copy")
    app = studio_app()
    async with connected(_beside(template, name)), serving(Guard(app, Settings())) as address:
        one = Studio(address, app)
        try:
            yield one
            if not one.broken:
                await one.check()
            await until_idle()
        finally:
            await one.close()


async def until_idle() -> None:
    """Until every connection is back in the pool; one that never comes back was leaked."""
    async with asyncio.timeout(5):
        while DB.live_pool.get_idle_size() != DB.live_pool.get_size():
            await asyncio.sleep(0.005)


@asynccontextmanager
async def serving(app: Any) -> AsyncIterator[str]:
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    server = uvicorn.Server(
        uvicorn.Config(
            app, log_level="warning", ws="websockets-sansio", timeout_graceful_shutdown=1
        )
    )
    task = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started:
        assert not task.done(), "the server did not start"
        await asyncio.sleep(0.005)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await task


def _beside(dsn: str, name: str) -> str:
    return f"{dsn.rpartition('/')[0]}/{name}"


async def _run(dsn: str, sql: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(sql)
    finally:
        await connection.close()
