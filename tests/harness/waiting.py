"""Waiting for a condition, with a limit that allows for a machine that others use too."""

import asyncio
import inspect
import os
import time
from collections.abc import Callable
from typing import Any

TOLERANCE = 4 if "PYTEST_XDIST_WORKER" in os.environ else 1  # others share the machine with us
POLL_INTERVAL_SECONDS = 0.01


async def eventually(check: Callable[[], Any], within: float = 10.0) -> Any:
    """Return what `check` gives, awaited if it is a coroutine, as soon as that is true.

    `within`: seconds on a machine of our own. Raises `TimeoutError` when it is over.
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
    """The same for code outside an event loop. Raises `AssertionError` when time is over."""
    end = time.monotonic() + within
    while not (found := check()):
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(POLL_INTERVAL_SECONDS)
    return found
