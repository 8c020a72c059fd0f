"""Whether a prompt asks for a new scene at all, and what to say when it does not."""

import re

from app.brain.composer.brief import ANIMATIONS, KINDS
from app.brain.composer.clauses import Clause
from app.brain.composer.colours import find_colours
from app.brain.composer.german import is_german
from app.brain.composer.items import opens_list
from app.brain.composer.talk import CAN, EXAMPLE, OFFLINE
from app.brain.composer.targets import listing
from app.brain.composer.wording import MASK
from app.brain.model import Context

SLOGAN_MOST = 25  # words

_ADDS = re.compile(
    r"^(?:add|insert|create|generate|build|design|produce|new|another|one more|give me"
    r"|make (?:an?|me|another|new|one)|put (?:an?|another|in)|show (?:me )?(?:an?|the words?))\b"
)
_NOUNS = "|".join(
    [*KINDS.values(), "titles?(?: card)?|intro(?:duction)?|outro|opener|slides?|scenes?|ending"]
)
_OLD = (
    r"(?:the|this|that|my|our|its|first|last|(?<![0-9][ -])second|third|next|previous|every|all"
    r"|each)"
)
_FIRST_NOUNS = (
    r"video|clip|film|movie|animation|animated|promo|trailer|teaser|advert|banner|poster|card"
    r"|presentation|explainer|announcement|invitation|greeting|text|words?"
)
_VAGUE = re.compile(
    r"^\W*(?:(?:do|add|make|create|show|build|give|generate) (?:me )?)?(?:some|any)thing\b"
    r"(?:\s+(?!saying|called|about|for|with)\w+){0,2}\W*$"
    r"|^\W*(?:surprise me|whatever|stuff|random|idk)\b"
)
_ORDERS = re.compile(
    r"^\W*(?:please\s+)?(?:write|send"
    r"|(?:buy|call|book|order|pay|play|read|sing)(?= (?:me|my|the|an?)\b)|tell|explain"
    r"|find|search|open|calculate|compute"
    r"|solve|fix|do|help|translate|convert|check|look|go to|run|print|save"
    r"|load|install|draw|fetch|summari[sz]e|delete|remove|let|i (?:want|need|would like))\b"
)
_EXISTING = re.compile(
    rf"\b{_OLD} (?:\w+ )?(?:scene|slide)\b|^(?:\w+ )+(?:scene|slide) [0-9]|^(?:swap|rename)\b"
)
_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm", "poiuytrewq", "lkjhgfdsa", "mnbvcxz")
_LOOKS = re.compile(r"\b(?:bigger|smaller|larger|bold|darker|lighter|brighter|monospace|serif)\b")


def wants_scene(clause: Clause, context: Context) -> bool:
    """True for an add verb, a kind of scene, quoted text or a list; or a slogan to begin with."""
    plain = clause.plain
    if is_vague(plain):
        return False
    if _ADDS.match(plain) or MASK in plain or opens_list(plain):
        return True
    if not context.scenes:
        if speaks_of_scene(plain):
            return False
        if re.search(rf"\b(?:{_NOUNS})(?!\w)", plain):
            return True
        nouns = re.search(rf"\b(?:{_FIRST_NOUNS})(?!\w)", plain)
        return bool(nouns and not _ORDERS.match(plain)) or _is_slogan(plain)
    for found in re.finditer(rf"\b(?:{_NOUNS})(?!\w)", plain):
        if not re.search(rf"\b{_OLD}\s+(?:[\w-]+\s+)?$", plain[: found.start()]):
            return True
    return False


def is_vague(plain: str) -> bool:
    """True for "something cool", with an order in front or without."""
    return bool(_VAGUE.match(plain))


def speaks_of_scene(plain: str) -> bool:
    """True for an order about a scene that must exist: "the alpha scene", "scene 2"."""
    return bool(_EXISTING.search(plain))


def wants_look(plain: str) -> bool:
    """True for what only says how a scene should look: "dark blue background", "in red"."""
    colours = find_colours(plain)
    if any(colour.role != "main" for colour in colours):
        return True
    short = len(plain.split()) <= 4
    moves = any(words.search(plain) for _, words in ANIMATIONS)
    return short and bool(colours or moves or _LOOKS.search(plain))


def _is_slogan(plain: str) -> bool:
    words = re.findall(r"[^\W\d_]+", plain)
    if not words or len(words) > SLOGAN_MOST or plain.rstrip().endswith("?"):
        return False
    if _VAGUE.match(plain) or _ORDERS.match(plain) or is_german(plain):
        return False
    return not any(_is_noise(word) for word in words)


def _is_noise(word: str) -> bool:
    """A run along the keyboard, or letters without a vowel."""
    if len(word) < 4 or not word.isascii():
        return False
    return any(word in row for row in _ROWS) or not re.search("[aeiouy]", word)


def not_understood(context: Context, plain: str) -> str:
    """The question back: who answers, that nothing was understood, and an example."""
    have = f" The video has {listing(context.scenes)}." if context.scenes else ""
    language = " I understand English only." if is_german(plain) else ""
    return f"{OFFLINE} I understood nothing in this that I can do.{language} {CAN}{have} {EXAMPLE}"
