"""Orders for which there is no tool but a control in the studio: order, names and copies."""

import re

from app.brain.composer.reading.vocabulary import KINDS
from app.brain.composer.reading.wording import MASK, lower
from app.brain.model import Context

MIN_NAME_CHARACTERS = 3  # of a scene's name that is looked for in a prompt

# A scene by its number or kind; a "quote", a "shape" or a "logo" is more likely a part of one.
_SCENE_NOUN = (
    r"(?:scenes?|slides?|clips?|intro|outro|opener|"
    + "|".join(words for kind, words in KINDS.items() if kind not in ("quote", "shapes", "logo"))
    + r")(?!\w)"
)
_NAMES_SCENE = re.compile(
    rf"^\w+\s+(?:(?:the|my|our|this|that)\s+)?(?:[\w-]+\s+){{0,3}}?{_SCENE_NOUN}"
)
_MOVE = re.compile(r"^(?:move|bring|shift|place|put|reorder|rearrange|drag)\b")
# Where to move it: "to the start", "before the chart", "up".
_PLACE = re.compile(
    r"\b(?:to|at|in|into)\s+(?:the\s+)?(?:very\s+)?(?:start|beginning|front|end|back|first|second"
    r"|third|last|position|place)\b|\b(?:before|after|behind|ahead of|in front of)\b"
    r"|\b(?:up|down|earlier|later|forward|forwards|backwards?|to (?:the )?position [0-9]+)\W*$"
)
_PRONOUN_FIRST = re.compile(r"^\w+\s+(?:it|this|that)\b(?!\s+(?:text|word|title))")
_SWAP = re.compile(r"^(?:swap|switch|exchange|reorder|rearrange|sort|shuffle|reverse)\b")
_RENAME = re.compile(r"^(?:rename|call|name)\b")
_NEW_NAME = re.compile(r"\b(?:to|as|into|scene [0-9]+)\b")
_COPY = re.compile(r"^(?:duplicate|copy|clone|repeat)\b")

_ORDER_ANSWER = (
    "I cannot change the order of scenes: use the arrows in the scene list. "
    "I can change, trim or delete scenes, or add one at the end."
)
_RENAME_ANSWER = (
    "I cannot rename scenes: use the pencil beside the scene's name in the scene list. "
    'I can change what a scene shows, for example: change the title to "Revenue".'
)
_COPY_ANSWER = (
    "I cannot copy scenes (POST /api/scenes/{sceneId}/duplicate does). "
    "Shall I add a new one instead? For example: "
    'add a title "Hello" in the same style as scene 1.'
)


def answer_arrange(plain: str, context: Context) -> str | None:
    """Return where the studio does what an order asks for, None for all other orders."""
    names_scene = _names_scene(plain, context)
    moves = _MOVE.match(plain) and _PLACE.search(plain)
    if moves and (names_scene or _PRONOUN_FIRST.match(plain)):
        return _ORDER_ANSWER
    if not names_scene:
        return None
    if _SWAP.match(plain) and MASK not in plain:
        return _ORDER_ANSWER
    if _RENAME.match(plain) and _NEW_NAME.search(plain):
        return _RENAME_ANSWER
    return _COPY_ANSWER if _COPY.match(plain) else None


def _names_scene(plain: str, context: Context) -> bool:
    """Return whether the order is about a scene, not about something within one."""
    if _NAMES_SCENE.search(plain):
        return True
    names = [lower(scene.name).strip() for scene in context.scenes]
    return any(len(name) >= MIN_NAME_CHARACTERS and name in plain for name in names)
