"""Races that need a whole client: versions that differ and tokens that expire in mid-stream."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Origin, Subprotocol

from app.auth.model import NewToken
from app.auth.tokens import issue_token
from app.client.fallback import Transport
from app.client.feed import ProjectFeed, open_feed
from app.client.transports import RequestRefused
from app.realtime import log
from app.realtime.limits import Limits
from app.settings import Settings
from tests.harness.database import DB
from tests.harness.in_process import serving_reelroom
from tests.harness.person import Person, new_person
from tests.harness.proxies import BufferingProxy
from tests.harness.waiting import eventually

pytestmark = pytest.mark.one_delivery

TRANSPORTS: tuple[Transport, ...] = ("sse", "socket", "msgpack", "poll")
WAIT_SECONDS = 30.0  # until an expected change must have happened
NEWER: list[tuple[str, Any]] = [
    ("camera.moved", {"to": [1, 2], "scene": {"id": "s", "name": None}}),
    ("member.updated", {"member": {"userId": "u", "name": "U", "role": "director", "since": 4}}),
    ("run.started", {"run": {"id": "r", "status": "dreaming", "attempt": "first"}}),
    ("scene.moved", {}),
]
RESHAPED: list[tuple[str, Any]] = [
    ("scene.updated", {"clips": [], "changed": "all"}),
    ("project.updated", [{"studio": {"id": "p"}}]),
]


class Subscriber:
    """A client of one transport, and the revisions that it received."""

    def __init__(self, transport: Transport, feed: ProjectFeed) -> None:
        self.transport, self.feed = transport, feed
        self.revisions: list[int] = []
        self.revision = -1  # of the last update
        self.error: BaseException | None = None
        self.task = asyncio.create_task(self._read())

    def use(self, token: str) -> None:
        """Send this token from the next request on."""
        self.feed.use_token(token)

    async def _read(self) -> None:
        try:
            async for update in self.feed:
                self.revisions += [e["revision"] for e in update.events if "revision" in e]
                self.revision = update.state["revision"]
        except RequestRefused as error:
            self.error = error


@asynccontextmanager
async def followed(url: str, person: Person, project: str) -> AsyncIterator[list[Subscriber]]:
    """A subscriber of each transport, all of them live."""
    async with AsyncExitStack() as stack:
        clients = []
        for transport in TRANSPORTS:
            line = open_feed(url, project, person.token, transport=transport)
            clients.append(Subscriber(transport, await stack.enter_async_context(line)))
        await eventually(lambda: all(c.feed.connection == "live" for c in clients), WAIT_SECONDS)
        yield clients
        for client in clients:
            client.task.cancel()
        await asyncio.gather(*(client.task for client in clients), return_exceptions=True)


@pytest.fixture
async def url(database: str) -> AsyncIterator[str]:
    settings, limits = Settings(database_url=database), Limits(heartbeat=0.4)
    async with serving_reelroom(settings, run_jobs=False, limits=limits) as address:
        yield address


@pytest.fixture
async def owner(url: str) -> AsyncIterator[Person]:
    async with await new_person(url) as person:
        yield person


@pytest.fixture
async def scratch_project(owner: Person) -> AsyncIterator[str]:
    """A project for events written by hand; all of its rows are deleted afterwards."""
    project = await owner.project(title="between two versions")
    yield project
    async with DB.transaction() as tx:
        await tx.execute("set local session_replication_role = replica")
        tables = await tx.fetch(
            "select table_name from information_schema.columns"
            " where table_schema = 'public' and column_name = 'project_id'"
        )
        for table in tables:
            await tx.execute(f"delete from {table['table_name']} where project_id = $1", project)
        await tx.execute("delete from project where id = $1", project)


async def add(owner: Person, project: str) -> int:
    answer = await owner.post(f"/api/projects/{project}/scenes", json={})
    assert answer.status_code == 201, answer.text
    return int(answer.json()["meta"]["revision"])


@pytest.mark.parametrize(("newer", "resets"), [(NEWER, 0), (RESHAPED, 2)])
async def test_rolling_deploy(
    url: str, owner: Person, scratch_project: str, newer: list[tuple[str, Any]], resets: int
) -> None:
    """Older clients of an older server go on after events of a newer version, or reset.

    New types and fields only advance the revision; data of another shape is never half applied.
    """
    project = scratch_project
    await add(owner, project)
    async with followed(url, owner, project) as clients:
        before = {client.transport: client.revision for client in clients}
        for kind, data in newer:
            async with DB.transaction() as tx:
                async with log.changing(
                    tx, project, actor_id=owner.user_id, request_id="newer"
                ) as change:
                    change.emit(kind, data)
            head = await add(owner, project)
        await eventually(lambda: all(c.revision >= head for c in clients), WAIT_SECONDS)
        snapshot = await owner.snapshot(project)
        for client in clients:
            expected = range(before[client.transport] + 1, head + 1)
            assert client.feed.resets <= resets, client.transport
            assert client.revisions == list(expected) or client.feed.resets
            assert set(client.revisions) <= set(expected)
            assert client.feed.state
            assert client.feed.state["sceneIds"] == [scene["id"] for scene in snapshot["scenes"]]
        async with followed(url, owner, project) as joined:
            assert all(client.revision == head for client in joined)


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        (["reelroom.v2.json", "reelroom.v1.json"], "reelroom.v1.json"),
        (["reelroom.v2.msgpack", "reelroom.v1.msgpack", "reelroom.v1.json"], "reelroom.v1.msgpack"),
        (["reelroom.v2.json"], None),
    ],
)
async def test_rolling_deploy_negotiates_a_version_of_both_sides(
    url: str, owner: Person, offered: list[str], chosen: str | None
) -> None:
    project = await owner.project(title="negotiated")
    async with connect(
        f"{url.replace('http', 'ws', 1)}/api/projects/{project}/socket",
        subprotocols=[Subprotocol(name) for name in offered],
        origin=Origin(url),
        additional_headers={"authorization": owner.headers["authorization"]},
    ) as line:
        assert line.subprotocol == chosen


async def expire(token: str) -> None:
    async with DB.transaction() as tx:
        done = await tx.execute(
            "update api_token set expires_at = clock_timestamp() - interval '1 second'"
            " where secret_hash = (select secret_hash from api_token where id = $1)",
            token,
        )
        assert done == 1


async def token_of(person: Person) -> str:
    """The id of the token that the person's client sends."""
    return str(await DB.fetchval("select id from api_token where user_id = $1", person.user_id))


async def test_token_expiry_mid_stream_with_a_new_token_loses_nothing(
    url: str, owner: Person
) -> None:
    project = await owner.project(title="goes on")
    await add(owner, project)
    old = await token_of(owner)
    async with DB.transaction() as tx:
        new = await issue_token(tx, owner.user_id, NewToken(name="new"))
    async with followed(url, owner, project) as clients:
        first = {client.transport: client.revision for client in clients}
        owner.headers["authorization"] = f"Bearer {new.token}"
        await add(owner, project)
        made = {client.transport: client.feed.attempts for client in clients}
        for client in clients:
            client.use(new.token)
        await expire(old)
        await add(owner, project)
        streams = [client for client in clients if client.transport != "poll"]
        await eventually(
            lambda: all(c.feed.attempts > made[c.transport] for c in streams), WAIT_SECONDS
        )
        head = await add(owner, project)
        await eventually(lambda: all(c.revision >= head for c in clients), WAIT_SECONDS)
        for client in clients:
            assert client.revisions == list(range(first[client.transport] + 1, head + 1))
            assert client.feed.resets == 0, client.transport
            assert client.error is None


async def test_token_expiry_mid_stream_without_another_ends_it(url: str, owner: Person) -> None:
    project = await owner.project(title="ends")
    path, headers = f"{url}/api/projects/{project}", dict(owner.headers)
    socket = connect(
        f"{path.replace('http', 'ws', 1)}/socket",
        subprotocols=[Subprotocol("reelroom.v1.json")],
        origin=Origin(url),
        additional_headers={"authorization": headers["authorization"]},
    )
    async with (
        followed(url, owner, project) as clients,
        httpx.AsyncClient(headers=headers, timeout=WAIT_SECONDS) as client,
        client.stream("GET", f"{path}/events") as stream,
        socket as line,
    ):
        await line.send('{"type":"hello"}')
        await expire(await token_of(owner))
        async with asyncio.timeout(WAIT_SECONDS):
            texts = [text async for text in stream.aiter_text()]
        assert '"reason":"session"' in "".join(texts)
        with pytest.raises(ConnectionClosed):
            async with asyncio.timeout(WAIT_SECONDS):
                while True:
                    await line.recv()
        assert line.close_code == 4401
        for each in clients:
            each.feed.wake()
        streams = [each for each in clients if each.transport != "poll"]
        await eventually(lambda: all(each.error for each in streams), WAIT_SECONDS)
        assert {getattr(each.error, "status", 0) for each in streams} == {401}
        assert (await client.get(f"{path}/changes?after=x.0")).status_code == 401


@pytest.mark.parametrize("heeds", [True, False], ids=["heeds the header", "strips the header"])
async def test_proxy_buffering(url: str, owner: Person, heeds: bool) -> None:
    """The client leaves a buffering proxy for long polls; one that heeds the header streams."""
    project = await owner.project(title="held back")
    loop = asyncio.get_running_loop()
    port = int(url.rpartition(":")[2])
    async with BufferingProxy(port, heeds=heeds).running() as proxy:
        began = loop.time()
        async with open_feed(f"http://127.0.0.1:{proxy.port}", project, owner.token) as feed:
            subscriber = Subscriber("sse", feed)
            await eventually(lambda: feed.connection == "live", WAIT_SECONDS)
            assert feed.transport == ("sse" if heeds else "poll")
            assert loop.time() - began < 15, "ten seconds, and some more on a loaded machine"
            for _ in range(3):
                head = await add(owner, project)
                await eventually(lambda: subscriber.revision >= head, 5)  # noqa: B023  awaited in its turn
            subscriber.task.cancel()
            await asyncio.gather(subscriber.task, return_exceptions=True)
