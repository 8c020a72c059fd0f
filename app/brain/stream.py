"""Reads the body of an OpenAI-compatible answer: bytes into checked text, or a fault."""

from typing import Any

import msgspec

from app.brain.faults import fault
from app.brain.model import TokenUsage
from app.problems import AiError

MAX_EVENT_OVERHEAD_BYTES = 65_536  # of one event, besides its text
CHARACTERS_PER_TOKEN = 4  # for estimates, when the provider does not count

COMPLETE_FINISH_REASONS = {"stop", "tool_calls", "function_call"}  # of a whole answer


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


class Increment(msgspec.Struct):
    """The text that one read added: of the message, and of the first tool call's arguments."""

    content: str = ""
    arguments: str = ""


class ChatReader:
    """Takes the body of an answer in pieces and returns its text; raises faults as `AiError`.

    `finish_reason` is the provider's reason for the end, None before it. `done` is true once the
    stream has declared its own end. `progress` counts the chunks that show the model at work:
    text, arguments or reasoning, but no comments and no empty chunks. A server that does not
    stream answers with one JSON document, which is parsed by `end`.
    """

    def __init__(self, *, max_text_bytes: int) -> None:
        self.finish_reason: str | None = None
        self.usage: TokenUsage | None = None
        self.done = False
        self.progress = 0
        self._max_text_bytes = max_text_bytes
        self._is_document: bool | None = None  # None: nothing was received yet
        self._text_bytes = 0
        self._buffer = bytearray()
        self._data_lines: list[bytes] = []
        self._is_error_event = False
        self._events = 0
        self._unknown_lines = 0
        self._first_call: tuple[int | None, str | None] | None = None  # index and id
        self._second_call_started = False
        self._decoder = msgspec.json.Decoder(_Chunk)

    @property
    def state(self) -> tuple[int, bool, bool]:
        """A value that changes with each progress of the model or the server."""
        return self.progress, self.finish_reason is not None, self.done

    def feed(self, data: bytes) -> Increment:
        """Return the text in this piece of the body, which may end within a character."""
        increment = Increment()
        searched = len(self._buffer)
        self._buffer += data
        if self._is_document is None and (beginning := self._buffer.lstrip()):
            self._is_document = beginning.startswith(b"{")
        if not self._is_document:
            start = 0
            while (stop := self._buffer.find(b"\n", max(start, searched))) >= 0:
                self._read_line(bytes(self._buffer[start:stop]).removesuffix(b"\r"), increment)
                start = stop + 1
            del self._buffer[:start]
        if len(self._buffer) > self._max_text_bytes + MAX_EVENT_OVERHEAD_BYTES:
            raise fault("too_large")
        return increment

    def end(self) -> Increment:
        """Return the text that is left at the end of the body; a body that broke off is a fault."""
        increment = Increment()
        if self._is_document:
            self._read_chunk(bytes(self._buffer), increment)
        if self.finish_reason is None:
            is_no_stream = self._unknown_lines and not self._events
            raise fault("bad_stream" if is_no_stream else "truncated")
        if self.finish_reason == "length":
            raise fault("length")
        if self.finish_reason == "content_filter":
            raise fault("refused")
        if self.finish_reason not in COMPLETE_FINISH_REASONS:
            raise fault("bad_stream")
        return increment

    def _read_line(self, line: bytes, increment: Increment) -> None:
        if self.done or line.startswith(b":"):
            return
        if not line:
            self._dispatch_event(increment)
            return
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data_lines.append(value)
            if sum(map(len, self._data_lines)) > self._max_text_bytes + MAX_EVENT_OVERHEAD_BYTES:
                raise fault("too_large")
        elif name == b"event":
            self._is_error_event = value == b"error"
        elif name not in (b"id", b"retry"):
            self._unknown_lines += 1

    def _dispatch_event(self, increment: Increment) -> None:
        data, is_error = b"\n".join(self._data_lines), self._is_error_event
        self._data_lines.clear()
        self._is_error_event = False
        if not data:
            return
        self._events += 1
        if data.strip() == b"[DONE]":
            self.done = True
        elif is_error:
            raise _reported_fault(data)
        else:
            self._read_chunk(data, increment)

    def _read_chunk(self, data: bytes, increment: Increment) -> None:
        try:
            chunk = self._decoder.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise fault("bad_stream") from None  # the cause would quote the model's text
        if chunk.error is not None or chunk.object == "error":
            raise _reported_fault(data)
        if chunk.usage is not None:
            self.usage = _counted_usage(chunk.usage)
        for choice in chunk.choices or ():
            if choice.index in (0, None):
                self._read_choice(choice, increment)

    def _read_choice(self, choice: _Choice, increment: Increment) -> None:
        delta = choice.delta or choice.message
        if delta is not None:
            if delta.refusal:
                raise fault("refused")
            arguments = "".join(self._arguments(call) for call in delta.tool_calls or ())
            text = delta.content or ""
            if text or arguments:
                self._check_text(text + arguments)
                increment.content += text
                increment.arguments += arguments
            if text or delta.tool_calls or delta.reasoning or delta.reasoning_content:
                self.progress += 1
        if choice.finish_reason:
            self.finish_reason = choice.finish_reason.lower()

    def _arguments(self, call: _ToolCall) -> str:
        """Return the arguments in a delta of the first call, and nothing for later calls.

        Some servers give every call the index 0 and some every delta a new id. So a different
        index means a different call, and a different id does so only together with a name.
        """
        function = call.function or _Function()
        if self._first_call is None:
            self._first_call = (call.index, call.id)
        index, identity = self._first_call
        if call.index == index:
            if function.name and call.id and call.id != identity:
                self._second_call_started = True
        elif call.index is not None and index is not None:
            return ""
        if self._second_call_started:
            return ""
        if isinstance(function.arguments, dict):
            return msgspec.json.encode(function.arguments).decode()
        return function.arguments or ""

    def _check_text(self, text: str) -> None:
        if "\0" in text:
            raise fault("bad_stream")
        try:
            self._text_bytes += len(text.encode())
        except UnicodeEncodeError:  # half of a surrogate pair
            raise fault("bad_stream") from None
        if self._text_bytes > self._max_text_bytes:
            raise fault("too_large")


def estimate_usage(input_characters: int, output_characters: int) -> TokenUsage:
    """Estimate the usage from the numbers of characters that were sent and received."""
    return TokenUsage(
        input_tokens=-(-input_characters // CHARACTERS_PER_TOKEN),
        output_tokens=-(-output_characters // CHARACTERS_PER_TOKEN),
        source="estimated",
    )


def _counted_usage(usage: _Usage) -> TokenUsage:
    details = usage.prompt_tokens_details
    return TokenUsage(
        input_tokens=usage.prompt_tokens or 0,
        output_tokens=usage.completion_tokens or 0,
        cached_tokens=(details.cached_tokens or 0) if details else 0,
        source="provider",
    )


def _reported_fault(data: bytes) -> AiError:
    """Return the fault for an error object in the stream; its text is not shown to users."""
    text = data.lower()
    if b"rate_limit" in text or b"429" in text:
        return fault("rate_limited")
    if b"content_filter" in text or b"content_policy" in text:
        return fault("refused")
    return fault("unavailable")
