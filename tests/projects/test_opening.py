"""Streams opened concurrently share queries, and never use an outdated role."""

import asyncio
import gc
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.server import ServerProtocol
from websockets.typing import Origin, Subprotocol

from app.projects import access
from app.realtime.accelerated.protocols import (
    AcceleratedHttpProtocol,
    AcceleratedWebSocketProtocol,
)
from app.realtime.subscription import Subscription
from app.store.database import Database, Reader
from app.store.ids import new_id
from tests.conftest import NewPerson
from tests.harness.person import Person

CONNECTIONS = 50  # opened at the same time
MAX_QUERIES = 40  # of all connections together; one after the other they take a hundred


def socket_of(person: Person, project: str, **more: Any) -> connect:
    url = f"ws{str(person.base_url).removeprefix('http')}/api/projects/{project}/socket"
    headers = {"authorization": f"Bearer {person.token}"}
    return connect(url, additional_headers=headers, **more)


async def revisions(person: Person, project: str, transport: str) -> list[int] | None:
    """The revisions that a subscriber receives until the stream ends; None when it is refused."""
    received: list[int] = []
    if transport == "sse":
        async with person.stream("GET", f"/api/projects/{project}/events", timeout=20) as answer:
            if answer.status_code != 200:
                assert answer.status_code == 404
                return None
            async for line in answer.aiter_lines():
                if line.startswith("id: "):
                    received.append(int(line.rpartition(".")[2]))
                if line.startswith("data: ") and '"project.snapshot"' in line:
                    received.append(int(line.partition('"revision":')[2].partition(",")[0]))
        return received
    try:
        async with socket_of(person, project) as open_line:
            await open_line.send('{"type":"hello"}')
            async for message in open_line:
                if '"revision":' in str(message):
                    received.append(int(str(message).partition('"revision":')[2].partition(",")[0]))
    except ConnectionClosed:
        pass
    assert open_line.close_code in (4403, 4404)
    return received if open_line.close_code == 4403 else None


@pytest.fixture
def queries(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The statements that run outside of transactions, in order."""
    asked: list[str] = []
    fetch = Database.fetch

    async def counted(self: Database, sql: str, *values: Any) -> Any:
        asked.append(sql)
        return await fetch(self, sql, *values)

    monkeypatch.setattr(Database, "fetch", counted)
    return asked


@pytest.mark.parametrize("transport", ["sse", "socket"])
async def test_concurrent_connections_share_look_ups(
    person: Person, queries: list[str], transport: str
) -> None:
    project = await person.project()
    queries.clear()
    ready = asyncio.Semaphore(0)
    leave = asyncio.Event()

    async def follow() -> None:
        if transport == "sse":
            async with person.stream_events(f"/api/projects/{project}/events") as events:
                async for event in events:
                    if event["type"] == "sync.ready":
                        break
                ready.release()
                await leave.wait()
            return
        async with socket_of(person, project) as line:
            await line.send('{"type":"hello"}')
            while "sync.ready" not in str(await line.recv()):
                pass
            ready.release()
            await leave.wait()

    clients = [asyncio.create_task(follow()) for _ in range(CONNECTIONS)]
    try:
        async with asyncio.timeout(30):
            for _ in range(CONNECTIONS):
                await ready.acquire()
    finally:
        leave.set()
        await asyncio.gather(*clients)
    looked_up = [sql for sql in queries if "secret_hash" in sql or "project_member" in sql]
    assert 2 <= len(looked_up) <= MAX_QUERIES


@pytest.mark.parametrize("transport", ["sse", "socket"])
async def test_a_closed_connection_leaves_nothing_to_the_garbage_collector(
    person: Person, transport: str
) -> None:
    """Collecting thousands of objects in one pass would pause every other stream."""
    project = await person.project()

    def count_connections() -> int:
        kinds = (
            Subscription,
            AcceleratedWebSocketProtocol,
            AcceleratedHttpProtocol,
            ServerProtocol,
        )
        return sum(type(one) in kinds for one in gc.get_objects())

    gc.collect()
    gc.disable()
    try:
        before = count_connections()
        for _ in range(5):
            if transport == "sse":
                async with person.stream_events(f"/api/projects/{project}/events") as events:
                    await anext(events)
            else:
                async with socket_of(person, project) as line:
                    await line.send('{"type":"hello"}')
                    await line.recv()
        async with asyncio.timeout(5):
            while count_connections() > before:
                await asyncio.sleep(0.02)
    finally:
        gc.enable()


async def test_a_revoked_token_is_refused_when_look_ups_are_shared(
    person: Person,
) -> None:
    project = await person.project()
    me = f"/api/projects/{project}/changes"
    cursor = (await person.snapshot(project))["cursor"]
    made = await person.do("POST", "/api/auth/tokens", {"name": "other"}, status=201)
    headers = {"authorization": f"Bearer {made['token']}"}
    statuses: list[int] = []
    over = False

    async def keep_requesting(client: httpx.AsyncClient) -> None:
        while not over:
            answer = await client.get(me, params={"after": cursor}, headers=headers)
            statuses.append(answer.status_code)

    limits = httpx.Limits(max_connections=40)
    async with httpx.AsyncClient(base_url=person.base_url, limits=limits, timeout=20) as client:
        asking = [asyncio.create_task(keep_requesting(client)) for _ in range(10)]
        while len(statuses) < 30:
            await asyncio.sleep(0)
        assert set(statuses) == {200}
        await person.do("DELETE", f"/api/auth/tokens/{made['id']}", status=200)
        after = await asyncio.gather(
            *(client.get(me, params={"after": cursor}, headers=headers) for _ in range(20))
        )
        over = True
        await asyncio.gather(*asking)
    assert {answer.status_code for answer in after} == {401}


@pytest.mark.parametrize("transport", ["sse", "socket"])
async def test_a_member_removed_during_the_look_up_gets_no_later_event(
    person: Person, new_person: NewPerson, transport: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    guest, project = await new_person(), await person.project()
    await person.invite(guest, project, "viewer")
    find, read, answer = access._find, asyncio.Event(), asyncio.Event()

    async def slow(reader: Reader, keys: list[access.Key]) -> Any:
        found = await find(reader, keys)
        if isinstance(reader, Database):  # the look-up of connections, not of a change
            read.set()
            await answer.wait()
        return found

    async with person.stream_events(f"/api/projects/{project}/events") as events:
        monkeypatch.setattr(access, "_find", slow)
        streams = [asyncio.create_task(revisions(guest, project, transport)) for _ in range(3)]
        async with asyncio.timeout(15):
            await read.wait()
            await person.do(
                "DELETE", f"/api/projects/{project}/members/{guest.user_id}", status=200
            )
            gone = (await person.snapshot(project))["revision"]
            scene = await person.do("POST", f"/api/projects/{project}/scenes", {}, status=201)
            async for event in events:  # this process has published it
                if event["type"] == "scene.created" and event["data"]["scene"] == scene:
                    break
            answer.set()
            for revisions_of_one in await asyncio.gather(*streams):
                assert not revisions_of_one or max(revisions_of_one) < gone


@pytest.mark.parametrize("transport", ["sse", "socket"])
async def test_a_member_who_connects_while_being_removed_gets_no_later_event(
    person: Person, new_person: NewPerson, transport: str
) -> None:
    guest, project = await new_person(), await person.project()
    for turn in range(8):
        await person.invite(guest, project, "viewer")
        streams = [asyncio.create_task(revisions(guest, project, transport)) for _ in range(6)]
        for _ in range(turn * 3):  # each time at another step of the connection
            await asyncio.sleep(0)
        await person.do("DELETE", f"/api/projects/{project}/members/{guest.user_id}", status=200)
        gone = (await person.snapshot(project))["revision"]
        await person.do("POST", f"/api/projects/{project}/scenes", {}, status=201)
        async with asyncio.timeout(15):
            lists = await asyncio.gather(*streams)
        for revisions_of_one in lists:
            assert not revisions_of_one or max(revisions_of_one) < gone


PLAIN, ODD = "", "&x=1"  # queries that take the shortcut around Litestar, and that do not


@pytest.mark.parametrize("query", ["", "after=x.1", "after=", "after=" + "1" * 101, "after=%20"])
async def test_the_shortcut_answers_as_the_full_stack_does(
    person: Person, new_person: NewPerson, query: str
) -> None:
    stranger = await new_person()
    project = await person.project()
    anonymous = httpx.AsyncClient(base_url=person.base_url)
    cases = [(person, project), (stranger, project), (person, new_id()), (anonymous, project)]
    async with anonymous:
        for client, target in cases:
            both = []
            for more in (PLAIN, ODD):
                path = f"/api/projects/{target}/events?{query}{more}"
                async with client.stream("GET", path, timeout=20) as answer:
                    named = sorted(set(answer.headers) - {"content-length", "transfer-encoding"})
                    if answer.status_code == 200:
                        body: Any = []
                        async for line in answer.aiter_lines():
                            if line.startswith("event: "):
                                body.append(line)
                            if line == "event: sync.ready":
                                break
                    else:
                        await answer.aread()
                        body = answer.json()
                        assert body["meta"].pop("requestId") == answer.headers["x-request-id"]
                        for name in ("timestamp", "executionTimeMs"):
                            del body["meta"][name]
                    both.append((answer.status_code, named, body))
            assert both[0] == both[1]


async def test_a_path_with_escapes_is_the_same_project(person: Person) -> None:
    project = await person.project()
    assert await person.do("GET", f"/api/projects/{project}/snapshot")
    async with person.stream_events(f"/api/projects/{project.upper()}/events") as events:
        assert (await anext(aiter(events)))["type"] == "project.snapshot"
    assert (await person.post(f"/api/projects/{project}/events")).status_code == 405
    assert (await person.get("/api/projects/1/events")).status_code == 404


async def test_handshakes_with_and_without_the_shortcut(
    person: Person, new_person: NewPerson
) -> None:
    project, stranger = await person.project(), await new_person()
    both = [Subprotocol("other"), Subprotocol("reelroom.v1.msgpack")]
    async with socket_of(person, project, subprotocols=both, origin=Origin("null")) as line:
        assert line.subprotocol == "reelroom.v1.msgpack"
        assert line.response
        assert line.response.headers["x-request-id"]
    async with socket_of(stranger, project) as line:
        with pytest.raises(ConnectionClosed):
            await line.recv()
        assert line.close_code == 4404
    url = str(person.base_url) + f"/api/projects/{project}/socket"
    with pytest.raises(InvalidStatus) as refused:
        await connect(url.replace("http", "ws", 1), origin=Origin("https://evil.example"))
    assert refused.value.response.status_code == 403
    asked = {
        "connection": "Upgrade",
        "upgrade": "websocket",
        "sec-websocket-version": "13",
        "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    for name, value, status in [
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==", 101),
        ("sec-websocket-key", "c2hvcnQ=", 400),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZR==", 101),  # as the library takes it
        ("sec-websocket-version", "8", 400),
        ("upgrade", "WebSocket", 101),
    ]:
        reader, writer = await asyncio.open_connection(person.base_url.host, person.base_url.port)
        lines = {**asked, name: value, "host": f"127.0.0.1:{person.base_url.port}"}
        lines["authorization"] = f"Bearer {person.token}"
        head = "".join(f"{key}: {text}\r\n" for key, text in lines.items())
        writer.write(f"GET /api/projects/{project}/socket HTTP/1.1\r\n{head}\r\n".encode())
        answer = await reader.readuntil(b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 %d " % status), (name, value, answer)
        if status == 101:
            assert b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in answer or "R==" in value
        writer.close()
