"""The four tools: pure functions from a scene's state and arguments to a proposed change."""

import msgspec

from app.problems import ValidationFailed
from app.scenes.diff import describe
from app.scenes.model import (
    DEFAULT_DURATION_FRAMES,
    MAX_CODE_CHARACTERS,
    MAX_DURATION_FRAMES,
    MAX_NAME_CHARACTERS,
    Complexity,
    SceneState,
)
from app.tools.code import duration_of, find_faults, title_of
from app.tools.model import AddScene, DeleteScene, EditScene, SceneChange, TrimScene

# Shares of new lines up to which an edit is called surgical or creative.
MAX_SURGICAL_SHARE = 0.2  # exclusive
MAX_CREATIVE_SHARE = 0.5  # inclusive


def add_scene(state: SceneState | None, arguments: AddScene) -> SceneChange:
    """Propose a new scene at the end of the video; `state` must be None."""
    if state is not None:
        raise ValidationFailed.at("targetSceneId", "absent", "A new scene has no target.")
    _check_code(arguments.code)
    _check_duration(arguments.duration)
    name = title_of(arguments.code) if arguments.name is None else arguments.name.strip()
    if not 1 <= len(name) <= MAX_NAME_CHARACTERS:
        message = f"A scene's name has 1 to {MAX_NAME_CHARACTERS} characters."
        raise ValidationFailed.at("name", "length", message)
    after = SceneState(
        name=name,
        tsx_code=arguments.code,
        duration=arguments.duration or duration_of(arguments.code) or DEFAULT_DURATION_FRAMES,
    )
    return SceneChange(
        operation="create",
        before=None,
        after=after,
        changes=["created"],
        summary=f"I added the scene \u201c{name}\u201d ({after.duration} frames).",
        reasoning=f"New code of {len(after.tsx_code)} characters for a new scene.",
    )


def edit_scene(state: SceneState | None, arguments: EditScene) -> SceneChange:
    """Propose new code for the scene, and a new duration when one is given."""
    before = _require_live(state)
    _check_duration(arguments.duration)
    after = msgspec.structs.replace(
        before,
        tsx_code=arguments.code,
        duration=before.duration if arguments.duration is None else arguments.duration,
    )
    changes = describe(before, after)
    if not changes:
        message = f"\u201c{before.name}\u201d is as it was: nothing changed."
        raise ValidationFailed.at("code", "unchanged", message)
    if after.tsx_code != before.tsx_code:
        _check_code(arguments.code)
    complexity = arguments.complexity or _complexity(before.tsx_code, after.tsx_code)
    return SceneChange(
        operation="edit",
        before=before,
        after=after,
        changes=changes,
        summary=f"I changed \u201c{before.name}\u201d: {', '.join(changes)}.",
        reasoning=f"A {complexity} edit: {', '.join(changes)}.",
        complexity=complexity,
    )


def delete_scene(state: SceneState | None, arguments: DeleteScene) -> SceneChange:
    """Propose that the scene leaves the video; its content is kept."""
    before = _require_live(state)
    after = msgspec.structs.replace(before, deleted=True, position=None)
    return SceneChange(
        operation="delete",
        before=before,
        after=after,
        changes=["deleted"],
        summary=f"I deleted \u201c{before.name}\u201d. Undo brings it back.",
        reasoning="The scene was named and is live.",
    )


def trim_scene(state: SceneState | None, arguments: TrimScene) -> SceneChange:
    """Propose another duration; the code does not change."""
    before = _require_live(state)
    _check_duration(arguments.duration)
    after = msgspec.structs.replace(before, duration=arguments.duration)
    changes = describe(before, after)
    if not changes:
        message = f"\u201c{before.name}\u201d already lasts {before.duration} frames."
        raise ValidationFailed.at("duration", "unchanged", message)
    return SceneChange(
        operation="trim",
        before=before,
        after=after,
        changes=changes,
        summary=f"\u201c{before.name}\u201d now lasts {after.duration} frames.",
        reasoning=f"Only the duration changes: {before.duration} to {after.duration} frames.",
    )


def _require_live(state: SceneState | None) -> SceneState:
    if state is None or state.deleted:
        message = "This needs a scene that is in the video."
        raise ValidationFailed.at("targetSceneId", "required", message)
    return state


def _check_duration(frames: int | None) -> None:
    if frames is not None and not 1 <= frames <= MAX_DURATION_FRAMES:
        message = f"A scene lasts 1 to {MAX_DURATION_FRAMES} frames, not {frames}."
        raise ValidationFailed.at("duration", "range", message)


def _check_code(code: str) -> None:
    faults = find_faults(code)
    if faults:
        rule = "length" if len(code) > MAX_CODE_CHARACTERS else "code"
        raise ValidationFailed(
            f"The code cannot be played: {faults[0]}",
            details=[{"path": "code", "rule": rule, "message": fault} for fault in faults],
        )


def _complexity(before: str, after: str) -> Complexity:
    """Classify an edit by the share of its lines that are new."""
    old = set(before.splitlines())
    lines = after.splitlines()
    share = sum(line not in old for line in lines) / max(1, len(lines))
    if share < MAX_SURGICAL_SHARE:
        return "surgical"
    return "creative" if share <= MAX_CREATIVE_SHARE else "structural"
