"""What this process's own workers stream: deltas joined in ticks, and each run's text so far."""

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec

from app.realtime.live import DELTAS, PLACES, Grown, units
from app.realtime.model import LiveEvent

TICK = 0.03  # seconds that deltas wait for others to go with them
FORGET = 900.0  # seconds without a word after which a run's text is let go


class Working(msgspec.Struct):
    """A run of which this process has emitted something."""

    last: LiveEvent
    touched: float
    message: tuple[str, Grown] | None = None
    calls: dict[str, Grown] = {}
    place: dict[str, Any] = {}
    waiting: list[LiveEvent] = []  # emitted and not yet told
    told: float = 0.0
    timer: asyncio.TimerHandle | None = None


class Emitter:
    """Takes live events from workers and tells them on, deltas at most once per tick and run."""

    def __init__(self, tell: Callable[[LiveEvent], None]) -> None:
        self._tell = tell
        self._runs: dict[str, Working] = {}

    def emit(self, event: LiveEvent) -> None:
        """`event.data` is a dict with the wire's names, or a Struct that encodes to one."""
        if not isinstance(event.data, dict):
            event = msgspec.structs.replace(event, data=msgspec.to_builtins(event.data))
        loop = asyncio.get_running_loop()
        work = self._runs.get(event.run_id)
        if work is None or age(work.last) < age(event):
            if work:
                self._flush(work)
            work = self._runs[event.run_id] = Working(event, loop.time())
        elif age(work.last) > age(event):
            return
        work.last, work.touched = event, loop.time()
        self._fold(work, event)
        if event.type not in DELTAS:
            self._flush(work)
            self._tell(event)
            return
        work.waiting.append(event)
        if loop.time() - work.told >= TICK:
            self._flush(work)
        elif work.timer is None:
            work.timer = loop.call_later(TICK, self._flush, work)

    def flush(self, project_id: str) -> None:
        """Tell what waits: the log of the project is about to say something newer."""
        for work in self._runs.values():
            if work.waiting and work.last.project_id == project_id:
                self._flush(work)

    def so_far(self, run_id: str) -> LiveEvent | None:
        """A `run.snapshot` with all texts of a run of this process, as of what was told."""
        work = self._runs.get(run_id)
        if work is None:
            return None
        self._flush(work)
        data: dict[str, Any] = dict(work.place)
        data["calls"] = [
            {"callId": call_id, "code": grown.text, "offset": grown.offset}
            for call_id, grown in work.calls.items()
        ]
        if work.message:
            message_id, grown = work.message
            data["message"] = {
                "messageId": message_id, "text": grown.text, "offset": grown.offset
            }  # fmt: skip
        return msgspec.structs.replace(work.last, type="run.snapshot", data=data)

    def settle(self, run_id: str) -> None:
        """The run is over here: tell what waits and let its text go."""
        if work := self._runs.pop(run_id, None):
            self._flush(work)

    def forget_old(self) -> None:
        """Let go of runs whose worker never said that it was done."""
        before = asyncio.get_running_loop().time() - FORGET
        for run_id in [key for key, work in self._runs.items() if work.touched < before]:
            self.settle(run_id)

    def _fold(self, work: Working, event: LiveEvent) -> None:
        data = event.data
        if event.type == "code.delta":
            grown = work.calls.setdefault(data["callId"], Grown())
        elif event.type == "message.delta":
            if work.message is None or work.message[0] != data["messageId"]:
                work.message = (data["messageId"], Grown())
            grown = work.message[1]
        else:
            work.place |= {key: data[key] for key in PLACES & data.keys()}
            if event.type == "run.snapshot":
                self._restate(work, data)
            return
        if data["offset"] == grown.offset:
            grown.add(data["text"])

    def _restate(self, work: Working, data: Any) -> None:
        work.calls = {call["callId"]: Grown(call["code"]) for call in data.get("calls", [])}
        if message := data.get("message"):
            work.message = message["messageId"], Grown(message["text"])

    def _flush(self, work: Working) -> None:
        if work.timer:
            work.timer.cancel()
            work.timer = None
        waiting, work.waiting = work.waiting, []
        if waiting:
            work.told = asyncio.get_running_loop().time()
            for event in joined(waiting):
                self._tell(event)


def age(event: LiveEvent) -> tuple[int, int]:
    """What is older than another of its run is void."""
    return event.attempt, event.draft


def joined(events: list[LiveEvent]) -> list[LiveEvent]:
    """Deltas that follow each other in one text become one; nothing else changes."""
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
        end += units(event.data["text"])
    close()
    return result
