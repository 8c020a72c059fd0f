"""An OpenAI-compatible server whose answers are scripted for each name of a model.

A turn that asks for the model `slow` gets what was scripted for `slow`, so that turns can run
beside each other. An answer can wait for its `Gate` before any piece.
"""

import asyncio
import contextlib
import json
from collections import defaultdict, deque
from typing import Any, Self

USAGE = {"prompt_tokens": 120, "completion_tokens": 45, "total_tokens": 165}
DECISION: dict[str, Any] = {
    "toolName": "addScene",
    "reasoning": "The request asks for something new.",
    "userFeedback": "I am adding a scene.",
    "needsClarification": False,
}


def component(title: str) -> str:
    """Return the code of a scene that can be played."""
    return (
        "import {AbsoluteFill} from 'remotion';\n\n"
        f"const TITLE = '{title}';\n\n"
        "export default function Title() {\n"
        "  return <AbsoluteFill style={{color: 'white'}}>{TITLE}</AbsoluteFill>;\n"
        "}\n"
    )


class Gate:
    """Stops an answer until it is opened; `reached` is set when the answer is there."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self._opened = asyncio.Event()

    async def pass_through(self) -> None:
        self.reached.set()
        await self._opened.wait()

    def open(self) -> None:
        self._opened.set()


class Answer:
    """Describes an answer: text in pieces, gates between them, and its end.

    `tool` gives it as the arguments of a call when tools were offered. `finish` None breaks off
    without an end. `status` other than 200 is an error, given `times` times.
    """

    def __init__(
        self,
        *pieces: str | Gate,
        tool: bool = False,
        finish: str | None = "stop",
        status: int = 200,
        times: int = 1,
        **error: Any,
    ) -> None:
        self.pieces = pieces
        self.tool = tool
        self.finish = finish
        self.status = status
        self.times = times
        self.error = error

    async def send(self, asked: Any, writer: asyncio.StreamWriter) -> None:
        if self.status != 200:
            await _refuse(writer, self.status, self.error)
            return
        tool = self.tool and "tools" in asked
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
        )
        if tool:
            call = {"index": 0, "id": "call_1", "type": "function"}
            await _delta(
                writer, {"tool_calls": [{**call, "function": {"name": "decide", "arguments": ""}}]}
            )
        for piece in self.pieces:
            if isinstance(piece, Gate):
                await piece.pass_through()
            elif tool:
                await _delta(
                    writer, {"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}
                )
            else:
                await _delta(writer, {"content": piece})
        if self.finish is not None:
            await _delta(writer, {}, "tool_calls" if tool else self.finish)
            await _event(writer, {"id": "c", "choices": [], "usage": USAGE})
            await _write(writer, b"data: [DONE]\n\n")


def decide(*gates: Gate, **fields: Any) -> Answer:
    """Return a decision behind its gates; `fields` change the usual one, which adds a scene."""
    return Answer(*gates, json.dumps({**DECISION, **fields}), tool=True)


def write(title: str, *, cut_at: int | None = None, **more: Any) -> Answer:
    """Return code with that title, in two pieces; `cut_at` characters end it early."""
    code = component(title)
    if cut_at is not None:
        return Answer(code[:cut_at], finish=None, **more)
    half = len(code) // 2
    return Answer(code[:half], code[half:], **more)


def halting(title: str, gate: Gate) -> Answer:
    """Return code whose second half waits for a gate."""
    code = component(title)
    half = len(code) // 2
    return Answer(code[:half], gate, code[half:])


def error(status: int, *, times: int = 1, **fields: Any) -> Answer:
    """Return an error whose `Retry-After` asks for the next try at once."""
    return Answer(status=status, times=times, message="Scripted", **fields)


class Model:
    """Runs the server; `url` is what `OPENAI_BASE_URL` takes."""

    def __init__(self) -> None:
        self._scripts: defaultdict[str, deque[Answer]] = defaultdict(deque)
        self._tasks: set[asyncio.Task[None]] = set()

    def script(self, model: str, *answers: Answer) -> str:
        """Add answers for a model's name, and return the name."""
        for answer in answers:
            self._scripts[model].extend([answer] * answer.times)
        return model

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
            size = int(head.partition("content-length: ")[2].partition("\r\n")[0])
            asked = json.loads(await reader.readexactly(size))
            script = self._scripts[asked["model"]]
            answer = script.popleft() if script else error(500, code=f"no script {asked['model']}")
            await answer.send(asked, writer)
        writer.close()


async def _write(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(data)
    await writer.drain()


async def _event(writer: asyncio.StreamWriter, value: Any) -> None:
    await _write(writer, b"data: " + json.dumps(value).encode() + b"\n\n")


async def _delta(
    writer: asyncio.StreamWriter, delta: dict[str, Any], finish: str | None = None
) -> None:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    await _event(writer, {"id": "c", "object": "chat.completion.chunk", "choices": [choice]})


async def _refuse(writer: asyncio.StreamWriter, status: int, fields: dict[str, Any]) -> None:
    body = json.dumps({"error": {"message": "", "code": None, "param": None, **fields}}).encode()
    head = (
        f"HTTP/1.1 {status} Scripted\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nRetry-After: 0\r\nConnection: close\r\n\r\n"
    )
    await _write(writer, head.encode() + body)
