"""What the protocol asks its driver to do, and what it reports."""

from typing import Any

import msgspec

from app.client.fallback import Transport

Json = dict[str, Any]
State = Json  # the state of a project, see `app.client.state`


class Connect(msgspec.Struct, frozen=True):
    """Close the connection there is and open one, after a cursor or from a snapshot."""

    attempt: int
    transport: Transport
    after: str | None


class Disconnect(msgspec.Struct, frozen=True):
    """Close the connection there is; another command follows later."""


class ReadSnapshot(msgspec.Struct, frozen=True):
    """Request the project's snapshot."""

    attempt: int


class ReadHead(msgspec.Struct, frozen=True):
    """Request the newest cursor, by a poll after this one that does not wait."""

    attempt: int
    after: str


Command = Connect | Disconnect | ReadSnapshot | ReadHead


class Update(msgspec.Struct, frozen=True):
    """The state after `events` were applied in one step; without events it is a new snapshot.

    The events of one transaction are always in one update.
    """

    state: State
    events: list[Json]

    @property
    def cursor(self) -> str:
        """The place of this state in the project's log, `<epoch>.<revision>`."""
        return f"{self.state['epoch']}.{self.state['revision']}"
