"""Finds the scenes that an order means: by number, place, name, kind, part or content."""

import re
from typing import Literal

import msgspec

from app.brain.composer.reading.vocabulary import KINDS
from app.brain.composer.reading.wording import find_quotes, lower, shorten
from app.brain.model import Context, ContextScene

MAX_LISTED_SCENES = 6  # in a question
MAX_LISTED_NAME_CHARACTERS = 40
MAX_NUMBERS = 100  # scenes that one order can name
MAX_RANGE = 20  # scenes in "scenes 2 to 9"; beyond it the second number is taken by itself
MIN_NAME_CHARACTERS = 3  # of a scene's name that is looked for in a prompt

_ORDINALS = {
    "first": 0, "1st": 0, "opening": 0, "second": 1, "2nd": 1, "third": 2, "3rd": 2, "fourth": 3,
    "4th": 3, "fifth": 4, "5th": 4, "sixth": 5, "seventh": 6, "eighth": 7, "ninth": 8, "tenth": 9,
    "last": -1, "final": -1, "closing": -1,
}  # fmt: skip
_NUMBER_WORDS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
# A number that is not the beginning of a duration: "scene 2", but not "scene 2 seconds".
_NO_DURATION = r"(?![0-9])(?!\s*-?\s*(?:s\b|sec|frame|min|[.,][0-9]))"
# "scene 2", "slides 1, 2 and 3", "scenes 1-3".
_NUMBERED = re.compile(
    rf"\b(?:scenes?|slides?|clips?)\s*(?:no\.?|number|#)?\s*(?P<first>[0-9]{{1,4}}){_NO_DURATION}"
    rf"(?P<more>(?:\s*(?:,|and|&|to|-)\s*(?:scene\s+)?[0-9]{{1,4}}{_NO_DURATION})*)"
)
# "the first scene", "the newest one".
_PLACED = re.compile(
    rf"\b(?P<word>{'|'.join(_ORDINALS)})\s+(?:scene|slide|clip|one)\b"
    r"|\b(?P<newest>newest|latest|most recent|new)\s+(?:scene|slide|clip|one)\b"
)
# "scene two", but not "three times".
_NUMBER_WORD = re.compile(
    r"\b(?:scene|slide)\s+(one|two|three|four|five|six|seven|eight|nine|ten)\b(?! times)"
)
_ALL = re.compile(
    r"\b(?:all (?:of )?(?:the |my )?(?:scenes|slides|clips)|every (?:scene|slide)|everything"
    r"|each scene|all of them|the (?:whole|entire) video)\b"
)
_PRONOUN = re.compile(r"\b(?:it|its|this|that|the (?:scene|slide|clip)|this (?:one|scene))\b")
# A word before "scene" or a kind that may be a part of a name: "the alpha scene".
_WORD_OF_NAME = re.compile(
    r"\b(?:the|my|our|in|of)\s+(?:scene\s+)?(?P<word>[\w&-]{3,40})"
    rf"(?=\s+(?:scenes?|slides?|clips?|titles?|one|{'|'.join(KINDS.values())})(?!\w))"
)
_COMMON_WORDS = frozenset(
    re.findall(
        "[a-z]+",
        "the and for with our your new title scene slide clip chart list quote counter countdown "
        "logo comparison shapes call action lower third to a of in on from first last second",
    )
)
# Parts that only one kind of scene has.
_PARTS = {"chart": r"values|numbers|bars|data|columns", "list": r"items|bullets|bullet points"}
# Scenes that are known by their place when no name holds the word.
_ENDS = {"intro": 0, "introduction": 0, "outro": -1, "opener": 0, "ending": -1}

How = Literal["all", "number", "name", "kind", "quote", "pronoun", "before", "default"]


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """The scenes that are meant, or a question when that is not clear.

    `how` says by what they were found; "before" is the scene of the order before this one, and
    "default" the current scene when the order names none.
    """

    scenes: list[ContextScene] = []
    how: How = "default"
    question: str | None = None


def find_target(
    text: str, plain: str, context: Context, *, use_quotes: bool = True, careful: bool = False
) -> Target:
    """Return the scenes that an order means.

    When several scenes fit, the current one is meant; with `careful` only if it is selected.
    Quoted text is taken for a name or a content only with `use_quotes`.
    """
    scenes = context.scenes
    preferred = selected_scene(context) if careful else current_scene(context)
    if _ALL.search(plain):
        return Target(scenes=list(scenes), how="all")
    named = _by_number(plain, scenes) or _by_place(plain, context)
    named = named or _by_name(text, plain, scenes, use_quotes=use_quotes)
    named = named or _by_word(plain, scenes) or _by_kind(plain, scenes, preferred)
    named = named or _by_part(plain, scenes, preferred)
    if named is None and use_quotes:
        named = _by_content(text, scenes, preferred)
    if named is not None:
        return named
    current = current_scene(context)
    how: How = "pronoun" if _PRONOUN.search(plain) else "default"
    return Target(scenes=[current] if current else [], how=how)


def selected_scene(context: Context) -> ContextScene | None:
    """Return the scene that the user has selected, None unless it is live."""
    hits = [scene for scene in context.scenes if scene.id == context.selected_scene_id]
    return hits[0] if hits else None


def current_scene(context: Context) -> ContextScene | None:
    """Return the selected scene, else the newest, else the last; None without scenes."""
    newest = _newest(context)
    return selected_scene(context) or (newest[-1] if newest else None)


def listing(scenes: list[ContextScene]) -> str:
    """List scenes for a question: 1 “Intro”, 2 “Sales” and 3 more."""
    names = [
        f"{each.number} \u201c{shorten(each.name, MAX_LISTED_NAME_CHARACTERS)}\u201d"
        for each in scenes[:MAX_LISTED_SCENES]
    ]
    more = len(scenes) - MAX_LISTED_SCENES
    return ", ".join(names) + (f" and {more} more" if more > 0 else "")


def _newest(context: Context) -> list[ContextScene]:
    """Return the scenes marked as newest, all when none is."""
    return [scene for scene in context.scenes if scene.newest] or context.scenes


def _by_number(plain: str, scenes: list[ContextScene]) -> Target | None:
    found = _NUMBERED.search(plain)
    worded = None if found else _NUMBER_WORD.search(plain)
    if worded:
        numbers = [_NUMBER_WORDS.index(worded[1]) + 1]
    elif found:
        numbers = _numbers(found)
    else:
        return None
    by_number = {scene.number: scene for scene in scenes}
    missing = [number for number in numbers if number not in by_number]
    if missing:
        have = f"The video has {listing(scenes)}." if scenes else "The video has no scene yet."
        return Target(
            how="number", question=f"There is no scene {missing[0]}. {have} Which do you mean?"
        )
    return Target(scenes=[by_number[n] for n in dict.fromkeys(numbers)], how="number")


def _numbers(found: re.Match[str]) -> list[int]:
    """Return the numbers of a match of `_NUMBERED`, ranges expanded."""
    numbers = [int(found["first"])]
    for link, digits in re.findall(r"(,|and|&|to|-)\s*(?:scene\s+)?([0-9]+)", found["more"]):
        number = int(digits)
        if link in ("to", "-") and numbers[-1] < number <= numbers[-1] + MAX_RANGE:
            numbers += range(numbers[-1] + 1, number + 1)
        else:
            numbers.append(number)
    return numbers[:MAX_NUMBERS]


def _by_place(plain: str, context: Context) -> Target | None:
    found = _PLACED.search(plain)
    if not found or not context.scenes:
        return None
    if found["newest"]:
        return Target(scenes=_newest(context)[-1:], how="number")
    place = _ORDINALS[found["word"]]
    if place >= len(context.scenes):
        have = listing(context.scenes)
        question = f"There is no {found['word']} scene. The video has {have}. Which do you mean?"
        return Target(how="number", question=question)
    return Target(scenes=[context.scenes[place]], how="number")


def _by_name(
    text: str, plain: str, scenes: list[ContextScene], *, use_quotes: bool
) -> Target | None:
    """Find a scene by its whole name; of several names in the order the longest counts."""
    quotes = {lower(quote.text) for quote in find_quotes(text)} if use_quotes else set()
    hits = [
        scene
        for scene in scenes
        if (name := lower(scene.name).strip())
        and (name in quotes or (len(name) >= MIN_NAME_CHARACTERS and _contains(plain, name)))
    ]
    longest = max((len(scene.name) for scene in hits), default=0)
    hits = [scene for scene in hits if len(scene.name) == longest]
    if len(hits) > 1 and lower(hits[0].name).strip() in KINDS:
        return None  # several are called "Countdown": the word names their kind
    return _one_of(hits, scenes, "name") if hits else None


def _contains(plain: str, name: str) -> bool:
    """Return whether the text holds the name as whole words."""
    at = plain.find(name)
    while at >= 0:
        before, after = plain[at - 1 : at], plain[at + len(name) : at + len(name) + 1]
        if not before.isalnum() and not after.isalnum():
            return True
        at = plain.find(name, at + 1)
    return False


def _by_word(plain: str, scenes: list[ContextScene]) -> Target | None:
    """Find a scene by one word of its name: "the alpha scene" for "Alpha Title"."""
    for found in _WORD_OF_NAME.finditer(plain):
        word = found["word"]
        if word in _COMMON_WORDS:
            continue
        hits = [scene for scene in scenes if word in re.findall(r"[\w&-]+", lower(scene.name))]
        if hits:
            return _one_of(hits, scenes, "name")
    return None


def _by_part(
    plain: str, scenes: list[ContextScene], preferred: ContextScene | None
) -> Target | None:
    """Find the only chart for "the values", the only list for "the items"."""
    for kind, words in _PARTS.items():
        if not re.search(rf"\b(?:the|its|their|all)\s+(?:{words})\b", plain):
            continue
        hits = [scene for scene in scenes if kind in lower(scene.name)]
        if preferred is not None and preferred in hits:
            return Target(scenes=[preferred], how="kind")
        if len(hits) == 1:
            return Target(scenes=hits, how="kind")
    return None


def _by_kind(
    plain: str, scenes: list[ContextScene], preferred: ContextScene | None
) -> Target | None:
    """Find a scene by a word for its place ("the intro") or its kind ("the chart")."""
    for word, place in _ENDS.items():
        if re.search(rf"\b(?:the|my|our)\s+{word}\b", plain) and scenes:
            named = [scene for scene in scenes if word in lower(scene.name)]
            return _one_of(named or [scenes[place]], scenes, "kind")
    for kind, words in [*KINDS.items(), ("title", "title (?:scene|slide|card)")]:
        if not re.search(rf"\b(?:the|my|our|this|that)\s+(?:\w+\s+)?(?:{words})(?!\w)", plain):
            continue
        label = kind.replace("_", " ")
        hits = [scene for scene in scenes if label in lower(scene.name)]
        if preferred is not None and preferred in hits:
            return Target(scenes=[preferred], how="kind")
        if hits:
            return _one_of(hits, scenes, "kind")
    return None


def _by_content(
    text: str, scenes: list[ContextScene], preferred: ContextScene | None
) -> Target | None:
    """Find a scene whose code holds the first quoted text."""
    for quote in find_quotes(text)[:1]:
        hits = [scene for scene in scenes if quote.text in scene.tsx_code]
        if preferred is not None and preferred in hits:
            return Target(scenes=[preferred], how="quote")
        if hits:
            return _one_of(hits, scenes, "quote")
    return None


def _one_of(hits: list[ContextScene], scenes: list[ContextScene], how: How) -> Target:
    """Return the only hit, else a question."""
    if len(hits) == 1:
        return Target(scenes=hits, how=how)
    return Target(how=how, question=f"Which scene do you mean: {listing(hits or scenes)}?")
