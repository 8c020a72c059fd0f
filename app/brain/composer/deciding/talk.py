"""Answers to prompts that order no scene, or more than the offline model can do."""

import re

from app.brain.composer.deciding.targets import listing
from app.brain.composer.reading.wording import MASK
from app.brain.model import Context

MAX_READ_CHARACTERS = 2_000  # of a prompt, to recognise talk

WHO = "I am the offline model: I work from rules, without a network or an AI service."
ABILITIES = (
    "I can add scenes (titles, lower thirds, lists, charts, quotes, logos, shapes, countdowns, "
    "counters, comparisons, calls to action) and change texts, colours, sizes, speed, animation "
    "and length of scenes, or delete them."
)
EXAMPLE = 'Try: add a title "Hello" in white on dark blue, 4 seconds.'

_GREETING = re.compile(
    r"^\W*(?:hi+|hey+|hello|hallo|yo|good (?:morning|evening|afternoon|day)|greetings|howdy|thanks?"
    r"|thank you(?: very much| so much)?|thx|ok(?:ay)?|cool|great|nice|bye|goodbye|ping|test)"
    r"(?:\s+(?:there|all|everyone|reelroom|again|you))?\W*$"
)
_HELP = re.compile(
    r"^\W*(?:help(?: me)?|what can you do|who are you|what are you|how does this work"
    r"|what is this|how do i start|what now|commands|options|examples?)\W*$"
)
_UNDO = re.compile(
    r"^\W*(?:please\s+)?(?:undo|redo|revert|go back)\b"
    r"(?:\s+(?:that|it|this|the last (?:change|edit|step)))?\W*$"
)
_QUESTION = re.compile(
    r"^\W*(?:what|how|why|when|where|who|which|whose|is|are|was|were|do|does|did|am|should|will"
    r"|have|has|can i|could i|may i|can you (?:tell|explain|see|hear|read|remember))\b"
)
# What the offline model cannot do, as it stands in a sentence, and how prompts ask for it.
_IMPOSSIBLE: list[tuple[str, re.Pattern[str]]] = [
    (
        "make sound",
        re.compile(
            r"\b(?:voice ?-?overs?|narrat(?:e|ion|or)|background music|(?:add|put|play|with) "
            r"(?:some |a |the )?(?:music|audio|song|sound(?: effects?)?|soundtrack))\b"
        ),
    ),
    (
        "make or find pictures and films",
        re.compile(
            r"\b(?:generate|create|make|find|add|insert|use|show) (?:an? |some |the |me an? )?"
            r"(?:\w+ )?(?:photos?|pictures?|images?|stock footage|footage|3d models?)\b"
        ),
    ),
    ("open links", re.compile(r"^\W*(?:https?://|www\.)\S+\W*$|\byou ?tu(?:be\.com|\.be)\b")),
    (
        "export or publish videos",
        re.compile(
            r"^\W*(?:please )?(?:export|download|render|publish|upload|share)\b"
            r"(?! (?:now|our|the app|free))"
        ),
    ),
    ("translate", re.compile(r"\btranslate\b")),
]


def answer_talk(plain: str, context: Context) -> str | None:
    """Return a helpful question when a prompt is no order for a scene, None when it may be one."""
    have = scenes_sentence(context)
    start = plain[:MAX_READ_CHARACTERS]
    if not re.search(r"\w", start) and MASK not in start:
        return f"What should the scene show? {EXAMPLE}"
    if _GREETING.match(start):
        return f"Hello! {ABILITIES}{have} What would you like to see? {EXAMPLE}"
    if _HELP.match(start):
        return f"{WHO} {ABILITIES}{have} What shall it be? {EXAMPLE}"
    if _UNDO.match(start):
        return (
            "Use Undo in the studio's bar (or POST /api/projects/{projectId}/undo or redo): "
            "I can't go back by myself. Or tell me what to change instead."
        )
    for what, pattern in _IMPOSSIBLE:
        if pattern.search(start):
            return f"{WHO} I cannot {what}. {ABILITIES} What would you like instead?"
    if _QUESTION.match(start) and start.rstrip().endswith("?"):
        return (
            f"{WHO} I cannot answer questions, but I make scenes. {ABILITIES}{have} "
            f"Which scene would you like? {EXAMPLE}"
        )
    return None


def scenes_sentence(context: Context) -> str:
    """Return a sentence that lists the scenes, with a space before it; empty without scenes."""
    return f" The video has {listing(context.scenes)}." if context.scenes else ""
