"""Maps a provider's error status to an error: bad request, transient, or final."""

import logging
import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from math import ceil
from time import time

from app.brain.faults import fault
from app.problems import AiError

MAX_RETRY_AFTER_SECONDS = 120.0  # longest wait that a provider may ask for
MAX_LOGGED_CHARACTERS = 64  # of a provider's code or request id

logger = logging.getLogger(__name__)


class TransientError(Exception):
    """A failure before the first piece that another request may not meet.

    `problem` is the error to raise when there is no other request; `wait` is in seconds, None
    when the provider named no time.
    """

    def __init__(self, problem: AiError, wait: float | None = None) -> None:
        super().__init__(problem.message)
        self.problem = problem
        self.wait = wait


class BadRequestError(Exception):
    """The provider answered 400; the text of the error is the provider's explanation."""


def refusal(
    status: int, headers: Mapping[str, str], code: str, explanation: str
) -> BadRequestError | TransientError | AiError:
    """Return the error for an error status.

    `explanation` is the provider's whole text. It may quote the prompt or the key, so it is
    neither logged nor shown; only `code` and the provider's request id are logged.
    """
    logger.warning(
        "the model provider answered %d, code %s, request %s",
        status,
        _sanitized(code or "-"),
        _sanitized(headers.get("x-request-id", "-")),
    )
    if status == 400:
        return BadRequestError(explanation)
    if status in (401, 403):
        return fault("rejected", "The model provider did not accept the server's credentials.")
    if status == 404:
        return fault("rejected", "The model provider does not know this model.")
    if status == 429 and code == "insufficient_quota":
        return fault("rate_limited", "The server's account with the model provider is used up.")
    if status in (408, 409, 429) or status >= 500:
        wait = _retry_after(headers)
        after = None if wait is None else ceil(wait)
        reason = fault("rate_limited" if status == 429 else "unavailable", retry_after=after)
        return TransientError(reason, wait)
    return fault("rejected")


def rejection(explanation: str) -> AiError:
    """Return the error for a 400 that no other form of the request would avoid."""
    explanation = explanation.lower()
    if "content_filter" in explanation or "content_policy" in explanation:
        return fault("refused")
    if "context_length" in explanation:
        return fault("rejected", "This project and request are too long for the model.")
    return fault("rejected")


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that `Retry-After` gives as a number or a date; None when it is absent."""
    value = headers.get("retry-after", "").strip()
    if re.fullmatch(r"\d{1,9}(\.\d{1,9})?", value):
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time())
    except ValueError:
        return None


def _sanitized(text: str) -> str:
    return re.sub(r"[^\w.-]", "?", text)[:MAX_LOGGED_CHARACTERS]
