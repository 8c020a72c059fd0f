"""The text so far of each running turn: a pure fold of durable and live events."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import msgspec

from app.realtime.encoding import EncodedEvent
from app.realtime.events import LiveEvent

DELTAS = {"code.delta": "callId", "message.delta": "messageId"}  # type to the name of its target
PROGRESS = frozenset({"stage", "percent", "label"})


def utf16_length(text: str) -> int:
    """Return the length in UTF-16 code units, which is JavaScript's string length."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def entity_of(data: Any, name: str) -> Any:
    """Return the entity that an event is about, whether it is `data` or `data[name]`."""
    inner = data.get(name)
    return inner if isinstance(inner, dict) else data


class GrowingText:
    """A text that only grows at its end; `offset` is its length in UTF-16 code units."""

    __slots__ = ("_parts", "offset")

    def __init__(self, text: str = "") -> None:
        self._parts = [text] if text else []
        self.offset = utf16_length(text)

    def append(self, text: str) -> None:
        length = utf16_length(text)  # fails for what is no text
        self._parts.append(text)
        self.offset += length

    @property
    def text(self) -> str:
        if len(self._parts) > 1:
            self._parts = ["".join(self._parts)]
        return self._parts[0] if self._parts else ""


class LiveCall(msgspec.Struct, kw_only=True):
    """A tool call that has started and not finished, with its code so far."""

    call_id: str
    tool_name: str
    step: int = 1
    code: GrowingText = msgspec.field(default_factory=GrowingText)


class LiveRun(msgspec.Struct, kw_only=True):
    """A running turn with its texts so far.

    `run` and `decision` are the plain values (camelCase) that the turn's events carry. Read from
    the database, it has no texts: they are known only to the process that works on the run.
    """

    run_id: str
    request_id: str
    actor_id: str
    attempt: int
    draft: int = 0
    run: Any
    message_id: str | None = None
    decision: Any = None
    calls: dict[str, LiveCall] = {}
    message: GrowingText = msgspec.field(default_factory=GrowingText)
    progress: dict[str, Any] = {}  # stage, percent, label

    def restart(self) -> None:
        """Discard all texts: another attempt or another draft begins."""
        self.message = GrowingText()
        self.progress = {}
        self.draft = 0
        for call in self.calls.values():
            call.code = GrowingText()

    def open_call(self, data: Any) -> None:
        """Fold `tool.started` in; `data` is its data."""
        self.calls[data["callId"]] = LiveCall(
            call_id=data["callId"], tool_name=data.get("toolName", ""), step=data.get("step", 1)
        )

    def set_progress(self, data: Any) -> None:
        """Fold `run.progress` in; `data` is its data."""
        self.progress |= {key: data[key] for key in PROGRESS & data.keys()}

    def snapshot(self) -> dict[str, Any]:
        """Return the data of `run.snapshot`."""
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
        return data | {
            "stage": self.progress.get("stage"),
            "percent": self.progress.get("percent"),
        }


class Admission(msgspec.Struct, frozen=True):
    """Whether a live event is delivered, else why not; `incomplete`: earlier text is missing."""

    cause: str | None = None
    incomplete: bool = False


ADMITTED = Admission()
INCOMPLETE = Admission("missing", incomplete=True)


class LiveRuns:
    """The running turns of one project, as of the last event that its hub has published."""

    def __init__(self, project_id: str) -> None:
        self.project_id = project_id
        self.runs: dict[str, LiveRun] = {}

    def seed(self, runs: Iterable[LiveRun]) -> None:
        """Begin with the turns that the database knows."""
        self.runs = {run.run_id: run for run in runs}

    def snapshots(self, run_id: str | None = None) -> list[EncodedEvent]:
        """Return a `run.snapshot` for each running turn, or for one if it is running."""
        return [
            run_snapshot(self.project_id, run)
            for run in self.runs.values()
            if run_id is None or run.run_id == run_id
        ]

    def apply(self, event: EncodedEvent) -> None:
        """Fold a durable event in."""
        if event.run_id is None:
            return
        if event.type in ("run.started", "run.retrying"):
            self._start(event)
        elif event.type == "run.finished":
            self.runs.pop(event.run_id, None)
        elif run := self.runs.get(event.run_id):
            if event.type == "brain.decision":
                run.decision = entity_of(event.data, "decision")
            elif event.type == "tool.started":
                run.open_call(event.data)
            elif event.type == "tool.finished":
                run.calls.pop(event.data.get("callId", ""), None)

    def admit(self, event: LiveEvent) -> Admission:
        """Fold a live event in if it fits what is known; only then may it be delivered."""
        run = self.runs.get(event.run_id)
        if run is None:
            return Admission("over")
        if event.attempt != run.attempt:
            return Admission("attempt")
        if event.draft < run.draft:
            return Admission("draft")
        if event.draft > run.draft and event.type in DELTAS:
            return INCOMPLETE
        if event.draft > run.draft and event.type == "run.snapshot":
            run.restart()
            run.draft = event.draft
            self._restore(run, event.data)
            return ADMITTED
        if event.type == "run.snapshot":
            return self._restore(run, event.data)
        if event.type in DELTAS:
            return self._append(run, event.type, event.data)
        if event.type == "run.progress":
            run.set_progress(event.data)
        return ADMITTED

    def _start(self, event: EncodedEvent) -> None:
        assert event.run_id
        whole = event.event
        body = entity_of(whole["data"], "run")
        attempt = int(body.get("attempt", 1))
        run = self.runs.get(event.run_id)
        if run is None:
            run = self.runs[event.run_id] = LiveRun(
                run_id=event.run_id,
                request_id=whole["requestId"],
                actor_id=whole["actorId"],
                attempt=attempt,
                run=body,
                message_id=body.get("assistantMessageId"),
                decision=body.get("decision"),
            )
        elif run.attempt != attempt or event.type == "run.retrying":
            run.restart()
        run.attempt, run.run = attempt, body

    def _append(self, run: LiveRun, kind: str, data: Any) -> Admission:
        known = self._text_of(run, kind, data[DELTAS[kind]])
        if known is None:
            return Admission("over")
        offset, text = data["offset"], data["text"]
        if offset == known.offset:
            known.append(text)
            return ADMITTED
        if offset + utf16_length(text) <= known.offset:
            return Admission("repeated")
        return INCOMPLETE

    def _text_of(self, run: LiveRun, kind: str, target: str) -> GrowingText | None:
        if kind == "code.delta":
            call = run.calls.get(target)
            return call.code if call else None
        if run.message_id is None:
            run.message_id = target
        return run.message if target == run.message_id else None

    def _restore(self, run: LiveRun, data: Any) -> Admission:
        """Take over the texts of a `run.snapshot` that are longer than ours."""
        changed = False
        for given in data.get("calls", []):
            call = run.calls.get(given["callId"])
            if call and given["offset"] > call.code.offset:
                call.code, changed = GrowingText(given["code"]), True
        message = data.get("message")
        known = message and self._text_of(run, "message.delta", message["messageId"])
        if known and message["offset"] > known.offset:
            run.message, changed = GrowingText(message["text"]), True
        for key in PROGRESS & data.keys():
            if run.progress.get(key) != data[key]:
                run.progress[key], changed = data[key], True
        return ADMITTED if changed else Admission("repeated")


def run_snapshot(project_id: str, run: LiveRun) -> EncodedEvent:
    """Return the event `run.snapshot` of a running turn."""
    return EncodedEvent(
        "run.snapshot",
        project_id,
        msgspec.json.encode(run.snapshot()),
        at=datetime.now(UTC),
        request_id=run.request_id,
        actor_id=run.actor_id,
        run_id=run.run_id,
    )
