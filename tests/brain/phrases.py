"""The recorded answers of the composer to a corpus of prompts.

Decisions are recorded in short, as a person would check them, and everything else as digests.
After an intended change of a rule, `python -m tests.brain.phrases` records the answers anew; the
difference of `phrases.jsonl` then shows which prompts the change has touched.
"""

import hashlib
from pathlib import Path

import msgspec

from app.brain.composer import composer
from app.brain.model import Context, ContextScene, Decision, Step
from tests.brain.composer import BY_HAND, CHART, LIST, SCENES, TITLE, compose, edit

RECORD = Path(__file__).with_name("phrases.jsonl")
EDITED = (TITLE, LIST, CHART, BY_HAND)
DIGEST_CHARACTERS = 12
QUESTION_CHARACTERS = 60


class Answers(msgspec.Struct, frozen=True):
    """The answers to one prompt.

    `empty` is the decision in a video without scenes, `full` that in one with three. The digests
    are of the whole decisions, of a new scene, and of edits of four scenes, with their notes.
    """

    prompt: str
    empty: str
    full: str
    decisions: str
    scene: str
    edits: str


def recorded() -> list[Answers]:
    """Return the recorded answers, one for each prompt."""
    lines = RECORD.read_bytes().splitlines()
    return [msgspec.json.decode(line, type=Answers) for line in lines]


def answers_to(prompt: str) -> Answers:
    """Return the answers that the composer gives now."""
    empty, full = _decide(prompt, []), _decide(prompt, SCENES)
    return Answers(
        prompt=prompt,
        empty=_in_short(empty),
        full=_in_short(full),
        decisions=_digest([empty, full]),
        scene=_digest(compose(prompt)),
        edits=_digest([edit(code, prompt) for code in EDITED]),
    )


def _decide(prompt: str, scenes: list[ContextScene]) -> Decision:
    return composer.decide(Context(prompt=prompt, scenes=scenes))


def _in_short(decision: Decision) -> str:
    """Return the steps as tool, scene and frames, or the beginning of the question."""
    if decision.clarification_question:
        return f"? {decision.clarification_question[:QUESTION_CHARACTERS]}"
    steps: list[Decision] | list[Step] = decision.workflow or [decision]
    parts = [(step.tool_name, step.target_scene_id, step.target_duration) for step in steps]
    return ", ".join(" ".join(str(part) for part in each if part is not None) for each in parts)


def _digest(value: object) -> str:
    return hashlib.sha256(msgspec.json.encode(value)).hexdigest()[:DIGEST_CHARACTERS]


def main() -> None:
    lines = [msgspec.json.encode(answers_to(each.prompt)) for each in recorded()]
    RECORD.write_bytes(b"\n".join(lines) + b"\n")


if __name__ == "__main__":
    main()
