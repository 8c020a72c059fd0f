"""Messages and runs: pure values and their columns, and the signals about runs."""

from datetime import datetime
from typing import Any, Literal

import msgspec
from asyncpg import Record

MESSAGE = (
    "id, project_id, run_id, author_id, role, kind, status, content, image_urls, sequence,"
    " created_at, updated_at"
)
RUN = (
    "id, project_id, actor_id, status, attempt, prompt, model, selected_scene_id,"
    " user_message_id, assistant_message_id, base_revision, sequence, decision, error_code,"
    " error_message, error_retryable, cancel_requested_at, queued_at, started_at, ended_at"
)

MessageRole = Literal["user", "assistant", "system"]
MessageKind = Literal["message", "status", "error", "clarification"]
MessageStatus = Literal["pending", "success", "error", "cancelled"]
RunStatus = Literal["queued", "running", "succeeded", "failed", "cancelled"]
OVER: frozenset[RunStatus] = frozenset({"succeeded", "failed", "cancelled"})


class RunQueued(msgspec.Struct, frozen=True):
    """A signal: there may be a run to claim."""


class CancelRequested(msgspec.Struct, frozen=True):
    """A signal: somebody asked for a running run to stop."""

    run_id: str


class Message(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """What a person, the assistant or the system said; `sequence` is a revision."""

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
    """One chat turn as clients see it."""

    id: str
    project_id: str
    actor_id: str
    status: RunStatus
    attempt: int
    prompt: str
    model: str | None
    selected_scene_id: str | None
    user_message_id: str | None  # null once the message was deleted
    assistant_message_id: str | None
    base_revision: int
    sequence: int
    decision: dict[str, Any] | None
    error: RunError | None
    cancel_requested_at: datetime | None
    queued_at: datetime
    started_at: datetime | None
    ended_at: datetime | None


def message_of(row: Record | dict[str, Any]) -> Message:
    """From a row with the columns `MESSAGE`."""
    return Message(**row)


def run_of(row: Record | dict[str, Any]) -> Run:
    """From a row with the columns `RUN`."""
    values = dict(row)
    code, message, retryable = (
        values.pop(name) for name in ("error_code", "error_message", "error_retryable")
    )
    error = RunError(code=code, message=message or "", retryable=bool(retryable)) if code else None
    return Run(**values, error=error)
