"""How fast to try again, and over which transport."""

from collections.abc import Callable
from typing import Literal

Transport = Literal["sse", "socket", "msgpack", "poll"]

FIRST, MOST = 0.5, 20.0  # seconds to wait at most after the first failure, and after many
RESETS_MOST, RESETS_WITHIN = 5, 30.0  # seconds
HERD = (1.0, 4.0)  # seconds: at least, and at random on top, after a restart
MANY = 7  # failures for which the wait is longest
STRIKES = 3  # short-lived connections in a row
MUTES = 2  # connections in a row that fell silent although there was something to tell


def backoff(failures: int, random: Callable[[], float]) -> float:
    """Seconds to wait after so many failures in a row (1 or more): full jitter."""
    return random() * min(MOST, FIRST * 2.0 ** max(0, failures - 1))


def after_restart(random: Callable[[], float]) -> float:
    """Seconds after which to come again when the server restarts and does not say when."""
    return HERD[0] + random() * HERD[1]


class LoopGuard:
    """Notices when one reset follows the other: trying at once does not cure that."""

    def __init__(self) -> None:
        self._resets: list[float] = []

    def count(self, now: float) -> bool:
        """Count one; True when there were too many."""
        self._resets = [*(at for at in self._resets if now - at < RESETS_WITHIN), now]
        if len(self._resets) < RESETS_MOST:
            return False
        self._resets = []
        return True


class Ladder:
    """The best transport until it was shown not to get through, then the next; never back."""

    def __init__(self, transports: tuple[Transport, ...]) -> None:
        self._transports = transports
        self._at = self._strikes = self._mutes = 0

    @property
    def transport(self) -> Transport:
        return self._transports[self._at]

    def strike(self) -> None:
        """A connection was over as soon as it began."""
        self._strikes += 1
        if self._strikes >= STRIKES:
            self.next()

    def mute(self) -> bool:
        """A connection fell silent while the log grew: something keeps what it should pass on.

        True for a next transport.
        """
        self._mutes += 1
        return self._mutes >= MUTES and self.next()

    def next(self) -> bool:
        """True when there is one."""
        self._strikes = self._mutes = 0
        if self._at + 1 >= len(self._transports):
            return False
        self._at += 1
        return True

    def stable(self) -> None:
        """A connection has held for a good while."""
        self._strikes = 0

    def flows(self) -> None:
        """Something came when it happened, not only when the connection was made."""
        self._mutes = 0
