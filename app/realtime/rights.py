"""Who lost which right at which place in the log, so that nobody is told what came later."""

from itertools import count
from typing import Literal, NamedTuple

from app.realtime.frames import Frame
from app.realtime.live import part

RANKS = {None: 0, "viewer": 1, "editor": 2, "owner": 3}


_versions = count()


class Loss(NamedTuple):
    """From the transaction that begins with this revision on, nothing may be told."""

    since: int
    kind: Literal["revoked", "deleted"]
    reason: str  # role, removed or deleted


class Change(NamedTuple):
    revision: int
    since: int
    role: str | None


class Rights:
    """The changes of membership that a hub has passed on, oldest first for each person."""

    def __init__(self) -> None:
        self._changes: dict[str, list[Change]] = {}
        self._deleted: int | None = None
        self.version = next(_versions)  # another one after each change, in all hubs

    def apply(self, frame: Frame, *, since: int) -> None:
        """Take a durable frame in; `since` is the first revision of its transaction."""
        if frame.type == "member.updated":
            member = part(frame.data, "member")
            gone = member.get("deleted") or frame.data.get("deleted")
            role = None if gone else member.get("role")
            changes = self._changes.setdefault(member["userId"], [])
            changes.append(Change(frame.revision, since, role))
            self.version = next(_versions)
        elif frame.type == "project.updated":
            deleted = part(frame.data, "project").get("deletedAt")
            self._deleted = since if deleted else None
            self.version = next(_versions)

    def loss(self, user_id: str, role: str, after: int) -> Loss | None:
        """What someone who was known to have a role as of `after` lost first since then."""
        if self._deleted is not None and self._deleted > after:
            return Loss(self._deleted, "deleted", "deleted")
        for change in self._changes.get(user_id, ()):
            if change.revision > after and RANKS.get(change.role, 0) < RANKS[role]:
                return Loss(change.since, "revoked", "role" if change.role else "removed")
        return None


def visible(batch: list[Frame], since: int) -> list[Frame]:
    """What comes before the transaction that begins with a revision."""
    for index, frame in enumerate(batch):
        if frame.revision >= since:
            return batch[:index]
    return batch
