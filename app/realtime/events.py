"""The events of a project: durable ones of the log, live ones beside it, and cursors."""

from datetime import datetime
from typing import Any

import msgspec

from app.problems import InvalidInput

MAX_REVISION = 2**63 - 1
MAX_EPOCH_CHARACTERS = 32
MAX_REVISION_DIGITS = 19


class Event(msgspec.Struct, rename="camel", kw_only=True, omit_defaults=True):
    """An event as every client receives it; only durable ones have `revision` and `commit`.

    `commit` is the revision of the last event of the same transaction: a client that has applied
    everything up to it holds a state that the project really had.
    """

    type: str
    project_id: str
    revision: int | None = None
    commit: int | None = None
    run_id: str | None = None
    request_id: str
    actor_id: str
    at: datetime
    data: Any


class LiveEvent(msgspec.Struct, rename="camel", kw_only=True, frozen=True):
    """An event that is delivered at most once and never stored; nothing depends on it.

    `after` is the project's revision when it was published: subscribers receive it after that
    revision. `attempt` fences: events of an attempt that has lost its lease are dropped. `draft`
    counts how often the attempt has discarded what it had written; the first event of a draft
    is a `run.snapshot`.
    """

    type: str
    project_id: str
    run_id: str
    request_id: str
    actor_id: str
    at: datetime
    data: Any
    attempt: int
    draft: int = 0
    after: int


class PresentUser(msgspec.Struct, rename="camel", kw_only=True, frozen=True, omit_defaults=True):
    """A person who follows a project, on one scene or on none, over so many connections."""

    user_id: str
    scene_id: str | None = None
    connections: int


class Cursor(msgspec.Struct, frozen=True):
    """A place in a project's log: its holder has everything up to `revision`."""

    epoch: str
    revision: int

    def __str__(self) -> str:
        return f"{self.epoch}.{self.revision}"

    @classmethod
    def parse(cls, text: str) -> "Cursor":
        """Read `<epoch>.<revision>`. Raises `InvalidInput` for anything else."""
        epoch, dot, number = text.partition(".")
        plausible = dot and epoch and len(epoch) <= MAX_EPOCH_CHARACTERS
        if not (plausible and number.isascii() and number.isdigit()):
            raise InvalidInput("A cursor is <epoch>.<revision>.")
        if len(number) > MAX_REVISION_DIGITS or int(number) > MAX_REVISION:
            raise InvalidInput("A cursor's revision is at most 2^63 - 1.")
        return cls(epoch, int(number))
