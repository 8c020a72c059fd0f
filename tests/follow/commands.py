"""What the core of a client wants done, and what it has to tell."""

from typing import Any

import msgspec

from tests.follow.ladder import Transport

Json = dict[str, Any]


class Connect(msgspec.Struct, frozen=True):
    """Give up the connection there is, and make one."""

    attempt: int
    transport: Transport
    after: str | None


class Disconnect(msgspec.Struct, frozen=True):
    """Give up the connection there is; something else comes later."""


class ReadSnapshot(msgspec.Struct, frozen=True):
    attempt: int


class ReadHead(msgspec.Struct, frozen=True):
    attempt: int
    after: str


Command = Connect | Disconnect | ReadSnapshot | ReadHead


class Update(msgspec.Struct, frozen=True):
    """The state after `events` were applied in one step; without events it came as a snapshot."""

    state: Json
    events: list[Json]

    @property
    def cursor(self) -> str:
        return f"{self.state['epoch']}.{self.state['revision']}"
