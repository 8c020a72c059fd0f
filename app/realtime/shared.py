"""Work that many ask for at once and that is done once for all of them."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

from app.problems import Problem
from app.store.tasks import spawn

Result = TypeVar("Result")


class Shared(Generic[Result]):
    """One run of some work per key for all who ask while it runs.

    The last `kept` results are given to those who come later too, until `clear`. A `Problem`
    reaches each who asked; somebody who stops waiting stops nobody else.
    """

    def __init__(self, name: str, *, kept: int = 0) -> None:
        self._name = name
        self._kept = kept
        self._tasks: dict[Hashable, asyncio.Task[Result | Problem]] = {}

    async def get(self, key: Hashable, work: Callable[[], Awaitable[Result]]) -> Result:
        task = self._tasks.get(key)
        if task is None or (task.done() and not self._usable(task)):
            task = self._tasks[key] = spawn(_caught(work), name=self._name)
            done = [old for old, other in self._tasks.items() if other.done()]
            for old in done[: max(0, len(done) - self._kept)]:
                del self._tasks[old]
        result = await asyncio.shield(task)
        if isinstance(result, Problem):
            raise result
        return result

    def clear(self) -> None:
        """Let go of results; what runs goes on for those who wait for it."""
        self._tasks = {key: task for key, task in self._tasks.items() if not task.done()}

    def _usable(self, task: "asyncio.Task[Result | Problem]") -> bool:
        if not self._kept or task.cancelled() or task.exception():
            return False
        return not isinstance(task.result(), Problem)


async def _caught(work: Callable[[], Awaitable[Result]]) -> Result | Problem:
    try:
        return await work()
    except Problem as problem:
        return problem
