"""Cutting a prompt into orders, and telling what each order wants done."""

import re
from typing import Literal

import msgspec

from app.brain.composer.brief import ANIMATIONS, KINDS
from app.brain.composer.colours import find_colours
from app.brain.composer.wording import MASK, find_quotes, lower, masked
from app.tools.durations import find_durations

PARTS_MOST = 40  # far more than a turn takes; the rest of a longer prompt stays in one part

Want = Literal["add", "edit", "delete", "length"]

_NOUNS = "|".join([*KINDS.values(), r"titles?(?: card)?|intro|outro|opener|scenes?|slides?|ending"])
_SCENES = (  # what is a scene of its own where it follows "and"
    r"titles?(?: card)?|intro|outro|opener|scenes?|slides?|lower[ -]?thirds?|charts?|graphs?"
    r"|quotes?|lists?|checklist|countdown|counter|logo|comparison|call[ -]to[ -]action"
)
_VERBS = (
    r"(?:please\s+)?(?:add|create|insert|generate|build|delete|remove|drop|trim|cut|shorten"
    r"|extend|lengthen|make|change|edit|update|replace|set|turn|speed|slow|recolou?r|swap|get rid"
    r"|use|put)\b"
)
_NEXT = (
    rf"(?=(?:{_VERBS}|(?:an?|another|one more)\s+(?:[\w{MASK}-]+\s+){{0,3}}(?:{_SCENES})(?!\w)))"
)
_SEPARATOR = re.compile(
    r"(?:\s*[,;.!]?\s*\b(?:and then|then|after that|afterwards|finally|and finally|next)\b[,:]?\s*"
    rf"|\s*[;\n]+\s*|[.!]\s+|\s*,\s*(?:and\s+)?|\s+and\s+(?:also\s+)?|\s+also\s+){_NEXT}"
)
_POLITE = re.compile(
    r"^(?:\W|please\b|now\b|then\b|also\b|and\b|ok(?:ay)?\b|hey\b|hi\b|can you\b|could you\b"
    r"|would you\b|i want you to\b|i(?:'d| would) like you to\b|let'?s\b|just\b"
    r"|next\b|finally\b|i need you to\b)+"
)
_DELETE = re.compile(
    r"^(?:delete|remove|get rid of|drop|trash|discard|erase|throw away|take out)\b"
)
_NEW = re.compile(
    r"^(?:add|insert|create|generate|build|design|produce|write|draw|new|another|one more|give me"
    r"|i (?:want|need|would like)|i'd like|we need|make (?:an?|me|another|new|one)\b"
    r"|(?:an?)\s)"
)
_SCENE_NEW = re.compile(
    r"\b(?:new|another|an?|one more|next)\s+(?:[\w-]+\s+){0,3}(?:scene|slide)\b"
)
_INTO = re.compile(
    r"\b(?:to|in|into|on|onto|for)\s+(?:scene|slide)\s+[0-9]"
    r"|\b(?:to|into|onto)\s+(?:it|this|that"
    r"|the (?:\w+ )?(?:scene|slide|list|chart|graph|title|intro|outro|quote|text))\b"
)
_PART = re.compile(
    r"^(?:add|insert|put)\s+(?:an?\s+|another\s+|some\s+|the\s+|more\s+)?(?:[\w-]+\s+)?"
    r"(?:sub-?title"
    r"|text|words?|item|bullet|bullet point|point|bar|tagline|author|glow|shadow|background)s?\b"
    r"(?!\s+(?:charts?|graphs?|plots?|diagrams?|lists?|animations?|scenes?|slides?|cards?)\b)"
)
_EDIT = re.compile(
    r"^(?:change|edit|update|replace|set|turn|use|fix|increase|decrease|reduce|speed|slow|recolou?r"
    r"|restyle|swap|modify|adjust|rename|move|center|centre|rewrite|translate|improve|put"
    r"|(?:double|half|halve|twice)\b.*\b(?:speed|tempo|pace|fast)\b"
    r"|make\s+(?!an?\b|me\b|another\b|new\b|one\b)|bigger|smaller|larger|faster|slower|darker"
    r"|lighter|brighter|undo|scene\s+[0-9]|in\s+(?:the\s+)?(?:scene|slide)|it\s+(?:should|must|needs)"
    rf"|the\s+(?:[\w{MASK}-]+\s+){{1,4}}(?:should|must|needs|has to|is too|are too)\b)"
)
_STRICT = re.compile(
    r"^(?:change|edit|update|replace|fix|trim|shorten|extend|lengthen|speed|slow|recolou?r|modify"
    r"|adjust|rename|make (?:it|this|that|them|the (?:scene|text|font|background))\b|delete|remove"
    r"|bigger|smaller|faster|slower|darker|lighter|scene\s+[0-9])"
)
_LENGTH = re.compile(
    r"^(?:(?:trim|cut|shorten|extend|lengthen|stretch|prolong|crop|halve)\b"
    r"(?! (?:the |its )?(?:speed|tempo|pace))"
    r"|double the (?:length|dur))"
)
_LOOK = re.compile(
    r"\b(?:bigger|smaller|larger|faster|slower|speed|slow|bold|font|say|says|read|reads|text|title"
    r"|background|darker|lighter|brighter|colou?rs?|animation|style)\b"
)


class Clause(msgspec.Struct, frozen=True, kw_only=True):
    """One order of a prompt; `plain` in lower case, quotes masked, as long as `text`."""

    text: str
    plain: str
    want: Want
    strict: bool  # speaks of something that must exist
    names_kind: bool  # names a kind of scene, or has quoted text


def split_prompt(text: str) -> list[Clause]:
    """The orders of a prompt in their order; a prompt without one is a scene to add."""
    plain = lower(masked(text))
    parts: list[tuple[int, int]] = []
    start = 0
    for cut in _SEPARATOR.finditer(plain):
        if plain[start : cut.start()].strip():
            parts.append((start, cut.start()))
            start = cut.end()
        if len(parts) == PARTS_MOST:
            break
    parts.append((start, len(plain)))
    clauses: list[Clause] = []
    begins: list[int] = []
    for left, right in parts:
        begin = _skip_courtesy(plain, left, right)
        clause = _classify(text[begin:right].strip(), plain[begin:right].strip())
        if clauses and _belongs(clause, clauses[-1]):
            joined = text[begins[-1] : right].strip()
            clauses[-1] = msgspec.structs.replace(
                clauses[-1], text=joined, plain=lower(masked(joined))
            )
            continue
        clauses.append(clause)
        begins.append(begin)
    return clauses


def _skip_courtesy(plain: str, left: int, right: int) -> int:
    polite = _POLITE.match(plain, left, right)
    return polite.end() if polite and plain[polite.end() : right].strip() else left


def _belongs(clause: Clause, before: Clause) -> bool:
    """True for what only says more about a scene that the clause before adds."""
    if before.want != "add":
        return False
    if clause.want == "add":
        return not clause.names_kind
    refers = re.search(
        r"\b(?:scene|slide|clip)\s+[0-9]|\b(?:first|last|second)\s+scene", clause.plain
    )
    return clause.want in ("edit", "length") and not refers


def _classify(text: str, plain: str) -> Clause:
    return Clause(
        text=text,
        plain=plain,
        want=_want(plain),
        strict=bool(_STRICT.match(plain) or _INTO.search(plain)),
        names_kind=bool(re.search(rf"\b(?:{_NOUNS})(?!\w)", plain) or find_quotes(text)),
    )


def _want(plain: str) -> Want:
    if _DELETE.match(plain):
        return "length" if find_durations(plain) else "delete"
    if _LENGTH.match(plain):
        return "length"
    if (
        re.match(r"^add\b", plain)
        and re.search(r"\b(?:to|longer)\b", plain)
        and _only_length(plain)
    ):
        return "length"
    if _NEW.match(plain):
        if _SCENE_NEW.search(plain):
            return "add"
        return "edit" if _INTO.search(plain) or _PART.match(plain) else "add"
    if _EDIT.match(plain):
        return "length" if _only_length(plain) else "edit"
    return "add"


def _only_length(plain: str) -> bool:
    """True when nothing but a length is ordered."""
    timed = find_durations(plain) or re.search(
        r"\b(?:shorter|longer|as long|duration|length)\b", plain
    )
    if not timed or find_colours(plain) or MASK in plain:
        return False
    if re.search(r"\b(?:text|title|font|word|line|label)s?\b", plain) and not find_durations(plain):
        return False
    return not (_LOOK.search(plain) or any(words.search(plain) for _, words in ANIMATIONS))
