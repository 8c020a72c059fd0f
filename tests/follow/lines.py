"""The ways to receive a project's stream: each tells events until its connection is over."""

import asyncio
import codecs
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import httpx
import msgspec
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.typing import Origin, Subprotocol

from tests.follow.wire import LOST, Closing, Json, SseReader, closing_of, read_event, refusal
from tests.follow.wire import told_by as told

WAIT = 25  # seconds that an answer with nothing to tell may take
WAIT_IN_TURN = 2  # seconds while a turn runs, whose progress ends no waiting
GRACE = 10.0  # seconds beyond the waiting after which an answer is lost

Tell = Callable[[Json | None], None]


class Refused(Exception):
    """The server answered, but not with what was asked for."""

    def __init__(self, answer: httpx.Response) -> None:
        super().__init__(f"{answer.status_code}")
        self.status = answer.status_code
        self.closing = refusal(answer.status_code, answer.headers.get("retry-after"))


class Server:
    """The project's routes on one server, for one person; `client` holds the credentials."""

    def __init__(self, client: httpx.AsyncClient, url: str, project_id: str) -> None:
        self.client = client
        self.url = url.rstrip("/")
        self.project_id = project_id
        self.path = f"{self.url}/api/projects/{quote(project_id, safe='')}"

    async def snapshot(self) -> Json:
        """Raises `Refused` or `httpx.HTTPError`."""
        return await self._data("snapshot", {}, GRACE)

    async def changes(self, after: str, wait: float = 0) -> Json:
        """Raises `Refused` or `httpx.HTTPError`."""
        return await self._data("changes", {"after": after, "wait": wait}, wait + GRACE)

    async def _data(self, last: str, query: dict[str, Any], patience: float) -> Json:
        answer = await self.client.get(f"{self.path}/{last}", params=query, timeout=patience)
        if answer.status_code != 200:
            raise Refused(answer)
        data: Json = msgspec.json.decode(answer.content)["data"]
        return data


async def sse(server: Server, after: str | None, tell: Tell) -> Closing:
    query = {"after": after} if after else {}
    headers = {"accept": "text/event-stream"}
    try:
        async with server.client.stream(
            "GET", f"{server.path}/events", params=query, headers=headers, timeout=None
        ) as answer:
            if answer.status_code != 200:
                return Refused(answer).closing
            reader, decoder = SseReader(), codecs.getincrementaldecoder("utf-8")()
            async for chunk in answer.aiter_raw():
                for data in reader.feed(decoder.decode(chunk)):
                    tell(read_event(data))
    except httpx.HTTPError:
        return LOST
    return LOST if reader.hint is None else Closing("restart", reader.hint / 1000)


async def socket(server: Server, after: str | None, tell: Tell, *, packed: bool = False) -> Closing:
    url = "ws" + server.path.removeprefix("http") + "/socket"
    name = Subprotocol("reelroom.v1.msgpack" if packed else "reelroom.v1.json")
    headers = {"authorization": server.client.headers["authorization"]}
    hello = {"type": "hello"} | ({"after": after} if after else {})
    try:
        async with connect(
            url,
            subprotocols=[name],
            origin=Origin(server.url),
            additional_headers=headers,
            compression=None,
            max_size=None,
            ping_interval=None,
            close_timeout=1,
        ) as line:
            if line.subprotocol != name:
                return LOST
            raw = msgspec.msgpack.encode(hello) if packed else msgspec.json.encode(hello).decode()
            await line.send(raw)
            while True:
                message = await line.recv()
                tell(read_event(message) if isinstance(message, bytes) == packed else None)
    except ConnectionClosed as error:
        return closing_of(error.rcvd.code if error.rcvd else None)
    except InvalidStatus as error:
        retry_after = error.response.headers.get("retry-after")
        return refusal(error.response.status_code, retry_after)
    except (OSError, TimeoutError, WebSocketException):
        return LOST


async def msgpack(server: Server, after: str | None, tell: Tell) -> Closing:
    return await socket(server, after, tell, packed=True)


async def poll(server: Server, after: str | None, tell: Tell) -> Closing:
    try:
        cursor = after or await _adopt(server, None, tell)
        wait: int | None = None  # None: the connection, or what follows a reset, begins
        while True:
            changes = await server.changes(cursor, wait or 0)
            if changes["reset"]:
                cursor, wait = await _adopt(server, "cursor", tell), None
                continue
            for event in told(server.project_id, changes, first=wait is None):
                tell(event)
            cursor = changes["cursor"]
            wait = WAIT_IN_TURN if changes["runs"] else WAIT
            await asyncio.sleep(0)
    except Refused as error:
        return error.closing
    except (httpx.HTTPError, msgspec.DecodeError):
        return LOST


async def _adopt(server: Server, reason: str | None, tell: Tell) -> str:
    snapshot = await server.snapshot()
    if reason:
        tell({"type": "sync.reset", "projectId": server.project_id, "data": {"reason": reason}})
    tell({"type": "project.snapshot", "projectId": server.project_id, "data": snapshot})
    return str(snapshot["cursor"])


LINES = {"sse": sse, "socket": socket, "msgpack": msgpack, "poll": poll}
