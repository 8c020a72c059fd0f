"""Who follows a project, how patiently, and how that ends."""

from collections.abc import Awaitable, Callable
from typing import Literal, Protocol

import msgspec

from app.realtime.model import Cursor

Kind = Literal[
    "left", "restart", "revoked", "deleted", "unauthorised", "slow", "finished", "unavailable"
]


class Ending(msgspec.Struct, frozen=True):
    """Why a reader is told no more; `reason` is what `sync.revoked` says."""

    kind: Kind
    reason: str = ""


class Watcher(msgspec.Struct, frozen=True, kw_only=True):
    """Who follows, as what, and when that was known.

    `seen` is the project's epoch and revision when the role was read: losses after it end the
    stream. `recheck` is asked when `seen` is missing or too old, and with each heartbeat: it
    promises that the session is valid, and raises `Forbidden` or `NotFound` when the account has
    less than this role. Any other `Problem` leaves things as they are.
    """

    user_id: str
    role: str
    seen: Cursor | None = None
    recheck: Callable[[], Awaitable[bool]] | None = None


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """Times in seconds."""

    heartbeat: float = 14.0  # with the clock's tick no more than the contract's 15
    life: tuple[float, float] = (600.0, 900.0)  # a connection ends at random in between
    stall: float = 10.0  # a write that takes longer ends the connection
    hello: float = 10.0
    head_check: float = 2.0
    linger: float = 30.0  # a hub that nobody follows


class Driver(Protocol):
    """Writes what a follower is to be told."""

    def look(self) -> None:
        """Something happened: the follower was ended, perhaps."""

    def tick(self, now: float) -> None: ...
