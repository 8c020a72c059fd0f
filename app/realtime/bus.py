"""What processes tell each other, and how; losing any of it costs speed, never an event."""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from app.realtime import metrics
from app.realtime.model import LiveEvent, Someone

EVERYBODY = ""  # the channel that every process hears; all others are project ids


class Hint(msgspec.Struct, tag="hint", frozen=True):
    """The project's log has grown to this revision."""

    revision: int


class Live(msgspec.Struct, tag="live", frozen=True):
    """A live event of a run."""

    event: LiveEvent


class People(msgspec.Struct, tag="people", frozen=True):
    """Who follows the project in a process, and how many more; `ask`: who is with you?"""

    process: str
    users: list[Someone]
    more: int = 0
    ask: bool = False


class Ask(msgspec.Struct, tag="ask", frozen=True):
    """Whoever works on this run: say the text so far."""

    run_id: str


class Tell(msgspec.Struct, tag="tell", frozen=True):
    """A word to another part of the product in every process."""

    kind: str
    payload: str


Word = Hint | Live | People | Ask | Tell


class Letter(msgspec.Struct, frozen=True):
    """A word on its way; `sender` is the process, which does not hear itself."""

    sender: str
    word: Word


class Ears(Protocol):
    """Who listens to a bus."""

    name: str

    def hear(self, channel: str, word: Word) -> None:
        """Called for each word of another process on a followed channel, in their order."""

    def suspect(self) -> None:
        """Called when words may have been lost: ask the log."""


class Bus(Protocol):
    """Carries words between processes, at most once, in order of sender and channel."""

    async def open(self, ears: Ears) -> None: ...

    async def close(self) -> None: ...

    async def follow(self, project_id: str) -> None:
        """Hear the project from now on. Does not fail and waits briefly: see `Ears.suspect`."""

    async def unfollow(self, project_id: str) -> None: ...

    def publish(self, channel: str, word: Word) -> None:
        """Put the word on its way; never waits and never fails."""


_decoder = msgspec.json.Decoder(Letter)
_encoder = msgspec.json.Encoder()
_heard = metrics.BUS.labels("heard")


def pack(sender: str, word: Word) -> bytes:
    return _encoder.encode(Letter(sender, word))


def deliver(ears: Ears, channel: str, raw: bytes) -> None:
    """Hand a letter to its reader; what cannot be understood is counted and forgotten."""
    try:
        letter = _decoder.decode(raw)
        if letter.sender != ears.name:
            ears.hear(channel, letter.word)
            _heard.inc()
    except (msgspec.MsgspecError, ValueError, TypeError, LookupError, AttributeError):
        metrics.BUS.labels("poison").inc()


class LocalBus:
    """The bus within one process. Several `Ears` may share one, as processes share a Redis."""

    def __init__(self) -> None:
        self._shared: list[LocalBus] = [self]
        self._ears: Ears | None = None
        self._followed = Counter([EVERYBODY])

    def sibling(self) -> "LocalBus":
        """Another end of the same bus."""
        other = LocalBus()
        other._shared = self._shared
        self._shared.append(other)
        return other

    async def open(self, ears: Ears) -> None:
        self._ears = ears

    async def close(self) -> None:
        self._ears = None

    async def follow(self, project_id: str) -> None:
        self._followed[project_id] += 1

    async def unfollow(self, project_id: str) -> None:
        self._followed[project_id] -= 1

    def publish(self, channel: str, word: Word) -> None:
        for other in self._shared:
            if other is not self and other._ears and other._followed[channel]:
                raw = pack(self._ears.name if self._ears else "", word)
                _soon(deliver, other._ears, channel, raw)


def _soon(work: Callable[..., Any], *values: Any) -> None:
    asyncio.get_running_loop().call_soon(work, *values)
