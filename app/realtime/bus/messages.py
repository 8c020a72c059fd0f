"""What processes send each other. Losing any of it costs time, never an event."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol

import msgspec

from app.realtime import metrics
from app.realtime.events import LiveEvent, PresentUser
from app.realtime.log import Row

EVERYBODY = ""  # the channel that every process receives; all others are project ids
MAX_HINT_BYTES = 16_384  # of payloads that a hint carries; larger commits are read from the log


class HintRow(msgspec.Struct, array_like=True, frozen=True):
    """A row of the log in a hint; its payload is JSON that is passed through as it is."""

    revision: int
    commit: int
    type: str
    payload: msgspec.Raw
    run_id: str | None
    request_id: str
    actor_id: str
    at: datetime


class LogHint(msgspec.Struct, tag="hint", frozen=True, omit_defaults=True):
    """The project's log has grown to this revision, by these rows if they are few bytes."""

    revision: int
    epoch: str = ""
    rows: list[HintRow] = []

    @classmethod
    def of(cls, rows: Sequence[Row]) -> "LogHint":
        """Return the hint about a commit, with its rows unless they are too large."""
        last = rows[-1]
        if sum(len(row.payload) for row in rows) > MAX_HINT_BYTES:
            return cls(last.revision)
        carried = [
            HintRow(
                row.revision,
                row.commit,
                row.type,
                msgspec.Raw(row.payload),
                row.run_id,
                row.request_id,
                row.actor_id,
                row.at,
            )
            for row in rows
        ]
        return cls(last.revision, last.epoch, carried)

    def log_rows(self) -> list[Row]:
        """The carried rows as the log would give them; empty if they were too large."""
        return [
            Row(
                row.revision,
                row.commit,
                row.type,
                bytes(row.payload),
                row.run_id,
                row.request_id,
                row.actor_id,
                row.at,
                self.epoch,
            )
            for row in self.rows
        ]


class LiveMessage(msgspec.Struct, tag="live", frozen=True):
    """A live event of a run."""

    event: LiveEvent


class PresenceReport(msgspec.Struct, tag="people", frozen=True):
    """Who follows the project in a process, and how many more; with `ask` others report too."""

    process: str
    users: list[PresentUser]
    more: int = 0
    ask: bool = False


class RunSnapshotRequest(msgspec.Struct, tag="ask", frozen=True):
    """The process that works on this run is to publish its texts so far."""

    run_id: str


class Broadcast(msgspec.Struct, tag="tell", frozen=True):
    """A message to another part of the product in every process; `payload` is its JSON."""

    kind: str
    payload: str


Message = LogHint | LiveMessage | PresenceReport | RunSnapshotRequest | Broadcast
OnMessage = Callable[[str, Message], None]
OnLoss = Callable[[], None]


class Envelope(msgspec.Struct, frozen=True):
    """A message on its way; `sender` is a process, which does not receive its own messages."""

    sender: str
    message: Message = msgspec.field(name="word")


class Bus(Protocol):
    """Carries messages between processes, at most once, in order for each sender and channel."""

    async def open(self, process: str, on_message: OnMessage, on_loss: OnLoss) -> None:
        """Start to receive. `on_message` gets the channel and each message of other processes,
        `on_loss` is called when messages may have been lost. Neither may raise.
        """

    async def close(self) -> None:
        """Stop to send and to receive."""

    async def subscribe(self, channel: str) -> None:
        """Receive a channel from now on. Never fails and waits briefly; see `on_loss`."""

    async def unsubscribe(self, channel: str) -> None:
        """Receive a channel no more."""

    def publish(self, channel: str, message: Message) -> None:
        """Send a message soon; never waits and never fails."""


_decoder = msgspec.json.Decoder(Envelope)
_encoder = msgspec.json.Encoder()
_received = metrics.BUS.labels("heard")
_malformed = metrics.BUS.labels("poison")


def encode(sender: str, message: Message) -> bytes:
    """Put a message into its envelope."""
    return _encoder.encode(Envelope(sender, message))


def deliver(process: str, on_message: OnMessage, channel: str, raw: bytes) -> None:
    """Decode an envelope and pass its message on; count and drop what cannot be understood."""
    try:
        envelope = _decoder.decode(raw)
        if envelope.sender != process:
            on_message(channel, envelope.message)
            _received.inc()
    except Exception:  # noqa: BLE001  one message must not end the connection
        _malformed.inc()
