"""Background tasks, uncancellable work, and work shared by concurrent callers."""

import asyncio
import contextvars
import logging
from collections.abc import Awaitable, Callable, Coroutine, Hashable
from itertools import chain, islice
from typing import Any, Generic, TypeVar

from anyio import CancelScope

from app.problems import Problem

MAX_BATCH_KEYS = 500  # keys in one query
MAX_CONCURRENT_BATCHES = 2  # of one loader; the second begins only while the first is slow
SLOW_BATCH_SECONDS = 0.05
BATCH_PAUSE_SECONDS = 0.004  # after a batch of several callers, to collect a larger one

Result = TypeVar("Result")
Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")

logger = logging.getLogger(__name__)
_running: set[asyncio.Task[Any]] = set()


def spawn(work: Coroutine[Any, Any, Any], *, name: str) -> asyncio.Task[Any]:
    """Start a background task in an empty context, so that it inherits no open transaction.

    A reference to the task is held until it ends; an exception is logged.
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

    A shield of anyio alone defers only cancellation by anyio's scopes, not `Task.cancel`.
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
    """Runs work once for all callers that request the same key while it runs.

    The results of the last `cached` keys also serve later callers, until `clear`. A `Problem` is
    raised for every caller and is not cached. Cancelling one caller does not cancel the others.
    """

    def __init__(self, name: str, *, cached: int = 0) -> None:
        self._name = name
        self._cached = cached
        self._tasks: dict[Hashable, asyncio.Task[Result | Problem]] = {}

    async def get(self, key: Hashable, work: Callable[[], Awaitable[Result]]) -> Result:
        """Return the result for `key`, calling `work` unless a call for this key is running."""
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
        """Drop all cached results; running work continues for its callers."""
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
    """Loads the keys of concurrent callers in one query.

    With a query for each, a thousand event streams that are opened at once take 2.4 times the
    processor time, WebSockets twice.

    `load` receives distinct keys, at most `MAX_BATCH_KEYS`, and returns the values of those that
    exist. A query begins after the calls of `get` that it serves, so no value is older than its
    call. A single caller never waits for others; after a batch of several callers the next one
    begins some milliseconds later. An exception of `load` is raised for every caller of the batch.
    Cancelling one caller does not cancel the others.
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
            self._start_worker()  # a key was added after its last check
            return
        waiting, self._waiting = self._waiting, {}
        for answer in chain.from_iterable(waiting.values()):
            answer.cancel()  # the event loop is shutting down

    async def _answer(self, batch: dict[Key, list[asyncio.Future[Value | None]]]) -> int:
        """Load one batch and set the results of its callers; return their number."""
        waiting = [(key, answer) for key, answers in batch.items() for answer in answers]
        try:
            found = await self._load(list(batch))
        except Exception as error:  # noqa: BLE001  set for every caller
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
