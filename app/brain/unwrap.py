"""What models wrap around an answer, taken off while it streams: code fences, prose around JSON."""

import re

from app.brain.stream import Gain

OPENING = re.compile(r"[ \t\r\n]{0,64}`{3,10}[^`\r\n]{0,64}(?:\r?\n|\Z)")
OPENING_BEGUN = re.compile(r"[ \t\r\n]{0,64}(?:`{0,2}|`{3,10}[^`\r\n]{0,64}\r?)")
# A closing fence is a line of its own with nothing but white space behind it.
_CLOSING = r" {0,3}`{3,10}[ \t\r\n]{0,200}\Z"
_CLOSING_BEGUN = r" {0,3}(?:`{0,2}|`{3,10}[ \t\r\n]{0,200})\Z"
CLOSING = re.compile(_CLOSING)
CLOSING_BEGUN_HERE = re.compile(rf"(?:(?<=\n)|\A){_CLOSING_BEGUN}")
CLOSING_BEGUN_LATER = re.compile(rf"(?<=\n){_CLOSING_BEGUN}")
BOM = "\ufeff"


class Code:
    """Code without the Markdown fence around it and a byte order mark before it.

    Nothing else changes, and however the text is cut into pieces, the pieces given concatenate to
    the same code. Held back is only what may still turn out to be a fence.
    """

    def __init__(self) -> None:
        self._head = ""
        self._in_head = True
        self._begun = False
        self._held = ""
        self._line_start = True

    def feed(self, gain: Gain) -> str:
        text = gain.content
        if text and not self._begun:
            self._begun = True
            text = text.removeprefix(BOM)
        if self._in_head:
            self._head += text
            if OPENING_BEGUN.fullmatch(self._head):
                return ""
            text = self._leave_head()
        return self._body(text)

    def end(self, gain: Gain) -> str:
        """The rest, once the model has ended."""
        given = self.feed(gain)
        if self._in_head:
            given += self._body(self._leave_head())
        return given if CLOSING.fullmatch(self._held) else given + self._held

    def _leave_head(self) -> str:
        self._in_head = False
        opening = OPENING.match(self._head)
        return self._head[opening.end() :] if opening else self._head

    def _body(self, text: str) -> str:
        text = self._held + text
        begun = CLOSING_BEGUN_HERE if self._line_start else CLOSING_BEGUN_LATER
        found = begun.search(text)
        keep = found.start() if found else len(text)
        given, self._held = text[:keep], text[keep:]
        if given:
            self._line_start = given.endswith("\n")
        return given


class JsonObject:
    """The first JSON object in a text, without the prose or fence around it.

    It finds where the object ends and does not check what is in it.
    """

    def __init__(self) -> None:
        self.begun = False
        self._depth = 0
        self._in_string = False
        self._escaped = False
        self._over = False

    def feed(self, text: str) -> str:
        if self._over:
            return ""
        start = 0
        if not self.begun:
            start = text.find("{")
            if start < 0:
                return ""
            self.begun = True
        for position in range(start, len(text)):
            self._step(text[position])
            if self._depth == 0:
                self._over = True
                return text[start : position + 1]
        return text[start:]

    def _step(self, character: str) -> None:
        if self._escaped:
            self._escaped = False
        elif self._in_string:
            if character == "\\":
                self._escaped = True
            elif character == '"':
                self._in_string = False
        elif character == '"':
            self._in_string = True
        elif character in "{[":
            self._depth += 1
        elif character in "}]":
            self._depth -= 1


class DecisionText:
    """The one JSON object of a decision: the arguments of the call, else an object in the text.

    When a call was asked for (`called`), text may be talk before it, so it waits for the end.
    """

    def __init__(self, *, called: bool) -> None:
        self._called = called
        self._arguments = JsonObject()
        self._object = JsonObject()
        self._text: list[str] = []

    def feed(self, gain: Gain) -> str:
        if self._called:
            self._text.append(gain.content)
            return self._arguments.feed(gain.arguments)
        return self._object.feed(gain.content)

    def end(self, gain: Gain) -> str:
        """The rest, once the model has ended."""
        given = self.feed(gain)
        if self._called and not self._arguments.begun:
            given = self._object.feed("".join(self._text))
        return given
