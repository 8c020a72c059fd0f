"""The OpenAI-compatible provider against a real server, in health and under every fault."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import msgspec
import pytest

from app.brain.model import Context, Decision, End, Piece, Provider, Text, WriteJob
from app.brain.openai import OpenAiModel, Timeouts
from app.problems import AiError
from tests.model_server import (
    CODE,
    ModelServer,
    broken_json,
    chunks,
    code,
    decide,
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
from tests.model_socket import USAGE, Behaviour, Exchange

SECRET = "sk-very-secret"
PROMPT = "make it about the secret prompt"
CONTEXT = Context(prompt=PROMPT)
JOB = WriteJob(instruction=PROMPT, context=CONTEXT)
FAST = Timeouts(
    connect=1,
    first_token_decide=0.4,
    first_token_write=0.5,
    stall=0.3,
    decide=3,
    write=3,
    retry_least=0.01,
    retry_most=0.05,
    bytes_most=200_000,
)
Make = Callable[..., OpenAiModel]


@pytest.fixture
async def make(model_server: ModelServer) -> AsyncIterator[Make]:
    made: list[OpenAiModel] = []

    def build(timeouts: Timeouts = FAST, **more: Any) -> OpenAiModel:
        made.append(
            OpenAiModel(
                api_key=SECRET,
                base_url=model_server.url,
                model="test-model",
                timeouts=timeouts,
                **more,
            )
        )
        return made[-1]

    yield build
    for model in made:
        await model.close()


@pytest.fixture
def model(make: Make) -> OpenAiModel:
    return make()


async def told(pieces: AsyncGenerator[Piece, None]) -> tuple[str, End]:
    """All text and the end; there must be exactly one end, and it must be the last piece."""
    got = [piece async for piece in pieces]
    ends = [piece for piece in got if isinstance(piece, End)]
    assert len(ends) == 1
    assert got[-1] is ends[0]
    texts = [piece.text for piece in got if isinstance(piece, Text)]
    assert all(texts), "no empty pieces"
    return "".join(texts), ends[0]


async def failing(pieces: AsyncGenerator[Piece, None], reason: str) -> tuple[str, AiError]:
    """The text given before the fault, and the fault, which must be fit for a user's eyes."""
    texts: list[str] = []

    async def read() -> None:
        async for piece in pieces:
            assert isinstance(piece, Text), "a failed answer has no end"
            texts.append(piece.text)

    with pytest.raises(AiError) as raised:
        await read()
    problem = raised.value
    assert problem.details == {"reason": reason}
    assert problem.message.endswith(".")
    assert "secret" not in problem.message.lower()
    return "".join(texts), problem


async def eventually(holds: Callable[[], bool], within: float) -> None:
    until = time.monotonic() + within
    while not holds():
        assert time.monotonic() < until, "it never came to hold"
        await asyncio.sleep(0.002)


def event(delta: dict[str, Any], finish_reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return b"data: " + msgspec.json.encode({"choices": [choice]}) + b"\n\n"


def it_is_a_provider(model: OpenAiModel) -> Provider:
    return model  # mypy checks this


class TestDecisions:
    async def test_a_decision_comes_as_the_arguments_of_one_call(
        self, model: OpenAiModel, model_server: ModelServer
    ) -> None:
        model_server.script(decide(userFeedback="Añado 🎬 una escena"))
        text, end = await told(model.decide(CONTEXT))
        decision = msgspec.json.decode(text, type=Decision)
        assert decision.tool_name == "addScene"
        assert decision.user_feedback == "Añado 🎬 una escena"
        assert (end.usage.input_tokens, end.usage.output_tokens, end.usage.cached_tokens) == (
            USAGE["prompt_tokens"],
            USAGE["completion_tokens"],
            64,
        )
        assert end.usage.source == "provider"
        body = model_server.requests[0]
        assert body["model"] == "test-model"
        assert [tool["function"]["name"] for tool in body["tools"]] == ["decide"]
        assert body["tool_choice"] == "required"
        assert body["parallel_tool_calls"] is False
        assert body["stream_options"] == {"include_usage": True}
        assert model_server.headers[0]["authorization"] == f"Bearer {SECRET}"

    async def test_arguments_are_passed_on_as_they_come(
        self, model: OpenAiModel, model_server: ModelServer
    ) -> None:
        model_server.script(decide(pieces=5, delay=0.02))
        pieces = [piece async for piece in model.decide(CONTEXT)]
        assert len(pieces) == 6

    async def test_another_model_and_a_complaint_reach_the_server(
        self, model: OpenAiModel, model_server: ModelServer
    ) -> None:
        await told(model.decide(CONTEXT, complaint='unknown tool "fly"', model="other"))
        body = model_server.requests[0]
        assert body["model"] == "other"
        assert 'unknown tool \\"fly\\"' in body["messages"][-1]["content"]

    async def test_json_in_the_text_is_taken_when_tools_are_ignored(
        self, model: OpenAiModel, model_server: ModelServer
    ) -> None:
        wrapped = 'Sure! Here:\n```json\n{"toolName": "addScene", "x": "}\\"{"}\n```\nDone {}.'
        model_server.script(decide(wrapped, as_text=True))
        text, _ = await told(model.decide(CONTEXT))
        assert text == '{"toolName": "addScene", "x": "}\\"{"}'

    async def test_talk_before_the_call_is_dropped(
        self, model: OpenAiModel, model_server: ModelServer
    ) -> None:
        call = {"index": 0, "id": "a", "function": {"name": "decide", "arguments": '{"a":'}}
        model_server.script(
            chunks(
                [
                    event({"content": "I will {think} now."}),
                    event({"tool_calls": [call]}),
                    event({"tool_calls": [{"index": 0, "function": {"arguments": "1}"}}]}),
                    event({}, "tool_calls"),
                ]
            )
        )
        assert (await told(model.decide(CONTEXT)))[0] == '{"a":1}'

    @pytest.mark.parametrize("second", [{"index": 1, "id": "b"}, {"index": 0, "id": "b"}])
    async def test_a_second_call_is_dropped(
        self, model: OpenAiModel, model_server: ModelServer, second: dict[str, Any]
    ) -> None:
        first = {"index": 0, "id": "a", "function": {"name": "decide", "arguments": '{"a":{}'}}
        again = {**second, "function": {"name": "decide", "arguments": '{"b":2}'}}
        model_server.script(
            chunks(
                [
                    event({"tool_calls": [first]}),
                    event({"tool_calls": [{"index": 0, "function": {"arguments": "}"}}]}),
                    event({"tool_calls": [again]}),
                    event({}, "tool_calls"),
                ]
            )
        )
        assert (await told(model.decide(CONTEXT)))[0] == '{"a":{}}'

    async def test_a_whole_json_reply_to_a_streaming_request_is_read(
        self, model: OpenAiModel, model_server: ModelServer
    ) -> None:
        function = {"name": "decide", "arguments": '{"toolName":null}'}
        message = {"role": "assistant", "content": None, "tool_calls": [{"function": function}]}
        choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}
        body = msgspec.json.encode({"choices": [choice], "usage": USAGE})

        async def answer(to: Exchange) -> None:
            await to.head(200, "application/json")
            await to.send(body[:30])
            await to.send(body[30:])

        model_server.script(Behaviour(answer))
        text, end = await told(model.decide(CONTEXT))
        assert text == '{"toolName":null}'
        assert end.usage.source == "provider"


class TestFallback:
    async def test_unknown_tools_lead_to_a_json_schema_and_that_is_remembered(
        self, model: OpenAiModel, model_server: ModelServer
    ) -> None:
        model_server.unknown = {"tools"}
        text, _ = await told(model.decide(CONTEXT))
        assert msgspec.json.decode(text, type=Decision).tool_name == "addScene"
        assert len(model_server.requests) == 2
        await told(model.decide(CONTEXT))
        assert len(model_server.requests) == 3
        assert "tools" not in model_server.requests[2]
        assert model_server.requests[2]["response_format"]["type"] == "json_schema"
        await told(model.decide(CONTEXT, model="other"))
        assert "tools" in model_server.requests[3], "each model is asked for itself"

    async def test_a_server_that_knows_nothing_is_asked_for_plain_json(
        self, model: OpenAiModel, model_server: ModelServer
    ) -> None:
        model_server.unknown = {"tools", "response_format", "stream_options"}
        text, end = await told(model.decide(CONTEXT))
        assert msgspec.json.decode(text, type=Decision).tool_name == "addScene"
        assert end.usage.source == "estimated"
        last = model_server.requests[-1]
        assert not model_server.unknown & last.keys()
        assert '"clarificationQuestion"' in last["messages"][0]["content"]

    @pytest.mark.parametrize("field", ["parallel_tool_calls", "stream_options"])
    async def test_only_the_unknown_field_is_left_out(
        self, model: OpenAiModel, model_server: ModelServer, field: str
    ) -> None:
        model_server.unknown = {field}
        await told(model.decide(CONTEXT))
        assert len(model_server.requests) == 2
        assert "tools" in model_server.requests[1]

    async def test_a_forced_call_becomes_a_free_one(
        self, model: OpenAiModel, model_server: ModelServer
    ) -> None:
        model_server.script(status(400, message="tool_choice 'required' is not supported"))
        await told(model.decide(CONTEXT))
        assert model_server.requests[1]["tool_choice"] == "auto"

    async def test_code_is_written_without_a_count_of_tokens_where_it_is_unknown(
        self, model: OpenAiModel, model_server: ModelServer
    ) -> None:
        model_server.unknown = {"stream_options"}
        text, end = await told(model.write(JOB))
        assert text == CODE
        assert end.usage.source == "estimated"
        assert end.usage.output_tokens == -(-len(CODE) // 4)
        assert end.usage.input_tokens > 100

    async def test_a_bad_request_of_another_kind_is_final(
        self, model: OpenAiModel, model_server: ModelServer
    ) -> None:
        model_server.script(status(400, error_code="context_length_exceeded", times=2))
        await failing(model.decide(CONTEXT), "rejected")
        assert len(model_server.requests) == 1
        model_server.script(status(400, message="that is not how one talks to me"))
        await failing(model.decide(CONTEXT), "rejected")
        assert "tools" in model_server.requests[1], "a fault does not change what is remembered"


class TestCode:
    async def test_code_streams_and_is_exact(
        self, model: OpenAiModel, model_server: ModelServer
    ) -> None:
        written = "const A = `x`;\r\n// 日本 🎬 \u202e bidi\n\texport default 1;\n\n"
        model_server.script(code(written, pieces=len(written)))
        text, end = await told(model.write(JOB))
        assert text == written
        assert end.usage.source == "provider"

    async def test_characters_cut_between_reads_stay_whole(
        self, model: OpenAiModel, model_server: ModelServer
    ) -> None:
        body = event({"content": "é🎬日"}) + event({}, "stop") + b"data: [DONE]\n\n"
        model_server.script(chunks([body[i : i + 1] for i in range(len(body))], delay=0.001))
        assert (await told(model.write(JOB)))[0] == "é🎬日"

    @pytest.mark.parametrize("end", [b"\n", b"\r\n"])
    async def test_line_ends_comments_and_other_fields_of_the_stream_do_not_matter(
        self, model: OpenAiModel, model_server: ModelServer, end: bytes
    ) -> None:
        lines = [
            b": hello",
            b"id: 1",
            b"event: message",
            b'data:{"choices":',
            b'data: [{"delta":{"content":"const a"},"finish_reason":null}],"usage":null}',
            b"",
            b'data: {"choices":[{"index":1,"delta":{"content":"other"}}]}',
            b"",
            b'data: {"choices":[{"delta":{"content":" = 1"},"finish_reason":"stop"}]}',
            b"",
        ]
        model_server.script(chunks([end.join(lines) + end]))
        assert (await told(model.write(JOB)))[0] == "const a = 1"

    async def test_a_fence_is_taken_off_while_streaming(
        self, model: OpenAiModel, model_server: ModelServer
    ) -> None:
        model_server.script(code(f"\ufeff```tsx\n{CODE}```\n", pieces=40, delay=0.002))
        pieces = [piece async for piece in model.write(JOB)]
        texts = [piece.text for piece in pieces if isinstance(piece, Text)]
        assert "".join(texts) == CODE
        assert len(texts) > 10

    async def test_reasoning_is_a_sign_of_life_but_no_text(
        self, make: Make, model_server: ModelServer
    ) -> None:
        model = make(msgspec.structs.replace(FAST, first_token_write=0.2, stall=0.2))
        thoughts = [event({"reasoning_content": "hm"})] * 8
        rest = [event({"content": "const a = 1"}), event({}, "stop")]
        model_server.script(chunks(thoughts + rest, delay=0.05))
        assert (await told(model.write(JOB)))[0] == "const a = 1"

    async def test_a_connection_serves_one_call_after_another(
        self, model: OpenAiModel, model_server: ModelServer
    ) -> None:
        for _ in range(5):
            await told(model.decide(CONTEXT))
            await told(model.write(JOB))
        assert model_server.connections == 1

    async def test_a_whole_text_is_enough_even_if_the_line_is_held_or_cut(
        self, model: OpenAiModel, model_server: ModelServer
    ) -> None:
        async def held(to: Exchange) -> None:
            await to.text(CODE)
            await to.finish(done=False)
            await asyncio.sleep(60)

        async def cut(to: Exchange) -> None:
            await to.text(CODE)
            await to.finish(done=False)
            await asyncio.sleep(0.05)
            to.reset()

        model_server.script(Behaviour(held), Behaviour(cut))
        assert (await told(model.write(JOB)))[0] == CODE
        assert (await told(model.write(JOB)))[0] == CODE


class TestFaultsInTheStream:
    """None of them is retried after text was given, and none ends regularly."""

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
        await failing(model.write(JOB), reason)
        assert len(model_server.requests) == 1
        await eventually(lambda: model_server.open_streams == 0, 0.5)
        logged = "\n".join(record.getMessage() for record in caplog.records)
        assert reason in logged
        assert "secret" not in logged

    async def test_text_given_before_the_fault_is_a_beginning(
        self, model: OpenAiModel, model_server: ModelServer
    ) -> None:
        model_server.script(truncate(60), hard_cut(60))
        assert (await failing(model.write(JOB), "truncated"))[0] == CODE[:60]
        assert (await failing(model.write(JOB), "truncated"))[0] == CODE[:60]

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
        await failing(model.decide(CONTEXT), reason)
        assert len(model_server.requests) == 1


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
        text, _ = await failing(model.write(JOB), "timeout")
        assert text == ""
        assert 0.4 < time.monotonic() - started < 1.5
        assert len(model_server.requests) == 1
        await eventually(lambda: model_server.open_streams == 0, 0.1)

    async def test_an_endless_drip_ends_at_the_deadline(
        self, make: Make, model_server: ModelServer
    ) -> None:
        model_server.script(drip())
        started = time.monotonic()
        text, _ = await failing(
            make(msgspec.structs.replace(FAST, write=0.8)).write(JOB), "timeout"
        )
        assert 0.7 < time.monotonic() - started < 1.5
        assert text.startswith("xxx")
        await eventually(lambda: model_server.open_streams == 0, 0.1)

    async def test_comments_do_not_hide_a_stall(
        self, model: OpenAiModel, model_server: ModelServer
    ) -> None:
        parts = [event({"content": "const"})] + [b": keep-alive\n\n"] * 1000
        model_server.script(chunks(parts, delay=0.02))
        await failing(model.write(JOB), "stalled")

    async def test_a_slow_reader_is_no_stall(
        self, model: OpenAiModel, model_server: ModelServer
    ) -> None:
        model_server.script(code(pieces=3, delay=0.01))
        text = ""
        async for piece in model.write(JOB):
            if isinstance(piece, End):
                assert piece.usage.source == "provider"
            else:
                await asyncio.sleep(0.4)
                text += piece.text
        assert text == CODE


class TestRetries:
    @pytest.mark.parametrize("code_", [408, 409, 429, 500, 502, 503, 529])
    async def test_a_passing_failure_is_retried(
        self, make: Make, model_server: ModelServer, code_: int
    ) -> None:
        heard: list[tuple[int, str]] = []
        model = make(on_retry=lambda failed, reason: heard.append((failed, reason)))
        model_server.script(status(code_, times=2), code())
        assert (await told(model.write(JOB)))[0] == CODE
        reason = "rate_limited" if code_ == 429 else "unavailable"
        assert heard == [(1, reason), (2, reason)]

    async def test_an_error_code_may_be_a_number(
        self, model: OpenAiModel, model_server: ModelServer
    ) -> None:
        async def answer(to: Exchange) -> None:
            await to.refuse(500, {"message": "Bad", "code": 500})

        model_server.script(Behaviour(answer), code())
        assert (await told(model.write(JOB)))[0] == CODE

    async def test_after_three_tries_it_is_an_error(
        self, model: OpenAiModel, model_server: ModelServer
    ) -> None:
        model_server.script(status(503, times=5))
        await failing(model.decide(CONTEXT), "unavailable")
        assert len(model_server.requests) == 3

    @pytest.mark.parametrize("code_", [401, 402, 403, 404, 413, 422])
    async def test_a_lasting_failure_is_not_retried(
        self, model: OpenAiModel, model_server: ModelServer, code_: int
    ) -> None:
        model_server.script(status(code_, message=f"Incorrect API key: {SECRET}"))
        await failing(model.decide(CONTEXT), "rejected")
        assert len(model_server.requests) == 1

    async def test_a_used_up_account_is_not_retried(
        self, model: OpenAiModel, model_server: ModelServer
    ) -> None:
        model_server.script(status(429, error_code="insufficient_quota"))
        await failing(model.decide(CONTEXT), "rate_limited")
        assert len(model_server.requests) == 1

    async def test_retry_after_is_honoured(
        self, model: OpenAiModel, model_server: ModelServer
    ) -> None:
        model_server.script(status(429, retry_after=1), code())
        started = time.monotonic()
        await told(model.write(JOB))
        assert 0.95 < time.monotonic() - started < 1.8

    @pytest.mark.parametrize(
        "retry_after",
        [3600, 60, format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)],
    )
    async def test_a_wait_beyond_the_deadline_fails_at_once_and_says_when(
        self, model: OpenAiModel, model_server: ModelServer, retry_after: int | str
    ) -> None:
        model_server.script(status(429, retry_after=retry_after))
        started = time.monotonic()
        _, problem = await failing(model.write(JOB), "rate_limited")
        assert time.monotonic() - started < 0.5
        assert problem.retry_after is not None
        expected = retry_after if isinstance(retry_after, int) else 3600
        assert abs(problem.retry_after - expected) < 120
        assert len(model_server.requests) == 1

    async def test_a_wait_over_two_minutes_is_too_long_for_any_deadline(
        self, make: Make, model_server: ModelServer
    ) -> None:
        model = make(msgspec.structs.replace(FAST, write=1000))
        model_server.script(status(503, retry_after=121))
        _, problem = await failing(model.write(JOB), "unavailable")
        assert problem.retry_after == 121

    async def test_a_cut_before_the_first_text_is_retried(
        self, model: OpenAiModel, model_server: ModelServer
    ) -> None:
        async def role_only(to: Exchange) -> None:
            await to.delta({"role": "assistant", "content": ""})
            await asyncio.sleep(0.05)
            to.reset()

        model_server.script(hard_cut(0), Behaviour(role_only), code())
        assert (await told(model.write(JOB)))[0] == CODE
        assert len(model_server.requests) == 3

    async def test_no_server_at_all_is_unavailable(self) -> None:
        async with ModelServer() as gone:
            url = gone.url
        model = OpenAiModel(api_key=SECRET, base_url=url, model="m", timeouts=FAST)
        await failing(model.decide(CONTEXT), "unavailable")
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
        await eventually(lambda: model_server.open_streams == 0, 0.1)
        with pytest.raises(asyncio.CancelledError):
            await task

    async def test_cancelling_before_the_first_byte_closes_the_call(
        self, model: OpenAiModel, model_server: ModelServer
    ) -> None:
        model_server.script(never_answer())
        task = asyncio.ensure_future(told(model.write(JOB)))
        await eventually(lambda: model_server.open_streams == 1, 2)
        task.cancel()
        await eventually(lambda: model_server.open_streams == 0, 0.1)
        with pytest.raises(asyncio.CancelledError):
            await task

    async def test_cancelling_during_the_pause_before_a_retry_ends_it(
        self, make: Make, model_server: ModelServer
    ) -> None:
        paused = asyncio.Event()
        model = make(on_retry=lambda *_: paused.set())
        model_server.script(status(503, retry_after=2))
        task = asyncio.ensure_future(told(model.write(JOB)))
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
        await eventually(lambda: model_server.open_streams == 0, 0.1)

    async def test_a_stopped_call_leaves_the_next_one_alone(
        self, model: OpenAiModel, model_server: ModelServer
    ) -> None:
        model_server.script(drip(0.01))
        async with aclosing(model.write(JOB)) as pieces:
            await anext(pieces)
        assert (await told(model.write(JOB)))[0] == CODE
