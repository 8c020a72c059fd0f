"""Waiting for work to be over, without asking the database all the time."""

import asyncio
import re
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import Any

from app.chat.runs import get_run
from app.http.request import AnyRequest
from app.problems import InvalidInput
from app.projects.chat import OVER, Run
from app.store.engine import DB

WAIT_MOST = 60  # seconds
LOOK = 0.5  # seconds between two looks when nothing was announced (another process works on it)
_SECONDS = re.compile(r"0{0,8}[1-9][0-9]{0,8}")  # digits without end can't be converted


class Waiting:
    """Wakes whoever waits for a project's log to grow; `announce` is one of the announcers."""

    def __init__(self) -> None:
        self._waiters: defaultdict[str, set[asyncio.Event]] = defaultdict(set)
        self._closed = False

    def close(self) -> None:
        """Let nobody wait any more: the process ends."""
        self._closed = True
        for events in self._waiters.values():
            for event in events:
                event.set()

    def reopen(self) -> None:
        """The process serves (again)."""
        self._closed = False

    def announce(self, project_id: str, *_: Any) -> None:
        for event in self._waiters.get(project_id, ()):
            event.set()

    async def until_over(self, run: Run, seconds: float) -> Run:
        """The run once it is over, or as it is when the time is up."""
        now = run

        async def over() -> bool:
            nonlocal now
            now = await get_run(DB, run.id)
            return now.status in OVER

        await self.until(run.project_id, over, seconds)
        return now

    async def until(
        self, project_id: str, fact: Callable[[], Awaitable[bool]], seconds: float
    ) -> bool:
        """Whether the fact came true in time; it is asked whenever the project's log grows."""
        end = time.monotonic() + seconds
        grown = asyncio.Event()
        self._waiters[project_id].add(grown)
        try:
            while True:
                grown.clear()
                if await fact():
                    return True
                left = end - time.monotonic()
                if left <= 0 or self._closed:
                    return False
                try:
                    async with asyncio.timeout(min(left, LOOK)):
                        await grown.wait()
                except TimeoutError:
                    continue
        finally:
            self._waiters[project_id].discard(grown)
            if not self._waiters[project_id]:
                del self._waiters[project_id]


def wait_of(request: AnyRequest) -> int:
    """Seconds of `Prefer: wait=n`, at most a minute; 0 without."""
    prefer = request.headers.get("prefer", "")
    for part in prefer.split(","):
        name, _, value = part.strip().partition("=")
        if name.lower() == "wait":
            if not _SECONDS.fullmatch(value):
                raise InvalidInput("Prefer: wait= takes 1 to 60 seconds.")
            return min(int(value), WAIT_MOST)
    return 0


WAITING = Waiting()
