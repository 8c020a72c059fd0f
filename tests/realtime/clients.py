"""Clients of the processes with hubs, over each transport, and what they show."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from tests.harness.events import Received, receiving
from tests.realtime.hub_server import Process, Project


@asynccontextmanager
async def sse(
    where: Process, path: str, *, last_event_id: str | None = None, **query: Any
) -> AsyncIterator[Received]:
    headers = {"Last-Event-ID": last_event_id} if last_event_id else {}
    async with httpx.AsyncClient(base_url=where.address, timeout=60, verify=False) as client:
        async with receiving(client, path, params=query, headers=headers) as received:
            yield received


def events(where: Process, project: Project, **query: Any) -> Any:
    return sse(where, f"/p/{project.id}/events", **query)


@asynccontextmanager
async def socket(
    where: Process,
    project: Project,
    *,
    packed: bool = False,
    after: str | None = None,
    hello: bool = True,
    **query: Any,
) -> AsyncIterator[tuple[Received, ClientConnection]]:
    received = Received()
    name = "reelroom.v1.msgpack" if packed else "reelroom.v1.json"
    url = httpx.URL(f"{where.sockets}/p/{project.id}/socket", params=query)
    async with connect(
        str(url), subprotocols=[Subprotocol(name)], compression=None, max_size=None
    ) as line:
        assert line.subprotocol == name

        async def read() -> None:
            try:
                async for message in line:
                    assert isinstance(message, bytes) == packed
                    received.add(
                        msgspec.msgpack.decode(message)
                        if isinstance(message, bytes)
                        else msgspec.json.decode(message)
                    )
            except ConnectionClosed:
                pass
            finally:
                received.code = line.close_code
                received.end()

        task = asyncio.create_task(read())
        if hello:
            await say(line, {"type": "hello"} | ({"after": after} if after else {}), packed=packed)
        try:
            yield received, line
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def present_users(received: Received) -> list[str]:
    """The users of the last presence event."""
    presences = received.of("presence.updated")
    return [user["userId"] for user in presences[-1]["users"]] if presences else []


async def say(line: ClientConnection, frame: Any, *, packed: bool = False) -> None:
    await line.send(
        msgspec.msgpack.encode(frame) if packed else msgspec.json.encode(frame).decode()
    )


async def poll(where: Process, project: Project, after: str, **query: Any) -> dict[str, Any]:
    async with httpx.AsyncClient(timeout=60, verify=False) as client:
        answer = await client.get(
            f"{where.address}/p/{project.id}/changes", params={"after": after, **query}
        )
    assert answer.status_code == 200, answer.text
    result: dict[str, Any] = answer.json()
    return result
