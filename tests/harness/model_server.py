"""A scripted OpenAI-compatible HTTP server, real down to the socket, so that it can misbehave.

    async with ModelServer() as server:
        server.script(status(429, retry_after=1, times=2), decide(tool_name="addScene"))
        model = OpenAiModel(api_key="key", base_url=server.url, model="test")

Each request takes the next behaviour; with none left, decisions and code are made up.
`python -m tests.harness.model_server --port 0` runs it alone and prints its URL.
"""

import argparse
import asyncio
import contextlib
import itertools
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
CODE = """\
import {AbsoluteFill, interpolate, useCurrentFrame} from 'remotion';

const TITLE = 'Hello from the model';
const BACKGROUND = '#102a43';

export default function ModelTitle() {
  const frame = useCurrentFrame();
  const opacity = interpolate(frame, [0, 20], [0, 1], {extrapolateRight: 'clamp'});
  return (
    <AbsoluteFill style={{backgroundColor: BACKGROUND, alignItems: 'center', justifyContent: 'center'}}>
      <h1 style={{color: 'white', fontSize: 120, opacity}}>{TITLE}</h1>
    </AbsoluteFill>
  );
}
"""  # noqa: E501
DECISION: dict[str, Any] = {
    "toolName": "addScene",
    "reasoning": "The request asks for something new.",
    "userFeedback": "I am adding a scene.",
    "needsClarification": False,
}
FOR_EVER = 3600.0  # seconds


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

    def forget_script(self) -> int:
        """Empty the queue; return how many answers were left in it."""
        left = len(self._script)
        self._script.clear()
        return left

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


class ModelServer(ScriptedServer):
    """Makes up a decision or code when nothing is scripted."""

    def __init__(self, port: int = 0) -> None:
        super().__init__(lambda asked: decide() if asked.deciding else code(), port)


def decide(
    decision: dict[str, Any] | str | None = None,
    *,
    pieces: int = 6,
    delay: float = 0,
    as_text: bool = False,
    usage: bool = True,
    **fields: Any,
) -> Behaviour:
    """A decision (`fields` change the default one), as a tool call when tools were offered.

    A string is sent as it is. `as_text` ignores the tools and answers in the text.
    """
    if isinstance(decision, str):
        whole = decision
    else:
        whole = msgspec.json.encode({**DECISION, **(decision or {}), **fields}).decode()

    async def answer(to: Exchange) -> None:
        await to.delta({"role": "assistant", "content": None})
        if as_text or "tools" not in to.body:
            await to.text(whole, pieces, delay)
            await to.finish("stop", usage)
            return
        call: dict[str, Any] = {"index": 0, "id": "call_1", "type": "function"}
        await to.delta({"tool_calls": [{**call, "function": {"name": "decide", "arguments": ""}}]})
        for piece in cut(whole, pieces):
            await to.delta({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]})
            if delay:
                await asyncio.sleep(delay)
        await to.finish("tool_calls", usage)

    return Behaviour(answer)


def code(text: str = CODE, *, pieces: int = 8, delay: float = 0, usage: bool = True) -> Behaviour:
    """Text in the message's content, in so many pieces, `delay` seconds apart."""

    async def answer(to: Exchange) -> None:
        await to.delta({"role": "assistant", "content": ""})
        await to.text(text, pieces, delay)
        await to.finish("stop", usage)

    return Behaviour(answer)


def chunks(parts: list[bytes], *, delay: float = 0) -> Behaviour:
    """The body as given, byte for byte, each part in a write of its own."""

    async def answer(to: Exchange) -> None:
        await to.head()
        for part in parts:
            await to.send(part)
            await asyncio.sleep(delay)

    return Behaviour(answer)


def truncate(after: int, text: str = CODE) -> Behaviour:
    """So many characters, then a clean end of the body without a finish_reason."""

    async def answer(to: Exchange) -> None:
        await to.text(text[:after], 2)

    return Behaviour(answer)


def hard_cut(after: int, text: str = CODE) -> Behaviour:
    """So many characters (0: nothing at all, not even a status), then a connection reset."""

    async def answer(to: Exchange) -> None:
        if after:
            await to.text(text[:after], 2)
            await asyncio.sleep(0.05)  # a reset throws away what was not read yet
        to.reset()

    return Behaviour(answer)


def stall(after: int, seconds: float = FOR_EVER, text: str = CODE) -> Behaviour:
    """So many characters, then silence, then the rest."""

    async def answer(to: Exchange) -> None:
        if after:
            await to.text(text[:after], 2)
        else:
            await to.delta({"role": "assistant", "content": ""})
        await asyncio.sleep(seconds)
        await to.text(text[after:], 2)
        await to.finish()

    return Behaviour(answer)


def status(
    code: int,
    *,
    retry_after: float | str | None = None,
    times: int = 1,
    message: str = "Scripted failure",
    error_code: str | None = None,
) -> Behaviour:
    """An error with its status and OpenAI's error object."""

    async def answer(to: Exchange) -> None:
        headers = {} if retry_after is None else {"Retry_After": str(retry_after)}
        await to.refuse(code, {"message": message, "code": error_code, "param": None}, **headers)

    return Behaviour(answer, times)


def html(kind: str = "text/html") -> Behaviour:
    """A proxy's page with status 200."""

    async def answer(to: Exchange) -> None:
        await to.head(200, kind)
        await to.send(b"<!doctype html>\n<html><body>Welcome: log in</body></html>\n")

    return Behaviour(answer)


def broken_json(after: int = 40) -> Behaviour:
    async def answer(to: Exchange) -> None:
        await to.text(CODE[:after], 2)
        await to.send(b'data: {"choices": [{"index": 0, "delta": {"content": "secr\n\n')
        await to.finish()

    return Behaviour(answer)


def no_finish(text: str = CODE, *, done: bool = True) -> Behaviour:
    """All the text, then `[DONE]`, but never a finish_reason."""

    async def answer(to: Exchange) -> None:
        await to.text(text, 4)
        if done:
            await to.send(b"data: [DONE]\n\n")

    return Behaviour(answer)


def finish(reason: str, text: str = CODE) -> Behaviour:
    """Text that ends for this reason, for example `length` or `content_filter`."""

    async def answer(to: Exchange) -> None:
        await to.text(text, 4)
        await to.finish(reason)

    return Behaviour(answer)


def error_event(after: int = 40, *, code: int | str = 502, named: bool = False) -> Behaviour:
    """An error object in the middle of the stream; `named` puts it under `event: error`."""

    async def answer(to: Exchange) -> None:
        await to.text(CODE[:after], 2)
        error = {"message": "upstream said: secret prompt", "code": code}
        if named:
            await to.send(b"event: error\ndata: " + msgspec.json.encode(error) + b"\n\n")
        else:
            await to.event({"error": error})

    return Behaviour(answer)


def drip(delay: float = 0.05) -> Behaviour:
    """One character at a time, without end."""

    async def answer(to: Exchange) -> None:
        for _ in itertools.count():
            await to.text("x")
            await asyncio.sleep(delay)

    return Behaviour(answer)


def keepalives(delay: float = 0.05) -> Behaviour:
    """Send comments without end, and no data."""

    async def answer(to: Exchange) -> None:
        for _ in itertools.count():
            await to.send(b": keep-alive\n\n")
            await asyncio.sleep(delay)

    return Behaviour(answer)


def huge(size: int, *, piece: int = 65_536) -> Behaviour:
    """So many characters in pieces of that size; one piece as large as the whole also goes."""

    async def answer(to: Exchange) -> None:
        for start in range(0, size, piece):
            await to.text("x" * min(piece, size - start))
        await to.finish()

    return Behaviour(answer)


def never_answer() -> Behaviour:
    """Takes the request and says nothing, not even a status."""

    async def answer(to: Exchange) -> None:
        await asyncio.sleep(FOR_EVER)

    return Behaviour(answer)


async def _main(port: int) -> None:
    async with ModelServer(port) as server:
        print(server.url, flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A scripted OpenAI-compatible server.")
    parser.add_argument("--port", type=int, default=0)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_main(parser.parse_args().port))
