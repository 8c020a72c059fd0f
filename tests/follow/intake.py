"""Puts the events of one connection together: once each, in order, a transaction at once."""

from typing import Any

Json = dict[str, Any]


class Intake:
    """`revision`: that of the state; None before there is one."""

    def __init__(self, revision: int | None) -> None:
        self._revision = revision
        self._from = self.received = revision or 0
        self._held: list[Json] = []

    @property
    def grew(self) -> bool:
        """Whether anything came that was not known before."""
        return self.received > self._from

    def take(self, event: Json) -> list[Json] | None:
        """What may be applied now, in one step; None when something is missing."""
        revision = event.get("revision")
        if revision is None:
            if not self._held:
                return [event]
            self._held.append(event)
            return []
        if self._revision is None:
            return None
        if revision <= self.received:
            return []
        if revision != self.received + 1:
            return None
        self.received = revision
        self._held.append(event)
        if revision < event["commit"]:
            return []
        whole, self._held = self._held, []
        return whole
