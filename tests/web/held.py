"""Code of which a scripted model writes half at once, and the rest when the test lets it."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from tests.harness.model_server import Behaviour, Exchange


class Half:
    """A behaviour of the model server; `before` is what the model writes before it pauses."""

    def __init__(self, text: str) -> None:
        self.before, self._after = text[: len(text) // 2], text[len(text) // 2 :]
        self.go_on = asyncio.Event()
        self.behaviour = Behaviour(self._answer)

    async def _answer(self, to: Exchange) -> None:
        await to.delta({"role": "assistant", "content": ""})
        await to.text(self.before, 6)
        await self.go_on.wait()
        await to.text(self._after, 6)
        await to.finish()


@contextmanager
def held(text: str) -> Iterator[Half]:
    """Let the model write the rest at the end of the block."""
    half = Half(text)
    try:
        yield half
    finally:
        half.go_on.set()
