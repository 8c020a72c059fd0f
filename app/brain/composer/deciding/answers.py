"""Puts decisions into their final form, with sentences for the chat."""

import re

from app.brain.composer.deciding.targets import find_target
from app.brain.composer.reading.vocabulary import kind_of
from app.brain.composer.reading.wording import clean, plain_of, shorten
from app.brain.model import Context, Decision, Step

MAX_NAME_CHARACTERS = 60  # of a scene's name in a sentence
MAX_FEEDBACK_CHARACTERS = 600
MAX_REFERENCES = 5  # scenes that a new one is to resemble

# Words behind which a scene is named only as an example: "in the same style as scene 1".
_RESEMBLES = re.compile(r"\b(?:like|as in|same (?:style|colou?rs?|look) as|match(?:ing)?)\b")


def decision(steps: list[Step], rules: list[str], context: Context) -> Decision:
    """Return one step as a tool, several as a workflow; `rules` are sentences with the reasons."""
    names = {scene.id: shorten(clean(scene.name), MAX_NAME_CHARACTERS) for scene in context.scenes}
    reasoning = " ".join(rules)
    if len(steps) > 1:
        parts = ", then ".join(_announcement(step, names) for step in steps)
        return Decision(
            tool_name=None,
            reasoning=f"{reasoning} Several orders, done in their order.",
            user_feedback=shorten(f"{len(steps)} steps: {parts}.", MAX_FEEDBACK_CHARACTERS),
            workflow=steps,
        )
    step = steps[0]
    feedback = _announcement(step, names)
    return Decision(
        tool_name=step.tool_name,
        reasoning=reasoning,
        user_feedback=f"{feedback[:1].upper()}{feedback[1:]}.",
        target_scene_id=step.target_scene_id,
        target_duration=step.target_duration,
        referenced_scene_ids=_references(step, context),
        edit_complexity="surgical" if step.tool_name == "editScene" else None,
    )


def clarify(question: str, rule: str) -> Decision:
    """Return a question to the user; `rule` is a sentence with the reason."""
    return Decision(
        tool_name=None,
        reasoning=rule,
        user_feedback=question,
        needs_clarification=True,
        clarification_question=question,
    )


def _references(step: Step, context: Context) -> list[str]:
    """Return the ids of the scenes that are named as examples."""
    plain = plain_of(step.context)
    found = _RESEMBLES.search(plain)
    if not found:
        return []
    target = find_target(step.context[found.end() :], plain[found.end() :], context)
    if target.how not in ("number", "name"):
        return []
    others = [scene.id for scene in target.scenes if scene.id != step.target_scene_id]
    return others[:MAX_REFERENCES]


def _announcement(step: Step, names: dict[str, str]) -> str:
    name = f"\u201c{names.get(step.target_scene_id or '', '')}\u201d"
    if step.tool_name == "addScene":
        kind = kind_of(plain_of(step.context)).replace("_", " ")
        return f"I add a {kind} scene"
    if step.tool_name == "deleteScene":
        return f"I delete {name}"
    if step.tool_name == "trimScene":
        return f"I set {name} to {step.target_duration} frames"
    return f"I change {name}"
