"""The offline model: rules and templates behind the interface of a model, always the same."""

import asyncio
from collections.abc import AsyncIterator
from typing import Literal

import msgspec

from app.brain.composer.brief import read_brief
from app.brain.composer.compose import compose
from app.brain.composer.edit import edit_code
from app.brain.composer.intent import decide_offline
from app.brain.composer.vary import vary_brief, vary_code
from app.brain.composer.wording import seed_of
from app.brain.model import Context, End, Piece, Text, Usage, WriteJob

PIECE_LEAST = 20  # characters
PIECE_MOST = 60
CHARACTERS_A_TOKEN = 4


class OfflineModel:
    """A provider without network, clock or chance: equal questions get equal answers.

    `piece_delay` is the pause before each piece, in seconds; 0 only lets others run.
    """

    name: Literal["offline", "openai"] = "offline"
    model = "reelroom-offline-1"

    def __init__(self, piece_delay: float = 0.004) -> None:
        self.piece_delay = piece_delay

    async def decide(
        self, context: Context, *, complaint: str | None = None, model: str | None = None
    ) -> AsyncIterator[Piece]:
        decision = decide_offline(context)
        asked = len(context.prompt) + sum(len(scene.name) for scene in context.scenes)
        async for piece in self._say(msgspec.json.encode(decision).decode(), asked):
            yield piece

    async def write(
        self, job: WriteJob, *, complaint: str | None = None, model: str | None = None
    ) -> AsyncIterator[Piece]:
        if job.scene is None:
            composed = compose(vary_brief(read_brief(job), job.variation))
            code, note = composed.code, composed.note
        else:
            edited = edit_code(job)
            code, note = vary_code(edited.code, job), edited.note
        if job.context.image_urls:
            note = " ".join(filter(None, [note, "I am offline and cannot look at images."]))
        asked = len(job.instruction) + (len(job.scene.tsx_code) if job.scene else 0)
        async for piece in self._say(code, asked, note):
            yield piece

    async def close(self) -> None:
        return None

    async def _say(self, text: str, asked: int, note: str | None = None) -> AsyncIterator[Piece]:
        for piece in pieces_of(text):
            await asyncio.sleep(self.piece_delay)
            yield Text(piece)
        usage = Usage(
            input_tokens=-(-asked // CHARACTERS_A_TOKEN),
            output_tokens=-(-len(text) // CHARACTERS_A_TOKEN),
        )
        yield End(usage, note)


def pieces_of(text: str) -> list[str]:
    """The text cut into pieces of 20 to 60 characters, the last maybe shorter."""
    pieces: list[str] = []
    state = seed_of(text[:200])
    start = 0
    while start < len(text):
        state = (state * 1103515245 + 12345) % 2**31
        end = start + PIECE_LEAST + (state >> 16) % (PIECE_MOST - PIECE_LEAST + 1)
        pieces.append(text[start:end])
        start = end
    return pieces
