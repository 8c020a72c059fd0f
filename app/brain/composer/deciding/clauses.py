"""Cuts a prompt into orders, and classifies what each order asks for."""

import re
from typing import Literal

import msgspec

from app.brain.composer.reading.colours import find_colours
from app.brain.composer.reading.vocabulary import ANIMATION_PATTERNS, KINDS
from app.brain.composer.reading.wording import MASK, find_quotes, plain_of
from app.tools.durations import find_durations

MAX_PARTS = 40  # of a prompt; the rest of a longer one is its last part

Want = Literal["add", "edit", "delete", "length"]

_NOUNS = "|".join([*KINDS.values(), r"titles?(?: card)?|intro|outro|opener|scenes?|slides?|ending"])
_NAMES_KIND = re.compile(rf"\b(?:{_NOUNS})(?!\w)")
# Nouns that are a scene of their own where they follow "and".
_SCENES = (
    r"titles?(?: card)?|intro|outro|opener|scenes?|slides?|lower[ -]?thirds?|charts?|graphs?"
    r"|quotes?|lists?|checklist|countdown|counter|logo|comparison|call[ -]to[ -]action"
)
_VERBS = (
    r"(?:please\s+)?(?:add|create|insert|generate|build|delete|remove|drop|trim|cut|shorten"
    r"|extend|lengthen|make|change|edit|update|replace|set|turn|speed|slow|recolou?r|swap|get rid"
    r"|use|put)\b"
)
# The beginning of an order: a verb, or "a chart", "another quote".
_ORDER_BEGINS = (
    rf"(?=(?:{_VERBS}|(?:an?|another|one more)\s+(?:[\w{MASK}-]+\s+){{0,3}}(?:{_SCENES})(?!\w)))"
)
# What stands between two orders; it counts only where an order begins behind it.
_SEPARATOR = re.compile(
    r"(?:\s*[,;.!]?\s*\b(?:and then|then|after that|afterwards|finally|and finally|next)\b[,:]?\s*"
    r"|\s*[;\n]+\s*|[.!]\s+|\s*,\s*(?:and\s+)?|\s+and\s+(?:also\s+)?|\s+also\s+)"
    rf"{_ORDER_BEGINS}"
)
# Words before an order that order nothing.
_COURTESY = re.compile(
    r"^(?:\W|please\b|now\b|then\b|also\b|and\b|ok(?:ay)?\b|hey\b|hi\b|can you\b|could you\b"
    r"|would you\b|i want you to\b|i(?:'d| would) like you to\b|let'?s\b|just\b"
    r"|next\b|finally\b|i need you to\b)+"
)
_DELETE = re.compile(
    r"^(?:delete|remove|get rid of|drop|trash|discard|erase|throw away|take out)\b"
)
# The beginning of an order for something new: a scene, or a part of one (see the next three).
_NEW = re.compile(
    r"^(?:add|insert|create|generate|build|design|produce|write|draw|new|another|one more|give me"
    r"|i (?:want|need|would like)|i'd like|we need|make (?:an?|me|another|new|one)\b"
    r"|(?:an?)\s)"
)
# Something new that is called a scene.
_NEW_SCENE = re.compile(
    r"\b(?:new|another|an?|one more|next)\s+(?:[\w-]+\s+){0,3}(?:scene|slide)\b"
)
# Something new that goes into a scene: "to scene 2", "into the list".
_INTO_SCENE = re.compile(
    r"\b(?:to|in|into|on|onto|for)\s+(?:scene|slide)\s+[0-9]"
    r"|\b(?:to|into|onto)\s+(?:it|this|that"
    r"|the (?:\w+ )?(?:scene|slide|list|chart|graph|title|intro|outro|quote|text))\b"
)
# Something new that is a part of a scene: "add a subtitle", but not "add a bar chart".
_NEW_PART = re.compile(
    r"^(?:add|insert|put)\s+(?:an?\s+|another\s+|some\s+|the\s+|more\s+)?(?:[\w-]+\s+)?"
    r"(?:sub-?title"
    r"|text|words?|item|bullet|bullet point|point|bar|tagline|author|glow|shadow|background)s?\b"
    r"(?!\s+(?:charts?|graphs?|plots?|diagrams?|lists?|animations?|scenes?|slides?|cards?)\b)"
)
# The beginning of an order to change something.
_EDIT = re.compile(
    r"^(?:change|edit|update|replace|set|turn|use|fix|increase|decrease|reduce|speed|slow|recolou?r"
    r"|restyle|swap|modify|adjust|rename|move|center|centre|rewrite|translate|improve|put"
    r"|(?:double|half|halve|twice)\b.*\b(?:speed|tempo|pace|fast)\b"
    r"|make\s+(?!an?\b|me\b|another\b|new\b|one\b)|bigger|smaller|larger|faster|slower|darker"
    r"|lighter|brighter|undo|scene\s+[0-9]|in\s+(?:the\s+)?(?:scene|slide)|it\s+(?:should|must|needs)"
    rf"|the\s+(?:[\w{MASK}-]+\s+){{1,4}}(?:should|must|needs|has to|is too|are too)\b)"
)
# The beginning of an order about something that must exist already.
_ABOUT_EXISTING = re.compile(
    r"^(?:change|edit|update|replace|fix|trim|shorten|extend|lengthen|speed|slow|recolou?r|modify"
    r"|adjust|rename|make (?:it|this|that|them|the (?:scene|text|font|background))\b|delete|remove"
    r"|bigger|smaller|faster|slower|darker|lighter|scene\s+[0-9])"
)
# The beginning of an order about the length, not about the speed.
_LENGTH = re.compile(
    r"^(?:(?:trim|cut|shorten|extend|lengthen|stretch|prolong|crop|halve)\b"
    r"(?! (?:the |its )?(?:speed|tempo|pace))"
    r"|double the (?:length|dur))"
)
_MENTIONS_LENGTH = re.compile(r"\b(?:shorter|longer|as long|duration|length)\b")
# Words by which an order with a length is about more than the length.
_MENTIONS_LOOK = re.compile(
    r"\b(?:bigger|smaller|larger|faster|slower|speed|slow|bold|font|say|says|read|reads|text|title"
    r"|background|darker|lighter|brighter|colou?rs?|animation|style)\b"
)
_MENTIONS_TEXT = re.compile(r"\b(?:text|title|font|word|line|label)s?\b")
# A scene that an order names: such an order says no more about the scene added before it.
_NAMES_SCENE = re.compile(r"\b(?:scene|slide|clip)\s+[0-9]|\b(?:first|last|second)\s+scene")


class Clause(msgspec.Struct, frozen=True, kw_only=True):
    """One order of a prompt, in both forms of text (see `wording`).

    `about_existing` says that it is about something that must exist already, `names_kind` that it
    names a kind of scene or has quoted text.
    """

    text: str
    plain: str
    want: Want
    about_existing: bool
    names_kind: bool


def split_prompt(text: str) -> list[Clause]:
    """Return the orders of a prompt in their order; a prompt without a verb is a scene to add."""
    plain = plain_of(text)
    clauses: list[Clause] = []
    begins: list[int] = []
    for left, right in _parts(plain):
        begin = _skip_courtesy(plain, left, right)
        clause = _classify(text[begin:right].strip(), plain[begin:right].strip())
        if clauses and _continues(clause, clauses[-1]):
            joined = text[begins[-1] : right].strip()
            clauses[-1] = msgspec.structs.replace(clauses[-1], text=joined, plain=plain_of(joined))
            continue
        clauses.append(clause)
        begins.append(begin)
    return clauses


def _parts(plain: str) -> list[tuple[int, int]]:
    """Return the character ranges between the separators."""
    parts: list[tuple[int, int]] = []
    start = 0
    for separator in _SEPARATOR.finditer(plain):
        if plain[start : separator.start()].strip():
            parts.append((start, separator.start()))
            start = separator.end()
        if len(parts) == MAX_PARTS:
            break
    parts.append((start, len(plain)))
    return parts


def _skip_courtesy(plain: str, left: int, right: int) -> int:
    courtesy = _COURTESY.match(plain, left, right)
    return courtesy.end() if courtesy and plain[courtesy.end() : right].strip() else left


def _continues(clause: Clause, before: Clause) -> bool:
    """Return whether a clause only says more about the scene that the one before it adds."""
    if before.want != "add":
        return False
    if clause.want == "add":
        return not clause.names_kind
    return clause.want in ("edit", "length") and not _NAMES_SCENE.search(clause.plain)


def _classify(text: str, plain: str) -> Clause:
    return Clause(
        text=text,
        plain=plain,
        want=_want(plain),
        about_existing=bool(_ABOUT_EXISTING.match(plain) or _INTO_SCENE.search(plain)),
        names_kind=bool(_NAMES_KIND.search(plain) or find_quotes(text)),
    )


def _want(plain: str) -> Want:
    if _DELETE.match(plain):
        return "length" if find_durations(plain) else "delete"
    if _LENGTH.match(plain):
        return "length"
    extends = re.match(r"^add\b", plain) and re.search(r"\b(?:to|longer)\b", plain)
    if extends and _only_length(plain):
        return "length"
    if _NEW.match(plain):
        if _NEW_SCENE.search(plain):
            return "add"
        return "edit" if _INTO_SCENE.search(plain) or _NEW_PART.match(plain) else "add"
    if _EDIT.match(plain):
        return "length" if _only_length(plain) else "edit"
    return "add"


def _only_length(plain: str) -> bool:
    """Return whether an order is about a length and nothing else."""
    durations = find_durations(plain)
    if not durations and not _MENTIONS_LENGTH.search(plain):
        return False
    if find_colours(plain) or MASK in plain:
        return False
    if _MENTIONS_TEXT.search(plain) and not durations:
        return False
    moves = any(words.search(plain) for _, words in ANIMATION_PATTERNS)
    return not (_MENTIONS_LOOK.search(plain) or moves)
