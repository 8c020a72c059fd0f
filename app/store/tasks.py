"""Tasks: a clean context and a strong reference for those in the background, no half endings."""

import asyncio
import contextvars
import logging
from collections.abc import Coroutine
from typing import Any, TypeVar

from anyio import CancelScope

Result = TypeVar("Result")

log = logging.getLogger(__name__)
_running: set[asyncio.Task[Any]] = set()


def spawn(work: Coroutine[Any, Any, Any], *, name: str) -> asyncio.Task[Any]:
    """Start work that outlives its caller and inherits no transaction; its failure is logged."""
    task = asyncio.get_running_loop().create_task(work, name=name, context=contextvars.Context())
    _running.add(task)
    task.add_done_callback(_over)
    return task


def _over(task: asyncio.Task[Any]) -> None:
    _running.discard(task)
    if not task.cancelled() and (error := task.exception()):
        log.error("background task %s failed", task.get_name(), exc_info=error)


async def run_to_completion(work: Coroutine[Any, Any, Result]) -> Result:
    """Wait until `work` is over even when the caller is cancelled; that is raised afterwards.

    A shield of anyio alone holds off anyio's own scopes, not `Task.cancel`.
    """
    task = asyncio.ensure_future(work)
    stopped: asyncio.CancelledError | None = None
    with CancelScope(shield=True):
        while not task.done():
            try:
                await asyncio.wait([task])
            except asyncio.CancelledError as reason:
                stopped = reason
    if stopped is not None:
        raise stopped from (None if task.cancelled() else task.exception())
    return task.result()
