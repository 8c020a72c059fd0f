"""The OpenAI-compatible provider when the server fails or stalls, and when a call is stopped."""

import asyncio
import logging
import time
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import msgspec
import pytest

from app.brain.model import End
from app.brain.openai import OpenAiModel
from tests.brain.calls import (
    CONTEXT,
    FAST,
    JOB,
    SECRET,
    Make,
    event,
    eventually,
    read_answer,
    read_fault,
)
from tests.harness.model_server import (
    CODE,
    Behaviour,
    Exchange,
    ModelServer,
    broken_json,
    chunks,
    code,
    drip,
    error_event,
    finish,
    hard_cut,
    html,
    huge,
    keepalives,
    never_answer,
    no_finish,
    stall,
    status,
    truncate,
)


class TestFaultsInTheStream:
    """A fault after the first text is not retried and is not a regular end."""

    @pytest.mark.parametrize(
        ("behaviour", "reason"),
        [
            (truncate(60), "truncated"),
            (hard_cut(60), "truncated"),
            (no_finish(), "truncated"),
            (no_finish(done=False), "truncated"),
            (stall(60), "stalled"),
            (broken_json(), "bad_stream"),
            (error_event(), "unavailable"),
            (error_event(named=True), "unavailable"),
            (error_event(code=429), "rate_limited"),
            (error_event(code="content_policy_violation"), "refused"),
            (finish("length"), "length"),
            (finish("content_filter"), "refused"),
            (finish("cosmic_rays"), "bad_stream"),
            (html(), "bad_stream"),
            (html("text/event-stream"), "bad_stream"),
            (html("application/json"), "bad_stream"),
            (chunks([b'{"choices": [{"message": {"content": "const a']), "bad_stream"),
            (chunks([b'{"error": {"message": "secret", "code": "rate_limit"}}']), "rate_limited"),
            (chunks([]), "truncated"),
            (chunks([b"data: [DONE]\n\n"]), "truncated"),
            (chunks([b"data: \xff\xfe\n\n"]), "bad_stream"),
            (chunks([b"data: [1, 2]\n\n"]), "bad_stream"),
            (chunks([event({"refusal": "No."}), event({}, "stop")]), "refused"),
            (chunks([event({"content": "a\0b"}), event({}, "stop")]), "bad_stream"),
            (
                chunks([b'data: {"choices":[{"delta":{"content":"a\\ud800b"}}]}\n\n']),
                "bad_stream",
            ),
            (code(""), "bad_stream"),
            (code("```tsx\n```"), "bad_stream"),
            (huge(5_000_000), "too_large"),
            (huge(5_000_000, piece=5_000_000), "too_large"),
            (chunks([b"data: " + b"x" * 65_536] + [b"y" * 65_536] * 10), "too_large"),
        ],
    )
    async def test_it_is_an_error_with_its_reason(
        self,
        model: OpenAiModel,
        model_server: ModelServer,
        caplog: pytest.LogCaptureFixture,
        behaviour: Behaviour,
        reason: str,
    ) -> None:
        caplog.set_level(logging.DEBUG)
        model_server.script(behaviour)
        await read_fault(model.write(JOB), reason)
        assert len(model_server.requests) == 1
        await eventually(lambda: model_server.open_streams == 0)
        logged = "\n".join(record.getMessage() for record in caplog.records)
        assert reason in logged
        assert "secret" not in logged

    async def test_text_given_before_the_fault_is_a_beginning(
        self, model: OpenAiModel, model_server: ModelServer
    ) -> None:
        model_server.script(truncate(60), hard_cut(60))
        assert (await read_fault(model.write(JOB), "truncated"))[0] == CODE[:60]
        assert (await read_fault(model.write(JOB), "truncated"))[0] == CODE[:60]

    @pytest.mark.parametrize(
        ("behaviour", "reason"),
        [
            (truncate(30, '{"toolName": "addScene", "reasoning": "a"}'), "truncated"),
            (finish("length", '{"toolName"'), "length"),
            (stall(0), "timeout"),
            (broken_json(), "bad_stream"),
        ],
    )
    async def test_a_decision_fails_alike(
        self, model: OpenAiModel, model_server: ModelServer, behaviour: Behaviour, reason: str
    ) -> None:
        model_server.script(behaviour)
        await read_fault(model.decide(CONTEXT), reason)
        assert len(model_server.requests) == 1


@pytest.mark.slow
class TestDeadlines:
    @pytest.mark.parametrize(
        "behaviour",
        [never_answer(), keepalives(), keepalives(0), stall(0)],
        ids=["silence", "comments", "many comments", "an empty chunk"],
    )
    async def test_a_first_token_that_never_comes_is_a_timeout(
        self, model: OpenAiModel, model_server: ModelServer, behaviour: Behaviour
    ) -> None:
        model_server.script(behaviour)
        started = time.monotonic()
        text, _ = await read_fault(model.write(JOB), "timeout")
        assert text == ""
        assert 0.4 < time.monotonic() - started < 20
        assert len(model_server.requests) == 1
        await eventually(lambda: model_server.open_streams == 0)

    async def test_an_endless_drip_ends_at_the_deadline(
        self, make: Make, model_server: ModelServer
    ) -> None:
        model_server.script(drip())
        started = time.monotonic()
        text, _ = await read_fault(
            make(msgspec.structs.replace(FAST, write=0.8)).write(JOB), "timeout"
        )
        assert 0.7 < time.monotonic() - started < 20
        assert text.startswith("xxx")
        await eventually(lambda: model_server.open_streams == 0)

    async def test_comments_do_not_hide_a_stall(
        self, model: OpenAiModel, model_server: ModelServer
    ) -> None:
        parts = [event({"content": "const"})] + [b": keep-alive\n\n"] * 1000
        model_server.script(chunks(parts, delay=0.02))
        await read_fault(model.write(JOB), "stalled")

    async def test_a_slow_reader_is_no_stall(
        self, model: OpenAiModel, model_server: ModelServer
    ) -> None:
        model_server.script(code(pieces=3, delay=0.01))
        text = ""
        async for piece in model.write(JOB):
            if isinstance(piece, End):
                assert piece.usage.source == "provider"
            else:
                await asyncio.sleep(1.2 * FAST.stall)
                text += piece.text
        assert text == CODE


class TestRetries:
    @pytest.mark.parametrize("code_", [408, 409, 429, 500, 502, 503, 529])
    async def test_a_transient_failure_is_retried(
        self, make: Make, model_server: ModelServer, code_: int
    ) -> None:
        retries: list[tuple[int, str]] = []
        model = make(on_retry=lambda failed, reason: retries.append((failed, reason)))
        model_server.script(status(code_, times=2), code())
        assert (await read_answer(model.write(JOB)))[0] == CODE
        reason = "rate_limited" if code_ == 429 else "unavailable"
        assert retries == [(1, reason), (2, reason)]

    async def test_an_error_code_may_be_a_number(
        self, model: OpenAiModel, model_server: ModelServer
    ) -> None:
        async def answer(to: Exchange) -> None:
            await to.refuse(500, {"message": "Bad", "code": 500})

        model_server.script(Behaviour(answer), code())
        assert (await read_answer(model.write(JOB)))[0] == CODE

    async def test_after_three_attempts_it_is_an_error(
        self, model: OpenAiModel, model_server: ModelServer
    ) -> None:
        model_server.script(status(503, times=5))
        await read_fault(model.decide(CONTEXT), "unavailable")
        assert len(model_server.requests) == 3

    @pytest.mark.parametrize("code_", [401, 402, 403, 404, 413, 422])
    async def test_a_permanent_failure_is_not_retried(
        self, model: OpenAiModel, model_server: ModelServer, code_: int
    ) -> None:
        model_server.script(status(code_, message=f"Incorrect API key: {SECRET}"))
        await read_fault(model.decide(CONTEXT), "rejected")
        assert len(model_server.requests) == 1

    async def test_a_used_up_account_is_not_retried(
        self, model: OpenAiModel, model_server: ModelServer
    ) -> None:
        model_server.script(status(429, error_code="insufficient_quota"))
        await read_fault(model.decide(CONTEXT), "rate_limited")
        assert len(model_server.requests) == 1

    async def test_retry_after_is_honoured(
        self, model: OpenAiModel, model_server: ModelServer
    ) -> None:
        model_server.script(status(429, retry_after=1), code())
        started = time.monotonic()
        await read_answer(model.write(JOB))
        assert 0.95 < time.monotonic() - started < 20

    @pytest.mark.parametrize(
        "retry_after",
        [3600, 60, format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)],
        ids=["an hour", "a minute", "a date"],
    )
    async def test_a_wait_beyond_the_deadline_fails_at_once_and_says_when(
        self, model: OpenAiModel, model_server: ModelServer, retry_after: int | str
    ) -> None:
        model_server.script(status(429, retry_after=retry_after))
        started = time.monotonic()
        _, problem = await read_fault(model.write(JOB), "rate_limited")
        assert time.monotonic() - started < 60, "an hour is not waited for"
        assert problem.retry_after is not None
        expected = retry_after if isinstance(retry_after, int) else 3600
        assert expected - 3000 < problem.retry_after <= expected
        assert len(model_server.requests) == 1

    async def test_a_wait_over_two_minutes_is_too_long_for_any_deadline(
        self, make: Make, model_server: ModelServer
    ) -> None:
        model = make(msgspec.structs.replace(FAST, write=1000))
        model_server.script(status(503, retry_after=121))
        _, problem = await read_fault(model.write(JOB), "unavailable")
        assert problem.retry_after == 121

    async def test_a_cut_before_the_first_text_is_retried(
        self, model: OpenAiModel, model_server: ModelServer
    ) -> None:
        async def role_only(to: Exchange) -> None:
            await to.delta({"role": "assistant", "content": ""})
            await asyncio.sleep(0.05)
            to.reset()

        model_server.script(hard_cut(0), Behaviour(role_only), code())
        assert (await read_answer(model.write(JOB)))[0] == CODE
        assert len(model_server.requests) == 3

    async def test_no_server_at_all_is_unavailable(self) -> None:
        async with ModelServer() as gone:
            url = gone.url
        model = OpenAiModel(api_key=SECRET, base_url=url, model="m", limits=FAST)
        await read_fault(model.decide(CONTEXT), "unavailable")
        await model.close()


class TestStopping:
    async def test_cancelling_the_task_closes_the_call(
        self, model: OpenAiModel, model_server: ModelServer
    ) -> None:
        model_server.script(drip(0.01))
        begun = asyncio.Event()

        async def read() -> None:
            async for _ in model.write(JOB):
                begun.set()

        task = asyncio.ensure_future(read())
        await asyncio.wait_for(begun.wait(), 2)
        assert model_server.open_streams == 1
        task.cancel()
        await eventually(lambda: model_server.open_streams == 0)
        with pytest.raises(asyncio.CancelledError):
            await task

    async def test_cancelling_before_the_first_byte_closes_the_call(
        self, model: OpenAiModel, model_server: ModelServer
    ) -> None:
        model_server.script(never_answer())
        task = asyncio.ensure_future(read_answer(model.write(JOB)))
        await eventually(lambda: model_server.open_streams == 1)
        task.cancel()
        await eventually(lambda: model_server.open_streams == 0)
        with pytest.raises(asyncio.CancelledError):
            await task

    async def test_cancelling_during_the_pause_before_a_retry_ends_it(
        self, make: Make, model_server: ModelServer
    ) -> None:
        paused = asyncio.Event()
        model = make(on_retry=lambda *_: paused.set())
        model_server.script(status(503, retry_after=2))
        task = asyncio.ensure_future(read_answer(model.write(JOB)))
        await asyncio.wait_for(paused.wait(), 2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert len(model_server.requests) == 1

    async def test_closing_the_iterator_closes_the_call(
        self, model: OpenAiModel, model_server: ModelServer
    ) -> None:
        model_server.script(drip(0.01))
        async with aclosing(model.write(JOB)) as pieces:
            await anext(pieces)
            assert model_server.open_streams == 1
        await eventually(lambda: model_server.open_streams == 0)

    async def test_a_stopped_call_leaves_the_next_one_alone(
        self, model: OpenAiModel, model_server: ModelServer
    ) -> None:
        model_server.script(drip(0.01))
        async with aclosing(model.write(JOB)) as pieces:
            await anext(pieces)
        assert (await read_answer(model.write(JOB)))[0] == CODE
