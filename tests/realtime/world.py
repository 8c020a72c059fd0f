"""Whole servers on one database and one Redis, and clients that reconnect until closed."""

import asyncio
import contextlib
import hashlib
import random
from collections.abc import AsyncIterator
from typing import Any

import httpx
import msgspec
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException
from websockets.typing import Origin, Subprotocol

from app.projects.replay import State
from app.realtime import log
from app.settings import Settings
from tests.harness.database import DB
from tests.harness.events import read_events
from tests.harness.in_process import serving_reelroom
from tests.harness.person import Person, new_person
from tests.harness.proxies import FaultProxy
from tests.harness.redis import RedisServer
from tests.harness.replaying import assert_shows, replayed, state_of

TRANSPORTS = ("sse", "json", "msgpack", "poll")
BROKEN = (httpx.TransportError, OSError, WebSocketException, TimeoutError)
MAX_RECONNECT_SECONDS = 0.1  # the longest pause before a client reconnects
SETTLE_SECONDS = 8.0  # until every client must have caught up


def digest(data: Any) -> str:
    return hashlib.sha1(msgspec.json.encode(data, order="deterministic")).hexdigest()


class Server:
    """A server with hubs of its own, behind a proxy that injects network faults."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.url = ""
        self.network = FaultProxy("127.0.0.1", 1)
        self._stop = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def address(self) -> str:
        """Its address for clients, which leads through the proxy."""
        return f"http://127.0.0.1:{self.network.port}"

    async def start(self) -> None:
        up: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._stop = asyncio.Event()

        async def run() -> None:
            async with serving_reelroom(self.settings, database=None, run_jobs=False) as url:
                up.set_result(url)
                await self._stop.wait()

        self._task = asyncio.create_task(run())
        self.url = await up
        self.network.upstream = ("127.0.0.1", int(self.url.rpartition(":")[2]))

    async def stop(self) -> None:
        self._stop.set()
        if self._task:
            await self._task


class Client:
    """Follows over one transport and one server at a time; fails at a wrong revision."""

    def __init__(self, world: "World", person: Person, transport: str, *, from_zero: bool) -> None:
        self.world, self.person, self.transport = world, person, transport
        self.server = random.choice(world.servers)
        self.epoch, self.first, self.last = "", 0, -1
        self.applied: list[tuple[int, str]] = []
        self.state = State()
        self.error: BaseException | None = None
        if from_zero:
            self.epoch, self.last = world.epoch, 0
        self.task = asyncio.create_task(self._live())

    def __repr__(self) -> str:
        return f"{self.person.user_id} by {self.transport} at {self.last}"

    @property
    def cursor(self) -> str | None:
        return f"{self.epoch}.{self.last}" if self.last >= 0 else None

    async def _live(self) -> None:
        while True:
            try:
                async with asyncio.timeout(30):
                    await getattr(self, "_" + self.transport)()
            except BROKEN:
                pass
            except Exception as error:  # noqa: BLE001  raised by the test when it settles
                self.error = error
                return
            await asyncio.sleep(random.uniform(0.01, MAX_RECONNECT_SECONDS))
            self.server = random.choice(self.world.servers)

    def take(self, event: dict[str, Any]) -> None:
        kind, data = event["type"], event["data"]
        assert kind != "sync.reset", f"{self}: {data}"
        if kind == "project.snapshot":
            assert self.cursor is None, f"{self}: a snapshot that was not requested"
            self.state = state_of(data)
            self.epoch, self.first, self.last = data["epoch"], data["revision"], data["revision"]
        elif "revision" in event:
            assert event["revision"] == self.last + 1, f"{self}: got {event['revision']}"
            self.last += 1
            self.applied.append((self.last, digest(data)))
            self.state = replayed(self.state, [event])

    async def _sse(self) -> None:
        headers = dict(self.person.headers)
        if self.cursor:
            headers["last-event-id"] = self.cursor
        url = f"{self.server.address}/api/projects/{self.world.project}/events"
        async with (
            httpx.AsyncClient(timeout=20) as client,
            client.stream("GET", url, headers=headers) as answer,
        ):
            if not self._open(answer.status_code):
                return
            async for event in read_events(answer):
                self.take(event)

    def _open(self, status: int) -> bool:
        assert status in (200, 403, 404, 503), status
        return status == 200

    async def _json(self) -> None:
        await self._socket("reelroom.v1.json")

    async def _msgpack(self) -> None:
        await self._socket("reelroom.v1.msgpack")

    async def _socket(self, protocol: str) -> None:
        url = f"{self.server.address}/api/projects/{self.world.project}/socket"
        async with connect(
            url.replace("http", "ws", 1),
            subprotocols=[Subprotocol(protocol)],
            origin=Origin(self.server.address),
            additional_headers={"authorization": self.person.headers["authorization"]},
            compression=None,
            max_size=None,
            close_timeout=0.2,
        ) as line:
            packed = protocol.endswith("msgpack")
            hello = {"type": "hello"} | ({"after": self.cursor} if self.cursor else {})
            raw = msgspec.msgpack.encode(hello) if packed else msgspec.json.encode(hello).decode()
            await line.send(raw)
            async for message in line:
                assert isinstance(message, bytes) == packed
                self.take(
                    msgspec.msgpack.decode(message)
                    if isinstance(message, bytes)
                    else msgspec.json.decode(message)
                )

    async def _poll(self) -> None:
        base = f"{self.server.address}/api/projects/{self.world.project}"
        async with httpx.AsyncClient(timeout=20, headers=self.person.headers) as client:
            if self.cursor is None:
                answer = await client.get(base + "/snapshot")
                if not self._open(answer.status_code):
                    return
                self.take({"type": "project.snapshot", "data": answer.json()["data"]})
            while True:
                asked: dict[str, Any] = {"after": self.cursor, "wait": 1, "limit": 7}
                answer = await client.get(base + "/changes", params=asked)
                if not self._open(answer.status_code):
                    return
                data = answer.json()["data"]
                assert not data["reset"], self
                for event in data["events"]:
                    self.take(event)
                assert data["cursor"] == self.cursor

    async def close(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


class World:
    """One project, its owner, a guest who is added and removed, and all clients that follow.

    `mute` is a server without Redis: the others get no hints of its commits.
    """

    def __init__(self, servers: list[Server], mute: Server, redis: RedisServer) -> None:
        self.servers, self.mute, self.redis = servers, mute, redis
        self.clients: list[Client] = []
        self.role: str | None = None
        self.removed_at = 0

    async def open(self) -> None:
        self.owner, self.guest = [await new_person(self.servers[0].url) for _ in range(2)]
        self.project = await self.owner.project(title="followed")
        self.epoch = (await self.owner.snapshot(self.project))["epoch"]

    async def close(self) -> None:
        for client in self.clients:
            await client.close()
        await self.owner.aclose()
        await self.guest.aclose()

    async def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        guest: bool = False,
        server: Server | None = None,
    ) -> Any:
        """Send a request of the owner, or of the guest, to any server; return the data."""
        server = server or random.choice(self.servers)
        headers = (self.guest if guest else self.owner).headers
        async with httpx.AsyncClient(base_url=server.url, headers=headers, timeout=20) as client:
            answer = await client.request(method, path, **({} if body is None else {"json": body}))
        assert answer.status_code < 300, (method, path, answer.text)
        return answer.json()["data"]

    async def edit(self, what: str, number: int) -> None:
        base = f"/api/projects/{self.project}"
        scenes = (await self.ask("GET", base + "/scenes"))["items"]
        if what == "add" or not scenes:
            await self.ask("POST", base + "/scenes", {"name": f"n {number} \u2028 \U0001f600"})
            return
        scene = scenes[number % len(scenes)]["id"]
        if what == "rename":
            await self.ask("PATCH", f"/api/scenes/{scene}", {"name": f"renamed {number}"})
        elif what == "delete":
            await self.ask("DELETE", f"/api/scenes/{scene}")
        elif what == "reorder":
            ids = [one["id"] for one in scenes]
            random.Random(number).shuffle(ids)
            await self.ask("PUT", base + "/scene-order", {"sceneIds": ids})
        elif what == "retitle":
            await self.ask("PATCH", base, {"title": f"title {number}"})

    async def edit_without_hint(self, number: int) -> None:
        """Commit a change without a hint, as a server does that dies after its commit."""
        name = {"name": f"n {number} \u2028 \U0001f600"}
        path = f"/api/projects/{self.project}/scenes"
        await self.ask("POST", path, name, server=self.mute)

    async def burst(self, size: int) -> None:
        """Commit several changes concurrently, through both servers."""
        names = [{"name": f"burst {number}"} for number in range(size)]
        path = f"/api/projects/{self.project}/scenes"
        await asyncio.gather(*(self.ask("POST", path, name) for name in names))

    async def set_role(self, role: str | None) -> None:
        members = f"/api/projects/{self.project}/members/{self.guest.user_id}"
        if role == self.role:
            return
        if role is None:
            await self.ask("DELETE", members)
            self.removed_at = await self._head()
        elif self.role is None:
            path = f"/api/projects/{self.project}/invites"
            invited = await self.ask("POST", path, {"role": role})
            await self.ask("POST", f"/api/invites/{invited['token']}/accept", {}, guest=True)
        else:
            await self.ask("PUT", members, {"role": role})
        self.role = role

    async def join(self, transport: str, *, guest: bool, from_zero: bool) -> None:
        person = self.guest if guest else self.owner
        self.clients.append(Client(self, person, transport, from_zero=from_zero))
        await asyncio.sleep(0)

    async def settle(self) -> None:
        """Assert that all clients with the right to read catch up with the log and the snapshot."""
        for server in self.servers:
            server.network.delay, server.network.cut_after = 0.0, None
        head = await self._head()
        rows = await DB.fetch(
            "select revision, payload from project_event where project_id = $1 order by revision",
            self.project,
        )
        truth = [(row["revision"], digest(row["payload"])) for row in rows]
        assert [revision for revision, _ in truth] == list(range(1, head + 1))
        now = await self.ask("GET", f"/api/projects/{self.project}/snapshot")
        for client in self.clients:
            may_read = client.person is self.owner or self.role is not None
            if may_read:
                await self._until_at(client, head)
            assert client.error is None, client.error
            start = client.first
            assert client.applied == truth[start : start + len(client.applied)], client
            if may_read:
                assert_shows(client.state, now)
            elif client.applied:
                assert client.last < self.removed_at, f"{client} was removed at {self.removed_at}"

    async def _until_at(self, client: Client, head: int) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SETTLE_SECONDS):
                while client.last < head and client.error is None:
                    await asyncio.sleep(0.01)
        assert client.error is None, client.error
        assert client.last == head, f"{client}, the log is at {head}"

    async def _head(self) -> int:
        head = await log.head_of(DB, self.project)
        assert head
        return head.revision


@contextlib.asynccontextmanager
async def three_servers(database: str, redis: RedisServer) -> AsyncIterator[list[Server]]:
    """Two servers on one Redis, and one without."""
    together = Settings(database_url=database, redis_url=redis.url)
    servers = [Server(together), Server(together), Server(Settings(database_url=database))]
    async with contextlib.AsyncExitStack() as stack:
        for server in servers:
            await server.start()
            stack.push_async_callback(server.stop)
            await stack.enter_async_context(server.network.running())
        yield servers
