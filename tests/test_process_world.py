"""Faults of the environment of a process, by their numbers: memory, clock and schema."""

import asyncio
import contextlib
import resource
import shutil
import signal
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx

from app.chat.runner import TAKEOVER_INTERVAL_SECONDS
from app.store.migration import MIGRATIONS, migrate
from app.store.migration_rules import list_sources
from tests.conftest import NewDatabase, missing
from tests.harness.events import Received
from tests.harness.model_server import CODE, ModelServer, decide
from tests.harness.process import LOCAL_TOKEN, Reelroom, run, started
from tests.harness.waiting import eventually
from tests.test_process_faults import add, caught_up, streaming
from tests.web.held import held

WAIT_SECONDS = 60.0  # until an expected change must have happened
SPARE_BYTES = 24 * 1024 * 1024  # of address space that a process may still allocate
DAY = 86_400  # seconds


async def checked(cwd: Path, dsn: str) -> None:
    done = await asyncio.to_thread(run, "check", cwd=cwd, DATABASE_URL=dsn)
    assert done.stdout == "all invariants hold\n", done.stdout + done.stderr


def memory_of(pid: int) -> int:
    """The bytes of address space that a process uses."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[0]) * resource.getpagesize()


async def test_f09_without_memory_it_refuses_and_goes_on(
    new_database: NewDatabase, tmp_path: Path
) -> None:
    """Bodies that need more memory than the process may allocate."""
    dsn = await new_database()
    settings = {"DATABASE_URL": dsn}
    async with started(cwd=tmp_path, **settings) as one:
        async with streaming(one, 5) as (client, project, streams):
            await add(client, project)
            pid = one.process.pid
            most = memory_of(pid) + SPARE_BYTES
            resource.prlimit(pid, resource.RLIMIT_AS, (most, resource.RLIM_INFINITY))
            huge = [_send_large_body(one.url, project, declared=n % 2 == 0) for n in range(8)]
            assert await asyncio.gather(*huge) == [413] * 8
            await add(client, project)
            body = b'{"name":"' + b"x" * 1_000_000 + b'"}'

            async def long() -> int:
                headers = {"content-type": "application/json"}
                path = f"/api/projects/{project}/scenes"
                with contextlib.suppress(httpx.TransportError):  # cut: it could not even answer
                    answer = await client.post(path, content=body, headers=headers)
                    return answer.status_code
                return 0

            assert set(await asyncio.gather(*(long() for _ in range(60)))) <= {0, 422, 500, 503}
            assert memory_of(pid) <= most
            assert one.process.poll() is None
            resource.prlimit(pid, resource.RLIMIT_AS, (resource.RLIM_INFINITY,) * 2)
            last = await add(client, project)
            await eventually(lambda: caught_up(streams, last), WAIT_SECONDS)
            assert not any(stream.ended.is_set() for stream in streams)
        assert await asyncio.to_thread(one.end) == 0
    await checked(tmp_path, dsn)


async def _send_large_body(url: str, project: str, *, declared: bool) -> int:
    """The status for a body of 50 MB, of which as much is sent as the server takes."""
    host, port = url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    length = "Content-Length: 50000000" if declared else "Transfer-Encoding: chunked"
    head = f"POST /api/projects/{project}/scenes HTTP/1.1\r\nHost: {host}:{port}\r\n{length}\r\n"
    fields = f"Authorization: Bearer {LOCAL_TOKEN}\r\nContent-Type: application/json\r\n\r\n"
    writer.write((head + fields).encode())
    piece = b"x" * 65_536
    answer = asyncio.create_task(reader.readline())
    async with asyncio.timeout(WAIT_SECONDS):
        with contextlib.suppress(OSError):
            for _ in range(50_000_000 // len(piece)):
                if answer.done():
                    break
                writer.write(piece if declared else b"10000\r\n" + piece + b"\r\n")
                await writer.drain()
                await asyncio.sleep(0)
        status = int((await answer).split(b" ")[1])
    writer.close()
    return status


class Clock:
    """The clock of one process, with an offset that can change. Intervals stay correct."""

    def __init__(self, folder: Path, name: str, seconds: int) -> None:
        found = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
        if not found:
            missing("faketime")
        self._file = folder / name
        self.jump(seconds)
        self.settings = {
            "LD_PRELOAD": str(found[0]),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_CACHE_DURATION": "1",  # seconds until a jump is seen
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def jump(self, seconds: int) -> None:
        self._file.write_text(f"{seconds:+d}s\n")


async def test_f13_clocks_that_differ_and_jump(
    new_database: NewDatabase, redis_url: str, tmp_path: Path
) -> None:
    """One process is two days ahead, one two days behind; during a run they swap.

    Leases, sessions and login links count by the database's clock, order by revisions alone.
    """
    clocks = [Clock(tmp_path, "ahead", 2 * DAY), Clock(tmp_path, "behind", -2 * DAY)]
    dsn = await new_database()
    async with ModelServer() as model, AsyncExitStack() as stack:
        settings = {
            "DATABASE_URL": dsn,
            "REDIS_URL": redis_url,
            "OPENAI_BASE_URL": model.url,
            "OPENAI_API_KEY": "key",
        }
        servers = [
            await stack.enter_async_context(started(cwd=tmp_path, **settings, **clock.settings))
            for clock in clocks
        ]
        ahead, behind = servers
        async with (
            ahead.local_admin() as here,
            behind.local_admin() as there,
        ):
            assert await _days_between(here, there) == 4
            cookies = await asyncio.to_thread(_log_in, ahead)
            made = await here.post("/api/projects", json={"title": "two clocks"})
            project = made.json()["data"]["id"]
            streams = [Received(), Received()]
            path, tasks = f"/api/projects/{project}/events", []
            for stream, client in zip(streams, (here, there), strict=True):
                tasks.append(asyncio.create_task(stream.read(client, path)))
                await stream.ready()
            for turn, client in enumerate((here, there)):
                with held(CODE) as half:
                    model.script(decide(), half.behaviour)
                    begun = await client.post(
                        f"/api/projects/{project}/runs", json={"prompt": f"turn {turn}"}
                    )
                    assert begun.status_code == 202, begun.text
                    run_id = begun.json()["data"]["run"]["id"]
                    await _until_status(here, run_id, "running")
                    jumps = (3, -3) if turn else (-2, 2)
                    for clock, days in zip(clocks, jumps, strict=True):
                        clock.jump(days * DAY)
                    await _until_apart(here, there, jumps[0] - jumps[1])
                    await asyncio.sleep(TAKEOVER_INTERVAL_SECONDS)  # both look for lost leases
                ended = await _until_status(there, run_id, "succeeded")
                assert ended["attempt"] == 1
                for each in servers:
                    assert (await _me(each, cookies)).status_code == 200
            last = await add(there, project)
            await eventually(lambda: caught_up(streams, last), WAIT_SECONDS)
            for stream in streams:
                assert stream.revisions == list(range(stream.revisions[0], last + 1))
            assert abs(streams[0].revisions[0] - streams[1].revisions[0]) <= 1
            page = (await here.get(f"/api/projects/{project}/messages")).json()["data"]["items"]
            users = [one["content"] for one in page if one["role"] == "user"]
            assert sorted(users) == ["turn 0", "turn 1"]
            assert [one["sequence"] for one in page] in (
                sorted(one["sequence"] for one in page),
                sorted((one["sequence"] for one in page), reverse=True),
            )
            for task in tasks:
                task.cancel()
            for each in servers:
                assert await asyncio.to_thread(each.end) == 0, each.err
                assert "Traceback" not in each.err
    await checked(tmp_path, dsn)


def _log_in(reelroom: Reelroom) -> dict[str, str]:
    with reelroom.browser() as browser:
        return dict(browser.cookies)


async def _me(reelroom: Reelroom, cookies: dict[str, str]) -> httpx.Response:
    async with httpx.AsyncClient(base_url=reelroom.url, cookies=cookies) as browser:
        return await browser.get("/api/auth/me")


async def _days_between(here: httpx.AsyncClient, there: httpx.AsyncClient) -> int:
    """The difference between the servers' clocks in days, by `meta.timestamp`."""
    stamps = [
        (await client.get("/api/projects")).json()["meta"]["timestamp"] for client in (here, there)
    ]
    apart: float = (stamps[0] - stamps[1]) / 1000
    return round(apart / DAY)


async def _until_apart(here: httpx.AsyncClient, there: httpx.AsyncClient, days: int) -> None:
    async with asyncio.timeout(WAIT_SECONDS):
        while await _days_between(here, there) != days:
            await asyncio.sleep(0.1)


async def _until_status(client: httpx.AsyncClient, run_id: str, status: str) -> Any:
    async with asyncio.timeout(WAIT_SECONDS):
        while True:
            run = (await client.get(f"/api/runs/{run_id}")).json()["data"]
            run = run.get("run", run)
            if run["status"] == status:
                return run
            assert run["status"] in ("queued", "running"), run
            await asyncio.sleep(0.05)


NEWER = '''\
"""What a newer release adds."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from app.store.migration import script

ID = "{id}"
VERSION = "1.38.0"
DESCRIPTION = "What a newer release adds"

FORWARDS = """
{sql}
"""


async def forwards() -> MigrationManager:
    manager = MigrationManager(migration_id=ID, app_name="reelroom", description=DESCRIPTION)
    manager.add_raw(script(FORWARDS))
    return manager
'''


async def _expand(dsn: str, folder: Path) -> None:
    """The next release's migration: a column in each table, an index, and a table."""
    shutil.copytree(MIGRATIONS, folder, ignore=shutil.ignore_patterns("__pycache__"))
    tables = ("project", "message", "run", "scene", "scene_iteration", "project_event",
              "user_account", "login_session", "idempotency_record")  # fmt: skip
    sql = [f"alter table {name} add column newer text;" for name in tables]
    sql.append("alter table scene add column newer_still integer not null default 5;")
    sql.append("create table newer_thing (id uuid primary key, name text not null);")
    newest = list_sources(folder)[-1].name[:4]
    name = f"{int(newest) + 1:04d}"
    text = NEWER.format(id=name, sql="\n".join(sql))
    (folder / f"{name}_newer.py").write_text(text)
    assert await migrate(dsn, folder) == [f"{name}_newer"]


async def test_f14_an_older_version_works_on_the_schema_of_a_newer_one(
    new_database: NewDatabase, tmp_path: Path
) -> None:
    """This older version runs while the schema is extended, and is started again on it."""
    dsn = await new_database()
    settings = {"DATABASE_URL": dsn, "HOST": "0.0.0.0", "WEB_CONCURRENCY": "1"}
    account = {"email": "a@example.test", "password": "correct horse battery", "name": "A"}
    async with started(cwd=tmp_path, **settings) as old:
        origin = old.url.replace("0.0.0.0", "127.0.0.1")
        async with httpx.AsyncClient(
            base_url=origin, headers={"origin": origin}, timeout=WAIT_SECONDS
        ) as client:
            made = await client.post("/api/auth/register", json=account)
            assert made.status_code == 201, made.text
            issued = await client.post("/api/auth/tokens", json={"name": "tests"})
            token = {"authorization": f"Bearer {issued.json()['data']['token']}"}
            made = await client.post("/api/projects", json={"title": "old and new"})
            project = made.json()["data"]["id"]
            await _turn(client, project, "Add a title")
            stream, path = Received(), f"/api/projects/{project}/events"
            async with httpx.AsyncClient(
                base_url=origin, headers=token, timeout=WAIT_SECONDS
            ) as other:
                reading = asyncio.create_task(stream.read(other, path))
                await stream.ready()
                await _expand(dsn, tmp_path / "migrations")
                await _turn(client, project, "Make it blue")
                last = await add(client, project)
                await stream.revision(last, WAIT_SECONDS)
                assert await asyncio.to_thread(old.end) == 0
                await reading
    assert "Traceback" not in old.err
    async with started(cwd=tmp_path, **settings) as again:
        assert "is of a newer release" in again.err
        origin = again.url.replace("0.0.0.0", "127.0.0.1")
        async with httpx.AsyncClient(
            base_url=origin, headers=token, timeout=WAIT_SECONDS
        ) as client:
            await _turn(client, project, "Add a quote")
            snapshot = (await client.get(f"/api/projects/{project}/snapshot")).json()["data"]
            assert len(snapshot["scenes"]) == 3
        assert await asyncio.to_thread(again.end, signal.SIGTERM) == 0
    assert "Traceback" not in again.err
    await checked(tmp_path, dsn)


async def _turn(client: httpx.AsyncClient, project: str, prompt: str) -> None:
    answer = await client.post(
        f"/api/projects/{project}/runs", json={"prompt": prompt}, headers={"prefer": "wait=30"}
    )
    assert answer.status_code == 200, answer.text
