"""The offline model's decision about a prompt: which tool on which scene, or which question."""

import re

import msgspec

from app.brain.composer.composing.figure_kinds import countdown_start
from app.brain.composer.deciding.answers import clarify, decision
from app.brain.composer.deciding.arrange import answer_arrange
from app.brain.composer.deciding.clauses import Clause, split_prompt
from app.brain.composer.deciding.talk import answer_talk
from app.brain.composer.deciding.targets import (
    How,
    Target,
    find_target,
    listing,
    selected_scene,
)
from app.brain.composer.deciding.understand import (
    is_about_scene,
    is_vague,
    not_understood,
    wants_look,
    wants_scene,
)
from app.brain.composer.reading.lengths import Length, read_length
from app.brain.composer.reading.prompt import MAX_DECISION_PROMPT_CHARACTERS, read_prompt
from app.brain.composer.reading.vocabulary import kind_of
from app.brain.composer.reading.wording import plain_of, shorten
from app.brain.decide import MAX_WORKFLOW_STEPS
from app.brain.model import Context, ContextScene, Decision, Step
from app.tools.durations import MAX_REQUESTED_FRAMES, MIN_REQUESTED_FRAMES, requested_frames

MAX_NAME_CHARACTERS = 60  # of a scene's name in a question

# A duration that times a motion within a scene: "fade in over 2 seconds".
_TIMES_MOTION = re.compile(
    r"\b(?:over|in|within|for|after|every|at)\s+(?:about\s+)?[\w.,-]+\s*(?:s|sec)"
)
# A part of a scene, which is removed by an edit: "delete the subtitle".
_PART = re.compile(
    r"\b(?:sub-?title|text|background|underline|line|glow|item|bullet|bar|author|tagline|label"
    r"|word|column|button|colou?r|animation|shadow|from the (?:list|chart|title))s?\b"
)
_NAMES_SCENE = re.compile(r"\b(?:scene|slide|clip)\b")
# A scene, unless it only says where the part is: "delete the text of scene 2's title".
_NAMES_WHOLE_SCENE = re.compile(r"\b(?:scene|slide|clip)s?\b(?! [0-9]'s)")
_ONE_WORD = re.compile(r"^\w+$")

_HOW_NAMED: dict[How, str] = {
    "number": "by its place",
    "name": "by its name",
    "kind": "by its kind",
    "quote": "by its text",
    "all": "as all of them",
}


class ClausePlan(msgspec.Struct, frozen=True):
    """The steps for one clause, or a question; `rule` is a sentence with the reason."""

    steps: list[Step]
    rule: str
    question: str | None = None


def decide(context: Context) -> Decision:
    """Return a decision that fits the context; the same context gives the same decision."""
    text = read_prompt(context.prompt, MAX_DECISION_PROMPT_CHARACTERS)
    question = answer_talk(plain_of(text), context)
    if question:
        return clarify(question, "Nothing in the prompt orders a scene, so I ask.")
    scenes = {scene.id: scene for scene in context.scenes}
    steps: list[Step] = []
    rules: list[str] = []
    deleted: set[str] = set()
    previous: ContextScene | None = None
    for clause in split_prompt(text):
        plan = _plan(clause, context, previous, deleted)
        if plan.question:
            return clarify(plan.question, plan.rule)
        for step in plan.steps:
            _append(steps, step)
            if step.tool_name == "deleteScene" and step.target_scene_id:
                deleted.add(step.target_scene_id)
        rules.append(plan.rule)
        previous = scenes.get(plan.steps[-1].target_scene_id or "") or previous
    if len(steps) > MAX_WORKFLOW_STEPS:
        question = (
            f"These are {len(steps)} steps, and I take at most {MAX_WORKFLOW_STEPS} at once. "
            f"Which {MAX_WORKFLOW_STEPS} shall I begin with?"
        )
        return clarify(question, "The prompt orders more steps than one turn takes.")
    return decision(steps, list(dict.fromkeys(rules)), context)


def _append(steps: list[Step], step: Step) -> None:
    """Add a step; an edit of the scene that the last step edits is merged into that step."""
    last = steps[-1] if steps else None
    is_same_edit = (
        last is not None
        and last.tool_name == step.tool_name == "editScene"
        and last.target_scene_id == step.target_scene_id
    )
    if last is None or not is_same_edit:
        steps.append(step)
        return
    steps[-1] = msgspec.structs.replace(
        last,
        context=f"{last.context}; {step.context}",
        target_duration=step.target_duration or last.target_duration,
    )


def _plan(
    clause: Clause, context: Context, previous: ContextScene | None, deleted: set[str]
) -> ClausePlan:
    """Plan one clause; `previous` is the scene of the clause before it."""
    arranged = answer_arrange(clause.plain, context)
    if arranged:
        return ClausePlan([], "The studio does that, no tool of mine.", arranged)
    if clause.want == "edit" and not context.scenes and is_vague(clause.plain):
        question = not_understood(context, clause.plain)
        return ClausePlan([], "The prompt does not say what to show.", question)
    if clause.want == "add" and not wants_scene(clause, context):
        if not context.scenes or not wants_look(clause.plain):
            question = not_understood(context, clause.plain)
            return ClausePlan([], "Nothing in the prompt is something that I can do.", question)
        clause = msgspec.structs.replace(clause, want="edit")
    must_exist = clause.about_existing or is_about_scene(clause.plain)
    if clause.want == "add" or (not context.scenes and not must_exist and clause.want == "edit"):
        return _plan_add(clause, context)
    if not context.scenes:
        verb = {"delete": "delete", "length": "trim"}.get(clause.want, "change")
        question = (
            f"There is no scene to {verb} yet. What should the first one show? "
            'For example: add a title "Hello".'
        )
        return ClausePlan([], "The prompt speaks of a scene, but the video has none.", question)
    return _plan_change(clause, context, previous, deleted)


def _plan_change(
    clause: Clause, context: Context, previous: ContextScene | None, deleted: set[str]
) -> ClausePlan:
    """Plan a clause that is about existing scenes."""
    target = find_target(
        clause.text,
        clause.plain,
        context,
        use_quotes=clause.want != "length",
        careful=clause.want == "delete",
    )
    if target.how in ("pronoun", "default") and previous is not None:
        target = Target(scenes=[previous], how="before")
    if target.question:
        return ClausePlan([], "The prompt does not name exactly one scene.", target.question)
    lost = [scene for scene in target.scenes if scene.id in deleted]
    if lost:
        question = (
            f"\u201c{lost[0].name}\u201d would be deleted before that. "
            "Which scene do you mean instead?"
        )
        return ClausePlan([], "A step needs a scene that an earlier step deletes.", question)
    if clause.want == "delete":
        return _plan_delete(clause, target, context)
    if clause.want == "length":
        return _plan_length(clause, target, context)
    return _plan_edit(clause, target, context)


def _plan_add(clause: Clause, context: Context) -> ClausePlan:
    kind = kind_of(clause.plain)
    duration = requested_frames(clause.text, context.fps)
    if duration is None and kind == "countdown":
        seconds = countdown_start(clause.plain) + 1
        duration = min(MAX_REQUESTED_FRAMES, max(MIN_REQUESTED_FRAMES, seconds * context.fps))
    label = kind.replace("_", " ")
    step = Step(
        tool_name="addScene", context=clause.text or context.prompt, target_duration=duration
    )
    return ClausePlan([step], f"A new scene is ordered ({label}), so addScene.")


def _plan_delete(clause: Clause, target: Target, context: Context) -> ClausePlan:
    """Plan a deletion only if it is clear which scene is meant; a part is removed by an edit."""
    removes_part = _PART.search(clause.plain) and not _NAMES_WHOLE_SCENE.search(clause.plain)
    removes_text = target.how == "quote" and not _NAMES_SCENE.search(clause.plain)
    if removes_part or removes_text:
        return _plan_edit(clause, target, context)
    if not target.scenes or not _is_certain(clause, target, context):
        have = listing(context.scenes)
        question = f"Which scene shall I delete? The video has {have}."
        return ClausePlan([], "It is not clear which scene to delete, so I ask.", question)
    if len(target.scenes) > MAX_WORKFLOW_STEPS:
        question = (
            f"That would delete {len(target.scenes)} scenes, and I delete at most "
            f"{MAX_WORKFLOW_STEPS} at once. Which ones first?"
        )
        return ClausePlan([], "More deletions than one turn takes.", question)
    steps = [
        Step(tool_name="deleteScene", context=clause.text, target_scene_id=scene.id)
        for scene in target.scenes
    ]
    return ClausePlan(steps, "A scene is named and shall go, so deleteScene.")


def _is_certain(clause: Clause, target: Target, context: Context) -> bool:
    """Return whether it is clear which scene is to be deleted."""
    if target.how == "default" and not _ONE_WORD.search(clause.plain.strip(" .!")):
        return False  # the order names something that was not found
    is_named = target.how in ("number", "name", "kind", "all", "before", "quote")
    return is_named or len(context.scenes) == 1 or selected_scene(context) is not None


def _plan_length(clause: Clause, target: Target, context: Context) -> ClausePlan:
    steps: list[Step] = []
    for scene in target.scenes:
        name = f"\u201c{shorten(scene.name, MAX_NAME_CHARACTERS)}\u201d"
        length = read_length(clause.plain, scene.duration, context.fps, name)
        if length.frames is None:
            question = length.question or f"How long should {name} last?"
            return ClausePlan([], "The new length is not clear, so I ask.", question)
        step = Step(
            tool_name="trimScene",
            context=clause.text,
            target_scene_id=scene.id,
            target_duration=length.frames,
        )
        steps.append(step)
    return ClausePlan(steps, "Only the length of a scene shall change, so trimScene.")


def _plan_edit(clause: Clause, target: Target, context: Context) -> ClausePlan:
    steps: list[Step] = []
    for scene in target.scenes:
        length = Length()
        if not _TIMES_MOTION.search(clause.plain):
            length = read_length(clause.plain, scene.duration, context.fps, "the scene")
        step = Step(
            tool_name="editScene",
            context=clause.text,
            target_scene_id=scene.id,
            target_duration=length.frames,
        )
        steps.append(step)
    named = _HOW_NAMED.get(target.how, "as the current one")
    return ClausePlan(steps, f"A scene that exists is meant ({named}), so editScene.")
