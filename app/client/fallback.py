"""How long to wait before the next attempt, and which transport it uses."""

from collections.abc import Callable
from typing import Literal

# "socket" is a WebSocket with JSON, "msgpack" one with MessagePack, "poll" the long poll.
Transport = Literal["sse", "socket", "msgpack", "poll"]

BASE_DELAY_SECONDS = 0.5  # the longest wait after one failure; it doubles with each further one
MAX_DELAY_SECONDS = 20.0
MAX_DELAY_FAILURES = 7  # in a row, from which on the wait may be the longest

RESTART_DELAY_SECONDS = 1.0  # at least, after the server said that it restarts
RESTART_SPREAD_SECONDS = 4.0  # at random on top, so that not all clients return at once

MAX_RESETS = 5  # within the window before the client slows down
RESET_WINDOW_SECONDS = 30.0

MAX_SHORT_CONNECTIONS = 3  # in a row before a transport is given up
MAX_SILENT_CONNECTIONS = 2  # in a row, although the log grew, before a transport is given up


def backoff(failures: int, random: Callable[[], float]) -> float:
    """Seconds to wait after so many failures in a row (1 or more), with full jitter."""
    longest = min(MAX_DELAY_SECONDS, BASE_DELAY_SECONDS * 2.0 ** max(0, failures - 1))
    return random() * longest


def restart_delay(random: Callable[[], float]) -> float:
    """Seconds until the next attempt when the server restarts and does not say when."""
    return RESTART_DELAY_SECONDS + random() * RESTART_SPREAD_SECONDS


class ResetGuard:
    """Detects that one reset follows the other, which another attempt at once would not cure."""

    def __init__(self) -> None:
        self._resets: list[float] = []

    def count(self, now: float) -> bool:
        """Count a reset; return True when there were too many within the window."""
        recent = [at for at in self._resets if now - at < RESET_WINDOW_SECONDS]
        self._resets = [*recent, now]
        if len(self._resets) < MAX_RESETS:
            return False
        self._resets = []
        return True


class TransportFallback:
    """The preferred transport until it proves not to get through, then the next; never back."""

    def __init__(self, transports: tuple[Transport, ...]) -> None:
        self._transports = transports
        self._index = self._short = self._silent = 0

    @property
    def transport(self) -> Transport:
        """The one to use now."""
        return self._transports[self._index]

    def count_short(self) -> None:
        """A connection ended as soon as it began: fall back after several in a row."""
        self._short += 1
        if self._short >= MAX_SHORT_CONNECTIONS:
            self.advance()

    def count_silent(self) -> bool:
        """A connection fell silent while the log grew: something on the way holds data back.

        Returns True when another transport is to be used.
        """
        self._silent += 1
        return self._silent >= MAX_SILENT_CONNECTIONS and self.advance()

    def advance(self) -> bool:
        """Fall back to the next transport; return False when there is none."""
        self._short = self._silent = 0
        if self._index + 1 >= len(self._transports):
            return False
        self._index += 1
        return True

    def stable(self) -> None:
        """A connection has lasted for a good while."""
        self._short = 0

    def flowing(self) -> None:
        """An event came when it happened, not only when the connection was opened."""
        self._silent = 0
