"""Messages and runs, and the signals about runs."""

from datetime import datetime
from typing import Any, Literal

import msgspec

MessageRole = Literal["user", "assistant", "system"]
MessageKind = Literal["message", "status", "error", "clarification"]
MessageStatus = Literal["pending", "success", "error", "cancelled"]
RunStatus = Literal["queued", "running", "succeeded", "failed", "cancelled"]
TERMINAL_STATUSES: frozenset[RunStatus] = frozenset({"succeeded", "failed", "cancelled"})


class RunQueued(msgspec.Struct, frozen=True):
    """A signal: there may be a run to claim."""


class CancelRequested(msgspec.Struct, frozen=True):
    """A signal: a running run is to be cancelled."""

    run_id: str


class Message(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """What a person, the assistant or the system wrote; `sequence` is a revision."""

    id: str
    project_id: str
    run_id: str | None
    author_id: str | None
    role: MessageRole
    kind: MessageKind
    status: MessageStatus
    content: str
    image_urls: list[str]
    sequence: int
    created_at: datetime
    updated_at: datetime


class RunError(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """Why a run failed."""

    code: str
    message: str
    retryable: bool


class Run(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """One chat turn as clients see it.

    `base_revision` is the project's revision before the turn, `sequence` that of `run.queued`.
    The ids of messages are null once the message was deleted.
    """

    id: str
    project_id: str
    actor_id: str
    status: RunStatus
    attempt: int
    prompt: str
    model: str | None
    selected_scene_id: str | None
    user_message_id: str | None
    assistant_message_id: str | None
    base_revision: int
    sequence: int
    decision: dict[str, Any] | None
    error: RunError | None
    cancel_requested_at: datetime | None
    queued_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
