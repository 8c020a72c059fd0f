"""The provider for OpenAI-compatible APIs; the only module to import the slow `openai` package."""

import asyncio
import logging
import random
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AsyncExitStack, aclosing
from typing import Any, Literal, cast

import httpx2
import msgspec
import openai

from app.brain.faults import fault
from app.brain.forms import DECIDE, WRITE, RequestForm
from app.brain.model import Context, End, Piece, Text, WriteJob
from app.brain.prompts import Message, code_messages, decision_messages
from app.brain.refusals import (
    MAX_RETRY_AFTER_SECONDS,
    BadRequestError,
    TransientError,
    refusal,
    rejection,
)
from app.brain.stream import ChatReader, estimate_usage
from app.brain.unwrap import CodeExtractor, DecisionExtractor
from app.problems import AiError

BASE_URL = "https://api.openai.com/v1"
MAX_ATTEMPTS = 3  # requests for one answer, before its first piece
RETRY_BACKOFF = 4  # factor by which the longest pause grows with each failed attempt
USAGE_WAIT_SECONDS = 1.0  # for the token count, after the text has ended
# After `[DONE]`, for the last bytes of the body: the connection can be reused only without them.
DRAIN_SECONDS = 0.1
REQUEST_WRITE_SECONDS = 30  # for sending a request
POOL_WAIT_SECONDS = 5  # for a free connection
INITIAL_FORMS = {"decide": DECIDE, "write": WRITE}
MAX_REMEMBERED_FORMS = 200  # pairs of a stage and a model

logger = logging.getLogger(__name__)


class CallLimits(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of one call: times in seconds, and UTF-8 bytes of text in one answer.

    `decide` and `write` bound a whole call with its retries. `stall` is the longest time between
    two chunks with progress; comments and empty chunks do not count.
    """

    connect: float = 5
    first_token_decide: float = 20
    first_token_write: float = 45
    stall: float = 25
    decide: float = 30
    write: float = 180
    min_retry_pause: float = 0.5
    max_retry_pause: float = 8
    max_text_bytes: int = 1_000_000


class _Call(msgspec.Struct, frozen=True, kw_only=True):
    """One question; `first_token` and `total` are the seconds that it may take."""

    stage: Literal["decide", "write"]
    model: str
    messages: Callable[[RequestForm], list[Message]]
    first_token: float
    total: float


class OpenAiModel:
    """A `Provider` that uses the chat completions of an OpenAI-compatible server.

    A request is repeated only before its first piece, at most twice; `on_retry` is called before
    each repetition with the number of failed attempts and the reason. Every fault is an `AiError`
    whose details hold a `reason` (see `app.brain.faults`). The optional fields that a server
    supports are learned from its 400 responses and remembered for each model.
    """

    name: Literal["offline", "openai"] = "openai"

    def __init__(
        self,
        *,
        api_key: str,
        base_url: str | None,
        model: str,
        limits: CallLimits = CallLimits(),  # noqa: B008 - frozen
        on_retry: Callable[[int, str], None] | None = None,
    ) -> None:
        self.model = model
        self._limits = limits
        self._on_retry = on_retry
        self._forms: dict[tuple[str, str], RequestForm] = {}
        self._client = openai.AsyncOpenAI(
            api_key=api_key,
            base_url=base_url or BASE_URL,
            max_retries=0,
            timeout=openai.Timeout(
                connect=limits.connect,
                read=None,
                write=REQUEST_WRITE_SECONDS,
                pool=POOL_WAIT_SECONDS,
            ),
        )

    def decide(
        self, context: Context, *, complaint: str | None = None, model: str | None = None
    ) -> AsyncGenerator[Piece, None]:
        """See `Provider.decide`; the caller validates the object."""

        def messages(form: RequestForm) -> list[Message]:
            return decision_messages(context, complaint=complaint, as_tool=form.answer == "tool")

        return self._stream(self._call("decide", model, messages))

    def write(
        self, job: WriteJob, *, complaint: str | None = None, model: str | None = None
    ) -> AsyncGenerator[Piece, None]:
        """See `Provider.write`; the caller validates the code."""

        def messages(_: RequestForm) -> list[Message]:
            return code_messages(job, complaint=complaint)

        return self._stream(self._call("write", model, messages))

    async def close(self) -> None:
        await self._client.close()

    def _call(
        self,
        stage: Literal["decide", "write"],
        model: str | None,
        messages: Callable[[RequestForm], list[Message]],
    ) -> _Call:
        limits = self._limits
        deciding = stage == "decide"
        return _Call(
            stage=stage,
            model=model or self.model,
            messages=messages,
            first_token=limits.first_token_decide if deciding else limits.first_token_write,
            total=limits.decide if deciding else limits.write,
        )

    async def _stream(self, call: _Call) -> AsyncGenerator[Piece, None]:
        """Send requests, one at a time, until one is answered or the error is final."""
        started = _now()
        deadline = started + call.total
        form = self._forms.get((call.stage, call.model), INITIAL_FORMS[call.stage])
        failed_attempts = 0
        try:
            while True:
                try:
                    async with aclosing(self._request(call, form, deadline)) as pieces:
                        async for piece in pieces:
                            yield piece
                    return
                except BadRequestError as error:
                    plainer = form.without_unsupported(str(error))
                    if plainer is None:
                        raise rejection(str(error)) from None
                    form = plainer
                except TransientError as failure:
                    failed_attempts += 1
                    await self._pause(failure, failed_attempts, deadline)
        except AiError as problem:
            seconds = _now() - started
            logger.warning(
                "%s by %r failed after %.1f s: %s", call.stage, call.model, seconds, problem.details
            )
            raise

    async def _pause(self, failure: TransientError, failed_attempts: int, deadline: float) -> None:
        """Wait before the next attempt; raise the problem if there is no further attempt."""
        problem = failure.problem
        if failed_attempts >= MAX_ATTEMPTS:
            raise problem
        if failure.wait is None:
            limits = self._limits
            longest = min(
                limits.max_retry_pause, limits.min_retry_pause * RETRY_BACKOFF**failed_attempts
            )
            wait = random.uniform(limits.min_retry_pause, longest)
        elif failure.wait > MAX_RETRY_AFTER_SECONDS:
            raise problem
        else:
            wait = failure.wait
        if _now() + wait >= deadline:
            raise problem
        if self._on_retry is not None:
            self._on_retry(failed_attempts, problem.details["reason"])
        await asyncio.sleep(wait)

    async def _request(
        self, call: _Call, form: RequestForm, deadline: float
    ) -> AsyncGenerator[Piece, None]:
        """Send one request and stream its answer. Every exit closes the response."""
        messages = call.messages(form)
        first_token_deadline = min(_now() + call.first_token, deadline)
        async with AsyncExitStack() as stack:
            body = form.body(call.model, messages)
            response = await self._open(stack, body, first_token_deadline)
            self._remember_form(call, form)
            reader = ChatReader(max_text_bytes=self._limits.max_text_bytes)
            extractor: CodeExtractor | DecisionExtractor = CodeExtractor()
            if call.stage == "decide":
                extractor = DecisionExtractor(expects_call=form.answer == "tool")
            chunks = await stack.enter_async_context(
                aclosing(cast(AsyncGenerator[bytes, None], response.iter_bytes()))
            )
            length = 0
            until = first_token_deadline
            while (
                data := await self._next_chunk(chunks, reader, until, deadline, length > 0)
            ) is not None:
                state_before = reader.state
                piece = extractor.feed(reader.feed(data))
                if piece:
                    length += len(piece)
                    yield Text(piece)
                if reader.state != state_before:
                    until = min(_now() + self._max_silence(reader), deadline)
            piece = extractor.end(reader.end())
            if piece:
                length += len(piece)
                yield Text(piece)
            if not length and call.stage == "write":
                raise fault("bad_stream")
            yield End(reader.usage or estimate_usage(_characters(messages), length))

    async def _open(
        self, stack: AsyncExitStack, body: dict[str, Any], until: float
    ) -> "openai.AsyncAPIResponse[Any]":
        """Send the request and return the response once its headers are there."""
        create = self._client.chat.completions.with_streaming_response.create
        try:
            async with asyncio.timeout_at(until):
                return await stack.enter_async_context(create(stream=True, **body))
        except openai.APIStatusError as error:
            explanation = f"{error.code} {error.param} {error.message}"
            code = str(error.code or "")  # some servers send a number
            raise refusal(error.status_code, error.response.headers, code, explanation) from None
        except openai.APIConnectionError as error:
            logger.info("no connection to the model: %s", type(error.__cause__).__name__)
            raise TransientError(fault("unavailable")) from None
        except TimeoutError:
            raise fault("timeout") from None

    async def _next_chunk(
        self,
        chunks: AsyncIterator[bytes],
        reader: ChatReader,
        until: float,
        deadline: float,
        has_text: bool,
    ) -> bytes | None:
        """Return the next bytes of the body, None at its end or when the text is already whole."""
        try:
            async with asyncio.timeout_at(until):
                return await anext(chunks, None)
        except TimeoutError:
            if reader.finish_reason is not None or reader.done:
                return None
            stalled = reader.progress and until < deadline
            raise fault("stalled" if stalled else "timeout") from None
        except httpx2.HTTPError as error:
            logger.info("the model's stream broke: %s", type(error).__name__)
            if reader.finish_reason is not None:
                return None
            if has_text:
                raise fault("truncated") from None
            raise TransientError(fault("unavailable")) from None

    def _max_silence(self, reader: ChatReader) -> float:
        """Return the seconds to wait for the next progress."""
        if reader.done:
            return DRAIN_SECONDS
        return self._limits.stall if reader.finish_reason is None else USAGE_WAIT_SECONDS

    def _remember_form(self, call: _Call, form: RequestForm) -> None:
        """Let the next call begin with a form that the server accepted."""
        if len(self._forms) < MAX_REMEMBERED_FORMS:
            self._forms[call.stage, call.model] = form


def _now() -> float:
    return asyncio.get_running_loop().time()


def _characters(messages: list[Message]) -> int:
    """Return the number of characters of text in a question."""
    contents = (message["content"] for message in messages)
    return sum(
        len(content) if isinstance(content, str) else len(content[0]["text"])
        for content in contents
    )
