"""The layout of a recording's file: long texts and repeated objects once, and filled lines."""

import hashlib
import itertools
from collections import Counter
from collections.abc import Iterable
from typing import Any

from tests.recordings.wire_json import spaced_json

LONG_CHARACTERS = 120  # of a string that is kept once, in `Texts`
MAX_KEPT_CHARACTERS = 2000  # of a string there; longer ones are known by their hash alone
SHARED_CHARACTERS = 100  # of an object that is written down once
MAX_LINE_CHARACTERS = 118
EVENT_MEMBERS = frozenset({"sse", "text", "msgpack"})  # of entries that stay where they are


class Texts:
    """Keeps the long strings of a chapter, by a name that is made of their content."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}

    def named(self, value: Any) -> Any:
        """Return the value with each long string replaced by its name and length."""
        if isinstance(value, str) and len(value) > LONG_CHARACTERS:
            name = hashlib.sha256(value.encode()).hexdigest()[:8]
            self._known[name] = value
            return f"<text {name}, {len(value)} characters>"
        if isinstance(value, dict):
            return {key: self.named(one) for key, one in value.items()}
        if isinstance(value, list):
            return [self.named(one) for one in value]
        return value

    def lines(self) -> dict[str, list[str]]:
        """Return the lines of each text that is not too long."""
        return {
            name: text.splitlines(keepends=True)
            for name, text in sorted(self._known.items())
            if len(text) <= MAX_KEPT_CHARACTERS
        }


class SharedObjects:
    """Writes each object that a chapter repeats once, and refers to it everywhere else."""

    def __init__(self, entries: list[Any]) -> None:
        self._counts = Counter[str]()
        self._uses = Counter[str]()
        self._objects: dict[str, Any] = {}
        self._count(entries)
        self._entries = self._copied(entries)

    def layout(self) -> dict[str, Any]:
        """Return the entries with references, and the objects that these refer to."""
        names = [name for name in sorted(self._objects) if self._uses[name] > 1]
        return {
            "entries": self._inlined(self._entries),
            "objects": {name: self._inlined(self._objects[name]) for name in names},
        }

    def _count(self, value: Any) -> None:
        if isinstance(value, dict) and not value.keys() & EVENT_MEMBERS:
            text = spaced_json(value)
            if len(text) >= SHARED_CHARACTERS:
                self._counts[text] += 1
        for one in _inner(value):
            self._count(one)

    def _copied(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {key: self._replaced(one) for key, one in value.items()}
        return [self._replaced(one) for one in value]

    def _replaced(self, value: Any) -> Any:
        if not isinstance(value, (dict, list)):
            return value
        text = spaced_json(value)
        if isinstance(value, list) or self._counts[text] < 2:
            return self._copied(value)
        name = f"<object {hashlib.sha256(text.encode()).hexdigest()[:6]}>"
        if name not in self._objects:
            self._objects[name] = self._copied(value)
        self._uses[name] += 1
        return name

    def _inlined(self, value: Any) -> Any:
        """Return the value with the objects in it that are referred to from there alone."""
        if isinstance(value, str) and value in self._objects and self._uses[value] == 1:
            return self._inlined(self._objects[value])
        if isinstance(value, dict):
            return {key: self._inlined(one) for key, one in value.items()}
        if isinstance(value, list):
            return [self._inlined(one) for one in value]
        return value


def _inner(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def formatted(value: Any, indent: int = 0) -> str:
    """Return JSON whose lines hold as many whole members as fit into them."""
    line = spaced_json(value)
    if len(line) + indent <= MAX_LINE_CHARACTERS or not isinstance(value, (dict, list)):
        return line
    if isinstance(value, dict):
        parts = [f"{spaced_json(key)}: {formatted(one, indent + 1)}" for key, one in value.items()]
    else:
        parts = [formatted(one, indent + 1) for one in value]
    pad = "\n" + " " * (indent + 1)
    lines = [parts[0]]
    for before, part in itertools.pairwise(parts):
        room = MAX_LINE_CHARACTERS - indent - 3 - len(lines[-1].rpartition("\n")[2])
        if "\n" in before or "\n" in part or len(part) > room:
            lines.append(part)
        else:
            lines[-1] += f", {part}"
    opens, closes = "{}" if isinstance(value, dict) else "[]"
    return f"{opens}{pad}{f',{pad}'.join(lines)}\n{' ' * indent}{closes}"
