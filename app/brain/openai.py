"""Models behind an OpenAI-compatible API; the only module to import the slow `openai` package."""

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
from app.brain.forms import DECIDE, WRITE, Form
from app.brain.model import Context, End, Piece, Text, WriteJob
from app.brain.prompts import Message, code_messages, decision_messages
from app.brain.refusals import RETRY_AFTER_MOST, ObjectionError, TransientError, refusal, rejection
from app.brain.stream import ChatReader, estimated
from app.brain.unwrap import Code, DecisionText
from app.problems import AiError

BASE_URL = "https://api.openai.com/v1"
TRIES = 3  # requests for one answer, before its first piece
TAIL = 1.0  # seconds for the token count after the text has ended
DRAIN = 0.1  # seconds for the last bytes after `[DONE]`, so that the connection can be used again
FIRST_FORMS = {"decide": DECIDE, "write": WRITE}
FORMS_MOST = 200  # models whose form is remembered

log = logging.getLogger(__name__)


class Timeouts(msgspec.Struct, frozen=True, kw_only=True):
    """All in seconds, but for `bytes_most`: UTF-8 bytes of text in one answer.

    `decide` and `write` bound a whole call with its retries; `stall` is the longest silence
    between two pieces, in which comments and empty chunks do not count as speech.
    """

    connect: float = 5
    first_token_decide: float = 20
    first_token_write: float = 45
    stall: float = 25
    decide: float = 30
    write: float = 180
    retry_least: float = 0.5
    retry_most: float = 8
    bytes_most: int = 1_000_000


class _Call(msgspec.Struct, frozen=True, kw_only=True):
    """One question, with the seconds after which a try and the whole are given up."""

    stage: Literal["decide", "write"]
    model: str
    messages: Callable[[Form], list[Message]]
    first_token: float
    seconds: float


class OpenAiModel:
    """A `Provider` that speaks chat completions with any OpenAI-compatible server.

    Requests are repeated only before the first piece, at most twice; `on_retry` hears of each
    with the number of the failed try and the reason. Every fault is an `AiError` whose details
    hold a `reason` (see `app.brain.faults`). Which optional fields a server knows is found out
    from its objections and remembered for each model.
    """

    name: Literal["offline", "openai"] = "openai"

    def __init__(
        self,
        *,
        api_key: str,
        base_url: str | None,
        model: str,
        timeouts: Timeouts = Timeouts(),  # noqa: B008 - frozen
        on_retry: Callable[[int, str], None] | None = None,
    ) -> None:
        self.model = model
        self._timeouts = timeouts
        self._on_retry = on_retry
        self._forms: dict[tuple[str, str], Form] = {}
        self._client = openai.AsyncOpenAI(
            api_key=api_key,
            base_url=base_url or BASE_URL,
            max_retries=0,
            timeout=openai.Timeout(connect=timeouts.connect, read=None, write=30, pool=5),
        )

    def decide(
        self, context: Context, *, complaint: str | None = None, model: str | None = None
    ) -> AsyncGenerator[Piece, None]:
        """See `Provider.decide`; whether the object fits `Decision` is for the caller to check."""

        def messages(form: Form) -> list[Message]:
            return decision_messages(context, complaint=complaint, as_tool=form.answer == "tool")

        return self._tell(self._call("decide", model, messages))

    def write(
        self, job: WriteJob, *, complaint: str | None = None, model: str | None = None
    ) -> AsyncGenerator[Piece, None]:
        """See `Provider.write`; whether the code is any good is for the caller to check."""

        def messages(_: Form) -> list[Message]:
            return code_messages(job, complaint=complaint)

        return self._tell(self._call("write", model, messages))

    async def close(self) -> None:
        await self._client.close()

    def _call(
        self,
        stage: Literal["decide", "write"],
        model: str | None,
        messages: Callable[[Form], list[Message]],
    ) -> _Call:
        limits = self._timeouts
        deciding = stage == "decide"
        return _Call(
            stage=stage,
            model=model or self.model,
            messages=messages,
            first_token=limits.first_token_decide if deciding else limits.first_token_write,
            seconds=limits.decide if deciding else limits.write,
        )

    async def _tell(self, call: _Call) -> AsyncGenerator[Piece, None]:
        """Requests, one after the other, until one was answered or the fault is final."""
        started = _now()
        deadline = started + call.seconds
        form = self._forms.get((call.stage, call.model), FIRST_FORMS[call.stage])
        failed = 0
        try:
            while True:
                try:
                    async with aclosing(self._ask(call, form, deadline)) as pieces:
                        async for piece in pieces:
                            yield piece
                    return
                except ObjectionError as objection:
                    narrower = form.narrower(str(objection))
                    if narrower is None:
                        raise rejection(str(objection)) from None
                    form = narrower
                except TransientError as failure:
                    failed += 1
                    await self._pause(failure, failed, deadline)
        except AiError as problem:
            seconds = _now() - started
            told = (call.stage, call.model, seconds, problem.details)
            log.warning("%s by %r failed after %.1f s: %s", *told)
            raise

    async def _pause(self, failure: TransientError, failed: int, deadline: float) -> None:
        """Wait before the next try, or raise the problem if there is to be none."""
        problem = failure.problem
        if failed >= TRIES:
            raise problem
        if failure.wait is None:
            limits = self._timeouts
            most = min(limits.retry_most, limits.retry_least * 4**failed)
            wait = random.uniform(limits.retry_least, most)
        elif failure.wait > RETRY_AFTER_MOST:
            raise problem
        else:
            wait = failure.wait
        if _now() + wait >= deadline:
            raise problem
        if self._on_retry is not None:
            self._on_retry(failed, problem.details["reason"])
        await asyncio.sleep(wait)

    async def _ask(self, call: _Call, form: Form, deadline: float) -> AsyncGenerator[Piece, None]:
        """One request. Every way out of here closes the connection to the model."""
        messages = call.messages(form)
        first = min(_now() + call.first_token, deadline)
        async with AsyncExitStack() as stack:
            response = await self._open(stack, form.body(call.model, messages), first)
            self._remember(call, form)
            reader = ChatReader(bytes_most=self._timeouts.bytes_most)
            text = DecisionText(called=form.answer == "tool") if call.stage == "decide" else Code()
            chunks = await stack.enter_async_context(
                aclosing(cast(AsyncGenerator[bytes, None], response.iter_bytes()))
            )
            length = 0
            until = first
            while (
                data := await self._next(chunks, reader, until, deadline, length > 0)
            ) is not None:
                before = reader.state
                piece = text.feed(reader.feed(data))
                if piece:
                    length += len(piece)
                    yield Text(piece)
                if reader.state != before:
                    until = min(_now() + self._patience(reader), deadline)
            piece = text.end(reader.end())
            if piece:
                length += len(piece)
                yield Text(piece)
            if not length and call.stage == "write":
                raise fault("bad_stream")
            yield End(reader.usage or estimated(_size(messages), length))

    async def _open(
        self, stack: AsyncExitStack, body: dict[str, Any], until: float
    ) -> "openai.AsyncAPIResponse[Any]":
        create = self._client.chat.completions.with_streaming_response.create
        try:
            async with asyncio.timeout_at(until):
                return await stack.enter_async_context(create(stream=True, **body))
        except openai.APIStatusError as error:
            words = f"{error.code} {error.param} {error.message}"
            code = str(error.code or "")  # some servers send a number
            raise refusal(error.status_code, error.response.headers, code, words) from None
        except openai.APIConnectionError as error:
            log.info("no connection to the model: %s", type(error.__cause__).__name__)
            raise TransientError(fault("unavailable")) from None
        except TimeoutError:
            raise fault("timeout") from None

    async def _next(
        self,
        chunks: AsyncIterator[bytes],
        reader: ChatReader,
        until: float,
        deadline: float,
        given: bool,
    ) -> bytes | None:
        """The next bytes; None at the end of the body, or of a text that is already whole."""
        try:
            async with asyncio.timeout_at(until):
                return await anext(chunks, None)
        except TimeoutError:
            if reader.finish is not None or reader.over:
                return None
            stalled = reader.progress and until < deadline
            raise fault("stalled" if stalled else "timeout") from None
        except httpx2.HTTPError as error:
            log.info("the model's stream broke: %s", type(error).__name__)
            if reader.finish is not None:
                return None
            if given:
                raise fault("truncated") from None
            raise TransientError(fault("unavailable")) from None

    def _patience(self, reader: ChatReader) -> float:
        """For how many seconds the next bytes may be awaited, after a sign of life."""
        if reader.over:
            return DRAIN
        return self._timeouts.stall if reader.finish is None else TAIL

    def _remember(self, call: _Call, form: Form) -> None:
        """A form that the server accepted is where the next call begins."""
        if len(self._forms) < FORMS_MOST:
            self._forms[call.stage, call.model] = form


def _now() -> float:
    return asyncio.get_running_loop().time()


def _size(messages: list[Message]) -> int:
    """Characters of text in a question."""
    contents = (message["content"] for message in messages)
    return sum(
        len(content) if isinstance(content, str) else len(content[0]["text"])
        for content in contents
    )
