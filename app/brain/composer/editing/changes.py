"""The result of an edit: what it changed, and what it could not do."""

import msgspec


class Changes(msgspec.Struct, frozen=True):
    """Phrases for the note in the chat: what was done, and what failed and why.

    Results are added up in the order of the edits; a result without phrases is false.
    """

    done: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()

    def __add__(self, other: "Changes") -> "Changes":
        return Changes(self.done + other.done, self.failed + other.failed)

    def __bool__(self) -> bool:
        return bool(self.done or self.failed)


NO_CHANGES = Changes()


def done(phrase: str) -> Changes:
    """Return a result with a phrase for what was done."""
    return Changes(done=(phrase,))


def failed(phrase: str) -> Changes:
    """Return a result with a phrase for what failed."""
    return Changes(failed=(phrase,))
