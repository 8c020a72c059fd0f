"""The offline model: a deterministic provider made of rules and templates."""

import asyncio
import zlib
from collections.abc import AsyncIterator
from typing import Literal

import msgspec

from app.brain.composer import composer
from app.brain.model import Context, End, Piece, Text, WriteJob
from app.brain.stream import estimate_usage

MIN_PIECE_CHARACTERS = 20
MAX_PIECE_CHARACTERS = 60
MAX_SEED_CHARACTERS = 200  # at the start of a text, which seed the lengths of its pieces


class OfflineModel:
    """A provider without network, clock or randomness: equal questions get equal answers.

    `piece_delay` is the pause before each piece in seconds; 0 only yields to other tasks.
    """

    name: Literal["offline", "openai"] = "offline"
    model = "reelroom-offline-1"

    def __init__(self, piece_delay: float = 0.004) -> None:
        self.piece_delay = piece_delay

    async def decide(
        self, context: Context, *, complaint: str | None = None, model: str | None = None
    ) -> AsyncIterator[Piece]:
        """See `Provider.decide`; `complaint` and `model` are ignored."""
        decision = composer.decide(context)
        characters = len(context.prompt) + sum(len(scene.name) for scene in context.scenes)
        async for piece in self._stream(msgspec.json.encode(decision).decode(), characters):
            yield piece

    async def write(
        self, job: WriteJob, *, complaint: str | None = None, model: str | None = None
    ) -> AsyncIterator[Piece]:
        """See `Provider.write`; `complaint` and `model` are ignored."""
        written = composer.write(job)
        note = written.note
        if job.context.image_urls:
            note = " ".join(filter(None, [note, "I am offline and cannot look at images."]))
        characters = len(job.instruction) + (len(job.scene.tsx_code) if job.scene else 0)
        async for piece in self._stream(written.code, characters, note):
            yield piece

    async def close(self) -> None:
        return None

    async def _stream(
        self, text: str, characters: int, note: str | None = None
    ) -> AsyncIterator[Piece]:
        """Stream a text; `characters` is the length of the question, for the usage."""
        for piece in pieces_of(text):
            await asyncio.sleep(self.piece_delay)
            yield Text(piece)
        yield End(estimate_usage(characters, len(text)), note)


def pieces_of(text: str) -> list[str]:
    """Cut the text into pieces of 20 to 60 characters; the last one may be shorter.

    The lengths come from a linear congruential generator seeded with the text, so that equal
    texts are cut alike.
    """
    pieces: list[str] = []
    state = zlib.crc32(text[:MAX_SEED_CHARACTERS].encode("utf-8", "replace"))
    start = 0
    while start < len(text):
        state = (state * 1103515245 + 12345) % 2**31
        spread = MAX_PIECE_CHARACTERS - MIN_PIECE_CHARACTERS + 1
        end = start + MIN_PIECE_CHARACTERS + (state >> 16) % spread
        pieces.append(text[start:end])
        start = end
    return pieces
