"""The text so far of each running turn: a pure fold of the frames that a hub passes on."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import msgspec

from app.realtime.frames import Frame
from app.realtime.model import LiveEvent

DELTAS = {"code.delta": "callId", "message.delta": "messageId"}
PLACES = frozenset({"stage", "percent", "label"})


def units(text: str) -> int:
    """The length in UTF-16 units, as JavaScript counts."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def part(data: Any, name: str) -> Any:
    """The thing that an event is about, bare or under its own name."""
    inner = data.get(name)
    return inner if isinstance(inner, dict) else data


class Grown:
    """A text that grows at its end; `offset` is its length in UTF-16 units."""

    __slots__ = ("_parts", "offset")

    def __init__(self, text: str = "") -> None:
        self._parts = [text] if text else []
        self.offset = units(text)

    def add(self, text: str) -> None:
        self._parts.append(text)
        self.offset += units(text)

    @property
    def text(self) -> str:
        if len(self._parts) > 1:
            self._parts = ["".join(self._parts)]
        return self._parts[0] if self._parts else ""


class Call(msgspec.Struct, kw_only=True):
    """A tool call that has started and not finished."""

    call_id: str
    tool_name: str
    step: int = 1
    code: Grown = msgspec.field(default_factory=Grown)


class LiveRun(msgspec.Struct, kw_only=True):
    """A running turn. As a seed: what the database knows of it; texts are found elsewhere.

    `run` and `decision` are the plain values (camelCase) that the events of the turn carry.
    """

    run_id: str
    request_id: str
    actor_id: str
    attempt: int
    draft: int = 0
    run: Any
    message_id: str | None = None
    decision: Any = None
    calls: dict[str, Call] = {}
    message: Grown = msgspec.field(default_factory=Grown)
    place: dict[str, Any] = {}  # stage, percent, label

    def restart(self) -> None:
        """Another attempt begins: what the last one wrote is void."""
        self.message = Grown()
        self.place = {}
        self.draft = 0
        for call in self.calls.values():
            call.code = Grown()

    def snapshot(self) -> dict[str, Any]:
        """The data of `run.snapshot`."""
        data: dict[str, Any] = {"run": self.run}
        if self.decision is not None:
            data["decision"] = self.decision
        data["calls"] = [
            {
                "callId": call.call_id,
                "toolName": call.tool_name,
                "step": call.step,
                "code": call.code.text,
                "offset": call.code.offset,
            }
            for call in self.calls.values()
        ]
        if self.message_id:
            data["message"] = {
                "messageId": self.message_id,
                "text": self.message.text,
                "offset": self.message.offset,
            }
        return data | {"stage": self.place.get("stage"), "percent": self.place.get("percent")}


class Verdict(msgspec.Struct, frozen=True):
    """What becomes of a live event: told, or dropped for a cause; `ask` when text is missing."""

    cause: str | None = None
    ask: bool = False


TOLD = Verdict()
MISSING = Verdict("missing", ask=True)


class LiveRuns:
    """The running turns of one project, as of the last frame that was passed on."""

    def __init__(self, project_id: str) -> None:
        self.project_id = project_id
        self.runs: dict[str, LiveRun] = {}

    def seed(self, runs: Iterable[LiveRun]) -> None:
        self.runs = {run.run_id: run for run in runs}

    def snapshots(self, run_id: str | None = None) -> list[Frame]:
        """A `run.snapshot` for each running turn, or for one if it is running."""
        return [
            snapshot_frame(self.project_id, run)
            for run in self.runs.values()
            if run_id is None or run.run_id == run_id
        ]

    def apply(self, frame: Frame) -> None:
        """Take a durable frame in."""
        if frame.run_id is None:
            return
        if frame.type in ("run.started", "run.retrying"):
            self._begin(frame)
        elif frame.type == "run.finished":
            self.runs.pop(frame.run_id, None)
        elif run := self.runs.get(frame.run_id):
            if frame.type == "brain.decision":
                run.decision = part(frame.data, "decision")
            elif frame.type == "tool.started":
                self._open(run, frame.data)
            elif frame.type == "tool.finished":
                run.calls.pop(frame.data.get("callId", ""), None)

    def admit(self, event: LiveEvent) -> Verdict:
        """Take a live event in if it fits; it is told only then."""
        run = self.runs.get(event.run_id)
        if run is None:
            return Verdict("over")
        if event.attempt != run.attempt:
            return Verdict("attempt")
        if event.draft < run.draft:
            return Verdict("draft")
        if event.draft > run.draft and event.type in DELTAS:
            return MISSING
        if event.draft > run.draft and event.type == "run.snapshot":
            run.restart()
            run.draft = event.draft
            self._restate(run, event.data)
            return TOLD
        if event.type == "run.snapshot":
            return self._restate(run, event.data)
        if event.type in DELTAS:
            return self._grow(run, event.type, event.data)
        if event.type == "run.progress":
            run.place |= {key: event.data[key] for key in PLACES & event.data.keys()}
        return TOLD

    def _begin(self, frame: Frame) -> None:
        assert frame.run_id
        body = part(frame.data, "run")
        attempt = int(body.get("attempt", 1))
        run = self.runs.get(frame.run_id)
        if run is None:
            run = self.runs[frame.run_id] = LiveRun(
                run_id=frame.run_id,
                request_id=frame.request_id,
                actor_id=frame.actor_id,
                attempt=attempt,
                run=body,
                message_id=body.get("assistantMessageId"),
                decision=body.get("decision"),
            )
        elif run.attempt != attempt or frame.type == "run.retrying":
            run.restart()
        run.attempt, run.run = attempt, body

    def _open(self, run: LiveRun, data: Any) -> None:
        call = Call(
            call_id=data["callId"], tool_name=data.get("toolName", ""), step=data.get("step", 1)
        )
        run.calls[call.call_id] = call

    def _grow(self, run: LiveRun, kind: str, data: Any) -> Verdict:
        grown = self._text_of(run, kind, data[DELTAS[kind]])
        if grown is None:
            return Verdict("over")
        offset, text = data["offset"], data["text"]
        if offset == grown.offset:
            grown.add(text)
            return TOLD
        if offset + units(text) <= grown.offset:
            return Verdict("repeated")
        return MISSING

    def _text_of(self, run: LiveRun, kind: str, target: str) -> Grown | None:
        if kind == "code.delta":
            call = run.calls.get(target)
            return call.code if call else None
        if run.message_id is None:
            run.message_id = target
        return run.message if target == run.message_id else None

    def _restate(self, run: LiveRun, data: Any) -> Verdict:
        """The working process said how far it is; only what is further than we are counts."""
        grew = False
        for told in data.get("calls", []):
            call = run.calls.get(told["callId"])
            if call and told["offset"] > call.code.offset:
                call.code, grew = Grown(told["code"]), True
        message = data.get("message")
        known = message and self._text_of(run, "message.delta", message["messageId"])
        if known and message["offset"] > known.offset:
            run.message, grew = Grown(message["text"]), True
        for key in PLACES & data.keys():
            if run.place.get(key) != data[key]:
                run.place[key], grew = data[key], True
        return TOLD if grew else Verdict("repeated")


def snapshot_frame(project_id: str, run: LiveRun) -> Frame:
    return Frame(
        "run.snapshot",
        project_id,
        msgspec.json.encode(run.snapshot()),
        at=datetime.now(UTC),
        request_id=run.request_id,
        actor_id=run.actor_id,
        run_id=run.run_id,
    )
