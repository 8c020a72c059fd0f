"""Limits of request bodies: size, media type, and text that PostgreSQL can store."""

import asyncio
import re
from typing import Any

import msgspec

from app.http.origin import CHANGING_METHODS, values_of
from app.problems import InvalidInput, PayloadTooLarge, Problem, UnsupportedMediaType

MAX_BODY_BYTES = 1024 * 1024
BODY_TIMEOUT_SECONDS = 10.0  # for a whole body to arrive
_JSON = re.compile(r"""application/json\s*(?:;\s*charset="?utf-?8"?\s*)?""", re.IGNORECASE)
_NUL = rb"\u0000"


def length_of(scope: Any) -> int | None:
    """Return the declared length of the body in bytes: 0 for no body, None for a chunked one.

    Raises `InvalidInput` for a malformed length.
    """
    if values_of(scope, b"transfer-encoding"):
        return None
    lengths = values_of(scope, b"content-length")
    if not lengths:
        return 0
    if not lengths[0].isdecimal():
        raise InvalidInput("Content-Length is not a number.")
    return int(lengths[0])


def body_problem(scope: Any, length: int | None) -> Problem | None:
    """Return the problem of a body that the headers reveal; None if there is none."""
    if length == 0:
        return None
    if length is not None and length > MAX_BODY_BYTES:
        return _too_large()
    if scope["method"] not in CHANGING_METHODS:
        return None
    if any(value.strip().lower() != "identity" for value in values_of(scope, b"content-encoding")):
        return UnsupportedMediaType("Request bodies must not be compressed.")
    kinds = values_of(scope, b"content-type")
    if len(kinds) != 1 or not _JSON.fullmatch(kinds[0].strip()):
        return UnsupportedMediaType()
    return None


async def read_body(receive: Any, seconds: float) -> bytes | None:
    """Return the whole body; None when the client disconnected.

    Raises `PayloadTooLarge`, or `InvalidInput` when the body takes longer than `seconds`.
    """
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(seconds):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return None
                parts.append(message.get("body", b""))
                size += len(parts[-1])
                if size > MAX_BODY_BYTES:
                    raise _too_large()
                if not message.get("more_body", False):
                    return b"".join(parts)
    except TimeoutError as error:
        raise InvalidInput("The request body did not arrive in time.") from error


def _too_large() -> Problem:
    return PayloadTooLarge(f"A request body may have at most {MAX_BODY_BYTES} bytes.")


def check_text(body: bytes) -> None:
    """Raise `InvalidInput` for a NUL in any string of a JSON body: PostgreSQL cannot store one.

    msgspec itself refuses lone surrogates and raw control characters. Only a body that contains
    the characters of the escape is decoded here, since code may contain an escaped backslash
    before `u0000`, which is harmless.
    """
    if _NUL not in body:
        return
    try:
        value = msgspec.json.decode(body)
        if _has_nul(value):
            raise InvalidInput("Text must not contain the character U+0000.")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidInput("The body is not valid JSON.") from error


def _has_nul(value: Any) -> bool:
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            if "\x00" in item:
                return True
        elif isinstance(item, dict):
            waiting.extend(item)
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)
    return False
