"""What happened in a project: durable events of the log, live events beside it, cursors."""

from datetime import datetime
from typing import Any

import msgspec

from app.problems import InvalidInput

REVISION_MOST = 2**63 - 1


class Event(msgspec.Struct, rename="camel", kw_only=True, omit_defaults=True):
    """An event as every client sees it; `revision` and `commit` only on durable ones.

    `commit` is the revision of the last event of the same transaction: what is applied up to
    there is a state that really was.
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
    """Something that is gone once it was told. Nothing depends on it.

    `after` is the project's revision when it was emitted: it is told behind that one. `attempt`
    fences: what an attempt that lost its lease still says is dropped. `draft` counts how often
    the attempt took back what it had written; the first event of a draft is a `run.snapshot`.
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


class Someone(msgspec.Struct, rename="camel", kw_only=True, frozen=True, omit_defaults=True):
    """A person who follows a project: on one scene, or on none, over so many streams."""

    user_id: str
    scene_id: str | None = None
    connections: int


class Cursor(msgspec.Struct, frozen=True):
    """A place in a project's log: everything up to `revision` is known to whoever holds it."""

    epoch: str
    revision: int

    def __str__(self) -> str:
        return f"{self.epoch}.{self.revision}"

    @classmethod
    def parse(cls, text: str) -> "Cursor":
        """Raise `InvalidInput` unless the text is `<epoch>.<revision>`."""
        epoch, dot, number = text.partition(".")
        if not (dot and epoch and len(epoch) <= 32 and number.isascii() and number.isdigit()):
            raise InvalidInput("A cursor is <epoch>.<revision>.")
        if len(number) > 19 or int(number) > REVISION_MOST:
            raise InvalidInput("A cursor's revision is at most 2^63 - 1.")
        return cls(epoch, int(number))
