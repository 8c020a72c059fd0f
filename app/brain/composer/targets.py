"""Which scene a prompt means."""

import re

import msgspec

from app.brain.composer.brief import KINDS
from app.brain.composer.wording import find_quotes, lower, shorten
from app.brain.model import Context, ContextScene

LISTED_MOST = 6

_ORDINALS = {
    "first": 0, "1st": 0, "opening": 0, "second": 1, "2nd": 1, "third": 2, "3rd": 2, "fourth": 3,
    "4th": 3, "fifth": 4, "5th": 4, "sixth": 5, "seventh": 6, "eighth": 7, "ninth": 8, "tenth": 9,
    "last": -1, "final": -1, "closing": -1,
}  # fmt: skip
_NO_LENGTH = r"(?![0-9])(?!\s*-?\s*(?:s\b|sec|frame|min|[.,][0-9]))"
_NUMBERED = re.compile(
    rf"\b(?:scenes?|slides?|clips?)\s*(?:no\.?|number|#)?\s*(?P<first>[0-9]{{1,4}}){_NO_LENGTH}"
    rf"(?P<more>(?:\s*(?:,|and|&|to|-)\s*(?:scene\s+)?[0-9]{{1,4}}{_NO_LENGTH})*)"
)
_PLACED = re.compile(
    rf"\b(?P<word>{'|'.join(_ORDINALS)})\s+(?:scene|slide|clip|one)\b"
    r"|\b(?P<newest>newest|latest|most recent|new)\s+(?:scene|slide|clip|one)\b"
)
_WORDED = re.compile(
    r"\b(?:scene|slide)\s+(one|two|three|four|five|six|seven|eight|nine|ten)\b(?! times)"
)
_WORDS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
_ALL = re.compile(
    r"\b(?:all (?:of )?(?:the |my )?(?:scenes|slides|clips)|every (?:scene|slide)|everything"
    r"|each scene|all of them|the (?:whole|entire) video)\b"
)
_PRONOUN = re.compile(r"\b(?:it|its|this|that|the (?:scene|slide|clip)|this (?:one|scene))\b")
_NAMED_WORD = re.compile(
    r"\b(?:the|my|our|in|of)\s+(?:scene\s+)?(?P<after>[\w&-]{3,40})"
    rf"(?=\s+(?:scenes?|slides?|clips?|titles?|one|{'|'.join(KINDS.values())})(?!\w))"
)
_COMMON = frozenset(
    re.findall(
        "[a-z]+",
        "the and for with our your new title scene slide clip chart list quote counter countdown "
        "logo comparison shapes call action lower third to a of in on from first last second",
    )
)
_PARTS = {"chart": r"values|numbers|bars|data|columns", "list": r"items|bullets|bullet points"}
_ENDS = {"intro": 0, "introduction": 0, "outro": -1, "opener": 0, "ending": -1}


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """The scenes that are meant, or a question when that is not clear.

    `how`: all, number, name, kind, quote, pronoun, or default when nothing is said.
    """

    scenes: list[ContextScene] = []
    how: str = "default"
    question: str | None = None


def find_target(
    text: str, plain: str, context: Context, *, use_quotes: bool = True, careful: bool = False
) -> Target:
    """`plain` is `text` in lower case with its quotes masked.

    Of several scenes that fit, the current one is meant; `careful`: only when it is selected.
    """
    scenes = context.scenes
    current = selected_scene(context) if careful else current_scene(context)
    if _ALL.search(plain):
        return Target(scenes=list(scenes), how="all")
    named = _numbered(plain, scenes) or _placed(plain, context)
    named = named or _by_name(text, plain, scenes, use_quotes=use_quotes)
    named = named or _by_word(plain, scenes) or _by_kind(plain, scenes, current)
    named = named or _by_part(plain, scenes, current)
    if named is None and use_quotes:
        named = _by_content(text, scenes, current)
    if named is not None:
        return named
    current = current_scene(context)
    how = "pronoun" if _PRONOUN.search(plain) else "default"
    return Target(scenes=[current] if current else [], how=how)


def selected_scene(context: Context) -> ContextScene | None:
    """The scene that the user has selected, when it is live."""
    hits = [scene for scene in context.scenes if scene.id == context.selected_scene_id]
    return hits[0] if hits else None


def current_scene(context: Context) -> ContextScene | None:
    """The selected scene, else the newest, else the last."""
    newest = [scene for scene in context.scenes if scene.newest] or context.scenes
    return selected_scene(context) or (newest[-1] if newest else None)


def listing(scenes: list[ContextScene]) -> str:
    """ "1 “Intro”, 2 “Sales”", for questions."""
    shown = [f"{each.number} \u201c{shorten(each.name, 40)}\u201d" for each in scenes[:LISTED_MOST]]
    more = len(scenes) - LISTED_MOST
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")


def _numbered(plain: str, scenes: list[ContextScene]) -> Target | None:
    found = _NUMBERED.search(plain)
    worded = None if found else _WORDED.search(plain)
    if worded:
        numbers = [_WORDS.index(worded[1]) + 1]
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
    numbers = [int(found["first"])]
    for link, number in re.findall(r"(,|and|&|to|-)\s*(?:scene\s+)?([0-9]+)", found["more"]):
        if link in ("to", "-") and numbers[-1] < int(number) <= numbers[-1] + 20:
            numbers += range(numbers[-1] + 1, int(number) + 1)
        else:
            numbers.append(int(number))
    return numbers[:100]


def _placed(plain: str, context: Context) -> Target | None:
    found = _PLACED.search(plain)
    if not found or not context.scenes:
        return None
    if found["newest"]:
        newest = [scene for scene in context.scenes if scene.newest] or context.scenes
        return Target(scenes=newest[-1:], how="number")
    place = _ORDINALS[found["word"]]
    if place >= len(context.scenes):
        have = listing(context.scenes)
        question = f"There is no {found['word']} scene. The video has {have}. Which do you mean?"
        return Target(how="number", question=question)
    return Target(scenes=[context.scenes[place]], how="number")


def _by_name(
    text: str, plain: str, scenes: list[ContextScene], *, use_quotes: bool
) -> Target | None:
    quotes = {lower(quote.text) for quote in find_quotes(text)} if use_quotes else set()
    hits = [
        scene
        for scene in scenes
        if (name := lower(scene.name).strip())
        and (name in quotes or (len(name) > 2 and _contains(plain, name)))
    ]
    longest = max((len(scene.name) for scene in hits), default=0)
    hits = [scene for scene in hits if len(scene.name) == longest]
    if len(hits) > 1 and lower(hits[0].name).strip() in KINDS:
        return None  # several are called "Countdown": the word names their kind
    return _one_of(hits, scenes, "name") if hits else None


def _contains(plain: str, name: str) -> bool:
    at = plain.find(name)
    while at >= 0:
        before, after = plain[at - 1 : at], plain[at + len(name) : at + len(name) + 1]
        if not before.isalnum() and not after.isalnum():
            return True
        at = plain.find(name, at + 1)
    return False


def _by_word(plain: str, scenes: list[ContextScene]) -> Target | None:
    """A scene by one word of its name: "the alpha scene" for "Alpha Title"."""
    for found in _NAMED_WORD.finditer(plain):
        word = found["after"]
        if word in _COMMON:
            continue
        hits = [scene for scene in scenes if word in re.findall(r"[\w&-]+", lower(scene.name))]
        if hits:
            return _one_of(hits, scenes, "name")
    return None


def _by_part(plain: str, scenes: list[ContextScene], current: ContextScene | None) -> Target | None:
    """The only chart for "the values", the only list for "the items"."""
    for kind, words in _PARTS.items():
        if not re.search(rf"\b(?:the|its|their|all)\s+(?:{words})\b", plain):
            continue
        hits = [scene for scene in scenes if kind in lower(scene.name)]
        if current is not None and current in hits:
            return Target(scenes=[current], how="kind")
        if len(hits) == 1:
            return Target(scenes=hits, how="kind")
    return None


def _by_kind(plain: str, scenes: list[ContextScene], current: ContextScene | None) -> Target | None:
    for word, place in _ENDS.items():
        if re.search(rf"\b(?:the|my|our)\s+{word}\b", plain) and scenes:
            named = [scene for scene in scenes if word in lower(scene.name)]
            hits = named or [scenes[place]]
            return _one_of(hits, scenes, "kind")
    for kind, words in [*KINDS.items(), ("title", "title (?:scene|slide|card)")]:
        if not re.search(rf"\b(?:the|my|our|this|that)\s+(?:\w+\s+)?(?:{words})(?!\w)", plain):
            continue
        label = kind.replace("_", " ")
        hits = [scene for scene in scenes if label in lower(scene.name)]
        if current is not None and current in hits:
            return Target(scenes=[current], how="kind")
        if hits:
            return _one_of(hits, scenes, "kind")
    return None


def _by_content(
    text: str, scenes: list[ContextScene], current: ContextScene | None
) -> Target | None:
    for quote in find_quotes(text)[:1]:
        hits = [scene for scene in scenes if quote.text in scene.tsx_code]
        if current is not None and current in hits:
            return Target(scenes=[current], how="quote")
        if hits:
            return _one_of(hits, scenes, "quote")
    return None


def _one_of(hits: list[ContextScene], scenes: list[ContextScene], how: str) -> Target:
    if len(hits) == 1:
        return Target(scenes=hits, how=how)
    return Target(how=how, question=f"Which scene do you mean: {listing(hits or scenes)}?")
