"""Code that a scripted model writes half of, and the rest only when it is told to."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from tests.model_socket import Behaviour, Exchange


class Half:
    """`before` is what was written when the model pauses."""

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
    """At the end of the block the model goes on."""
    half = Half(text)
    try:
        yield half
    finally:
        half.go_on.set()
