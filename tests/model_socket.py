"""The socket under the scripted model server: reads requests, and answers well or badly."""

import asyncio
import socket
import struct
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Self

import msgspec

USAGE = {
    "prompt_tokens": 120,
    "completion_tokens": 45,
    "total_tokens": 165,
    "prompt_tokens_details": {"cached_tokens": 64},
}


class Exchange:
    """One request and the means to answer it, well or badly."""

    def __init__(self, body: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        self.body = body
        self.writer = writer
        self.started = False

    @property
    def deciding(self) -> bool:
        """True for a question after a decision, in whatever form it is put."""
        system = str(self.body.get("messages", [{}])[0].get("content", ""))
        return bool({"tools", "response_format"} & self.body.keys()) or "toolName" in system

    async def head(
        self, status: int = 200, kind: str = "text/event-stream", **headers: str
    ) -> None:
        """The status line and headers of a chunked reply; spell `Retry-After` as retry_after."""
        self.started = True
        lines = [f"HTTP/1.1 {status} Scripted", f"Content-Type: {kind}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        lines += ["Transfer-Encoding: chunked", "", ""]
        await self.raw("\r\n".join(lines).encode())

    async def raw(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def send(self, data: bytes) -> None:
        """Bytes of the body, after the head of a stream when there was none yet."""
        if not self.started:
            await self.head()
        await self.raw(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    async def event(self, value: Any) -> None:
        await self.send(b"data: " + msgspec.json.encode(value) + b"\n\n")

    async def delta(self, delta: dict[str, Any], finish: str | None = None) -> None:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        await self.event({"id": "c", "object": "chat.completion.chunk", "choices": [choice]})

    async def text(self, text: str, pieces: int = 1, delay: float = 0) -> None:
        """Content in so many deltas."""
        for piece in cut(text, pieces):
            await self.delta({"content": piece})
            if delay:
                await asyncio.sleep(delay)

    async def finish(self, reason: str = "stop", usage: bool = True, done: bool = True) -> None:
        await self.delta({}, reason)
        options = self.body.get("stream_options") or {}
        if usage and options.get("include_usage"):
            await self.event({"id": "c", "choices": [], "usage": USAGE})
        if done:
            await self.send(b"data: [DONE]\n\n")

    async def end(self) -> None:
        """The regular end of the body."""
        await self.raw(b"0\r\n\r\n")

    def reset(self) -> None:
        """Cut the line: the other side sees a connection reset."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def refuse(self, code: int, error: dict[str, Any], **headers: str) -> None:
        await self.head(code, "application/json", **headers)
        await self.send(msgspec.json.encode({"error": error}))


class Behaviour(msgspec.Struct):
    """How to answer a request; `times` requests in a row."""

    answer: Callable[[Exchange], Awaitable[None]]
    times: int = 1


class ScriptedServer:
    """`requests` are the bodies received, `headers` theirs; `open_streams` counts open replies."""

    def __init__(self, default: Callable[[Exchange], Behaviour], port: int = 0) -> None:
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.connections = 0
        self.open_streams = 0
        self.unknown: set[str] = set()  # fields of a request that are answered with 400
        self._default = default
        self._port = port
        self._script: deque[Callable[[Exchange], Awaitable[None]]] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        """The base URL, for example of `OPENAI_BASE_URL`."""
        return f"http://127.0.0.1:{self._port}/v1"

    def script(self, *behaviours: Behaviour) -> None:
        """Add answers to the queue."""
        for behaviour in behaviours:
            self._script.extend([behaviour.answer] * behaviour.times)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def serve_forever(self) -> None:
        assert self._server is not None
        await self._server.serve_forever()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        try:
            while await self._exchange(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client went away
        except asyncio.CancelledError:
            pass  # the server closes
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; True when the connection is good for another."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {
            name.lower(): value.strip()
            for name, _, value in (line.partition(":") for line in head[1:] if line)
        }
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        exchange = Exchange(msgspec.json.decode(body) if body else {}, writer)
        self.requests.append(exchange.body)
        self.headers.append(headers)
        answer = asyncio.ensure_future(self._answer(exchange))
        gone = asyncio.ensure_future(reader.read(1))  # only the end can come before our reply
        self.open_streams += 1
        try:
            await asyncio.wait({answer, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.open_streams -= 1
            both = [answer, gone]
            finished = answer.done() and not gone.done()
            for task in both:
                task.cancel()
            results = await asyncio.gather(*both, return_exceptions=True)
        if isinstance(results[0], Exception) and not isinstance(results[0], ConnectionError):
            raise results[0]
        return finished and not writer.transport.is_closing()

    async def _answer(self, exchange: Exchange) -> None:
        unknown = sorted(self.unknown & exchange.body.keys())
        if unknown:
            message = f"Unknown parameter: '{unknown[0]}'"
            await exchange.refuse(400, {"message": message, "param": unknown[0], "code": None})
        elif self._script:
            await self._script.popleft()(exchange)
        else:
            await self._default(exchange).answer(exchange)
        if not exchange.writer.transport.is_closing():
            await exchange.end()


def cut(text: str, pieces: int) -> list[str]:
    """The text in at most so many pieces of the same length."""
    size = max(1, -(-len(text) // pieces))
    return [text[start : start + size] for start in range(0, len(text), size)]
