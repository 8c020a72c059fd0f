"""Hashes and verifies passwords with Argon2, outside the event loop."""

import asyncio
import os
import sys
from concurrent.futures import ThreadPoolExecutor

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from app.auth.model import MAX_PASSWORD_BYTES, MIN_PASSWORD_BYTES
from app.problems import ValidationFailed

MAX_CONCURRENT_HASHES = 2  # each takes 64 MiB and a core for about 150 ms
HASHER = PasswordHasher()


def _lower_priority() -> None:
    """Give the event loop precedence; on Linux the nice value is that of the thread alone."""
    if sys.platform == "linux":
        os.nice(5)


THREADS = ThreadPoolExecutor(
    MAX_CONCURRENT_HASHES, thread_name_prefix="password", initializer=_lower_priority
)
# The hash of no password, verified for unknown accounts so that they take as long as known ones.
# It has the parameters of HASHER.
DUMMY_HASH = (
    "$argon2id$v=19$m=65536,t=3,p=4$bm9ib2R5J3Mgc2FsdA$bm9ib2R5J3MgaGFzaCBub2JvZHkncyBoYXNoIDEyMzQ"
)


def check_new(password: str) -> None:
    """Raise `ValidationFailed` unless the password has 8 to 1024 bytes of UTF-8."""
    size = len(password.encode())
    if not MIN_PASSWORD_BYTES <= size <= MAX_PASSWORD_BYTES:
        rule = "minLength" if size < MIN_PASSWORD_BYTES else "maxLength"
        message = f"A password has {MIN_PASSWORD_BYTES} to {MAX_PASSWORD_BYTES} bytes."
        raise ValidationFailed.at("password", rule, message)


async def hash_of(password: str) -> str:
    """Return the Argon2 hash of a new password; raise `ValidationFailed`."""
    check_new(password)
    return await asyncio.get_running_loop().run_in_executor(THREADS, HASHER.hash, password)


async def matches(known: str | None, password: str) -> bool:
    """Return whether the password has the hash `known`.

    `known` is None for an account without a password, which takes just as long to refuse.
    """
    if len(password.encode()) > MAX_PASSWORD_BYTES:
        return False
    found = await asyncio.get_running_loop().run_in_executor(
        THREADS, _verify, known or DUMMY_HASH, password
    )
    return found and known is not None


def _verify(known: str, password: str) -> bool:
    try:
        return HASHER.verify(known, password)
    except (VerificationError, InvalidHashError):
        return False
