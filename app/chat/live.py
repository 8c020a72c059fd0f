"""The live events of a run: deltas of text and code, and progress.

A subscriber that misses them gets the current state from `run.snapshot` and the log.
"""

from typing import Any, Protocol

import msgspec

from app.chat.leases import LeasedRun
from app.http.envelope import now
from app.realtime.events import LiveEvent
from app.realtime.live import GrowingText, LiveRun


class LiveSink(Protocol):
    """The interface to which live events are published; `Hubs` implements it."""

    def publish_live(self, event: LiveEvent, run: LiveRun) -> None:
        """Publish an event; deltas may be buffered for some milliseconds."""

    def flush(self, project_id: str) -> None:
        """Publish buffered deltas, so that they precede the next commit."""

    def forget_run(self, run_id: str) -> None:
        """Drop the texts of a run on which this process no longer works."""


class LiveTurn:
    """The texts of one attempt at a run; each is only appended to, or restarted as a whole."""

    def __init__(self, leased: LeasedRun, sink: LiveSink) -> None:
        self._sink = sink
        self.after = leased.revision  # of the last commit of this run
        self._project_id = leased.run.project_id
        self._run = LiveRun(
            run_id=leased.run.id,
            request_id=leased.request_id,
            actor_id=leased.run.actor_id,
            attempt=leased.run.attempt,
            run=msgspec.to_builtins(leased.run),
            message_id=leased.run.assistant_message_id,
            progress={"stage": "deciding", "percent": 5},
        )

    @property
    def content(self) -> str:
        """The assistant's message so far."""
        return self._run.message.text

    def progress(self, stage: str, percent: int, label: str) -> None:
        """Publish the progress of the run, in percent."""
        data = {"stage": stage, "percent": percent, "label": label}
        self._run.set_progress(data)
        self._publish("run.progress", data)

    def set_decision(self, decision: Any) -> None:
        """Set the decision, as plain values, for later snapshots."""
        self._run.decision = decision

    def append_paragraph(self, text: str) -> None:
        """Add a paragraph to the assistant's message."""
        if not text:
            return
        message = self._run.message
        piece = f"\n\n{text}" if message.offset else text
        data = {"messageId": self._run.message_id, "offset": message.offset, "text": piece}
        message.append(piece)
        self._publish("message.delta", data)

    def restore_content(self, content: str) -> None:
        """Restore an earlier message after a failed commit."""
        if content != self.content:
            self._run.message = GrowingText(content)
            self._begin_draft()

    def flush(self) -> None:
        """Publish buffered deltas, so that they precede the next commit."""
        self._sink.flush(self._project_id)

    def start_call(self, call: dict[str, Any]) -> None:
        """Add a started tool call; `call` is the data of `tool.started`."""
        self._run.open_call(call)

    def write(self, call_id: str, text: str) -> None:
        """Append to the code of a call."""
        code = self._run.calls[call_id].code
        data = {"callId": call_id, "offset": code.offset, "text": text}
        code.append(text)
        self._publish("code.delta", data)

    def restart_code(self, call_id: str) -> None:
        """Discard the code of a call and publish the whole state again."""
        self._run.calls[call_id].code = GrowingText()
        self._begin_draft()

    def end_call(self, call_id: str) -> None:
        """Remove a finished tool call."""
        self._run.calls.pop(call_id, None)

    def _begin_draft(self) -> None:
        self._run.draft += 1
        self._publish("run.snapshot", self._run.snapshot())

    def _publish(self, kind: str, data: dict[str, Any]) -> None:
        run = self._run
        event = LiveEvent(
            type=kind,
            project_id=self._project_id,
            run_id=run.run_id,
            request_id=run.request_id,
            actor_id=run.actor_id,
            at=now(),
            data=data,
            attempt=run.attempt,
            draft=run.draft,
            after=self.after,
        )
        self._sink.publish_live(event, run)
