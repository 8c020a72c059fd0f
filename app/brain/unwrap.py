"""Extracts a model's answer while it streams: code from its fence, JSON from the text around it."""

import re

from app.brain.stream import Increment

BYTE_ORDER_MARK = "\ufeff"
_OPENING_FENCE = re.compile(r"[ \t\r\n]{0,64}`{3,10}[^`\r\n]{0,64}(?:\r?\n|\Z)")
_PARTIAL_OPENING_FENCE = re.compile(r"[ \t\r\n]{0,64}(?:`{0,2}|`{3,10}[^`\r\n]{0,64}\r?)")
# A closing fence is a line of its own, followed by nothing but white space.
_CLOSING_FENCE = re.compile(r" {0,3}`{3,10}[ \t\r\n]{0,200}\Z")
_PARTIAL_CLOSING = r" {0,3}(?:`{0,2}|`{3,10}[ \t\r\n]{0,200})\Z"
_PARTIAL_CLOSING_AT_LINE_START = re.compile(rf"(?:(?<=\n)|\A){_PARTIAL_CLOSING}")
_PARTIAL_CLOSING_WITHIN_LINE = re.compile(rf"(?<=\n){_PARTIAL_CLOSING}")


class CodeExtractor:
    """Removes the Markdown fence around code, and a byte order mark before it.

    Nothing else changes: however the text is cut into increments, the results concatenate to the
    same code. Only what may still turn out to be part of a fence is held back.
    """

    def __init__(self) -> None:
        self._head = ""
        self._in_head = True
        self._started = False
        self._held_back = ""
        self._at_line_start = True

    def feed(self, increment: Increment) -> str:
        """Return the code that is certain with this increment."""
        text = increment.content
        if text and not self._started:
            self._started = True
            text = text.removeprefix(BYTE_ORDER_MARK)
        if self._in_head:
            self._head += text
            if _PARTIAL_OPENING_FENCE.fullmatch(self._head):
                return ""
            text = self._leave_head()
        return self._body(text)

    def end(self, increment: Increment) -> str:
        """Return the rest of the code, with the last increment of the answer."""
        code = self.feed(increment)
        if self._in_head:
            code += self._body(self._leave_head())
        return code if _CLOSING_FENCE.fullmatch(self._held_back) else code + self._held_back

    def _leave_head(self) -> str:
        self._in_head = False
        opening = _OPENING_FENCE.match(self._head)
        return self._head[opening.end() :] if opening else self._head

    def _body(self, text: str) -> str:
        text = self._held_back + text
        if self._at_line_start:
            fence = _PARTIAL_CLOSING_AT_LINE_START.search(text)
        else:
            fence = _PARTIAL_CLOSING_WITHIN_LINE.search(text)
        end = fence.start() if fence else len(text)
        code, self._held_back = text[:end], text[end:]
        if code:
            self._at_line_start = code.endswith("\n")
        return code


class JsonObjectExtractor:
    """Extracts the first JSON object from a text, without the prose or fence around it.

    It finds where the object ends by counting brackets, and does not check what is in it.
    """

    def __init__(self) -> None:
        self.started = False
        self.finished = False
        self._depth = 0
        self._in_string = False
        self._escaped = False

    def feed(self, text: str) -> str:
        """Return the part of this text that belongs to the object."""
        if self.finished:
            return ""
        start = 0
        if not self.started:
            start = text.find("{")
            if start < 0:
                return ""
            self.started = True
        for position in range(start, len(text)):
            self._step(text[position])
            if self._depth == 0:
                self.finished = True
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


def json_objects(text: str, limit: int) -> list[str]:
    """Return the text of the first `limit` JSON objects in `text`; the last may be incomplete."""
    objects: list[str] = []
    start = text.find("{")
    while start >= 0 and len(objects) < limit:
        found = JsonObjectExtractor().feed(text[start:])
        objects.append(found)
        start = text.find("{", start + len(found))
    return objects


class DecisionExtractor:
    """Extracts the JSON of a decision: the arguments of the tool call, else an object in the text.

    When a tool call was requested (`expects_call`), text may be prose that precedes the call, so
    it is used only if the answer ends without a call.
    """

    def __init__(self, *, expects_call: bool) -> None:
        self._expects_call = expects_call
        self._arguments = JsonObjectExtractor()
        self._content = JsonObjectExtractor()
        self._texts: list[str] = []

    def feed(self, increment: Increment) -> str:
        """Return the part of the decision's JSON that is certain with this increment."""
        if self._expects_call:
            self._texts.append(increment.content)
            return self._arguments.feed(increment.arguments)
        return self._content.feed(increment.content)

    def end(self, increment: Increment) -> str:
        """Return the rest of the JSON, with the last increment of the answer."""
        found = self.feed(increment)
        if self._expects_call and not self._arguments.started:
            found = self._content.feed("".join(self._texts))
        return found
