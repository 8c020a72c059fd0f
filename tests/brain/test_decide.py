"""Which decisions are refused, how answers are parsed, and the one repeated question."""

import json
from collections.abc import AsyncIterator
from typing import Any, Literal

import msgspec
import pytest

from app.brain.decide import check_decision, decide, read_decision, write_code
from app.brain.model import (
    Context,
    ContextScene,
    Decision,
    End,
    Piece,
    Step,
    Text,
    TokenUsage,
    WriteJob,
)
from app.problems import AiError, ValidationFailed
from tests.tools.test_code import GOOD

SCENES = [
    ContextScene(id="one", number=1, name="One", tsx_code=GOOD, duration=150),
    ContextScene(id="two", number=2, name="Two", tsx_code=GOOD, duration=150, newest=True),
]
CONTEXT = Context(prompt="x", scenes=SCENES)
ADD: dict[str, Any] = {"toolName": "addScene", "reasoning": "r", "userFeedback": "f"}
NONE = {**ADD, "toolName": None}
ASK = {**NONE, "needsClarification": True, "clarificationQuestion": "Which?"}
STEP: dict[str, Any] = {"toolName": "addScene", "context": "a chart"}


def flow(*steps: dict[str, Any]) -> dict[str, Any]:
    return {**NONE, "workflow": list(steps)}


@pytest.mark.parametrize(
    ("answer", "path", "rule"),
    [
        (NONE, "toolName", "exactly-one"),
        ({**ASK, "workflow": [STEP]}, "toolName", "exactly-one"),
        ({**ADD, "workflow": [STEP]}, "toolName", "exactly-one"),
        ({**ASK, "clarificationQuestion": None}, "clarificationQuestion", "required"),
        ({**ASK, "clarificationQuestion": "  "}, "clarificationQuestion", "required"),
        ({**ADD, "toolName": "editScene"}, "targetSceneId", "required"),
        ({**ADD, "toolName": "deleteScene"}, "targetSceneId", "required"),
        ({**ADD, "toolName": "trimScene", "targetDuration": 60}, "targetSceneId", "required"),
        ({**ADD, "toolName": "trimScene", "targetSceneId": "one"}, "targetDuration", "required"),
        ({**ADD, "toolName": "editScene", "targetSceneId": "zzz"}, "targetSceneId", "live"),
        ({**ADD, "toolName": "deleteScene", "targetSceneId": ""}, "targetSceneId", "live"),
        ({**ADD, "referencedSceneIds": ["one", "no"]}, "referencedSceneIds.1", "live"),
        ({**ADD, "toolName": "typographyScene"}, "decision", "type"),
        ({**ADD, "toolName": ["addScene"]}, "decision", "type"),
        ({**ADD, "targetDuration": "90"}, "decision", "type"),
        ({**ADD, "targetDuration": 0}, "decision", "type"),
        ({**ADD, "targetDuration": 18001}, "decision", "type"),
        ({**ADD, "targetDuration": 90.5}, "decision", "type"),
        ({**ADD, "editComplexity": "huge"}, "decision", "type"),
        ({"toolName": "addScene", "userFeedback": "f"}, "decision", "type"),
        ({"reasoning": "r", "userFeedback": "f"}, "decision", "type"),
        ({**ADD, "reasoning": None}, "decision", "type"),
        ({**ADD, "userFeedback": "a\u0000b"}, "decision", "text"),
        ({**ADD, "reasoning": "\ud83d"}, "decision", "text"),
        (flow(), "workflow", "length"),
        (flow(*[STEP] * 11), "workflow", "length"),
        (flow({"toolName": "paint", "context": "c"}), "decision", "type"),
        (flow({"toolName": "addScene"}), "decision", "type"),
        (flow(STEP, {**STEP, "context": " "}), "workflow.1.context", "required"),
        (flow({**STEP, "toolName": "editScene"}), "workflow.0.targetSceneId", "required"),
        (flow(STEP, {**STEP, "targetSceneId": "zzz"}), "workflow.1.targetSceneId", "live"),
        (
            flow(
                {**STEP, "toolName": "deleteScene", "targetSceneId": "one"},
                {**STEP, "toolName": "editScene", "targetSceneId": "one"},
            ),
            "workflow.1.targetSceneId",
            "live",
        ),
        ([ADD], "decision", "json"),
        ("addScene", "decision", "json"),
        (None, "decision", "json"),
    ],
)
def test_decisions_that_do_not_fit_are_refused(answer: Any, path: str, rule: str) -> None:
    if rule == "json" and isinstance(answer, list):
        answer = [*answer, ADD]
    with pytest.raises(ValidationFailed) as caught:
        read_decision(json.dumps(answer), CONTEXT)
    detail = caught.value.details[0]
    assert (detail["path"], detail["rule"]) == (path, rule)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "I would add a scene.",
        "{",
        '{"toolName": "addScene", "reasoning": "r", "userFeedback"',
        json.dumps(ADD) + json.dumps(ADD),
        json.dumps(ADD) + "\nor rather\n" + json.dumps(ASK),
        "<html><body>502 {bad} gateway</body></html>",
        '{"a":' * 100_000,
        '{"targetDuration": ' + "9" * 6000 + "}",
    ],
)
def test_texts_without_exactly_one_object_are_refused(text: str) -> None:
    with pytest.raises(ValidationFailed) as caught:
        read_decision(text, CONTEXT)
    assert caught.value.details[0]["rule"] == "json"


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(ADD),
        "```json\n" + json.dumps(ADD, indent=2) + "\n```",
        "Sure! Here it is: " + json.dumps(ADD) + " Tell me if it fits.",
        json.dumps({**ADD, "confidence": 0.9, "extra": {"a": [1]}}),
        json.dumps({**ADD, "targetSceneId": "made-up"}),
        json.dumps({**ADD, "workflow": []}),
    ],
)
def test_fences_prose_and_unknown_fields_are_ignored(text: str) -> None:
    decision = read_decision(text, CONTEXT)
    assert decision == Decision(tool_name="addScene", reasoning="r", user_feedback="f")


def test_a_tool_wins_over_a_clarification() -> None:
    decision = read_decision(json.dumps({**ASK, "toolName": "addScene"}), CONTEXT)
    assert (decision.tool_name, decision.needs_clarification) == ("addScene", False)
    assert decision.clarification_question is None


def test_clarification_and_workflow_can_be_read() -> None:
    assert read_decision(json.dumps(ASK), CONTEXT).clarification_question == "Which?"
    steps = flow(STEP, {"toolName": "trimScene", "context": "c", "targetSceneId": "two",
                        "targetDuration": 60})  # fmt: skip
    assert read_decision(json.dumps(steps), CONTEXT).workflow == [
        Step(tool_name="addScene", context="a chart"),
        Step(tool_name="trimScene", context="c", target_scene_id="two", target_duration=60),
    ]


def test_a_decision_without_its_target_is_refused() -> None:
    decision = Decision(tool_name="editScene", reasoning="r", user_feedback="f")
    with pytest.raises(ValidationFailed):
        check_decision(decision, CONTEXT)
    fits = msgspec.structs.replace(decision, target_scene_id="one")
    assert check_decision(fits, CONTEXT) is fits


class Scripted:
    """A provider that streams the given pieces: one list for each call."""

    name: Literal["offline", "openai"] = "openai"
    model = "scripted"

    def __init__(self, *answers: list[str | End]) -> None:
        self.answers = list(answers)
        self.complaints: list[str | None] = []
        self.models: list[str | None] = []
        self.closed = 0

    async def _stream(self, complaint: str | None, model: str | None) -> AsyncIterator[Piece]:
        self.complaints.append(complaint)
        self.models.append(model)
        try:
            for piece in self.answers.pop(0):
                yield piece if isinstance(piece, End) else Text(piece)
        finally:
            self.closed += 1

    def decide(
        self, context: Context, *, complaint: str | None = None, model: str | None = None
    ) -> AsyncIterator[Piece]:
        return self._stream(complaint, model)

    def write(
        self, job: WriteJob, *, complaint: str | None = None, model: str | None = None
    ) -> AsyncIterator[Piece]:
        return self._stream(complaint, model)

    async def close(self) -> None: ...


END = End(TokenUsage(input_tokens=10, output_tokens=2, source="provider"))
VALID = json.dumps(ADD)


async def test_a_decision_is_read_from_its_pieces() -> None:
    provider = Scripted([VALID[:7], VALID[7:], END])
    received: list[str] = []

    async def receive(text: str) -> None:
        received.append(text)

    decided = await decide(provider, CONTEXT, model="m", on_text=receive)
    assert decided.decision.tool_name == "addScene"
    assert (decided.repaired, decided.usage) == (False, END.usage)
    assert received == [VALID[:7], VALID[7:]]
    assert provider.models == ["m"]
    assert provider.closed == 1


async def test_a_decision_that_does_not_fit_is_asked_for_once_more_with_the_complaint() -> None:
    bad = json.dumps({**ADD, "toolName": "deleteScene", "targetSceneId": "zzz"})
    provider = Scripted([bad, END], [VALID, End(TokenUsage(input_tokens=1, source="estimated"))])
    decided = await decide(provider, CONTEXT)
    assert decided.repaired
    assert provider.complaints == [None, "'zzz' is no scene of this video."]
    assert decided.usage == TokenUsage(input_tokens=11, output_tokens=2, source="estimated")


async def test_two_decisions_that_do_not_fit_are_an_error() -> None:
    provider = Scripted(["no", END], ["{}", END])
    with pytest.raises(AiError):
        await decide(provider, CONTEXT)
    assert provider.answers == []


@pytest.mark.parametrize("pieces", [[], [VALID], [VALID[:9]]])
async def test_a_decision_cut_off_is_asked_for_once_more(pieces: list[str | End]) -> None:
    provider = Scripted(pieces, [VALID, END])
    assert (await decide(provider, CONTEXT)).decision.tool_name == "addScene"
    provider = Scripted(pieces, pieces)
    with pytest.raises(AiError):
        await decide(provider, CONTEXT)
    assert provider.closed == 2


async def test_an_endless_decision_is_an_error() -> None:
    provider = Scripted(["x" * 100_001, END])
    with pytest.raises(AiError):
        await decide(provider, CONTEXT)
    assert provider.closed == 1


class LiveText:
    """The text that a caller shows live; a restart empties it."""

    def __init__(self) -> None:
        self.text = ""
        self.restarts = 0

    async def delta(self, text: str) -> None:
        self.text += text

    async def restart(self) -> None:
        self.text = ""
        self.restarts += 1


JOB = WriteJob(instruction="x", context=CONTEXT)


async def test_code_is_exactly_what_was_streamed() -> None:
    live = LiveText()
    provider = Scripted([GOOD[:50], "", GOOD[50:], End(TokenUsage(), "A note.")])
    written = await write_code(provider, JOB, on_delta=live.delta, on_restart=live.restart)
    assert written.code == live.text == GOOD
    assert (written.note, live.restarts) == ("A note.", 0)


async def test_faulty_code_is_asked_for_once_more_after_a_restart() -> None:
    live = LiveText()
    provider = Scripted([GOOD + "// ... existing code", END], [GOOD, END])
    written = await write_code(provider, JOB, on_delta=live.delta, on_restart=live.restart)
    assert written.code == live.text == GOOD
    assert live.restarts == 1
    assert "placeholder" in (provider.complaints[1] or "")
    assert written.usage.output_tokens == 4


async def test_code_that_stays_faulty_is_an_error() -> None:
    live = LiveText()
    provider = Scripted(["```tsx\n" + GOOD + "```", END], ["", END])
    with pytest.raises(AiError):
        await write_code(provider, JOB, on_delta=live.delta, on_restart=live.restart)


async def test_code_returned_unchanged_is_not_checked() -> None:
    live = LiveText()
    scene = msgspec.structs.replace(SCENES[0], tsx_code="fetch('mine')")
    provider = Scripted(["fetch('mine')", End(TokenUsage(), "I could not.")])
    job = msgspec.structs.replace(JOB, scene=scene)
    written = await write_code(provider, job, on_delta=live.delta, on_restart=live.restart)
    assert (written.code, written.note) == ("fetch('mine')", "I could not.")


@pytest.mark.parametrize("pieces", [[], [GOOD], [GOOD[:80]]])
async def test_code_that_broke_off_is_asked_for_once_more(pieces: list[str | End]) -> None:
    live = LiveText()
    provider = Scripted(pieces, [GOOD, END])
    written = await write_code(provider, JOB, on_delta=live.delta, on_restart=live.restart)
    assert written.code == live.text == GOOD
    assert live.restarts == 1
    provider = Scripted(pieces, pieces)
    with pytest.raises(AiError):
        await write_code(provider, JOB, on_delta=live.delta, on_restart=live.restart)
    assert provider.closed == 2


async def test_endless_code_is_an_error_at_once() -> None:
    live = LiveText()
    provider = Scripted(["x" * 150_000, "y" * 60_000, END])
    with pytest.raises(AiError):
        await write_code(provider, JOB, on_delta=live.delta, on_restart=live.restart)
    assert live.restarts == 0
    assert provider.closed == 1
