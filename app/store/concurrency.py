"""Background tasks, work that must complete, and work that many callers share."""

import asyncio
import contextvars
import logging
from collections.abc import Awaitable, Callable, Coroutine, Hashable
from itertools import chain, islice
from typing import Any, Generic, TypeVar

from anyio import CancelScope

from app.problems import Problem

MAX_BATCH_KEYS = 500  # keys in one query
MAX_CONCURRENT_BATCHES = 2  # queries of one loader; the second only when the first is slow
SLOW_BATCH_SECONDS = 0.05
BATCH_PAUSE_SECONDS = 0.004  # after a query for several callers, so that the next is for more

Result = TypeVar("Result")
Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")

logger = logging.getLogger(__name__)
_running: set[asyncio.Task[Any]] = set()


def spawn(work: Coroutine[Any, Any, Any], *, name: str) -> asyncio.Task[Any]:
    """Start a background task in a clean context, so that it inherits no open transaction.

    The task is referenced until it ends, and its failure is logged.
    """
    task = asyncio.get_running_loop().create_task(work, name=name, context=contextvars.Context())
    _running.add(task)
    task.add_done_callback(_on_end)
    return task


def _on_end(task: asyncio.Task[Any]) -> None:
    _running.discard(task)
    if not task.cancelled() and (error := task.exception()):
        logger.error("background task %s failed", task.get_name(), exc_info=error)


async def run_to_completion(work: Coroutine[Any, Any, Result]) -> Result:
    """Wait until `work` ends even when the caller is cancelled; raise the cancellation after it.

    A shield of anyio alone holds off anyio's own scopes, not `Task.cancel`.
    """
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    with CancelScope(shield=True):
        while not task.done():
            try:
                await asyncio.wait([task])
            except asyncio.CancelledError as error:
                cancelled = error
    if cancelled is not None:
        raise cancelled from (None if task.cancelled() else task.exception())
    return task.result()


class SingleFlight(Generic[Result]):
    """Runs some work once for all callers that ask for the same key while it runs.

    The results of the last `cached` keys also serve later callers, until `clear`. A `Problem` is
    raised for every caller and is not cached. A caller that is cancelled cancels nobody else.
    """

    def __init__(self, name: str, *, cached: int = 0) -> None:
        self._name = name
        self._cached = cached
        self._tasks: dict[Hashable, asyncio.Task[Result | Problem]] = {}

    async def get(self, key: Hashable, work: Callable[[], Awaitable[Result]]) -> Result:
        """Return the result for `key`, which `work` computes if nobody does yet."""
        task = self._tasks.get(key)
        if task is None or (task.done() and not self._is_cacheable(task)):
            task = self._tasks[key] = spawn(_catch_problem(work), name=self._name)
            done = [old for old, other in self._tasks.items() if other.done()]
            for old in done[: max(0, len(done) - self._cached)]:
                del self._tasks[old]
        result = await asyncio.shield(task)
        if isinstance(result, Problem):
            raise result
        return result

    def clear(self) -> None:
        """Forget all results; work that runs goes on for those who wait for it."""
        self._tasks = {key: task for key, task in self._tasks.items() if not task.done()}

    def _is_cacheable(self, task: "asyncio.Task[Result | Problem]") -> bool:
        if not self._cached or task.cancelled() or task.exception():
            return False
        return not isinstance(task.result(), Problem)


async def _catch_problem(work: Callable[[], Awaitable[Result]]) -> Result | Problem:
    try:
        return await work()
    except Problem as problem:
        return problem


class BatchLoader(Generic[Key, Value]):
    """Looks up many keys in one query when many callers ask at the same time.

    `load` gets distinct keys, at most `MAX_BATCH_KEYS`, and returns what it found. A query begins
    after `get` was called, so its answer is never older than the call. A caller that asks alone
    never waits for others; when several ask at once, each waits a few milliseconds for more.
    What `load` raises is raised for every caller of the batch. A caller that is cancelled cancels
    nobody else.
    """

    def __init__(
        self,
        name: str,
        load: Callable[[list[Key]], Awaitable[dict[Key, Value]]],
        *,
        slow_seconds: float = SLOW_BATCH_SECONDS,
    ) -> None:
        self._name = name
        self._load = load
        self._slow_seconds = slow_seconds
        self._waiting: dict[Key, list[asyncio.Future[Value | None]]] = {}
        self._workers = 0
        self._batch_began = 0.0

    async def get(self, key: Key) -> Value | None:
        """Return the value of the key, or None."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Value | None] = loop.create_future()
        self._waiting.setdefault(key, []).append(answer)
        is_slow = loop.time() - self._batch_began > self._slow_seconds
        if not self._workers or (self._workers < MAX_CONCURRENT_BATCHES and is_slow):
            self._start_worker()
        return await answer

    def _start_worker(self) -> None:
        self._workers += 1
        spawn(self._work(), name=self._name).add_done_callback(self._on_worker_end)

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            self._batch_began = loop.time()
            keys = list(islice(self._waiting, MAX_BATCH_KEYS))
            if await self._answer({key: self._waiting.pop(key) for key in keys}) > 1:
                await asyncio.sleep(BATCH_PAUSE_SECONDS)

    def _on_worker_end(self, worker: asyncio.Task[None]) -> None:
        self._workers -= 1
        if self._workers or not self._waiting:
            return
        if not worker.cancelled():
            self._start_worker()  # somebody asked after its last look
            return
        waiting, self._waiting = self._waiting, {}
        for answer in chain.from_iterable(waiting.values()):
            answer.cancel()  # the event loop ends, perhaps before the worker began

    async def _answer(self, batch: dict[Key, list[asyncio.Future[Value | None]]]) -> int:
        """Load one batch and answer its callers; return how many there are."""
        waiting = [(key, answer) for key, answers in batch.items() for answer in answers]
        try:
            found = await self._load(list(batch))
        except Exception as error:  # noqa: BLE001  it is raised for every caller
            for _, answer in waiting:
                if not answer.done():
                    answer.set_exception(error)
        else:
            for key, answer in waiting:
                if not answer.done():
                    answer.set_result(found.get(key))
        finally:
            for _, answer in waiting:
                answer.cancel()  # has an effect only when this worker was cancelled
        return len(waiting)
