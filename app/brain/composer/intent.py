"""The offline model's decision: which tool, on which scene, or which question."""

import re

import msgspec

from app.brain.composer.answers import clarify, decision
from app.brain.composer.arrange import answer_arrange
from app.brain.composer.brief import kind_of
from app.brain.composer.clauses import Clause, split_prompt
from app.brain.composer.figure_kinds import countdown_from
from app.brain.composer.german import translated
from app.brain.composer.lengths import Length, read_length
from app.brain.composer.spelling import spelled
from app.brain.composer.talk import answer_talk
from app.brain.composer.targets import Target, find_target, listing, selected_scene
from app.brain.composer.understand import (
    is_vague,
    not_understood,
    speaks_of_scene,
    wants_look,
    wants_scene,
)
from app.brain.composer.wording import clean, lower, masked, shorten
from app.brain.decide import MAX_WORKFLOW_STEPS
from app.brain.model import Context, ContextScene, Decision, Step
from app.tools.durations import requested_frames

_CLEANED = 12_000  # characters of a prompt that are read

_PLAIN_LENGTH = re.compile(
    r"\b(?:over|in|within|for|after|every|at)\s+(?:about\s+)?[\w.,-]+\s*(?:s|sec)"
)


class Planned(msgspec.Struct, frozen=True):
    """Steps to do, or a question; `rule` says in a sentence what led there."""

    steps: list[Step]
    rule: str
    question: str | None = None


def decide_offline(context: Context) -> Decision:
    """Always a decision that fits the context; the same context gives the same decision."""
    text = translated(spelled(clean(context.prompt)[:_CLEANED]))
    question = answer_talk(lower(masked(text)), context)
    if question:
        return clarify(question, "Nothing in the prompt orders a scene, so I ask.")
    steps: list[Step] = []
    rules: list[str] = []
    gone: set[str] = set()
    before: ContextScene | None = None
    for clause in split_prompt(text):
        planned = _plan(clause, context, before, gone)
        if planned.question:
            return clarify(planned.question, planned.rule)
        for step in planned.steps:
            _append(steps, step)
            if step.tool_name == "deleteScene" and step.target_scene_id:
                gone.add(step.target_scene_id)
        rules.append(planned.rule)
        by_id = {scene.id: scene for scene in context.scenes}
        before = by_id.get(planned.steps[-1].target_scene_id or "") or before
    if len(steps) > MAX_WORKFLOW_STEPS:
        question = (
            f"These are {len(steps)} steps, and I take at most {MAX_WORKFLOW_STEPS} at once. "
            f"Which {MAX_WORKFLOW_STEPS} shall I begin with?"
        )
        return clarify(question, "The prompt orders more steps than one turn takes.")
    return decision(steps, list(dict.fromkeys(rules)), context)


def _append(steps: list[Step], step: Step) -> None:
    """Edits of one scene that follow each other are one edit."""
    last = steps[-1] if steps else None
    same = (
        last is not None
        and last.tool_name == step.tool_name == "editScene"
        and last.target_scene_id == step.target_scene_id
    )
    if last is None or not same:
        steps.append(step)
        return
    steps[-1] = msgspec.structs.replace(
        last,
        context=f"{last.context}; {step.context}",
        target_duration=step.target_duration or last.target_duration,
    )


def _plan(clause: Clause, context: Context, before: ContextScene | None, gone: set[str]) -> Planned:
    arranged = answer_arrange(clause.plain, context)
    if arranged:
        return Planned([], "The studio does that, no tool of mine.", arranged)
    if clause.want == "edit" and not context.scenes and is_vague(clause.plain):
        question = not_understood(context, clause.plain)
        return Planned([], "The prompt does not say what to show.", question)
    if clause.want == "add" and not wants_scene(clause, context):
        if not context.scenes or not wants_look(clause.plain):
            question = not_understood(context, clause.plain)
            return Planned([], "Nothing in the prompt is something that I can do.", question)
        clause = msgspec.structs.replace(clause, want="edit")
    must_exist = clause.strict or speaks_of_scene(clause.plain)
    if clause.want == "add" or (not context.scenes and not must_exist and clause.want == "edit"):
        return _plan_add(clause, context)
    if not context.scenes:
        verb = {"delete": "delete", "length": "trim"}.get(clause.want, "change")
        question = (
            f"There is no scene to {verb} yet. What should the first one show? "
            'For example: add a title "Hello".'
        )
        return Planned([], "The prompt speaks of a scene, but the video has none.", question)
    by_quotes = clause.want != "length"
    target = find_target(
        clause.text, clause.plain, context, use_quotes=by_quotes, careful=clause.want == "delete"
    )
    if target.how in ("pronoun", "default") and before is not None:
        target = Target(scenes=[before], how="before")
    if target.question:
        return Planned([], "The prompt does not name exactly one scene.", target.question)
    lost = [scene for scene in target.scenes if scene.id in gone]
    if lost:
        question = (
            f"\u201c{lost[0].name}\u201d would be deleted before that. "
            "Which scene do you mean instead?"
        )
        return Planned([], "A step needs a scene that an earlier step deletes.", question)
    if clause.want == "delete":
        return _plan_delete(clause, target, context)
    if clause.want == "length":
        return _plan_length(clause, target, context)
    return _plan_edit(clause, target, context)


def _plan_add(clause: Clause, context: Context) -> Planned:
    kind = kind_of(clause.plain)
    duration = requested_frames(clause.text, context.fps)
    if duration is None and kind == "countdown":
        duration = min(1800, max(15, (countdown_from(clause.plain) + 1) * context.fps))
    label = kind.replace("_", " ")
    step = Step(
        tool_name="addScene", context=clause.text or context.prompt, target_duration=duration
    )
    return Planned([step], f"A new scene is ordered ({label}), so addScene.")


def _plan_delete(clause: Clause, target: Target, context: Context) -> Planned:
    part = re.search(
        r"\b(?:sub-?title|text|background|underline|line|glow|item|bullet|bar|author|tagline|label"
        r"|word|column|button|colou?r|animation|shadow|from the (?:list|chart|title))s?\b",
        clause.plain,
    )
    named = target.how in ("number", "name", "kind", "all", "before")
    if part and not re.search(r"\b(?:scene|slide|clip)s?\b(?! [0-9]'s)", clause.plain):
        return _plan_edit(clause, target, context)
    if target.how == "quote" and not re.search(r"\b(?:scene|slide|clip)\b", clause.plain):
        return _plan_edit(clause, target, context)
    sure = (
        named
        or target.how == "quote"
        or len(context.scenes) == 1
        or selected_scene(context) is not None
    )
    if target.how == "default" and not re.search(r"^\w+$", clause.plain.strip(" .!")):
        sure = False
    if not sure or not target.scenes:
        have = listing(context.scenes)
        question = f"Which scene shall I delete? The video has {have}."
        return Planned([], "It is not clear which scene to delete, so I ask.", question)
    if len(target.scenes) > MAX_WORKFLOW_STEPS:
        question = (
            f"That would delete {len(target.scenes)} scenes, and I delete at most "
            f"{MAX_WORKFLOW_STEPS} at once. Which ones first?"
        )
        return Planned([], "More deletions than one turn takes.", question)
    steps = [
        Step(tool_name="deleteScene", context=clause.text, target_scene_id=scene.id)
        for scene in target.scenes
    ]
    return Planned(steps, "A scene is named and shall go, so deleteScene.")


def _plan_length(clause: Clause, target: Target, context: Context) -> Planned:
    steps: list[Step] = []
    for scene in target.scenes:
        name = f"\u201c{shorten(scene.name, 60)}\u201d"
        length = read_length(clause.plain, scene.duration, context.fps, name)
        if length.frames is None:
            question = length.question or f"How long should {name} last?"
            return Planned([], "The new length is not clear, so I ask.", question)
        step = Step(
            tool_name="trimScene",
            context=clause.text,
            target_scene_id=scene.id,
            target_duration=length.frames,
        )
        steps.append(step)
    return Planned(steps, "Only the length of a scene shall change, so trimScene.")


def _plan_edit(clause: Clause, target: Target, context: Context) -> Planned:
    steps: list[Step] = []
    for scene in target.scenes:
        length = Length()
        if not _PLAIN_LENGTH.search(clause.plain):
            length = read_length(clause.plain, scene.duration, context.fps, "the scene")
        step = Step(
            tool_name="editScene",
            context=clause.text,
            target_scene_id=scene.id,
            target_duration=length.frames,
        )
        steps.append(step)
    how = {"number": "by its place", "name": "by its name", "kind": "by its kind",
           "quote": "by its text", "all": "as all of them"}  # fmt: skip
    named = how.get(target.how, "as the current one")
    return Planned(steps, f"A scene that exists is meant ({named}), so editScene.")
