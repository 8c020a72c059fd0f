"""Waiting for a condition, with a timeout that allows for a loaded machine."""

import asyncio
import inspect
import os
import time
from collections.abc import Callable
from typing import Any

TOLERANCE = 4 if "PYTEST_XDIST_WORKER" in os.environ else 1  # parallel workers share the machine
POLL_INTERVAL_SECONDS = 0.01


async def eventually(check: Callable[[], Any], within: float = 10.0) -> Any:
    """Return what `check` gives, awaited if it is a coroutine, as soon as that is true.

    `within`: seconds on an idle machine. Raises `TimeoutError` when they are over.
    """
    async with asyncio.timeout(TOLERANCE * within):
        while True:
            found = check()
            if inspect.isawaitable(found):
                found = await found
            if found:
                return found
            await asyncio.sleep(POLL_INTERVAL_SECONDS)


def wait_until(check: Callable[[], Any], within: float = 60.0) -> Any:
    """The same for code outside an event loop. Raises `AssertionError` after the timeout."""
    end = time.monotonic() + within
    while not (found := check()):
        assert time.monotonic() < end, "the condition did not hold in time"
        time.sleep(POLL_INTERVAL_SECONDS)
    return found
