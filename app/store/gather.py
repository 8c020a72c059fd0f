"""Look-ups that are asked for one by one and made many at a time."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from itertools import chain, islice
from typing import Generic, TypeVar

from app.store.tasks import spawn

Key = TypeVar("Key", bound=Hashable)
Found = TypeVar("Found")

MOST = 500  # keys in one query
LANES = 2  # queries at once


class Gathered(Generic[Key, Found]):
    """One query for all keys that are asked for in one pass of the loop, or while another runs.

    `find` gets the keys, each once, and returns what it found; it starts after `get` was called,
    so the answer is never older than the question. What `find` raises reaches each who asked;
    somebody who stops waiting stops nobody else.
    """

    def __init__(self, name: str, find: Callable[[list[Key]], Awaitable[dict[Key, Found]]]) -> None:
        self._name = name
        self._find = find
        self._asked: dict[Key, list[asyncio.Future[Found | None]]] = {}
        self._asking = 0

    async def get(self, key: Key) -> Found | None:
        """What there is under the key, or None."""
        answer: asyncio.Future[Found | None] = asyncio.get_running_loop().create_future()
        self._asked.setdefault(key, []).append(answer)
        if self._asking < LANES:
            self._asking += 1
            spawn(self._ask(), name=self._name).add_done_callback(self._asked_all)
        return await answer

    async def _ask(self) -> None:
        while self._asked:
            keys = list(islice(self._asked, MOST))
            await self._answer({key: self._asked.pop(key) for key in keys})

    def _asked_all(self, lane: asyncio.Task[None]) -> None:
        """A lane is over; one that was stopped, perhaps before it began, leaves nobody waiting."""
        self._asking -= 1
        if lane.cancelled() and not self._asking:
            waiting, self._asked = self._asked, {}
            for answer in chain.from_iterable(waiting.values()):
                answer.cancel()

    async def _answer(self, asked: dict[Key, list[asyncio.Future[Found | None]]]) -> None:
        waiting = [(key, answer) for key, answers in asked.items() for answer in answers]
        try:
            found = await self._find(list(asked))
        except Exception as error:  # noqa: BLE001  it is theirs who asked
            for _, answer in waiting:
                if not answer.done():
                    answer.set_exception(error)
        else:
            for key, answer in waiting:
                if not answer.done():
                    answer.set_result(found.get(key))
        finally:
            for _, answer in waiting:
                answer.cancel()  # nobody waits for ever for one that was stopped
