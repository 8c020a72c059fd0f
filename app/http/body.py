"""What a request body may be: its size, its media type, and the text that PostgreSQL can keep."""

import asyncio
import re
from typing import Any

import msgspec

from app.http.origin import CHANGING, values_of
from app.problems import InvalidInput, PayloadTooLarge, Problem, UnsupportedMediaType

BODY_MOST = 1024 * 1024  # bytes, of all but uploads
BODY_SECONDS = 10.0  # for a whole body to arrive
_JSON = re.compile(r"""application/json\s*(?:;\s*charset="?utf-?8"?\s*)?""", re.IGNORECASE)
_NUL = rb"\u0000"


def length_of(scope: Any) -> int | None:
    """Bytes that the request says it carries: 0 for no body, None for a chunked one."""
    if values_of(scope, b"transfer-encoding"):
        return None
    lengths = values_of(scope, b"content-length")
    if not lengths:
        return 0
    if not lengths[0].isdecimal():
        raise InvalidInput("Content-Length is not a number.")
    return int(lengths[0])


def body_problem(scope: Any, length: int | None, *, upload: bool) -> Problem | None:
    """What is wrong with a body before it is read."""
    if length == 0:
        return None
    if length is not None and length > BODY_MOST and not upload:
        return PayloadTooLarge(f"A request body may have at most {BODY_MOST} bytes.")
    if scope["method"] not in CHANGING:
        return None
    if any(value.strip().lower() != "identity" for value in values_of(scope, b"content-encoding")):
        return UnsupportedMediaType("Request bodies must not be compressed.")
    kinds = values_of(scope, b"content-type")
    if upload and len(kinds) == 1 and kinds[0].lower().startswith("multipart/form-data;"):
        return None
    if len(kinds) != 1 or not _JSON.fullmatch(kinds[0].strip()):
        return UnsupportedMediaType()
    return None


async def read_body(receive: Any, seconds: float) -> bytes | None:
    """The whole body, which must arrive within so many seconds; None when the client left.

    Raises `PayloadTooLarge` when it is too long and `InvalidInput` when it is too slow.
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
                if size > BODY_MOST:
                    raise PayloadTooLarge(f"A request body may have at most {BODY_MOST} bytes.")
                if not message.get("more_body", False):
                    return b"".join(parts)
    except TimeoutError as error:
        raise InvalidInput("The request body did not arrive in time.") from error


def check_text(body: bytes) -> None:
    """Raise `InvalidInput` for a NUL in any string of a JSON body: PostgreSQL can't keep one.

    Lone surrogates and raw control characters are refused by msgspec itself. Only a body that
    holds the escape is decoded; code may well contain an escaped backslash before `u0000`, which
    is harmless.
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
