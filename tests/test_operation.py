"""A server in operation: shutdown under load, several workers, database outages, and its logs."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
import websockets

from app.serve import STALLED_CONNECTION_SECONDS, open_listener
from app.settings import Settings
from app.store.embedded import Embedded, start
from tests.harness.events import Received
from tests.harness.model_server import ModelServer, decide, stall
from tests.harness.ports import free_port
from tests.harness.process import LOCAL_TOKEN, Reelroom, run, started
from tests.harness.redis import RedisServer
from tests.harness.waiting import eventually, wait_until

pytestmark = pytest.mark.slow

POSTGRESQL_15 = Path("/usr/lib/postgresql/15/bin")  # of Debian's package
WAIT_SECONDS = 30.0  # until an expected change must have happened


@pytest.fixture(scope="module")
def own_postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedded]:
    """An external PostgreSQL server, in which each test has a database of its own."""
    with start(tmp_path_factory.mktemp("external"), durable=False) as server:
        yield server


@pytest.fixture
async def empty_database(own_postgres: Embedded) -> str:
    name = f"operation_{time.monotonic_ns()}"
    connection = await asyncpg.connect(own_postgres.dsn)
    await connection.execute(f"create database {name}")
    await connection.close()
    return f"{own_postgres.dsn.rpartition('/')[0]}/{name}"


class SwitchedProxy:
    """A TCP proxy in front of PostgreSQL that can be closed and opened again."""

    def __init__(self, dsn: str) -> None:
        self._target = int(dsn.rpartition(":")[2].partition("/")[0])
        self.port = free_port()
        self.dsn = dsn.replace(f":{self._target}/", f":{self.port}/")
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    async def close(self) -> None:
        assert self._server is not None
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        back_reader, back_writer = await asyncio.open_connection("127.0.0.1", self._target)
        there = asyncio.ensure_future(_pipe(reader, back_writer))
        back = asyncio.ensure_future(_pipe(back_reader, writer))
        try:
            await asyncio.gather(there, back)
        except asyncio.CancelledError:  # by `close`; asyncio logs a handler that ends cancelled
            there.cancel()
            back.cancel()
        finally:
            self._tasks.discard(task)
            writer.transport.abort()
            back_writer.transport.abort()


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()
    except OSError:
        writer.close()


def serving(*arguments: str, cwd: Path, **settings: str) -> AbstractAsyncContextManager[Reelroom]:
    """A server with a data folder of its own, unless the settings name a database."""
    return started(*arguments, cwd=cwd, **{"REELROOM_DATA_DIR": str(cwd / "data"), **settings})


def client_of(reelroom: Reelroom) -> httpx.AsyncClient:
    headers = {"authorization": f"Bearer {LOCAL_TOKEN}"}
    limits = httpx.Limits(max_keepalive_connections=0)
    return httpx.AsyncClient(base_url=reelroom.url, headers=headers, limits=limits, timeout=30)


async def project_of(client: httpx.AsyncClient) -> str:
    answer = await client.post("/api/projects", json={})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["data"]["id"])


async def end(reelroom: Reelroom, number: int = signal.SIGTERM) -> tuple[int, float]:
    """End the process; return its exit status and the seconds that this took."""
    begun = time.monotonic()
    status = await asyncio.to_thread(reelroom.end, number)
    return status, time.monotonic() - begun


class Subscribers:
    """20 SSE streams and 5 WebSockets of one project, spread over all workers."""

    def __init__(self, reelroom: Reelroom, project: str) -> None:
        self._reelroom, self._project = reelroom, project
        self.streams = [Received() for _ in range(20)]
        self.sockets = [Received() for _ in range(5)]

    @property
    def all_ready(self) -> bool:
        return all("sync.ready" in one.types for one in [*self.streams, *self.sockets])

    def all_streams_have(self, kind: str) -> bool:
        """Whether every stream has received an event of this type."""
        return all(kind in stream.types for stream in self.streams)

    def assert_shut_down(self) -> None:
        """Assert that the server ended each connection, with a hint to reconnect."""
        assert all(b": come again\nretry: " in stream.raw for stream in self.streams)
        assert [stream.code for stream in self.streams] == [None] * 20
        assert [socket.code for socket in self.sockets] == [1012] * 5

    async def follow(self) -> None:
        """Receive until all have ended."""
        async with asyncio.TaskGroup() as group:
            for stream in self.streams:
                group.create_task(self._stream(stream))
            for socket in self.sockets:
                group.create_task(self._socket(socket))

    async def _stream(self, received: Received) -> None:
        async with client_of(self._reelroom) as client:
            await received.read(client, f"/api/projects/{self._project}/events", timeout=60)

    async def _socket(self, received: Received) -> None:
        url = self._reelroom.url.replace("http", "ws", 1)
        async with websockets.connect(
            f"{url}/api/projects/{self._project}/socket",
            subprotocols=[websockets.Subprotocol("reelroom.v1.json")],
            additional_headers={"authorization": f"Bearer {LOCAL_TOKEN}"},
            origin=websockets.Origin(self._reelroom.url),
        ) as socket:
            await socket.send('{"type":"hello"}')
            with contextlib.suppress(websockets.ConnectionClosed):
                while True:
                    received.add(json.loads(await socket.recv()))
            received.code = socket.close_code
            received.end()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_shutdown_ends_all_streams_and_the_run_goes_on_after_the_next_start(
    number: int, tmp_path: Path
) -> None:
    async with ModelServer() as model:
        settings = {"OPENAI_BASE_URL": model.url, "OPENAI_API_KEY": "key"}
        model.script(decide(), stall(40))
        async with serving(cwd=tmp_path, **settings) as reelroom, client_of(reelroom) as client:
            project = await project_of(client)
            group = Subscribers(reelroom, project)
            following = asyncio.create_task(group.follow())
            waiting = asyncio.create_task(
                client.post(
                    f"/api/projects/{project}/runs",
                    json={"prompt": "A title"},
                    headers={"prefer": "wait=60"},
                    timeout=90,
                )
            )
            await eventually(
                lambda: group.all_ready and group.all_streams_have("code.delta"), WAIT_SECONDS
            )
            status, seconds = await end(reelroom, number)
            assert status == 0, reelroom.err
            assert seconds < 10
            await following
            group.assert_shut_down()
            assert (await waiting).status_code == 202
            assert "Traceback" not in reelroom.err
            assert "uvicorn.error" not in {line["logger"] for line in reelroom.lines()}
        async with serving(cwd=tmp_path, **settings) as reelroom, client_of(reelroom) as client:
            await eventually(lambda: _succeeded(client, project), 60)
            assert (await end(reelroom))[0] == 0
    checked = run("check", cwd=tmp_path, REELROOM_DATA_DIR=str(tmp_path / "data"))
    assert checked.stdout == "all invariants hold\n"


async def _succeeded(client: httpx.AsyncClient, project: str) -> bool:
    snapshot = (await client.get(f"/api/projects/{project}/snapshot")).json()["data"]
    return not snapshot["runs"] and len(snapshot["scenes"]) == 1


async def test_two_workers_are_one_server(
    empty_database: str, redis_url: str, tmp_path: Path
) -> None:
    settings = {"DATABASE_URL": empty_database, "REDIS_URL": redis_url, "LOG_LEVEL": "DEBUG"}
    async with (
        serving("serve", "--workers", "2", cwd=tmp_path, **settings) as reelroom,
        client_of(reelroom) as client,
    ):
        await asyncio.to_thread(_log_in, reelroom)
        project = await project_of(client)
        group = Subscribers(reelroom, project)
        following = asyncio.create_task(group.follow())
        await eventually(lambda: group.all_ready, WAIT_SECONDS)
        begun = await client.post(
            f"/api/projects/{project}/runs",
            json={"prompt": 'A title "Both"'},
            headers={"prefer": "wait=30"},
        )
        assert begun.status_code == 200, begun.text
        await eventually(lambda: group.all_streams_have("run.finished"), WAIT_SECONDS)
        for stream in group.streams:
            assert stream.types.count("scene.created") == 1
            assert stream.types.count("run.started") == 1
        status, seconds = await end(reelroom)
        assert status == 0, reelroom.err
        assert seconds < 10
        await following
        group.assert_shut_down()
        assert "Traceback" not in reelroom.err
        workers = {line["process"] for line in reelroom.lines() if line["logger"] == "app.access"}
        assert len(workers) == 2, "both workers have answered"
    checked = run("check", cwd=tmp_path, **settings)
    assert checked.stdout == "all invariants hold\n"


def _log_in(reelroom: Reelroom) -> None:
    with reelroom.browser() as browser:
        for _ in range(10):  # any worker may answer
            assert browser.get("/api/auth/me").json()["data"]["id"] == "local"


@pytest.mark.parametrize("own", [True, False], ids=["embedded", "external"])
async def test_workers_whose_parent_was_killed_end(
    own: bool, empty_database: str, redis_url: str, tmp_path: Path
) -> None:
    settings = {"REDIS_URL": redis_url} | ({} if own else {"DATABASE_URL": empty_database})
    async with serving("serve", "--workers", "2", cwd=tmp_path, **settings) as reelroom:
        family = reelroom.family()
        assert len(family) >= 3
        status, seconds = await end(reelroom, signal.SIGKILL)
        assert status == -signal.SIGKILL
        assert seconds < 8


@pytest.mark.parametrize("times", [1, 2])
async def test_ctrl_c_reaches_all_workers_at_once(
    times: int, redis_url: str, tmp_path: Path
) -> None:
    async with serving("serve", "--workers", "2", cwd=tmp_path, REDIS_URL=redis_url) as reelroom:
        for _ in range(times - 1):
            reelroom.send_signal(signal.SIGINT)
        status, seconds = await end(reelroom, signal.SIGINT)
        assert (status, seconds < 10) == (0, True)
        assert "Traceback" not in reelroom.err


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="not on this system")
def test_accepted_connections_inherit_the_limit_of_a_stall() -> None:
    with open_listener(Settings(port=0)) as listener:
        with socket.create_connection(listener.getsockname()[:2]):
            accepted, _ = listener.accept()
            with accepted:
                option = accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
    assert option == STALLED_CONNECTION_SECONDS * 1000


async def test_a_worker_that_dies_is_replaced(
    empty_database: str, redis_url: str, tmp_path: Path
) -> None:
    settings = {"DATABASE_URL": empty_database, "REDIS_URL": redis_url}
    async with (
        serving("serve", "--workers", "2", cwd=tmp_path, **settings) as reelroom,
        client_of(reelroom) as client,
    ):
        await client.get("/health/live")
        children = [pid for pid in reelroom.family() if b"spawn_main" in _command(pid)]
        assert len(children) == 2
        os.kill(children[0], signal.SIGKILL)

        async def replaced() -> bool:
            now = [pid for pid in reelroom.family() if b"spawn_main" in _command(pid)]
            return len(now) == 2 and children[0] not in now

        await eventually(replaced, WAIT_SECONDS)

        def replacements() -> list[dict[str, Any]]:
            return [line for line in reelroom.lines() if line["logger"] == "app.supervisor"]

        async def is_logged() -> bool:
            return bool(replacements())

        await eventually(is_logged, WAIT_SECONDS)
        (line,) = replacements()
        now = [pid for pid in reelroom.family() if b"spawn_main" in _command(pid)]
        assert line["level"] == "WARNING"
        assert line["message"].startswith(f"worker {children[0]} has ended (SIGKILL")
        replacement = (set(now) - set(children)).pop()
        assert line["message"].endswith(f"): worker {replacement} replaces it")
        assert (await end(reelroom))[0] == 0
        assert len(replacements()) == 1, "a shutdown replaces no worker"


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


async def test_runs_are_left_to_a_separate_worker(
    empty_database: str, redis_url: str, tmp_path: Path
) -> None:
    settings = {"DATABASE_URL": empty_database, "REDIS_URL": redis_url}
    async with (
        serving("serve", "--no-runs", cwd=tmp_path, **settings) as reelroom,
        client_of(reelroom) as client,
    ):
        project = await project_of(client)
        asked = {"prompt": 'A title "Apart"'}
        queued = await client.post(
            f"/api/projects/{project}/runs", json=asked, headers={"prefer": "wait=2"}
        )
        assert queued.status_code == 202
        assert queued.json()["data"]["run"]["status"] == "queued"
        with Reelroom("worker", cwd=tmp_path, **settings) as worker:
            await eventually(lambda: _succeeded(client, project), WAIT_SECONDS)
            status, seconds = await end(worker)
            assert (status, seconds < 10) == (0, True), worker.err
        assert (await end(reelroom))[0] == 0


async def test_a_given_database_is_migrated_at_start_only_in_local_mode(
    empty_database: str, tmp_path: Path
) -> None:
    settings = {"DATABASE_URL": empty_database, "REELROOM_DATA_DIR": str(tmp_path / "data")}
    refused = await asyncio.to_thread(run, cwd=tmp_path, HOST="0.0.0.0", **settings)
    assert refused.returncode == 2
    assert "run `reelroom migrate` first" in refused.stderr
    assert refused.stderr.count("\n") == 1
    async with serving(cwd=tmp_path, **settings) as reelroom:
        assert reelroom.link.startswith("/login/")
        assert (await end(reelroom))[0] == 0
    assert not (tmp_path / "data").exists()
    async with serving(cwd=tmp_path, HOST="0.0.0.0", **settings) as reelroom:
        assert (await end(reelroom))[0] == 0


@pytest.mark.skipif(not POSTGRESQL_15.exists(), reason="no PostgreSQL 15 here")
async def test_it_works_on_postgresql_15(tmp_path: Path) -> None:
    folder = tmp_path / "older"
    with await asyncio.to_thread(start, folder, durable=False, pg_bin=str(POSTGRESQL_15)) as server:
        async with (
            serving(cwd=tmp_path, DATABASE_URL=server.dsn) as reelroom,
            client_of(reelroom) as client,
        ):
            project = await project_of(client)
            await client.post(f"/api/projects/{project}/runs", json={"prompt": 'A title "15"'})
            await eventually(lambda: _succeeded(client, project), WAIT_SECONDS)
            assert (await end(reelroom))[0] == 0
        checked = await asyncio.to_thread(run, "check", cwd=tmp_path, DATABASE_URL=server.dsn)
        assert checked.stdout == "all invariants hold\n"


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_a_start_waits_for_an_unavailable_database(
    workers: str, empty_database: str, redis_url: str, tmp_path: Path
) -> None:
    proxy = SwitchedProxy(empty_database)
    settings = {"DATABASE_URL": proxy.dsn, "REDIS_URL": redis_url}
    async with (
        serving("serve", "--workers", workers, cwd=tmp_path, **settings) as reelroom,
        client_of(reelroom) as client,
    ):
        assert reelroom.link == "/"
        assert "the database does not answer" in reelroom.err
        assert (await client.get("/health/live")).status_code == 200
        ready = await client.get("/health/ready")
        assert (ready.status_code, ready.json()["status"]) == (503, "down")
        projects = await client.get("/api/projects")
        assert (projects.status_code, projects.json()["error"]["code"]) == (503, "DATABASE_ERROR")
        assert projects.headers["retry-after"]
        await proxy.open()
        found = await asyncio.to_thread(wait_until, lambda: _late_link(reelroom), 20)
        reelroom.link = found
        await asyncio.to_thread(_log_in, reelroom)
        project = await project_of(client)
        await client.post(f"/api/projects/{project}/runs", json={"prompt": 'A title "Late"'})
        await eventually(lambda: _succeeded(client, project), WAIT_SECONDS)

        await proxy.close()  # a second outage, while the server runs
        assert (await client.get("/health/ready")).status_code == 503
        away = await client.get("/api/projects")
        assert (away.status_code, away.json()["error"]["code"]) == (503, "DATABASE_ERROR")
        await proxy.open()

        async def back() -> bool:
            return bool((await client.get("/health/ready")).json()["status"] == "ok")

        await eventually(back, 20)
        assert (await client.get("/api/projects")).status_code == 200
        second = await client.post(f"/api/projects/{project}/runs", json={"prompt": "A quote"})
        assert second.status_code == 202, second.text

        async def answered() -> bool:
            return not (await client.get(f"/api/projects/{project}/snapshot")).json()["data"][
                "runs"
            ]

        await eventually(answered, WAIT_SECONDS)
        assert (await end(reelroom))[0] == 0
        await proxy.close()


def _late_link(reelroom: Reelroom) -> str | None:
    for line in reelroom.out.splitlines():
        if line.startswith(f"Log in once: {reelroom.url}/login/"):
            return line.removeprefix(f"Log in once: {reelroom.url}")
    return None


async def test_it_ends_when_the_late_database_lacks_its_schema(
    empty_database: str, tmp_path: Path
) -> None:
    proxy = SwitchedProxy(empty_database)
    async with serving(cwd=tmp_path, DATABASE_URL=proxy.dsn, HOST="0.0.0.0") as reelroom:
        await proxy.open()
        assert await asyncio.to_thread(reelroom.process.wait, 20) == 2
        assert "run `reelroom migrate` first" in reelroom.err.splitlines()[-1]
        await proxy.close()


async def test_health_reports_each_dependency(empty_database: str, tmp_path: Path) -> None:
    with RedisServer(tmp_path) as redis:
        async with (
            serving(cwd=tmp_path, DATABASE_URL=empty_database, REDIS_URL=redis.url) as reelroom,
            client_of(reelroom) as client,
        ):

            async def says(status: str) -> bool:
                return bool((await client.get("/health/ready")).json()["status"] == status)

            assert await says("ok")
            redis.kill()
            await eventually(lambda: says("degraded"), 5)
            assert (await client.get("/health/ready")).status_code == 200
            project = await project_of(client)
            await client.post(f"/api/projects/{project}/runs", json={"prompt": "A title"})
            await eventually(lambda: _succeeded(client, project), WAIT_SECONDS)
            redis.start()
            await eventually(lambda: says("ok"), 5)
            metrics = await client.get("/metrics")
            assert metrics.status_code == 200
            assert "# HELP" in metrics.text
            assert (await end(reelroom))[0] == 0


async def test_the_log_has_every_request_and_no_secret(
    own_postgres: Embedded, empty_database: str, tmp_path: Path
) -> None:
    canaries = {
        "key": "sk-canary-key", "local": "canary-local-token", "password": "canary-password-1",
        "database": own_postgres.dsn.split(":")[2].partition("@")[0], "query": "canary-query",
    }  # fmt: skip
    async with ModelServer() as model:
        settings = {"OPENAI_API_KEY": canaries["key"], "OPENAI_BASE_URL": model.url}
        async with serving(
            cwd=tmp_path,
            DATABASE_URL=empty_database,
            REELROOM_LOCAL_TOKEN=canaries["local"],
            LOG_LEVEL="DEBUG",
            **settings,
        ) as reelroom:
            canaries["login"] = reelroom.link.rpartition("/")[2]
            client = httpx.AsyncClient(
                base_url=reelroom.url, headers={"origin": reelroom.url}, timeout=30
            )
            async with client:
                await client.get(reelroom.link)
                await client.get(reelroom.link + "/more")
                project = await project_of(client)
                made = await client.post("/api/auth/tokens", json={"name": "canary"})
                canaries["token"] = made.json()["data"]["token"]
                invited = await client.post(
                    f"/api/projects/{project}/invites", json={"role": "viewer"}
                )
                canaries["invite"] = invited.json()["data"]["token"]
                await client.post(f"/api/invites/{canaries['invite']}/accept", json={})
                who = {"email": "ann@example.test", "password": canaries["password"], "name": "A"}
                await client.post("/api/auth/register", json=who)
                await client.post("/api/auth/login", json=who)
                await client.post("/api/auth/login", json={**who, "extra": 1})
                canaries["session"] = client.cookies["reelroom_session"]
                bearer = {"authorization": f"Bearer {canaries['token']}", "x-request-id": "mine-1"}
                client.cookies.clear()
                await client.get("/api/projects?token=canary-query", headers=bearer)
                await client.get("/api/projects", headers={"authorization": "Bearer canary-bad"})
                await client.post(
                    f"/api/projects/{project}/runs",
                    json={"prompt": "A title"},
                    headers=bearer | {"prefer": "wait=20"},
                )
                canaries["bad"] = "canary-bad"
            assert (await end(reelroom))[0] == 0
    leaked = {name: value for name, value in canaries.items() if value in reelroom.err}
    assert leaked == {}
    own = [line for line in reelroom.lines() if line.get("request_id") == "mine-1"]
    assert {
        "level": "INFO", "method": "GET", "path": "/api/projects", "status": 200,
    }.items() <= own[0].items()  # fmt: skip
    assert own[0]["milliseconds"] > 0
    paths = [line["path"] for line in reelroom.lines() if line["logger"] == "app.access"]
    assert "/login/…" in paths
    assert "/api/invites/…/accept" in paths


async def test_health_and_metrics_are_logged_only_on_demand(tmp_path: Path) -> None:
    async with serving(cwd=tmp_path) as reelroom, client_of(reelroom) as client:
        for path in ("/health/live", "/health/ready", "/metrics", "/"):
            await client.get(path)
        assert (await end(reelroom))[0] == 0
    assert [line["path"] for line in reelroom.lines() if "path" in line] == ["/"]
