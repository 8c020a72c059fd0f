"""The offline model's decisions in their final form, with words for the chat."""

import re

from app.brain.composer.brief import kind_of
from app.brain.composer.targets import find_target
from app.brain.composer.wording import clean, lower, masked, shorten
from app.brain.model import Context, Decision, Step

_RELATED = re.compile(r"\b(?:like|as in|same (?:style|colou?rs?|look) as|match(?:ing)?)\b")


def decision(steps: list[Step], rules: list[str], context: Context) -> Decision:
    """One step as a tool, several as a workflow; `rules` say why."""
    names = {scene.id: shorten(clean(scene.name), 60) for scene in context.scenes}
    reasoning = " ".join(rules)
    if len(steps) > 1:
        parts = [_says(step, names) for step in steps]
        return Decision(
            tool_name=None,
            reasoning=f"{reasoning} Several orders, done in their order.",
            user_feedback=shorten(f"{len(steps)} steps: {', then '.join(parts)}.", 600),
            workflow=steps,
        )
    step = steps[0]
    feedback = _says(step, names)
    return Decision(
        tool_name=step.tool_name,
        reasoning=reasoning,
        user_feedback=f"{feedback[:1].upper()}{feedback[1:]}.",
        target_scene_id=step.target_scene_id,
        target_duration=step.target_duration,
        referenced_scene_ids=_references(step, context),
        edit_complexity="surgical" if step.tool_name == "editScene" else None,
    )


def _references(step: Step, context: Context) -> list[str]:
    """Scenes that the prompt compares with: "in the style of scene 1"."""
    plain = lower(masked(step.context))
    found = _RELATED.search(plain)
    if not found:
        return []
    part = step.context[found.end() :]
    target = find_target(part, plain[found.end() :], context)
    if target.how not in ("number", "name"):
        return []
    return [scene.id for scene in target.scenes if scene.id != step.target_scene_id][:5]


def _says(step: Step, names: dict[str, str]) -> str:
    name = f"\u201c{names.get(step.target_scene_id or '', '')}\u201d"
    if step.tool_name == "addScene":
        kind = kind_of(lower(masked(step.context))).replace("_", " ")
        return f"I add a {kind} scene"
    if step.tool_name == "deleteScene":
        return f"I delete {name}"
    if step.tool_name == "trimScene":
        return f"I set {name} to {step.target_duration} frames"
    return f"I change {name}"


def clarify(question: str, rule: str) -> Decision:
    """A question back; `rule` says why."""
    return Decision(
        tool_name=None,
        reasoning=rule,
        user_feedback=question,
        needs_clarification=True,
        clarification_question=question,
    )
