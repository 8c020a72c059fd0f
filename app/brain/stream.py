"""How an OpenAI-compatible answer is read: bytes into checked text, or the fault they hide."""

from typing import Any

import msgspec

from app.brain.faults import fault
from app.brain.model import Usage
from app.problems import AiError

EVENT_EXTRA = 65_536  # bytes that one event may have around its text
CHARACTERS_PER_TOKEN = 4  # for estimates, when the provider does not count

REGULAR = {"stop", "tool_calls", "function_call"}  # a finish_reason of a whole answer


class _Function(msgspec.Struct):
    name: str | None = None
    arguments: str | dict[str, Any] | None = None


class _ToolCall(msgspec.Struct):
    index: int | None = None
    id: str | None = None
    function: _Function | None = None


class _Delta(msgspec.Struct):
    content: str | None = None
    refusal: str | None = None
    reasoning: Any = None
    reasoning_content: Any = None
    tool_calls: list[_ToolCall] | None = None


class _Choice(msgspec.Struct):
    index: int | None = None
    delta: _Delta | None = None
    message: _Delta | None = None  # in place of `delta` when the server does not stream
    finish_reason: str | None = None


class _CachedTokens(msgspec.Struct):
    cached_tokens: int | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _CachedTokens | None = None


class _Chunk(msgspec.Struct):
    choices: list[_Choice] | None = None
    usage: _Usage | None = None
    error: Any = None
    object: Any = None


class Gain(msgspec.Struct):
    """What one read added: text of the message, and text of the first tool call's arguments."""

    content: str = ""
    arguments: str = ""


class ChatReader:
    """Takes a body as it arrives and gives its text; any fault is raised as `AiError`.

    `progress` counts the chunks that show the model at work: text, arguments or reasoning, but no
    comments and no empty chunks. `finish` is the provider's word on how it ended, `over` says that
    the stream declared its own end. A server that does not stream answers with one JSON
    document; that is read at `end`.
    """

    def __init__(self, *, bytes_most: int) -> None:
        self.finish: str | None = None
        self.usage: Usage | None = None
        self.over = False
        self.progress = 0
        self._most = bytes_most
        self._document: bool | None = None  # None: nothing was received yet
        self._text_bytes = 0
        self._rest = bytearray()
        self._data: list[bytes] = []
        self._error_event = False
        self._events = 0
        self._strange_lines = 0
        self._call: tuple[int | None, str | None] | None = None
        self._other_call = False
        self._decoder = msgspec.json.Decoder(_Chunk)

    @property
    def state(self) -> tuple[int, bool, bool]:
        """Changes whenever the model or the server showed a sign of life."""
        return self.progress, self.finish is not None, self.over

    def feed(self, data: bytes) -> Gain:
        """The text in this piece of the body. A character may be cut between two pieces."""
        gain = Gain()
        searched = len(self._rest)
        self._rest += data
        if self._document is None and (begun := self._rest.lstrip()):
            self._document = begun.startswith(b"{")
        if not self._document:
            start = 0
            while (stop := self._rest.find(b"\n", max(start, searched))) >= 0:
                self._line(bytes(self._rest[start:stop]).removesuffix(b"\r"), gain)
                start = stop + 1
            del self._rest[:start]
        if len(self._rest) > self._most + EVENT_EXTRA:
            raise fault("too_large")
        return gain

    def end(self) -> Gain:
        """The body has ended. What it still held; a body that broke off is a fault."""
        gain = Gain()
        if self._document:
            self._chunk(bytes(self._rest), gain)
        if self.finish is None:
            strange = self._strange_lines and not self._events
            raise fault("bad_stream" if strange else "truncated")
        if self.finish == "length":
            raise fault("length")
        if self.finish == "content_filter":
            raise fault("refused")
        if self.finish not in REGULAR:
            raise fault("bad_stream")
        return gain

    def _line(self, line: bytes, gain: Gain) -> None:
        if self.over or line.startswith(b":"):
            return
        if not line:
            self._dispatch(gain)
            return
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data.append(value)
            if sum(map(len, self._data)) > self._most + EVENT_EXTRA:
                raise fault("too_large")
        elif name == b"event":
            self._error_event = value == b"error"
        elif name not in (b"id", b"retry"):
            self._strange_lines += 1

    def _dispatch(self, gain: Gain) -> None:
        data, failed = b"\n".join(self._data), self._error_event
        self._data.clear()
        self._error_event = False
        if not data:
            return
        self._events += 1
        if data.strip() == b"[DONE]":
            self.over = True
        elif failed:
            raise _stated_fault(data)
        else:
            self._chunk(data, gain)

    def _chunk(self, data: bytes, gain: Gain) -> None:
        try:
            chunk = self._decoder.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise fault("bad_stream") from None  # the cause would quote the model's text
        if chunk.error is not None or chunk.object == "error":
            raise _stated_fault(data)
        if chunk.usage is not None:
            self.usage = _counted(chunk.usage)
        for choice in chunk.choices or ():
            if choice.index in (0, None):
                self._choice(choice, gain)

    def _choice(self, choice: _Choice, gain: Gain) -> None:
        delta = choice.delta or choice.message
        if delta is not None:
            if delta.refusal:
                raise fault("refused")
            arguments = "".join(self._arguments(call) for call in delta.tool_calls or ())
            text = delta.content or ""
            if text or arguments:
                self._check(text + arguments)
                gain.content += text
                gain.arguments += arguments
            if text or delta.tool_calls or delta.reasoning or delta.reasoning_content:
                self.progress += 1
        if choice.finish_reason:
            self.finish = choice.finish_reason.lower()

    def _arguments(self, call: _ToolCall) -> str:
        """Only the first call counts: a second one, or the same one sent twice, is dropped.

        Some servers give every call the index 0 and some every delta a new id; so another
        index is another call, and another id only when a name comes with it.
        """
        function = call.function or _Function()
        if self._call is None:
            self._call = (call.index, call.id)
        index, identity = self._call
        if call.index == index:
            if function.name and call.id and call.id != identity:
                self._other_call = True
        elif call.index is not None and index is not None:
            return ""
        if self._other_call:
            return ""
        if isinstance(function.arguments, dict):
            return msgspec.json.encode(function.arguments).decode()
        return function.arguments or ""

    def _check(self, text: str) -> None:
        if "\0" in text:
            raise fault("bad_stream")
        try:
            self._text_bytes += len(text.encode())
        except UnicodeEncodeError:  # half of a surrogate pair
            raise fault("bad_stream") from None
        if self._text_bytes > self._most:
            raise fault("too_large")


def estimated(asked: int, answered: int) -> Usage:
    """Usage from the number of characters that went out and came back."""
    return Usage(
        input_tokens=-(-asked // CHARACTERS_PER_TOKEN),
        output_tokens=-(-answered // CHARACTERS_PER_TOKEN),
        source="estimated",
    )


def _counted(usage: _Usage) -> Usage:
    details = usage.prompt_tokens_details
    return Usage(
        input_tokens=usage.prompt_tokens or 0,
        output_tokens=usage.completion_tokens or 0,
        cached_tokens=(details.cached_tokens or 0) if details else 0,
        source="provider",
    )


def _stated_fault(data: bytes) -> AiError:
    """What an error object in the stream amounts to; its own words stay out of the message."""
    words = data.lower()
    if b"rate_limit" in words or b"429" in words:
        return fault("rate_limited")
    if b"content_filter" in words or b"content_policy" in words:
        return fault("refused")
    return fault("unavailable")
