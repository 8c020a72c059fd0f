"""What a provider's error status means: ask in another form, try again later, or give up."""

import logging
import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from math import ceil
from time import time

from app.brain.faults import fault
from app.problems import AiError

RETRY_AFTER_MOST = 120.0  # seconds that a provider may ask us to wait

log = logging.getLogger(__name__)


class TransientError(Exception):
    """Nothing was given yet and another request may help."""

    def __init__(self, problem: AiError, wait: float | None = None) -> None:
        super().__init__(problem.message)
        self.problem = problem
        self.wait = wait  # seconds, when the provider named them


class ObjectionError(Exception):
    """The server answered 400; the text says what it does not know."""


def refusal(
    status: int, headers: Mapping[str, str], code: str, words: str
) -> ObjectionError | TransientError | AiError:
    """`words` is all that the provider said. It may quote the prompt or the key, so it is neither
    logged nor told; only `code` is, and the provider's own request id."""
    log.warning(
        "the model provider answered %d, code %s, request %s",
        status,
        _plain(code or "-"),
        _plain(headers.get("x-request-id", "-")),
    )
    if status == 400:
        return ObjectionError(words)
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


def rejection(words: str) -> AiError:
    """A 400 that no other form of the question would avoid."""
    words = words.lower()
    if "content_filter" in words or "content_policy" in words:
        return fault("refused")
    if "context_length" in words:
        return fault("rejected", "This project and request are too long for the model.")
    return fault("rejected")


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds from `Retry-After`, given as a number or as a date; None when it says nothing."""
    value = headers.get("retry-after", "").strip()
    if re.fullmatch(r"\d{1,9}(\.\d{1,9})?", value):
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time())
    except ValueError:
        return None


def _plain(text: str) -> str:
    return re.sub(r"[^\w.-]", "?", text)[:64]
