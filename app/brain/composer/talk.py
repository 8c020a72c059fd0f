"""What the offline model answers when no scene is asked for, or more than it can do."""

import re

from app.brain.composer.targets import listing
from app.brain.model import Context

OFFLINE = "I am the offline model: I work from rules, without a network or an AI service."
CAN = (
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
_ASKS = re.compile(
    r"^\W*(?:what|how|why|when|where|who|which|whose|is|are|was|were|do|does|did|am|should|will"
    r"|have|has|can i|could i|may i|can you (?:tell|explain|see|hear|read|remember))\b"
)
_BEYOND: list[tuple[str, re.Pattern[str]]] = [
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
    """A helpful question back when the prompt (lower case) is no order for a scene, else None."""
    have = f" The video has {listing(context.scenes)}." if context.scenes else ""
    short = plain[:2000]
    if not re.search(r"\w", short) and "\ue000" not in short:
        return f"What should the scene show? {EXAMPLE}"
    if _GREETING.match(short):
        return f"Hello! {CAN}{have} What would you like to see? {EXAMPLE}"
    if _HELP.match(short):
        return f"{OFFLINE} {CAN}{have} What shall it be? {EXAMPLE}"
    if _UNDO.match(short):
        return (
            "Use Undo in the studio's bar (or POST /api/projects/{projectId}/undo or redo): "
            "I can't go back by myself. Or tell me what to change instead."
        )
    for what, pattern in _BEYOND:
        if pattern.search(short):
            return f"{OFFLINE} I cannot {what}. {CAN} What would you like instead?"
    if _ASKS.match(short) and short.rstrip().endswith("?"):
        return (
            f"{OFFLINE} I cannot answer questions, but I make scenes. {CAN}{have} "
            f"Which scene would you like? {EXAMPLE}"
        )
    return None
