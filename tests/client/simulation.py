"""Runs one case of tests/conformance against the client's protocol, in virtual time."""

import hashlib
import heapq
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from app.client.commands import Connect, ReadHead, ReadSnapshot
from app.client.fallback import TransportFallback
from app.client.protocol import TICK_SECONDS, FeedProtocol
from app.client.state import is_over
from app.client.wire import Closing, Json, decode_event

FOLDER = Path(__file__).parents[1] / "conformance"
VOCABULARY = json.loads((FOLDER / "shared" / "vocabulary.json").read_text())


class GoneError(Exception):
    """The project may not be read."""


def named_event(text: str) -> Json:
    """An event of a case by its name, or one of the stream itself."""
    if text in VOCABULARY["events"]:
        event: Json = VOCABULARY["events"][text]
        return event
    kind, _, value = text.partition(" ")
    if kind == "snapshot":
        return own("project.snapshot", VOCABULARY["snapshots"][value])
    name = {"ready": "cursor", "heartbeat": "cursor", "reset": "reason", "revoked": "reason"}[kind]
    return own(f"sync.{kind}", {name: value})


def own(kind: str, data: Json) -> Json:
    return {"type": kind, "projectId": "p1", "data": data}


class Simulation:
    """Server, network and clock of one case. Times in milliseconds."""

    def __init__(self, case: Json) -> None:
        self.case = case
        self.made: list[list[Any]] = []
        self.seen: list[str] = []
        self._time = self._slept = 0.0
        self._plan: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._snapshots = iter(case.get("snapshots", []))
        self._heads = iter(case.get("heads", []))
        fallback = TransportFallback(("sse", "socket", "poll"))
        self.protocol = FeedProtocol(fallback, lambda: float(case.get("random", 1)))

    @property
    def now(self) -> float:
        """Seconds, as the client's clock shows them."""
        return (self._time + self._slept) / 1000

    def play(self) -> None:
        for at in case_times(self.case, "wakes"):
            self._at(at, lambda: self.protocol.wake(self.now))
        for at, by in self.case.get("sleeps", []):
            self._at(at, lambda by=by: self._sleep(by))  # type: ignore[misc]
        for number in range(1, int(self.case["until"] / 1000 / TICK_SECONDS) + 1):
            self._at(number * TICK_SECONDS * 1000, lambda: self.protocol.tick(self.now))
        self.protocol.connect(self.now)
        self._settle()
        while self._plan and self._plan[0][0] <= self.case["until"]:
            self._time, _, action = heapq.heappop(self._plan)
            action()
            self._settle()

    def _at(self, at: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._plan, (at, next(self._numbers), action))

    def _sleep(self, by: float) -> None:
        self._slept += by

    def _settle(self) -> None:
        while self.protocol.commands:
            match self.protocol.commands.pop(0):
                case Connect(attempt, transport, after):
                    self._connect(attempt, transport, after)
                case ReadSnapshot(attempt):
                    self._read_snapshot(attempt)
                case ReadHead(attempt, _):
                    self.protocol.head_received(self.now, attempt, next(self._heads))
        for update in self.protocol.updates:
            if [update.cursor] != self.seen[-1:]:
                self.seen.append(update.cursor)
        self.protocol.updates.clear()
        if timer := self.protocol.timer:
            self._at(timer[0] * 1000 - self._slept, lambda: self._fire(timer))

    def _fire(self, timer: Any) -> None:
        if self.protocol.timer is timer:
            self.protocol.timer_fired(self.now)

    def _connect(self, attempt: int, transport: str, after: str | None) -> None:
        steps = self.case["connections"][len(self.made)]
        self.made.append([round(self._time), transport, after])
        for step in steps:
            self._at(self._time + step["at"], lambda step=step: self._step(attempt, step))  # type: ignore[misc]

    def _step(self, attempt: int, step: Json) -> None:
        for text in step.get("send", []):
            self.protocol.event_received(self.now, attempt, named_event(text))
        if "raw" in step:
            self.protocol.event_received(self.now, attempt, decode_event(step["raw"]))
        if "close" in step:
            wait = step["wait"] / 1000 if "wait" in step else None
            self.protocol.connection_lost(self.now, attempt, Closing(step["close"], wait))

    def _read_snapshot(self, attempt: int) -> None:
        found = next(self._snapshots, "busy")
        if found in ("busy", "gone"):
            self.protocol.snapshot_failed(self.now, attempt, GoneError(), final=found == "gone")
        else:
            self.protocol.snapshot_received(self.now, attempt, VOCABULARY["snapshots"][found])


def case_times(case: Json, name: str) -> list[float]:
    times: list[float] = case.get(name, [])
    return times


def shown(state: Json) -> Json:
    """The whole state in the form that both clients' states are compared in."""
    return {
        "epoch": state["epoch"],
        "revision": state["revision"],
        "project": state["project"],
        "members": sorted(state["members"].values(), key=lambda member: str(member["userId"])),
        "scenes": [
            {**state["scenes"][scene_id], "position": place}
            for place, scene_id in enumerate(state["sceneIds"])
        ],
        "messages": state["messages"],
        "runs": [_run_shown(run) for run in state["runs"].values()],
    }


def _run_shown(entry: Json) -> Json:
    message = entry["message"]
    return {
        "id": entry["run"]["id"],
        "status": entry["run"]["status"],
        "over": is_over(entry),
        "decision": entry["decision"],
        "stage": entry["stage"],
        "percent": entry["percent"],
        "message": message and {"messageId": message["messageId"], **message["text"]},
        "calls": [
            {
                "callId": call_id,
                "toolName": call["toolName"],
                "step": call["step"],
                "outcome": call["outcome"],
                **call["code"],
            }
            for call_id, call in entry["calls"].items()
        ],
    }


def hash_of(state: Json) -> str:
    text = json.dumps(shown(state), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def readable(state: Json) -> Json:
    """What a case's `shows` can say."""
    messages = [run["message"] for run in state["runs"].values() if run["message"]]
    calls = [call for run in state["runs"].values() for call in run["calls"].items()]
    return {
        "scenes": [state["scenes"][scene_id]["name"] for scene_id in state["sceneIds"]],
        "texts": {message["messageId"]: message["text"]["text"] for message in messages},
        "code": {call_id: call["code"]["text"] for call_id, call in calls},
        "people": [[one["userId"], one.get("sceneId")] for one in state["people"]],
        "hidden": state["hidden"],
    }
