"""Passwords: argon2, two at a time, never on the event loop."""

import asyncio
import os
import sys
from concurrent.futures import ThreadPoolExecutor

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from app.auth.model import PASSWORD_LEAST, PASSWORD_MOST
from app.problems import ValidationFailed

AT_ONCE = 2  # hashes; each takes 64 MiB and a core for about 150 ms
HASHER = PasswordHasher()


def _step_back() -> None:
    """Let the event loop go first: on Linux a thread, and those it starts, can be nicer alone."""
    if sys.platform == "linux":
        os.nice(5)


THREADS = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="password", initializer=_step_back)
# Nobody's: an unknown account costs the same time as a wrong password. Parameters as HASHER's.
DUMMY = (
    "$argon2id$v=19$m=65536,t=3,p=4$bm9ib2R5J3Mgc2FsdA$bm9ib2R5J3MgaGFzaCBub2JvZHkncyBoYXNoIDEyMzQ"
)


def check_new(password: str) -> None:
    """Raise `ValidationFailed` unless it has 8 to 1024 bytes; nothing else is asked of it."""
    size = len(password.encode())
    if not PASSWORD_LEAST <= size <= PASSWORD_MOST:
        rule = "minLength" if size < PASSWORD_LEAST else "maxLength"
        message = f"A password has {PASSWORD_LEAST} to {PASSWORD_MOST} bytes."
        raise ValidationFailed.at("password", rule, message)


async def hash_of(password: str) -> str:
    check_new(password)
    return await asyncio.get_running_loop().run_in_executor(THREADS, HASHER.hash, password)


async def matches(known: str | None, password: str) -> bool:
    """Whether the password is the one; an account without any takes just as long to refuse."""
    if len(password.encode()) > PASSWORD_MOST:
        return False
    found = await asyncio.get_running_loop().run_in_executor(
        THREADS, _verify, known or DUMMY, password
    )
    return found and known is not None


def _verify(known: str, password: str) -> bool:
    try:
        return HASHER.verify(known, password)
    except (VerificationError, InvalidHashError):
        return False
