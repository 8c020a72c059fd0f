"""Requests a decision or code from a model, and validates the answer."""

import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing
from typing import Any, cast

import msgspec

from app.brain.model import Context, Decision, End, Piece, Provider, Step, TokenUsage, WriteJob
from app.brain.unwrap import json_objects
from app.problems import AiError, ValidationFailed
from app.scenes.model import MAX_CODE_CHARACTERS
from app.tools.code import find_faults
from app.tools.registry import TOOLS

MAX_DECISION_CHARACTERS = 100_000
MAX_WORKFLOW_STEPS = 10
MAX_QUOTED_ID_CHARACTERS = 80  # of an unknown scene id, in a message

INTERRUPTION_REASONS = frozenset({"truncated", "stalled", "bad_stream"})  # reasons of an `AiError`

_NUL_OR_SURROGATE = re.compile("[\x00\ud800-\udfff]")

OnText = Callable[[str], Awaitable[None]]


class CheckedDecision(msgspec.Struct, frozen=True):
    """A decision that was validated against its context.

    `usage` is the sum of all calls; `repaired` is true when the first answer was not usable.
    """

    decision: Decision
    usage: TokenUsage
    repaired: bool = False


class WrittenCode(msgspec.Struct, frozen=True):
    """Code without faults; `note` is a sentence about what the model could not do."""

    code: str
    usage: TokenUsage
    note: str | None = None


def check_decision(decision: Decision, context: Context) -> Decision:
    """Return the decision without contradictions: a tool wins over a clarification.

    Raises `ValidationFailed` when the decision does not fit the context.
    """
    if decision.tool_name is not None and decision.needs_clarification:
        decision = msgspec.structs.replace(
            decision, needs_clarification=False, clarification_question=None
        )
    chosen = [
        decision.tool_name is not None,
        decision.needs_clarification,
        decision.workflow is not None,
    ]
    if sum(chosen) != 1:
        message = "Give exactly one of toolName, needsClarification and workflow."
        raise ValidationFailed.at("toolName", "exactly-one", message)
    live = {scene.id for scene in context.scenes}
    _check_tool(decision.tool_name, decision.target_scene_id, decision.target_duration, live, "")
    for index, scene_id in enumerate(decision.referenced_scene_ids):
        _check_live(scene_id, live, f"referencedSceneIds.{index}")
    if decision.needs_clarification and not (decision.clarification_question or "").strip():
        message = "A clarification needs its question."
        raise ValidationFailed.at("clarificationQuestion", "required", message)
    if decision.workflow is not None:
        _check_steps(decision.workflow, live)
    return decision


def _check_steps(steps: list[Step], live: set[str]) -> None:
    """Check each step against the scenes that remain after the previous steps."""
    if not 1 <= len(steps) <= MAX_WORKFLOW_STEPS:
        message = f"A workflow has 1 to {MAX_WORKFLOW_STEPS} steps, not {len(steps)}."
        raise ValidationFailed.at("workflow", "length", message)
    left = set(live)
    for index, step in enumerate(steps):
        path = f"workflow.{index}."
        if not step.context.strip():
            raise ValidationFailed.at(f"{path}context", "required", "A step says what it is about.")
        _check_tool(step.tool_name, step.target_scene_id, step.target_duration, left, path)
        if step.tool_name == "deleteScene":
            left.discard(step.target_scene_id or "")


def _check_tool(
    name: str | None, target: str | None, duration: int | None, live: set[str], path: str
) -> None:
    if target is not None:
        _check_live(target, live, f"{path}targetSceneId")
    if name is None:
        return
    tool = TOOLS.get(name)
    if tool is None:
        message = f"There is no tool {name!r}, only {', '.join(TOOLS)}."
        raise ValidationFailed.at(f"{path}toolName", "unknown", message)
    if tool.needs_target and target is None:
        message = f"{name} needs the id of the scene that it changes."
        raise ValidationFailed.at(f"{path}targetSceneId", "required", message)
    if name == "trimScene" and duration is None:
        message = "trimScene needs targetDuration, in frames."
        raise ValidationFailed.at(f"{path}targetDuration", "required", message)


def _check_live(scene_id: str, live: set[str], path: str) -> None:
    if scene_id not in live:
        message = f"{scene_id[:MAX_QUOTED_ID_CHARACTERS]!r} is no scene of this video."
        raise ValidationFailed.at(path, "live", message)


def read_decision(text: str, context: Context) -> Decision:
    """Parse and check the decision in a model's answer.

    The answer must hold exactly one JSON object; prose or a code fence around it is ignored.
    Raises `ValidationFailed` when the answer cannot be used.
    """
    try:
        decision = msgspec.convert(_only_object(text), Decision)
    except msgspec.ValidationError as error:
        raise ValidationFailed.at("decision", "type", str(error)) from None
    if not decision.tool_name:
        # Models often set a target without a tool; it is ignored.
        decision = msgspec.structs.replace(decision, target_scene_id=None, target_duration=None)
    elif decision.tool_name == "addScene":
        decision = msgspec.structs.replace(decision, target_scene_id=None)
    if decision.workflow == [] and (decision.tool_name or decision.needs_clarification):
        decision = msgspec.structs.replace(decision, workflow=None)
    return check_decision(decision, context)


def _only_object(text: str) -> dict[str, Any]:
    """Return the only JSON object in a text; raises `ValidationFailed` for none or several."""
    found: list[dict[str, Any]] = []
    for each in json_objects(text, limit=2):
        try:
            found.append(json.loads(each))
        except (ValueError, RecursionError) as error:
            message = f"This is not valid JSON: {error}"
            raise ValidationFailed.at("decision", "json", message) from None
    if len(found) != 1:
        count = "no" if not found else "more than one"
        raise ValidationFailed.at("decision", "json", f"The answer holds {count} JSON object.")
    if any(_NUL_OR_SURROGATE.search(text) for text in _strings(found[0])):
        message = "The answer contains a NUL or half of a character."
        raise ValidationFailed.at("decision", "text", message)
    return found[0]


def _strings(value: object) -> Iterator[str]:
    """Yield all string values in a JSON value, without keys."""
    rest = [value]
    while rest:
        each = rest.pop()
        if isinstance(each, str):
            yield each
        elif isinstance(each, list):
            rest.extend(each)
        elif isinstance(each, dict):
            rest.extend(each.values())


async def decide(
    provider: Provider, context: Context, *, model: str | None = None, on_text: OnText | None = None
) -> CheckedDecision:
    """Request a decision about `context.prompt` from the model.

    The request is repeated once if the answer is incomplete or invalid; an invalid answer's fault
    is sent with it. Raises `AiError` when the second answer is not usable either.
    """
    complaint: str | None = None
    usage = TokenUsage(source="provider")
    for attempt in range(2):
        pieces = provider.decide(context, complaint=complaint, model=model)
        try:
            text, end = await _collect(pieces, MAX_DECISION_CHARACTERS, on_text)
        except AiError as error:
            if attempt or not is_interrupted(error):
                raise
            continue
        usage = _add_usage(usage, end.usage)
        try:
            decision = read_decision(text, context)
        except ValidationFailed as error:
            complaint = error.message
            continue
        return CheckedDecision(decision, usage, repaired=attempt > 0)
    raise AiError(f"The model gave no decision that fits: {complaint}")


async def write_code(
    provider: Provider,
    job: WriteJob,
    *,
    model: str | None = None,
    on_delta: OnText,
    on_restart: Callable[[], Awaitable[None]],
) -> WrittenCode:
    """Request the code of a scene and stream it to `on_delta`.

    Incomplete or faulty code is requested once more: `on_restart` is called, and the text starts
    again. The text passed to `on_delta` since the last `on_restart` is exactly the code. Raises
    `AiError` when the second answer is not usable either, and at once for code that is too long.
    """
    complaint: str | None = None
    usage = TokenUsage(source="provider")
    for attempt in range(2):
        if attempt:
            await on_restart()
        pieces = provider.write(job, complaint=complaint, model=model)
        try:
            code, end = await _collect(pieces, MAX_CODE_CHARACTERS, on_delta)
        except AiError as error:
            if attempt or not is_interrupted(error):
                raise
            continue
        usage = _add_usage(usage, end.usage)
        faults = _faults(code, job)
        if not faults:
            return WrittenCode(code, usage, end.note)
        complaint = "\n".join(faults)
    raise AiError(f"The model's code cannot be played: {faults[0]}", details=faults)


def is_interrupted(error: AiError) -> bool:
    """Return whether the answer is incomplete, so that a second request may succeed."""
    return isinstance(error.details, dict) and error.details.get("reason") in INTERRUPTION_REASONS


def _faults(code: str, job: WriteJob) -> list[str]:
    """Return the faults of the code, none for code that the model returned unchanged.

    The user has such code already; refusing it would hide the note of the model.
    """
    if job.scene is not None and code == job.scene.tsx_code:
        return []
    return find_faults(code)


async def _collect(
    pieces: AsyncIterator[Piece], max_characters: int, on_text: OnText | None
) -> tuple[str, End]:
    """Return the whole text and the end; leaving early closes the iterator and stops the model."""
    parts: list[str] = []
    size = 0
    async with aclosing(cast("Any", pieces)) as stream:
        async for piece in stream:
            if isinstance(piece, End):
                return "".join(parts), piece
            size += len(piece.text)
            if size > max_characters:
                raise AiError(f"The model wrote more than {max_characters} characters.")
            parts.append(piece.text)
            if on_text is not None and piece.text:
                await on_text(piece.text)
    raise AiError("The model's answer was cut off.", details={"reason": "truncated"})


def _add_usage(one: TokenUsage, other: TokenUsage) -> TokenUsage:
    estimated = "estimated" in (one.source, other.source)
    return TokenUsage(
        input_tokens=one.input_tokens + other.input_tokens,
        output_tokens=one.output_tokens + other.output_tokens,
        cached_tokens=one.cached_tokens + other.cached_tokens,
        source="estimated" if estimated else "provider",
    )
