"""One busy project, followed over every transport through a bad network: all tell the same."""

import asyncio
import hashlib
import json
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from tests.conftest import NewDatabase, free_port
from tests.fault_proxy import FaultProxy
from tests.follow.client import Following, following
from tests.follow.ladder import Transport
from tests.follow.state import as_snapshot
from tests.realtime.busy_project import BusyProject, Member, by_token, register
from tests.studio import same
from tests.web.server import Server

TRANSPORTS: tuple[Transport, ...] = ("sse", "socket", "msgpack", "poll")
CHANGES = 60
LATE = 8  # clients that join in between
TOKEN = "local-token-of-the-test"
PATIENCE = 60.0  # seconds until everybody has everything


@pytest.fixture
async def owner(
    new_database: NewDatabase, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Member]:
    """The local admin of a server in a process of its own; at the end its data is checked."""
    folder = tmp_path_factory.mktemp("agreeing")
    settings = {"REELROOM_LOCAL_TOKEN": TOKEN}
    async with Server(await new_database(), folder, free_port(), **settings) as server:
        async with by_token(server.url, "local", TOKEN) as member:
            yield member


def hash_of(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


class Client:
    """One who follows, and the list of what it was told."""

    def __init__(self, transport: Transport, follower: Following) -> None:
        self.transport = transport
        self.follower = follower
        self.told: list[tuple[int, str]] = []
        self.first = -1  # the revision of its snapshot
        self.task = asyncio.create_task(self._read())

    @property
    def revision(self) -> int:
        return int(self.follower.state["revision"]) if self.follower.state else -1

    async def _read(self) -> None:
        async for update in self.follower:
            if self.first < 0:
                self.first = update.state["revision"]
            for event in update.events:
                if "revision" in event:
                    self.told.append((event["revision"], hash_of(event)))


class Crowd:
    """Clients of a project, each transport behind a bad network of its own."""

    def __init__(self, project: str, stack: AsyncExitStack) -> None:
        self.project = project
        self.clients: list[Client] = []
        self.proxies: dict[Transport, FaultProxy] = {}
        self._stack = stack

    async def build(self, port: int) -> None:
        for transport in TRANSPORTS:
            proxy = FaultProxy("127.0.0.1", port)
            self.proxies[transport] = await self._stack.enter_async_context(proxy.running())

    async def join(self, transport: Transport) -> None:
        url = f"http://127.0.0.1:{self.proxies[transport].port}"
        line = following(url, self.project, TOKEN, transport=transport)
        self.clients.append(Client(transport, await self._stack.enter_async_context(line)))

    def disturb(self, chance: random.Random) -> None:
        """Cut a connection somewhere, or all of a transport, or delay it."""
        proxy = chance.choice([*self.proxies.values()])
        match chance.choice(["cut", "cut", "reset", "delay", "none"]):
            case "cut":
                proxy.cut_after = chance.randint(1, 3000)
            case "reset":
                proxy.reset()
            case "delay":
                proxy.delay = chance.choice([0.0, 0.02])

    async def reach(self, head: int) -> None:
        """Wait until everybody is there; those who wait to try again do it now."""
        for proxy in self.proxies.values():
            proxy.cut_after, proxy.delay = None, 0.0
        async with asyncio.timeout(PATIENCE):
            while late := [client for client in self.clients if client.revision < head]:
                for client in late:
                    assert not client.task.done(), (client.transport, client.task)
                    client.follower.wake()
                await asyncio.sleep(0.3)

    async def leave(self) -> None:
        for client in self.clients:
            client.task.cancel()
        await asyncio.gather(*(client.task for client in self.clients), return_exceptions=True)


async def log_of(owner: Member, project: str, epoch: str) -> list[tuple[int, str]]:
    """The truth: the whole log, by plain requests."""
    told: list[tuple[int, str]] = []
    after = f"{epoch}.0"
    while True:
        page = await owner.get(f"/api/projects/{project}/changes", params={"after": after})
        events = page.json()["data"]["events"]
        if not events:
            return told
        told += [(event["revision"], hash_of(event)) for event in events]
        after = page.json()["data"]["cursor"]


@pytest.mark.parametrize("seed", [random.randrange(10**6)])
async def test_all_transports_tell_the_same_through_cuts_and_joins(
    owner: Member, seed: int
) -> None:
    chance = random.Random(seed)
    async with AsyncExitStack() as stack:
        editor = await stack.enter_async_context(await register(str(owner.base_url), "editor"))
        project = BusyProject(owner, editor, chance)
        await project.open()
        crowd = Crowd(project.id, stack)
        await crowd.build(owner.base_url.port or 0)
        for transport in TRANSPORTS:
            await crowd.join(transport)
        joins = sorted(chance.sample(range(CHANGES), LATE))
        await project.ask()
        for number in range(CHANGES):
            if number in joins:
                await crowd.join(chance.choice(TRANSPORTS))
            crowd.disturb(chance)
            await project.change()
        snapshot = await owner.do("GET", f"/api/projects/{project.id}/snapshot")
        await crowd.reach(snapshot["revision"])
        await crowd.leave()
        truth = await log_of(owner, project.id, snapshot["epoch"])
        assert [revision for revision, _ in truth] == [*range(1, snapshot["revision"] + 1)]
        for client in crowd.clients:
            where = (seed, client.transport, client.first)
            assert client.told == truth[client.first :], where
            assert client.follower.core.resets == 0, where
            assert client.follower.state, where
            same(as_snapshot(client.follower.state), snapshot)
    assert {client.transport for client in crowd.clients} == set(TRANSPORTS)
    assert sum(proxy.connections for proxy in crowd.proxies.values()) > len(crowd.clients) + 10
