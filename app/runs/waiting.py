"""Waiting for runs and generations to end, woken by signals instead of frequent polling."""

import asyncio
import re
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable

from app.http.request import AnyRequest
from app.problems import InvalidInput
from app.realtime.log import LogGrew
from app.runs.model import TERMINAL_STATUSES, Run
from app.runs.reads import get_run
from app.store.database import Database

MAX_WAIT_SECONDS = 60  # of `Prefer: wait=n`
POLL_INTERVAL_SECONDS = 0.5  # for commits of other processes, which send no signal
_SECONDS = re.compile(r"0{0,8}[1-9][0-9]{0,8}")  # bounded, since `int` is slow for many digits


class Waiting:
    """Lets requests wait for a condition in a project.

    Connect `log_grew` to the signal `LogGrew`, after which the conditions of the project are
    checked again.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiters: defaultdict[str, set[asyncio.Event]] = defaultdict(set)
        self._closed = False

    def close(self) -> None:
        """End all current and future waits, at shutdown."""
        self._closed = True
        for events in self._waiters.values():
            for event in events:
                event.set()

    def log_grew(self, grown: LogGrew) -> None:
        """Wake the requests that wait for a condition in this project."""
        for event in self._waiters.get(grown.project_id, ()):
            event.set()

    async def until_over(self, run: Run, seconds: float) -> Run:
        """Return the run once it has ended, or its state after `seconds`."""
        now = run

        async def over() -> bool:
            nonlocal now
            now = await get_run(self._database, run.id)
            return now.status in TERMINAL_STATUSES

        await self.until(run.project_id, over, seconds)
        return now

    async def until(
        self, project_id: str, condition: Callable[[], Awaitable[bool]], seconds: float
    ) -> bool:
        """Return whether `condition` became true within `seconds`."""
        end = time.monotonic() + seconds
        grown = asyncio.Event()
        self._waiters[project_id].add(grown)
        try:
            while True:
                grown.clear()
                if await condition():
                    return True
                left = end - time.monotonic()
                if left <= 0 or self._closed:
                    return False
                try:
                    async with asyncio.timeout(min(left, POLL_INTERVAL_SECONDS)):
                        await grown.wait()
                except TimeoutError:
                    continue
        finally:
            self._waiters[project_id].discard(grown)
            if not self._waiters[project_id]:
                del self._waiters[project_id]


def wait_of(request: AnyRequest) -> int:
    """Return the seconds of `Prefer: wait=n`, at most 60, or 0. Raises `InvalidInput`."""
    prefer = request.headers.get("prefer", "")
    for part in prefer.split(","):
        name, _, value = part.strip().partition("=")
        if name.lower() == "wait":
            if not _SECONDS.fullmatch(value):
                raise InvalidInput("Prefer: wait= takes 1 to 60 seconds.")
            return min(int(value), MAX_WAIT_SECONDS)
    return 0
