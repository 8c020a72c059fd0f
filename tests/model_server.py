"""A scripted OpenAI-compatible HTTP server, real down to the socket, so that it can misbehave.

    async with ModelServer() as server:
        server.script(status(429, retry_after=1, times=2), decide(tool_name="addScene"))
        model = OpenAiModel(api_key="key", base_url=server.url, model="test")

Each request takes the next behaviour; with none left, decisions and code are made up.
`python -m tests.model_server --port 0` runs it alone and prints its URL.
"""

import argparse
import asyncio
import contextlib
import itertools
from typing import Any

import msgspec

from tests.model_socket import Behaviour, Exchange, ScriptedServer, cut

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
    """Comments, without end, and never a word."""

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
