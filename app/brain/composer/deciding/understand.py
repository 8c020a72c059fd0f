"""Decides whether a clause asks for a new scene at all, and what to answer when it does not."""

import re

from app.brain.composer.deciding.clauses import Clause
from app.brain.composer.deciding.talk import ABILITIES, EXAMPLE, WHO, scenes_sentence
from app.brain.composer.reading.colours import find_colours
from app.brain.composer.reading.german import is_german
from app.brain.composer.reading.items import opens_list
from app.brain.composer.reading.vocabulary import ANIMATION_PATTERNS, KINDS
from app.brain.composer.reading.wording import MASK
from app.brain.model import Context

MAX_SLOGAN_WORDS = 25
MAX_LOOK_WORDS = 4  # of a prompt that only says how a scene is to look
MIN_NOISE_LETTERS = 4  # of a word that may be random keys

# The beginning of an order for a new scene.
_ADDS = re.compile(
    r"^(?:add|insert|create|generate|build|design|produce|new|another|one more|give me"
    r"|make (?:an?|me|another|new|one)|put (?:an?|another|in)|show (?:me )?(?:an?|the words?))\b"
)
_NOUNS = "|".join(
    [*KINDS.values(), "titles?(?: card)?|intro(?:duction)?|outro|opener|slides?|scenes?|ending"]
)
_NAMES_KIND = re.compile(rf"\b(?:{_NOUNS})(?!\w)")
# Words before a noun by which it is something that exists: "the chart", "the last scene".
_EXISTING_DETERMINER = (
    r"(?:the|this|that|my|our|its|first|last|(?<![0-9][ -])second|third|next|previous|every|all"
    r"|each)"
)
_DETERMINED = re.compile(rf"\b{_EXISTING_DETERMINER}\s+(?:[\w-]+\s+)?$")
# Nouns for a whole video, which ask for a first scene when there is none.
_VIDEO_NOUNS = (
    r"video|clip|film|movie|animation|animated|promo|trailer|teaser|advert|banner|poster|card"
    r"|presentation|explainer|announcement|invitation|greeting|text|words?"
)
_NAMES_VIDEO = re.compile(rf"\b(?:{_VIDEO_NOUNS})(?!\w)")
# "something cool", "surprise me": nothing to show is named.
_VAGUE = re.compile(
    r"^\W*(?:(?:do|add|make|create|show|build|give|generate) (?:me )?)?(?:some|any)thing\b"
    r"(?:\s+(?!saying|called|about|for|with)\w+){0,2}\W*$"
    r"|^\W*(?:surprise me|whatever|stuff|random|idk)\b"
)
# Orders for things that are no scene.
_OTHER_ORDER = re.compile(
    r"^\W*(?:please\s+)?(?:write|send"
    r"|(?:buy|call|book|order|pay|play|read|sing)(?= (?:me|my|the|an?)\b)|tell|explain"
    r"|find|search|open|calculate|compute"
    r"|solve|fix|do|help|translate|convert|check|look|go to|run|print|save"
    r"|load|install|draw|fetch|summari[sz]e|delete|remove|let|i (?:want|need|would like))\b"
)
_ABOUT_SCENE = re.compile(
    rf"\b{_EXISTING_DETERMINER} (?:\w+ )?(?:scene|slide)\b|^(?:\w+ )+(?:scene|slide) [0-9]"
    r"|^(?:swap|rename)\b"
)
# Rows of a keyboard, in both directions.
_KEYBOARD_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm", "poiuytrewq", "lkjhgfdsa", "mnbvcxz")
_LOOKS = re.compile(r"\b(?:bigger|smaller|larger|bold|darker|lighter|brighter|monospace|serif)\b")


def wants_scene(clause: Clause, context: Context) -> bool:
    """Return whether a clause asks for a new scene.

    It does by an add verb, a kind of scene, quoted text or a list. In a video without scenes, a
    noun for a video or a slogan is enough.
    """
    plain = clause.plain
    if is_vague(plain):
        return False
    if _ADDS.match(plain) or MASK in plain or opens_list(plain):
        return True
    if not context.scenes:
        if is_about_scene(plain):
            return False
        if _NAMES_KIND.search(plain):
            return True
        names_video = _NAMES_VIDEO.search(plain)
        return bool(names_video and not _OTHER_ORDER.match(plain)) or _is_slogan(plain)
    return any(
        not _DETERMINED.search(plain[: found.start()]) for found in _NAMES_KIND.finditer(plain)
    )


def is_vague(plain: str) -> bool:
    """Return whether a text names nothing to show: "something cool", with an order or without."""
    return bool(_VAGUE.match(plain))


def is_about_scene(plain: str) -> bool:
    """Return whether an order is about a scene that must exist: "the alpha scene", "scene 2"."""
    return bool(_ABOUT_SCENE.search(plain))


def wants_look(plain: str) -> bool:
    """Return whether a text only says how a scene is to look: "in red", "dark background"."""
    colours = find_colours(plain)
    if any(colour.role != "main" for colour in colours):
        return True
    is_short = len(plain.split()) <= MAX_LOOK_WORDS
    moves = any(words.search(plain) for _, words in ANIMATION_PATTERNS)
    return is_short and bool(colours or moves or _LOOKS.search(plain))


def not_understood(context: Context, plain: str) -> str:
    """Return the question to a prompt in which nothing was understood."""
    language = " I understand English only." if is_german(plain) else ""
    return (
        f"{WHO} I understood nothing in this that I can do.{language} {ABILITIES}"
        f"{scenes_sentence(context)} {EXAMPLE}"
    )


def _is_slogan(plain: str) -> bool:
    words = re.findall(r"[^\W\d_]+", plain)
    if not words or len(words) > MAX_SLOGAN_WORDS or plain.rstrip().endswith("?"):
        return False
    if _VAGUE.match(plain) or _OTHER_ORDER.match(plain) or is_german(plain):
        return False
    return not any(_is_noise(word) for word in words)


def _is_noise(word: str) -> bool:
    """Return whether a word is a run along the keyboard, or letters without a vowel."""
    if len(word) < MIN_NOISE_LETTERS or not word.isascii():
        return False
    return any(word in row for row in _KEYBOARD_ROWS) or not re.search("[aeiouy]", word)
