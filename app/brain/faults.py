"""The ways in which a model call fails, each with a message that users can read."""

from typing import Literal

from app.problems import AiError

Reason = Literal[
    "truncated",
    "stalled",
    "timeout",
    "length",
    "refused",
    "unavailable",
    "rate_limited",
    "too_large",
    "bad_stream",
    "rejected",
]
MESSAGES: dict[Reason, str] = {
    "truncated": "The model's answer broke off before its end. Please try again.",
    "stalled": "The model stopped in the middle of its answer. Please try again.",
    "timeout": "The model took too long to answer. Please try again.",
    "length": "The answer was longer than the model may write. Try asking for something simpler.",
    "refused": "The model declined to answer. Try to put the request differently.",
    "unavailable": "The model cannot be reached right now. Please try again in a moment.",
    "rate_limited": "The model is at its limit of requests. Please try again later.",
    "too_large": "The model's answer was too large to accept. Try asking for something simpler.",
    "bad_stream": "The model sent an answer that could not be read. Please try again.",
    "rejected": "The model provider did not accept the request.",
}


def fault(reason: Reason, message: str | None = None, *, retry_after: int | None = None) -> AiError:
    """Return an `AiError` whose details hold `reason`; `retry_after` is in seconds."""
    return AiError(message or MESSAGES[reason], details={"reason": reason}, retry_after=retry_after)
