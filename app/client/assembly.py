"""Puts the events of one connection together: once each, in order, a transaction at a time."""

from typing import Any

Json = dict[str, Any]


class TransactionAssembler:
    """Releases events when their transaction is complete.

    `revision` is that of the state that they will be applied to; None before there is one.
    """

    def __init__(self, revision: int | None) -> None:
        self._revision = revision
        self._first = self.received = revision or 0
        self._pending: list[Json] = []

    @property
    def advanced(self) -> bool:
        """Whether any event came that was not known before."""
        return self.received > self._first

    def add(self, event: Json) -> list[Json] | None:
        """Return the events that may be applied now, in one step; None when one is missing.

        An event that is known already is dropped. A live event, which has no revision, waits for
        the transaction in which it came.
        """
        revision = event.get("revision")
        if revision is None:
            if not self._pending:
                return [event]
            self._pending.append(event)
            return []
        if self._revision is None:
            return None
        if revision <= self.received:
            return []
        if revision != self.received + 1:
            return None
        self.received = revision
        self._pending.append(event)
        if revision < event["commit"]:
            return []
        complete, self._pending = self._pending, []
        return complete
