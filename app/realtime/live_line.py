"""Live events of one project, put behind the durable ones that they knew of."""

import asyncio
from collections.abc import Callable

import msgspec

from app.realtime import frames, metrics
from app.realtime.live import LiveRun, LiveRuns, snapshot_frame
from app.realtime.model import LiveEvent
from app.realtime.ring import Ring

HELD = 512  # live events that wait for the log
ASK_AGAIN = 0.25  # seconds between two asks for the text of one run
POISON = (msgspec.MsgspecError, LookupError, TypeError, ValueError, AttributeError)


class LiveLine:
    """Lets a live event into the ring if it fits what is there; holds it while the log is behind.

    `ask` is called, seldom for one run, when text is missing: the answer comes as a live event.
    """

    def __init__(self, project_id: str, ring: Ring, ask: Callable[[str], None]) -> None:
        self.runs = LiveRuns(project_id)
        self._project_id = project_id
        self._ring = ring
        self._ask = ask
        self._held: list[LiveEvent] = []
        self._asked: dict[str, float] = {}

    def seed(self, runs: list[LiveRun], so_far: Callable[[str], LiveEvent | None]) -> None:
        """Begin with the turns that run now; their texts are known here, or asked for."""
        self.runs.seed(runs)
        for run in runs:
            if event := so_far(run.run_id):
                self.runs.admit(event)
            else:
                self.refill(run.run_id)

    def admit(self, event: LiveEvent) -> bool:
        """Tell it or drop it; True when it was told."""
        try:
            verdict = self.runs.admit(event)
        except POISON:
            metrics.LIVE_DROPPED.labels("poison").inc()
            return False
        if verdict.cause:
            metrics.LIVE_DROPPED.labels(verdict.cause).inc()
            if verdict.ask:
                self.refill(event.run_id)
            return False
        restated = event.type == "run.snapshot"
        run = self.runs.runs[event.run_id]
        frame = snapshot_frame(self._project_id, run) if restated else frames.live(event)
        self._ring.append([frame])
        return True

    def hold(self, event: LiveEvent) -> None:
        if len(self._held) >= HELD:
            metrics.LIVE_DROPPED.labels("held").inc()
            del self._held[0]
        self._held.append(event)

    def release(self) -> None:
        """The log has moved: what knew no more than it does may be told now."""
        held, self._held = self._held, []
        for event in held:
            if event.after <= self._ring.head:
                self.admit(event)
            else:
                self._held.append(event)

    def refill(self, run_id: str) -> None:
        now = asyncio.get_running_loop().time()
        if now >= self._asked.get(run_id, 0.0):
            self._asked = {key: until for key, until in self._asked.items() if until > now}
            self._asked[run_id] = now + ASK_AGAIN
            metrics.ASKS.inc()
            self._ask(run_id)
