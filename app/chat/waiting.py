"""Waiting for a run to be over, without asking the database all the time."""

import asyncio
import time
from collections import defaultdict

from app.chat.runs import get_run
from app.projects.chat import OVER, Run
from app.store.engine import DB

LOOK = 0.5  # seconds between two looks when nothing was announced (another process works on it)


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

    def announce(self, project_id: str, revision: int) -> None:
        for event in self._waiters.get(project_id, ()):
            event.set()

    async def until_over(self, run: Run, seconds: float) -> Run:
        """The run once it is over, or as it is when the time is up."""
        end = time.monotonic() + seconds
        grown = asyncio.Event()
        self._waiters[run.project_id].add(grown)
        try:
            while True:
                grown.clear()
                run = await get_run(DB, run.id)
                left = end - time.monotonic()
                if run.status in OVER or left <= 0 or self._closed:
                    return run
                try:
                    async with asyncio.timeout(min(left, LOOK)):
                        await grown.wait()
                except TimeoutError:
                    continue
        finally:
            self._waiters[run.project_id].discard(grown)
            if not self._waiters[run.project_id]:
                del self._waiters[run.project_id]


WAITING = Waiting()
