"""What a worker tells while it works: text and code as they come, and how far it is.

All of it is live: a reader who misses it gets the rest from `run.snapshot` and the log.
"""

from typing import Any, Protocol

from app.chat.leases import Held
from app.http.envelope import now
from app.realtime.model import LiveEvent


def utf16_length(text: str) -> int:
    """JavaScript's string length."""
    return len(text.encode("utf-16-le")) // 2


class Stage(Protocol):
    """Where live events are told; a process's hubs are one."""

    def emit_live(self, event: LiveEvent) -> None:
        """Tell it; deltas may wait some milliseconds for others."""

    def flush(self, project_id: str) -> None:
        """Tell what waits, before the commit that ends it."""

    def settle(self, run_id: str) -> None:
        """Nothing more comes of this run from this process."""


class LiveTurn:
    """The texts of one attempt at a run; each only ever grows, or starts again as a whole."""

    def __init__(self, held: Held, stage: Stage) -> None:
        self._held = held
        self._told_to = stage
        self.after = held.revision  # of the last commit of this run
        self.content = ""
        self._draft = 0
        self._decision: Any = None
        self._calls: dict[str, dict[str, Any]] = {}
        self._stage, self._percent = "deciding", 5

    def progress(self, stage: str, percent: int, label: str) -> None:
        self._stage, self._percent = stage, percent
        self._tell("run.progress", {"stage": stage, "percent": percent, "label": label})

    def decided(self, decision: Any) -> None:
        self._decision = decision

    def say(self, text: str) -> None:
        """Add a paragraph to the assistant's message."""
        if not text:
            return
        piece = f"\n\n{text}" if self.content else text
        data = {
            "messageId": self._held.run.assistant_message_id,
            "offset": utf16_length(self.content),
            "text": piece,
        }
        self.content += piece
        self._tell("message.delta", data)

    def unsay(self, content: str) -> None:
        """Go back to what was said before: what came after it did not come true."""
        if content != self.content:
            self.content = content
            self._begin_draft()

    def flush(self) -> None:
        """Let nothing that was said come behind what is committed next."""
        self._told_to.flush(self._held.run.project_id)

    def start_call(self, call: dict[str, Any]) -> None:
        self._calls[call["callId"]] = {
            "callId": call["callId"],
            "toolName": call["toolName"],
            "step": call["step"],
            "code": "",
            "offset": 0,
        }

    def write(self, call_id: str, text: str) -> None:
        """Add to the code of a call."""
        call = self._calls[call_id]
        data = {"callId": call_id, "offset": call["offset"], "text": text}
        call["code"] += text
        call["offset"] += utf16_length(text)
        self._tell("code.delta", data)

    def restart_code(self, call_id: str) -> None:
        """Forget what was written so far; readers get the whole state anew."""
        self._calls[call_id].update(code="", offset=0)
        self._begin_draft()

    def end_call(self, call_id: str) -> None:
        self._calls.pop(call_id, None)

    def _begin_draft(self) -> None:
        self._draft += 1
        self._tell("run.snapshot", self.snapshot())

    def snapshot(self) -> dict[str, Any]:
        data: dict[str, Any] = {
            "run": self._held.run,
            "calls": [dict(call) for call in self._calls.values()],
            "message": {
                "messageId": self._held.run.assistant_message_id,
                "text": self.content,
                "offset": utf16_length(self.content),
            },
            "stage": self._stage,
            "percent": self._percent,
        }
        if self._decision is not None:
            data["decision"] = self._decision
        return data

    def _tell(self, kind: str, data: dict[str, Any]) -> None:
        run = self._held.run
        self._told_to.emit_live(
            LiveEvent(
                type=kind,
                project_id=run.project_id,
                run_id=run.id,
                request_id=self._held.request_id,
                actor_id=run.actor_id,
                at=now(),
                data=data,
                attempt=run.attempt,
                draft=self._draft,
                after=self.after,
            )
        )
