"""The ways to receive a project's stream: each passes events on until its connection ends."""

import asyncio
import codecs
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import quote

import httpx2
import msgspec
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.typing import Origin, Subprotocol

from app.client.fallback import Transport
from app.client.wire import (
    LOST,
    Closing,
    Json,
    SseReader,
    closing_of_code,
    closing_of_status,
    decode_event,
    events_of_poll,
)

POLL_SECONDS = 25  # that an answer without events may take
RUNNING_POLL_SECONDS = 2  # while a turn runs, whose progress does not end a poll
ANSWER_SECONDS = 10.0  # beyond the poll's own waiting, after which an answer is lost
CLOSE_SECONDS = 1.0  # for the closing handshake of a WebSocket

Receive = Callable[[Json | None], None]  # takes an event; None for what could not be read


class RequestRefused(Exception):
    """The server answered, but not with what was requested. `status` is that of HTTP."""

    def __init__(self, answer: httpx2.Response) -> None:
        super().__init__(f"HTTP {answer.status_code}")
        self.status = answer.status_code
        self.closing = closing_of_status(answer.status_code, answer.headers.get("retry-after"))


class ProjectApi:
    """The routes of one project on one server; `http` holds the credentials."""

    def __init__(self, http: httpx2.AsyncClient, url: str, project_id: str) -> None:
        self.http = http
        self.url = url.rstrip("/")
        self.project_id = project_id
        self.path = f"{self.url}/api/projects/{quote(project_id, safe='')}"

    async def snapshot(self) -> Json:
        """Read the snapshot. Raises `RequestRefused` or `httpx2.HTTPError`."""
        return await self._data("snapshot", {}, ANSWER_SECONDS)

    async def changes(self, after: str, wait: float = 0) -> Json:
        """Poll for the events after a cursor, for at most so many seconds.

        Raises `RequestRefused` or `httpx2.HTTPError`.
        """
        return await self._data("changes", {"after": after, "wait": wait}, wait + ANSWER_SECONDS)

    async def _data(self, route: str, query: dict[str, Any], timeout: float) -> Json:
        answer = await self.http.get(f"{self.path}/{route}", params=query, timeout=timeout)
        if answer.status_code != 200:
            raise RequestRefused(answer)
        data: Json = msgspec.json.decode(answer.content)["data"]
        return data


async def receive_sse(api: ProjectApi, after: str | None, receive: Receive) -> Closing:
    """Receive over Server-Sent Events."""
    query = {"after": after} if after else {}
    headers = {"accept": "text/event-stream"}
    try:
        async with api.http.stream(
            "GET", f"{api.path}/events", params=query, headers=headers, timeout=None
        ) as answer:
            if answer.status_code != 200:
                return RequestRefused(answer).closing
            reader, decoder = SseReader(), codecs.getincrementaldecoder("utf-8")()
            async for chunk in answer.aiter_raw():
                for data in reader.feed(decoder.decode(chunk)):
                    receive(decode_event(data))
    except httpx2.HTTPError:
        return LOST
    if reader.retry_milliseconds is None:
        return LOST
    return Closing("restart", reader.retry_milliseconds / 1000)


async def receive_websocket(
    api: ProjectApi, after: str | None, receive: Receive, *, packed: bool = False
) -> Closing:
    """Receive over a WebSocket, as JSON or `packed` as MessagePack."""
    url = "ws" + api.path.removeprefix("http") + "/socket"
    name = Subprotocol("reelroom.v1.msgpack" if packed else "reelroom.v1.json")
    headers = {"authorization": api.http.headers["authorization"]}
    hello = {"type": "hello"} | ({"after": after} if after else {})
    try:
        async with connect(
            url,
            subprotocols=[name],
            origin=Origin(api.url),
            additional_headers=headers,
            compression=None,
            max_size=None,
            ping_interval=None,
            close_timeout=CLOSE_SECONDS,
        ) as connection:
            if connection.subprotocol != name:
                return LOST
            raw = msgspec.msgpack.encode(hello) if packed else msgspec.json.encode(hello).decode()
            await connection.send(raw)
            while True:
                message = await connection.recv()
                receive(decode_event(message) if isinstance(message, bytes) == packed else None)
    except ConnectionClosed as error:
        return closing_of_code(error.rcvd.code if error.rcvd else None)
    except InvalidStatus as error:
        retry_after = error.response.headers.get("retry-after")
        return closing_of_status(error.response.status_code, retry_after)
    except (OSError, TimeoutError, WebSocketException):
        return LOST


async def receive_msgpack(api: ProjectApi, after: str | None, receive: Receive) -> Closing:
    """Receive over a WebSocket as MessagePack."""
    return await receive_websocket(api, after, receive, packed=True)


async def receive_polls(api: ProjectApi, after: str | None, receive: Receive) -> Closing:
    """Receive by long polls."""
    try:
        cursor = after or await _read_snapshot(api, None, receive)
        wait: int | None = None  # None at the beginning, and after a reset
        while True:
            changes = await api.changes(cursor, wait or 0)
            if changes["reset"]:
                cursor, wait = await _read_snapshot(api, "cursor", receive), None
                continue
            for event in events_of_poll(api.project_id, changes, first=wait is None):
                receive(event)
            cursor = changes["cursor"]
            wait = RUNNING_POLL_SECONDS if changes["runs"] else POLL_SECONDS
            await asyncio.sleep(0)
    except RequestRefused as error:
        return error.closing
    except (httpx2.HTTPError, msgspec.DecodeError):
        return LOST


async def _read_snapshot(api: ProjectApi, reset: str | None, receive: Receive) -> str:
    """Pass a snapshot on as a stream would, after a `sync.reset` if there is a reason for one.

    Returns the cursor of the snapshot.
    """
    snapshot = await api.snapshot()
    if reset:
        receive({"type": "sync.reset", "projectId": api.project_id, "data": {"reason": reset}})
    receive({"type": "project.snapshot", "projectId": api.project_id, "data": snapshot})
    return str(snapshot["cursor"])


RECEIVERS: dict[Transport, Callable[[ProjectApi, str | None, Receive], Awaitable[Closing]]] = {
    "sse": receive_sse,
    "socket": receive_websocket,
    "msgpack": receive_msgpack,
    "poll": receive_polls,
}
