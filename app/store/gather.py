"""Look-ups that are asked for one by one and made many at a time."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from itertools import chain, islice
from typing import Generic, TypeVar

from app.store.tasks import spawn

Key = TypeVar("Key", bound=Hashable)
Found = TypeVar("Found")

MOST = 500  # keys in one query
LANES = 2  # queries at once; the second only when the first takes long
LONG = 0.05  # seconds
REST = 0.004  # seconds after a query for several, so that the next is for more


class Gathered(Generic[Key, Found]):
    """One query for all keys that are asked for in one pass of the loop, or while another runs.

    Who asks alone never waits for others; when several ask at once, each waits a little for more.
    `find` gets the keys, each once, and returns what it found; it starts after `get` was called,
    so the answer is never older than the question. What `find` raises reaches each who asked;
    somebody who stops waiting stops nobody else.
    """

    def __init__(self, name: str, find: Callable[[list[Key]], Awaitable[dict[Key, Found]]]) -> None:
        self._name = name
        self._find = find
        self._asked: dict[Key, list[asyncio.Future[Found | None]]] = {}
        self._asking = 0
        self._began = 0.0

    async def get(self, key: Key) -> Found | None:
        """What there is under the key, or None."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Found | None] = loop.create_future()
        self._asked.setdefault(key, []).append(answer)
        if not self._asking or (self._asking < LANES and loop.time() - self._began > LONG):
            self._open_lane()
        return await answer

    def _open_lane(self) -> None:
        self._asking += 1
        spawn(self._ask(), name=self._name).add_done_callback(self._close_lane)

    async def _ask(self) -> None:
        loop = asyncio.get_running_loop()
        while self._asked:
            self._began = loop.time()
            keys = list(islice(self._asked, MOST))
            if await self._answer({key: self._asked.pop(key) for key in keys}) > 1:
                await asyncio.sleep(REST)

    def _close_lane(self, lane: asyncio.Task[None]) -> None:
        self._asking -= 1
        if self._asking or not self._asked:
            return
        if not lane.cancelled():
            self._open_lane()  # they asked after its last look
            return
        waiting, self._asked = self._asked, {}
        for answer in chain.from_iterable(waiting.values()):
            answer.cancel()  # the loop ends; perhaps before the lane began

    async def _answer(self, asked: dict[Key, list[asyncio.Future[Found | None]]]) -> int:
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
        return len(waiting)
