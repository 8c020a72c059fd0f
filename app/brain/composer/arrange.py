"""What the brain has no tool for but the studio has a control: order, names, copies."""

import re

from app.brain.composer.brief import KINDS
from app.brain.composer.wording import lower
from app.brain.model import Context

_REF = (
    r"(?:scenes?|slides?|clips?|intro|outro|opener|"
    + "|".join(words for kind, words in KINDS.items() if kind not in ("quote", "shapes", "logo"))
    + r")(?!\w)"
)
_PLACE = re.compile(
    r"\b(?:to|at|in|into)\s+(?:the\s+)?(?:very\s+)?(?:start|beginning|front|end|back|first|second"
    r"|third|last|position|place)\b|\b(?:before|after|behind|ahead of|in front of)\b"
    r"|\b(?:up|down|earlier|later|forward|forwards|backwards?|to (?:the )?position [0-9]+)\W*$"
)
_MOVE = re.compile(r"^(?:move|bring|shift|place|put|reorder|rearrange|drag)\b")
_SWAP = re.compile(r"^(?:swap|switch|exchange|reorder|rearrange|sort|shuffle|reverse)\b")
_RENAME = re.compile(r"^(?:rename|call|name)\b")
_COPY = re.compile(r"^(?:duplicate|copy|clone|repeat)\b")


def answer_arrange(plain: str, context: Context) -> str | None:
    """Where the studio does what this order (lower case) asks for; None for other orders."""
    refers = _refers(plain, context)
    if _MOVE.match(plain) and _PLACE.search(plain):
        pronoun = re.match(r"^\w+\s+(?:it|this|that)\b(?!\s+(?:text|word|title))", plain)
        if refers or pronoun:
            return _ORDER
    if _SWAP.match(plain) and refers and "\ue000" not in plain:
        return _ORDER
    if _RENAME.match(plain) and refers and re.search(r"\b(?:to|as|into|scene [0-9]+)\b", plain):
        return (
            "I cannot rename scenes: use the pencil beside the scene's name in the scene list. "
            'I can change what a scene shows, for example: change the title to "Revenue".'
        )
    if _COPY.match(plain) and refers:
        return (
            "I cannot copy scenes (POST /api/scenes/{sceneId}/duplicate does). "
            "Shall I add a new one instead? For example: "
            'add a title "Hello" in the same style as scene 1.'
        )
    return None


_ORDER = (
    "I cannot change the order of scenes: use the arrows in the scene list. "
    "I can change, trim or delete scenes, or add one at the end."
)


def _refers(plain: str, context: Context) -> bool:
    """True when the first part of the order names a scene, not something within one."""
    if re.search(rf"^\w+\s+(?:(?:the|my|our|this|that)\s+)?(?:[\w-]+\s+){{0,3}}?{_REF}", plain):
        return True
    names = [lower(scene.name).strip() for scene in context.scenes]
    return any(len(name) > 2 and name in plain for name in names)
