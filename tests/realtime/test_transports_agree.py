"""All transports deliver the same events of one busy project through a faulty network."""

import asyncio
import hashlib
import json
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import asyncpg
import pytest

from app.client.fallback import Transport
from app.client.feed import ProjectFeed, open_feed
from app.client.state import as_snapshot
from app.client.transports import RequestRefused
from tests.conftest import NewDatabase
from tests.harness.person import Person, registered_person
from tests.harness.process import LOCAL_TOKEN, Reelroom, started
from tests.harness.proxies import FaultProxy
from tests.harness.replaying import assert_parts
from tests.realtime.busy_project import BusyProject

pytestmark = pytest.mark.one_delivery

TRANSPORTS: tuple[Transport, ...] = ("sse", "socket", "msgpack", "poll")
CHANGES = 60
LATE_CLIENTS = 8  # which join between the changes
CATCH_UP_SECONDS = 60.0  # until every client must have caught up
REMOVAL_SECONDS = 6.0  # two until the stream ends, and the client's delay before it reconnects


@pytest.fixture(scope="module")
async def served(
    new_database: NewDatabase, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Reelroom]:
    """A server in a process of its own; `reelroom check` verifies its data at the end."""
    folder = tmp_path_factory.mktemp("agreeing")
    async with started(cwd=folder, DATABASE_URL=await new_database()) as server:
        yield server
        await asyncio.to_thread(server.command, "check")


@pytest.fixture
async def owner(served: Reelroom) -> AsyncIterator[Person]:
    """The local admin."""
    async with served.local_admin() as member:
        yield member


def hash_of(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


class Client:
    """A subscriber, and the durable events that it received."""

    def __init__(self, transport: Transport, feed: ProjectFeed) -> None:
        self.transport = transport
        self.feed = feed
        self.received: list[tuple[int, str]] = []
        self.first = -1  # the revision of its snapshot
        self.task = asyncio.create_task(self._read())

    @property
    def revision(self) -> int:
        return int(self.feed.state["revision"]) if self.feed.state else -1

    def has(self, head: int, epoch: str | None) -> bool:
        state = self.feed.state or {}
        return self.revision >= head and epoch in (None, state.get("epoch"))

    async def _read(self) -> None:
        async for update in self.feed:
            if self.first < 0:
                self.first = update.state["revision"]
            for event in update.events:
                if "revision" in event:
                    self.received.append((event["revision"], hash_of(event)))


class SubscriberGroup:
    """Clients of a project, each transport behind a faulty network of its own."""

    def __init__(self, project: str, stack: AsyncExitStack) -> None:
        self.project = project
        self.clients: list[Client] = []
        self.proxies: dict[Transport, FaultProxy] = {}
        self._stack = stack

    async def start_proxies(self, port: int) -> None:
        for transport in TRANSPORTS:
            proxy = FaultProxy("127.0.0.1", port)
            self.proxies[transport] = await self._stack.enter_async_context(proxy.running())

    async def join(self, transport: Transport, token: str = LOCAL_TOKEN) -> None:
        url = f"http://127.0.0.1:{self.proxies[transport].port}"
        line = open_feed(url, self.project, token, transport=transport)
        self.clients.append(Client(transport, await self._stack.enter_async_context(line)))

    def disturb(self, chance: random.Random) -> None:
        """Inject a random fault into one transport: a cut, a reset or a delay."""
        proxy = chance.choice([*self.proxies.values()])
        match chance.choice(["cut", "cut", "reset", "delay", "none"]):
            case "cut":
                proxy.cut_after = chance.randint(1, 3000)
            case "reset":
                proxy.reset()
            case "delay":
                proxy.delay = chance.choice([0.0, 0.02])

    async def join_all(self, token: str = LOCAL_TOKEN) -> None:
        for transport in TRANSPORTS:
            await self.join(transport, token)
        async with asyncio.timeout(CATCH_UP_SECONDS):
            while any(client.feed.connection != "live" for client in self.clients):
                await asyncio.sleep(0.02)

    async def reach(self, head: int, epoch: str | None = None) -> None:
        """Wait until all clients have the revision; wake those that delay a reconnect."""
        for proxy in self.proxies.values():
            proxy.cut_after, proxy.delay = None, 0.0
        async with asyncio.timeout(CATCH_UP_SECONDS):
            while late := [client for client in self.clients if not client.has(head, epoch)]:
                for client in late:
                    assert not client.task.done(), (client.transport, client.task)
                    client.feed.wake()
                await asyncio.sleep(0.3)

    async def close(self) -> None:
        for client in self.clients:
            client.task.cancel()
        await asyncio.gather(*(client.task for client in self.clients), return_exceptions=True)


async def group_of(project: str, owner: Person, stack: AsyncExitStack) -> SubscriberGroup:
    group = SubscriberGroup(project, stack)
    await group.start_proxies(owner.base_url.port or 0)
    return group


async def log_of(owner: Person, project: str, epoch: str) -> list[tuple[int, str]]:
    """The whole log, by plain requests: what every client must have received."""
    log: list[tuple[int, str]] = []
    after = f"{epoch}.0"
    while True:
        page = await owner.get(f"/api/projects/{project}/changes", params={"after": after})
        events = page.json()["data"]["events"]
        if not events:
            return log
        log += [(event["revision"], hash_of(event)) for event in events]
        after = page.json()["data"]["cursor"]


async def test_all_transports_deliver_the_same_through_faults_and_late_joins(owner: Person) -> None:
    seed = random.randrange(10**6)
    print(f"{seed=}")  # shown when the test fails
    chance = random.Random(seed)
    async with AsyncExitStack() as stack:
        editor = await stack.enter_async_context(
            await registered_person(str(owner.base_url), "editor")
        )
        project = BusyProject(owner, editor, chance)
        await project.open("Busy")
        group = await group_of(project.id, owner, stack)
        await group.join_all()
        joins = sorted(chance.sample(range(CHANGES), LATE_CLIENTS))
        await project.ask()
        for number in range(CHANGES):
            if number in joins:
                await group.join(chance.choice(TRANSPORTS))
            group.disturb(chance)
            await project.change()
        snapshot = await owner.do("GET", f"/api/projects/{project.id}/snapshot")
        await group.reach(snapshot["revision"])
        await group.close()
        log = await log_of(owner, project.id, snapshot["epoch"])
        assert [revision for revision, _ in log] == [*range(1, snapshot["revision"] + 1)]
        for client in group.clients:
            where = (seed, client.transport, client.first)
            assert client.received == log[client.first :], where
            assert client.feed.resets == 0, where
            assert client.feed.state, where
            assert_parts(as_snapshot(client.feed.state), snapshot)
    assert {client.transport for client in group.clients} == set(TRANSPORTS)
    assert sum(proxy.connections for proxy in group.proxies.values()) > len(group.clients) + 10


async def test_a_restored_database_resets_clients_on_every_transport(
    served: Reelroom, owner: Person
) -> None:
    """Its epoch is new: no client applies the new history to the old state."""
    async with AsyncExitStack() as stack:
        made = await owner.do("POST", "/api/projects", {"title": "Restored"})
        scenes = f"/api/projects/{made['id']}/scenes"
        await owner.do("POST", scenes, {"name": "Kept"})
        group = await group_of(made["id"], owner, stack)
        await group.join_all()
        database = await asyncpg.connect(served.settings["DATABASE_URL"])
        await database.execute("update project set epoch = 'again' where id = $1", made["id"])
        await database.close()
        await owner.do("POST", scenes, {"name": "After"})
        await owner.do("PATCH", f"/api/projects/{made['id']}", {"title": "With its new epoch"})
        snapshot = await owner.do("GET", f"/api/projects/{made['id']}/snapshot")
        assert snapshot["cursor"].startswith("again.")
        await group.reach(snapshot["revision"], "again")
        await group.close()
        for client in group.clients:
            assert client.feed.resets == 1, client.transport
            assert client.feed.state
            assert_parts(as_snapshot(client.feed.state), snapshot)


async def test_a_removed_member_receives_nothing_more_on_any_transport(owner: Person) -> None:
    async with AsyncExitStack() as stack:
        guest = await stack.enter_async_context(
            await registered_person(str(owner.base_url), "guest")
        )
        project = BusyProject(owner, guest, random.Random(1))
        await project.open("Left")
        group = await group_of(project.id, owner, stack)
        await group.join_all(guest.token)
        await owner.do("DELETE", f"/api/projects/{project.id}/members/{guest.user_id}")
        snapshot = await owner.do("GET", f"/api/projects/{project.id}/snapshot")
        await owner.do("POST", f"/api/projects/{project.id}/scenes", {"name": "Secret"})
        async with asyncio.timeout(REMOVAL_SECONDS):
            await asyncio.wait([client.task for client in group.clients])
        for client in group.clients:
            assert isinstance(client.task.exception(), RequestRefused), client.transport
            assert client.revision < snapshot["revision"], client.transport
