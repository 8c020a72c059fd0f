"""The live events of this process's own workers: deltas are joined, texts are given on demand."""

import asyncio
from collections.abc import Callable

import msgspec

from app.realtime.events import LiveEvent
from app.realtime.live import DELTAS, LiveRun, utf16_length

DELTA_INTERVAL_SECONDS = 0.03  # between two deliveries of one run's deltas
IDLE_RUN_SECONDS = 900.0  # without an event after which a run is forgotten


class _Published(msgspec.Struct):
    """A run of which this process has published something."""

    last: LiveEvent
    run: LiveRun
    touched: float
    waiting: list[LiveEvent] = []  # deltas that are not delivered yet
    delivered_at: float = 0.0
    timer: asyncio.TimerHandle | None = None


class LivePublisher:
    """Delivers the live events of workers, deltas at most once per interval and run."""

    def __init__(self, deliver: Callable[[LiveEvent], None]) -> None:
        self._deliver = deliver
        self._runs: dict[str, _Published] = {}

    def publish(self, event: LiveEvent, run: LiveRun) -> None:
        """Deliver an event of a run, a delta perhaps a little later.

        `run` holds the texts with this event folded in; it is kept by reference, for
        `snapshot_of`. An event of an older attempt or draft than the last one is dropped.
        """
        loop = asyncio.get_running_loop()
        known = self._runs.get(event.run_id)
        if known is None or _age(known.last) < _age(event):
            if known:
                self._flush(known)
            known = self._runs[event.run_id] = _Published(event, run, loop.time())
        elif _age(known.last) > _age(event):
            return
        known.last, known.run, known.touched = event, run, loop.time()
        if event.type not in DELTAS:
            self._flush(known)
            self._deliver(event)
            return
        known.waiting.append(event)
        if loop.time() - known.delivered_at >= DELTA_INTERVAL_SECONDS:
            self._flush(known)
        elif known.timer is None:
            known.timer = loop.call_later(DELTA_INTERVAL_SECONDS, self._flush, known)

    def flush(self, project_id: str) -> None:
        """Deliver what waits: the log of the project is about to publish something newer."""
        for known in self._runs.values():
            if known.waiting and known.last.project_id == project_id:
                self._flush(known)

    def snapshot_of(self, run_id: str) -> LiveEvent | None:
        """Return a `run.snapshot` with all texts of a run of this process, or None."""
        known = self._runs.get(run_id)
        if known is None:
            return None
        self._flush(known)
        data = known.run.snapshot()
        return msgspec.structs.replace(known.last, type="run.snapshot", data=data)

    def republish(self, run_id: str) -> None:
        """Deliver the texts so far of a run, if this process works on it."""
        if event := self.snapshot_of(run_id):
            self._deliver(event)

    def forget(self, run_id: str) -> None:
        """Deliver what waits and drop the run: this process works on it no more."""
        if known := self._runs.pop(run_id, None):
            self._flush(known)

    def forget_idle(self) -> None:
        """Drop runs whose worker has not published for `IDLE_RUN_SECONDS`."""
        before = asyncio.get_running_loop().time() - IDLE_RUN_SECONDS
        for run_id in [key for key, known in self._runs.items() if known.touched < before]:
            self.forget(run_id)

    def _flush(self, known: _Published) -> None:
        if known.timer:
            known.timer.cancel()
            known.timer = None
        waiting, known.waiting = known.waiting, []
        if waiting:
            known.delivered_at = asyncio.get_running_loop().time()
            for event in join_deltas(waiting):
                self._deliver(event)


def _age(event: LiveEvent) -> tuple[int, int]:
    return event.attempt, event.draft


def join_deltas(events: list[LiveEvent]) -> list[LiveEvent]:
    """Join deltas that continue each other in the same text; all others stay as they are."""
    result: list[LiveEvent] = []
    texts: list[str] = []
    end = 0

    def close() -> None:
        if len(texts) > 1:
            last = result[-1]
            data = {**last.data, "text": "".join(texts)}
            result[-1] = msgspec.structs.replace(last, data=data)

    for event in events:
        key = DELTAS[event.type]
        last = result[-1] if result else None
        if (
            last
            and last.type == event.type
            and last.data[key] == event.data[key]
            and last.after == event.after
            and event.data["offset"] == end
        ):
            texts.append(event.data["text"])
        else:
            close()
            result.append(event)
            texts = [event.data["text"]]
            end = event.data["offset"]
        end += utf16_length(event.data["text"])
    close()
    return result
