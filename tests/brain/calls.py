"""Questions, short limits and readers of answers for tests that call a model."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from typing import Any

import msgspec
import pytest

from app.brain.model import Context, End, Piece, Text, WriteJob
from app.brain.openai import CallLimits, OpenAiModel
from app.problems import AiError

SECRET = "sk-very-secret"
PROMPT = "make it about the secret prompt"
CONTEXT = Context(prompt=PROMPT)
JOB = WriteJob(instruction=PROMPT, context=CONTEXT)
FAST = CallLimits(
    connect=5,
    first_token_decide=1.5,
    first_token_write=1.5,
    stall=1.0,
    decide=9,
    write=9,
    min_retry_pause=0.01,
    max_retry_pause=0.05,
    max_text_bytes=200_000,
)
Make = Callable[..., OpenAiModel]


async def read_answer(pieces: AsyncGenerator[Piece, None]) -> tuple[str, End]:
    """Return the whole text and the end, which must be the last piece and the only end."""
    got = [piece async for piece in pieces]
    ends = [piece for piece in got if isinstance(piece, End)]
    assert len(ends) == 1
    assert got[-1] is ends[0]
    texts = [piece.text for piece in got if isinstance(piece, Text)]
    assert all(texts), "no empty pieces"
    return "".join(texts), ends[0]


async def read_fault(pieces: AsyncGenerator[Piece, None], reason: str) -> tuple[str, AiError]:
    """Return the text before the fault and the fault, whose message must be fit for users."""
    texts: list[str] = []

    async def read() -> None:
        async for piece in pieces:
            assert isinstance(piece, Text), "a failed answer has no end"
            texts.append(piece.text)

    with pytest.raises(AiError) as raised:
        await read()
    problem = raised.value
    assert problem.details == {"reason": reason}
    assert problem.message.endswith(".")
    assert "secret" not in problem.message.lower()
    return "".join(texts), problem


async def eventually(holds: Callable[[], bool], within: float = 5.0) -> None:
    until = time.monotonic() + within
    while not holds():
        assert time.monotonic() < until, "the condition did not become true in time"
        await asyncio.sleep(0.002)


def event(delta: dict[str, Any], finish_reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return b"data: " + msgspec.json.encode({"choices": [choice]}) + b"\n\n"
