"""Which member lost which right at which revision, so that nothing later is delivered to them."""

from itertools import count
from typing import Literal, NamedTuple

from app.realtime.encoding import Batch, EncodedEvent
from app.realtime.live import entity_of

RANKS = {None: 0, "viewer": 1, "editor": 2, "owner": 3}

_versions = count()


class Loss(NamedTuple):
    """A lost right: nothing from revision `since` on, which begins a transaction, is delivered."""

    since: int
    kind: Literal["revoked", "deleted"]
    reason: str  # role, removed or deleted


class RoleChange(NamedTuple):
    """A member's role (None: removed) as of a revision, and where its transaction begins."""

    revision: int
    since: int
    role: str | None


class Rights:
    """The changes of membership among the events that a hub has published, oldest first."""

    def __init__(self) -> None:
        self._changes: dict[str, list[RoleChange]] = {}
        self._deleted: int | None = None
        self.version = next(_versions)  # differs after each change, and between hubs

    def apply(self, event: EncodedEvent, *, since: int) -> None:
        """Fold a durable event in; `since` is the first revision of its transaction."""
        if event.type == "member.updated":
            data = event.data
            member = entity_of(data, "member")
            removed = member.get("deleted") or data.get("deleted")
            role = None if removed else member.get("role")
            changes = self._changes.setdefault(member["userId"], [])
            changes.append(RoleChange(event.revision, since, role))
            self.version = next(_versions)
        elif event.type == "project.updated":
            deleted = entity_of(event.data, "project").get("deletedAt")
            self._deleted = since if deleted else None
            self.version = next(_versions)

    def loss(self, user_id: str, role: str, after: int) -> Loss | None:
        """Return the first loss of a user who had `role` as of the revision `after`, if any."""
        if self._deleted is not None and self._deleted > after:
            return Loss(self._deleted, "deleted", "deleted")
        for change in self._changes.get(user_id, ()):
            if change.revision > after and RANKS.get(change.role, 0) < RANKS[role]:
                return Loss(change.since, "revoked", "role" if change.role else "removed")
        return None


def visible(batch: Batch, since: int) -> Batch:
    """Return what comes before the transaction that begins with revision `since`."""
    for index, event in enumerate(batch):
        if event.revision >= since:
            return batch[:index]
    return batch
