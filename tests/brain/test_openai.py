"""The OpenAI-compatible provider against a real server: decisions, code, and older servers."""

import asyncio
from typing import Any

import msgspec
import pytest

from app.brain.model import Decision, Provider, Text
from app.brain.openai import OpenAiModel
from tests.brain.calls import CONTEXT, FAST, JOB, SECRET, Make, event, read_answer, read_fault
from tests.harness.model_server import (
    CODE,
    USAGE,
    Behaviour,
    Exchange,
    ModelServer,
    chunks,
    code,
    decide,
    status,
)


def it_is_a_provider(model: OpenAiModel) -> Provider:
    return model  # mypy checks this


class TestDecisions:
    async def test_a_decision_comes_as_the_arguments_of_one_call(
        self, model: OpenAiModel, model_server: ModelServer
    ) -> None:
        model_server.script(decide(userFeedback="Añado 🎬 una escena"))
        text, end = await read_answer(model.decide(CONTEXT))
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
        await read_answer(model.decide(CONTEXT, complaint='unknown tool "fly"', model="other"))
        body = model_server.requests[0]
        assert body["model"] == "other"
        assert 'unknown tool \\"fly\\"' in body["messages"][-1]["content"]

    async def test_json_in_the_text_is_taken_when_tools_are_ignored(
        self, model: OpenAiModel, model_server: ModelServer
    ) -> None:
        wrapped = 'Sure! Here:\n```json\n{"toolName": "addScene", "x": "}\\"{"}\n```\nDone {}.'
        model_server.script(decide(wrapped, as_text=True))
        text, _ = await read_answer(model.decide(CONTEXT))
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
        assert (await read_answer(model.decide(CONTEXT)))[0] == '{"a":1}'

    @pytest.mark.parametrize("second", [{"index": 1, "id": "b"}, {"index": 0, "id": "b"}])
    async def test_a_second_call_is_dropped(
        self, model: OpenAiModel, model_server: ModelServer, second: dict[str, Any]
    ) -> None:
        first = {"index": 0, "id": "a", "function": {"name": "decide", "arguments": '{"a":'}}
        again = {**second, "function": {"name": "decide", "arguments": '{"b":2}'}}
        model_server.script(
            chunks(
                [
                    event({"tool_calls": [first]}),
                    event({"tool_calls": [again]}),
                    event({}, "tool_calls"),
                ]
            )
        )
        assert (await read_answer(model.decide(CONTEXT)))[0] == '{"a":'

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
        text, end = await read_answer(model.decide(CONTEXT))
        assert text == '{"toolName":null}'
        assert end.usage.source == "provider"


class TestFallback:
    async def test_unknown_tools_lead_to_a_json_schema_and_that_is_remembered(
        self, model: OpenAiModel, model_server: ModelServer
    ) -> None:
        model_server.unknown = {"tools"}
        text, _ = await read_answer(model.decide(CONTEXT))
        assert msgspec.json.decode(text, type=Decision).tool_name == "addScene"
        assert len(model_server.requests) == 2
        await read_answer(model.decide(CONTEXT))
        assert len(model_server.requests) == 3
        assert "tools" not in model_server.requests[2]
        assert model_server.requests[2]["response_format"]["type"] == "json_schema"
        await read_answer(model.decide(CONTEXT, model="other"))
        assert "tools" in model_server.requests[3], "each model is asked for itself"

    async def test_a_server_that_knows_nothing_is_asked_for_plain_json(
        self, model: OpenAiModel, model_server: ModelServer
    ) -> None:
        model_server.unknown = {"tools", "response_format", "stream_options"}
        text, end = await read_answer(model.decide(CONTEXT))
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
        await read_answer(model.decide(CONTEXT))
        assert len(model_server.requests) == 2
        assert "tools" in model_server.requests[1]

    async def test_a_forced_call_becomes_a_free_one(
        self, model: OpenAiModel, model_server: ModelServer
    ) -> None:
        model_server.script(status(400, message="tool_choice 'required' is not supported"))
        await read_answer(model.decide(CONTEXT))
        assert model_server.requests[1]["tool_choice"] == "auto"

    async def test_code_is_written_without_a_count_of_tokens_where_it_is_unknown(
        self, model: OpenAiModel, model_server: ModelServer
    ) -> None:
        model_server.unknown = {"stream_options"}
        text, end = await read_answer(model.write(JOB))
        assert text == CODE
        assert end.usage.source == "estimated"
        assert end.usage.output_tokens == -(-len(CODE) // 4)
        assert end.usage.input_tokens > 100

    async def test_a_bad_request_of_another_kind_is_final(
        self, model: OpenAiModel, model_server: ModelServer
    ) -> None:
        long = "This results in 900000 tokens (899000 in the messages, 1000 in the functions)"
        model_server.script(status(400, message=long, error_code="context_length_exceeded"))
        await read_fault(model.decide(CONTEXT), "rejected")
        assert len(model_server.requests) == 1
        model_server.script(status(400, message="that is not how one talks to me"))
        await read_fault(model.decide(CONTEXT), "rejected")
        assert "tools" in model_server.requests[1], "a fault does not change what is remembered"


class TestCode:
    async def test_code_streams_and_is_exact(
        self, model: OpenAiModel, model_server: ModelServer
    ) -> None:
        written = "const A = `x`;\r\n// 日本 🎬 \u202e bidi\n\texport default 1;\n\n"
        model_server.script(code(written, pieces=len(written)))
        text, end = await read_answer(model.write(JOB))
        assert text == written
        assert end.usage.source == "provider"

    async def test_characters_cut_between_reads_stay_whole(
        self, model: OpenAiModel, model_server: ModelServer
    ) -> None:
        body = event({"content": "é🎬日"}) + event({}, "stop") + b"data: [DONE]\n\n"
        model_server.script(chunks([body[i : i + 1] for i in range(len(body))], delay=0.001))
        assert (await read_answer(model.write(JOB)))[0] == "é🎬日"

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
        assert (await read_answer(model.write(JOB)))[0] == "const a = 1"

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
        assert (await read_answer(model.write(JOB)))[0] == "const a = 1"

    async def test_a_connection_serves_one_call_after_another(
        self, model: OpenAiModel, model_server: ModelServer
    ) -> None:
        for _ in range(5):
            await read_answer(model.decide(CONTEXT))
            await read_answer(model.write(JOB))
        assert model_server.connections == 1

    async def test_a_late_end_of_the_body_does_not_cost_the_connection(
        self, model: OpenAiModel, model_server: ModelServer
    ) -> None:
        async def late(to: Exchange) -> None:
            await to.text(CODE)
            await to.finish()
            await asyncio.sleep(0.01)

        model_server.script(Behaviour(late, times=2))
        await read_answer(model.write(JOB))
        await read_answer(model.write(JOB))
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
        assert (await read_answer(model.write(JOB)))[0] == CODE
        assert (await read_answer(model.write(JOB)))[0] == CODE
