"""The bus over Redis with TLS, and over a cluster with sharded pub/sub."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from redis import Redis

from app.http.limits import Limiter
from app.problems import RateLimited
from app.realtime.bus.redis import SLOT, RedisBus
from app.store.ids import new_id
from tests.harness.metrics import metric
from tests.harness.redis import RedisServer
from tests.harness.waiting import eventually
from tests.realtime.clients import events
from tests.realtime.hub_server import NO_HEAD_CHECK, NewProcess, Project

pytestmark = pytest.mark.slow

SLOTS = 16384


class TlsServer(RedisServer):
    """A Redis that accepts only TLS, with a self-signed certificate."""

    def __init__(self, folder: Path) -> None:
        key, self.certificate = folder / "key.pem", folder / "cert.pem"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
             "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1",
             "-keyout", str(key), "-out", str(self.certificate)],
            check=True, capture_output=True,
        )  # fmt: skip
        super().__init__(folder)
        self.options = ("--port", "0", "--tls-port", str(self.port), "--tls-auth-clients", "no",
                        "--tls-cert-file", str(self.certificate), "--tls-key-file",
                        str(key))  # fmt: skip
        self.url = f"rediss://127.0.0.1:{self.port}/0?ssl_ca_certs={self.certificate}"

    @property
    def admin(self) -> Redis:
        return Redis(port=self.port, ssl=True, ssl_ca_certs=str(self.certificate))


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with TlsServer(tmp_path_factory.mktemp("tls")) as server:
        yield server.url


class Cluster:
    """Three nodes; the second one owns the slot of the bus."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder, self.stack = folder, stack
        self.ports: list[int] = []
        self.nodes: list[Redis] = []
        for _ in range(3):
            self.start_node()
        near = range(SLOT - 10, SLOT + 10)
        parts = [range(near.start), near, range(near.stop, SLOTS)]
        for node, part in zip(self.nodes, parts, strict=True):
            node.execute_command("CLUSTER", "ADDSLOTSRANGE", part.start, part.stop - 1)
        self.meet(*self.ports[1:])

    def start_node(self) -> None:
        folder = self.folder / str(len(self.nodes))
        folder.mkdir()
        node = RedisServer(folder)
        node.options = ("--cluster-enabled", "yes", "--cluster-port", str(node.port + 5000),
                        "--cluster-node-timeout", "2000")  # fmt: skip
        self.stack.enter_context(node)
        self.ports.append(node.port)
        self.nodes.append(Redis(port=node.port))

    def meet(self, *ports: int) -> None:
        for port in ports:
            self.nodes[0].execute_command("CLUSTER", "MEET", "127.0.0.1", port, port + 5000)
        while not all(self.knows_all(node) for node in self.nodes):
            time.sleep(0.05)

    def knows_all(self, node: Redis) -> bool:
        info = node.execute_command("CLUSTER", "INFO")
        known = b"cluster_known_nodes:%d\r" % len(self.nodes)
        return b"cluster_state:ok" in info and known in info

    def replicate(self, number: int) -> None:
        """Add a replica of a node, which takes over when the node dies."""
        self.start_node()
        self.meet(self.ports[-1])
        name = self.nodes[number].execute_command("CLUSTER", "MYID")
        self.nodes[-1].execute_command("CLUSTER", "REPLICATE", name)
        while self.nodes[-1].info("replication").get("master_link_status") != "up":
            time.sleep(0.05)

    def kill(self, number: int) -> None:
        pid = self.nodes[number].info("server")["process_id"]
        os.kill(int(pid), signal.SIGKILL)

    def url(self, number: int) -> str:
        return f"redis://127.0.0.1:{self.ports[number]}/0"

    def shard_channels(self, number: int) -> int:
        return len(self.nodes[number].execute_command("PUBSUB", "SHARDCHANNELS"))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with ExitStack() as stack:
        yield Cluster(tmp_path_factory.mktemp("cluster"), stack)


async def assert_connected(process: NewProcess, url: str, other: str, project: Project) -> None:
    """Assert that each process publishes at once what either commits."""
    async with (
        process(RedisBus(url), NO_HEAD_CHECK) as worker,
        process(RedisBus(other), NO_HEAD_CHECK, receives_commits=False) as web,
    ):
        async with events(web, project) as received:
            await received.ready()
            for _ in range(10):
                await received.revision(await project.note(), within=2)
            async with events(worker, project) as here:
                await here.ready()
                await here.revision(await project.note(), within=2)


async def test_the_bus_works_over_tls(
    process: NewProcess, database: str, secure: str, project: Project
) -> None:
    await assert_connected(process, secure, secure, project)


async def test_an_untrusted_certificate_is_refused(database: str, secure: str) -> None:
    bus = RedisBus(secure.partition("?")[0])
    assert not await bus.connected()
    await bus.server.close()


async def test_processes_connect_over_a_cluster_through_any_node(
    process: NewProcess, database: str, cluster: Cluster, project: Project
) -> None:
    assert cluster.shard_channels(1) == 0
    async with process(RedisBus(cluster.url(2)), NO_HEAD_CHECK) as one:
        async with events(one, project) as received:
            await received.ready()
            assert cluster.shard_channels(1) == 2, "the channel of the project, and the common one"
            assert cluster.shard_channels(0) == cluster.shard_channels(2) == 0
    await assert_connected(process, cluster.url(0), cluster.url(2), project)


async def test_the_bus_follows_its_slot_to_another_node(
    process: NewProcess, database: str, cluster: Cluster, project: Project
) -> None:
    async with (
        process(RedisBus(cluster.url(0)), NO_HEAD_CHECK) as worker,
        process(RedisBus(cluster.url(2)), NO_HEAD_CHECK, receives_commits=False) as web,
    ):
        assert worker.hubs
        async with events(web, project) as received:
            await received.ready()
            await received.revision(await project.note(), within=2)
            gaps = metric("reelroom_gaps_total", cause="reconnect")
            target = cluster.nodes[0].execute_command("CLUSTER", "MYID")
            for node in cluster.nodes:
                node.execute_command("CLUSTER", "SETSLOT", SLOT, "NODE", target)
            await eventually(lambda: cluster.shard_channels(0) == 2)
            await eventually(lambda: metric("reelroom_gaps_total", cause="reconnect") > gaps)
            await received.revision(await project.note(), within=5)
            await received.revision(await project.note(), within=2)


async def test_a_replica_takes_over_when_the_node_of_the_bus_dies(
    process: NewProcess, database: str, project: Project, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        cluster = Cluster(tmp_path, stack)
        cluster.replicate(1)
        async with (
            process(RedisBus(cluster.url(0)), NO_HEAD_CHECK) as worker,
            process(RedisBus(cluster.url(2)), NO_HEAD_CHECK, receives_commits=False) as web,
        ):
            assert worker.hubs
            async with events(web, project) as received:
                await received.ready()
                await received.revision(await project.note(), within=2)
                cluster.kill(1)
                await eventually(lambda: cluster.shard_channels(3) == 2, within=30)
                for _ in range(3):
                    await received.revision(await project.note(), within=10)


async def test_limits_are_counted_at_the_node_of_the_bus_through_any_node(
    database: str, cluster: Cluster
) -> None:
    buses = [RedisBus(cluster.url(number)) for number in range(3)]
    for bus in buses:
        await bus.server.locate()
    limiters = [Limiter(bus.server, redis_seconds=10.0) for bus in buses]
    user = new_id()
    for limiter in (*limiters, *limiters):
        await limiter.hit("tries", user, max_hits=6, seconds=60)
    for limiter in limiters:
        with pytest.raises(RateLimited):
            await limiter.hit("tries", user, max_hits=6, seconds=60)
    assert [limiter.fallbacks for limiter in limiters] == [0, 0, 0]
    for bus in buses:
        await bus.server.close()
