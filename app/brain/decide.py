"""Folding what a model streams into a decision that fits, or into code that can be played."""

import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing
from typing import Any, cast

import msgspec

from app.brain.model import Context, Decision, End, Piece, Provider, Step, Usage, WriteJob
from app.problems import AiError, ValidationFailed
from app.scenes.model import CODE_MOST
from app.tools.code import find_faults
from app.tools.registry import TOOLS

DECISION_MOST = 100_000  # characters
STEPS_MOST = 10

_BROKEN = re.compile("[\x00\ud800-\udfff]")

BROKE_OFF = frozenset({"truncated", "stalled", "bad_stream"})  # reasons of an `AiError`
OnText = Callable[[str], Awaitable[None]]


class Decided(msgspec.Struct, frozen=True):
    """A decision that fits its context; `repaired` when the first answer did not."""

    decision: Decision
    usage: Usage
    repaired: bool = False


class Written(msgspec.Struct, frozen=True):
    """Code without faults; `note` is what the model could not do."""

    code: str
    usage: Usage
    note: str | None = None


def check(decision: Decision, context: Context) -> Decision:
    """The decision, made consistent. Raise `ValidationFailed` when it does not fit the context."""
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
    for index, each in enumerate(decision.referenced_scene_ids):
        _check_live(each, live, f"referencedSceneIds.{index}")
    if decision.needs_clarification and not (decision.clarification_question or "").strip():
        message = "A clarification needs its question."
        raise ValidationFailed.at("clarificationQuestion", "required", message)
    if decision.workflow is not None:
        _check_steps(decision.workflow, live)
    return decision


def _check_steps(steps: list[Step], live: set[str]) -> None:
    if not 1 <= len(steps) <= STEPS_MOST:
        message = f"A workflow has 1 to {STEPS_MOST} steps, not {len(steps)}."
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
        message = f"{scene_id[:80]!r} is no scene of this video."
        raise ValidationFailed.at(path, "live", message)


def read_decision(text: str, context: Context) -> Decision:
    """The decision in a model's answer, checked: one JSON object, prose or a fence around it."""
    try:
        decision = msgspec.convert(_one_object(text), Decision)
    except msgspec.ValidationError as error:
        raise ValidationFailed.at("decision", "type", str(error)) from None
    if not decision.tool_name:
        # A target that belongs to no tool says nothing; models like to fill it in.
        decision = msgspec.structs.replace(decision, target_scene_id=None, target_duration=None)
    elif decision.tool_name == "addScene":
        decision = msgspec.structs.replace(decision, target_scene_id=None)
    if decision.workflow == [] and (decision.tool_name or decision.needs_clarification):
        decision = msgspec.structs.replace(decision, workflow=None)
    return check(decision, context)


def _one_object(text: str) -> dict[str, Any]:
    decoder = json.JSONDecoder()
    found: list[dict[str, Any]] = []
    position = text.find("{")
    while position >= 0 and len(found) < 2:
        try:
            value, end = decoder.raw_decode(text, position)
        except (ValueError, RecursionError) as error:
            raise ValidationFailed.at(
                "decision", "json", f"This is not valid JSON: {error}"
            ) from None
        found.append(value)
        position = text.find("{", end)
    if len(found) != 1:
        count = "no" if not found else "more than one"
        raise ValidationFailed.at("decision", "json", f"The answer holds {count} JSON object.")
    if any(_BROKEN.search(text) for text in _texts(found[0])):
        message = "The answer contains a NUL or half of a character."
        raise ValidationFailed.at("decision", "text", message)
    return found[0]


def _texts(value: object) -> Iterator[str]:
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
) -> Decided:
    """Ask the model what to do; a misfit, or an answer that broke off, is asked for once more.

    Raise `AiError` after that.
    """
    complaint: str | None = None
    usage = Usage(source="provider")
    for attempt in range(2):
        pieces = provider.decide(context, complaint=complaint, model=model)
        try:
            text, end = await _collect(pieces, DECISION_MOST, on_text)
        except AiError as error:
            if attempt or not broke_off(error):
                raise
            continue
        usage = _sum(usage, end.usage)
        try:
            decision = read_decision(text, context)
        except ValidationFailed as misfit:
            complaint = misfit.message
            continue
        return Decided(decision, usage, repaired=attempt > 0)
    raise AiError(f"The model gave no decision that fits: {complaint}")


async def write_code(
    provider: Provider,
    job: WriteJob,
    *,
    model: str | None = None,
    on_delta: OnText,
    on_restart: Callable[[], Awaitable[None]],
) -> Written:
    """Have the code written; what `on_delta` got since the last `on_restart` is exactly the code.

    Code with faults, or code that broke off, is asked for once more. Raise `AiError` after that,
    and when it grows over its limit.
    """
    complaint: str | None = None
    usage = Usage(source="provider")
    for attempt in range(2):
        if attempt:
            await on_restart()
        pieces = provider.write(job, complaint=complaint, model=model)
        try:
            code, end = await _collect(pieces, CODE_MOST, on_delta)
        except AiError as error:
            if attempt or not broke_off(error):
                raise
            continue
        usage = _sum(usage, end.usage)
        faults = _faults(code, job)
        if not faults:
            return Written(code, usage, end.note)
        complaint = "\n".join(faults)
    raise AiError(f"The model's code cannot be played: {faults[0]}", details=faults)


def broke_off(error: AiError) -> bool:
    """True when the model stopped in the middle: what it gave is void, and it may do better."""
    return isinstance(error.details, dict) and error.details.get("reason") in BROKE_OFF


def _faults(code: str, job: WriteJob) -> list[str]:
    """None for code that is given back as it was: a person wrote it and sees it."""
    if job.scene is not None and code == job.scene.tsx_code:
        return []
    return find_faults(code)


async def _collect(
    pieces: AsyncIterator[Piece], most: int, on_text: OnText | None
) -> tuple[str, End]:
    """The whole text and the end; the model is stopped when this is left early."""
    parts: list[str] = []
    size = 0
    async with aclosing(cast("Any", pieces)) as stream:
        async for piece in stream:
            if isinstance(piece, End):
                return "".join(parts), piece
            size += len(piece.text)
            if size > most:
                raise AiError(f"The model wrote more than {most} characters.")
            parts.append(piece.text)
            if on_text is not None and piece.text:
                await on_text(piece.text)
    raise AiError("The model's answer was cut off.", details={"reason": "truncated"})


def _sum(one: Usage, other: Usage) -> Usage:
    estimated = "estimated" in (one.source, other.source)
    return Usage(
        input_tokens=one.input_tokens + other.input_tokens,
        output_tokens=one.output_tokens + other.output_tokens,
        cached_tokens=one.cached_tokens + other.cached_tokens,
        source="estimated" if estimated else "provider",
    )
