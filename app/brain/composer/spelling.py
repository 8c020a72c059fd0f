"""Small slips in the words that order things: one letter too few, too many, wrong or swapped."""

import re

from app.brain.composer.css_colours import MORE, NAMED
from app.brain.composer.wording import find_quotes

LEAST = 5  # letters that a word needs, so that one letter decides little

_ORDERS = (
    "delete remove change create insert generate replace rename extend shorten lengthen update "
    "title titles quote chart countdown counter comparison checklist subtitle headline scene "
    "scenes background saying called seconds second faster slower bigger smaller brighter darker "
    "white black green brown orange purple yellow"
)
_KNOWN = frozenset(_ORDERS.split())
# Words of their own that are one letter away from a known one.
_MEANT = frozenset(
    re.findall(
        r"[a-z]+",
        "quite quota quoth tithe tiles tilted chant charm chars chard clutter charts chance "
        "charge clothe crate crated cremate delegate dilate remote removed resume scent "
        "scents since seance while write whine whits block blank slack blacks greed greet "
        "greek queen greens browse brows browns brawn oranges organs purples secede seconded "
        "staying swaying paying sating sling cooled culled caller balled call calling titled "
        "tittle quoted quotes rename renamed counted flatter fatter bitter digger bugger "
        "smaller darken barker flower shower update updates insect insects inset inverse "
        "invert changes changed changer created creates creator scenic szene szenen wheat "
        "whitey waiting bleck blackens grees grown crown crater ",
    )
) | frozenset({**NAMED, **MORE})
_WORD = re.compile(r"(?P<word>[A-Za-z]+)|(?P<stop>[,;.\n])|(?P<colon>:)")
_SAYS = frozenset(
    re.findall("[a-z]+", "say says saying reads reading called named titled entitled")
)


def spelled(text: str) -> str:
    """The text with such slips mended, but not in quotes or in what a scene shall say."""
    quotes = [(quote.start, quote.end) for quote in find_quotes(text)]
    parts: list[str] = []
    position = 0
    content = False
    listed = False
    for found in _WORD.finditer(text):
        if found["stop"]:
            content = False
            listed = listed and found[0] == ","
            continue
        if found["colon"]:
            listed = True
            continue
        content = content and found[0] not in ("in", "on", "with", "over")  # as `Brief.said` ends
        if content or listed or any(left <= found.start() < right for left, right in quotes):
            continue
        word = found["word"]
        mended = _mend(word.lower())
        content = (mended or word.lower()) in _SAYS
        if mended is not None:
            parts += [text[position : found.start()], mended]
            position = found.end()
    return "".join([*parts, text[position:]])


def _mend(word: str) -> str | None:
    if len(word) < LEAST or word in _KNOWN or word in _MEANT:
        return None
    hits = [known for known in sorted(_KNOWN) if _is_slip(word, known)]
    return hits[0] if len(hits) == 1 else None


def _is_slip(word: str, known: str) -> bool:
    """One letter apart, or two neighbours swapped; the first letter and an ending count."""
    if word[0] != known[0] or abs(len(word) - len(known)) > 1 or word.startswith(known):
        return False
    at = next((i for i, (a, b) in enumerate(zip(word, known, strict=False)) if a != b), len(word))
    if len(word) < len(known):
        return word[at:] == known[at + 1 :]
    if len(word) > len(known):
        return word[at + 1 :] == known[at:]
    swapped = word[at : at + 2] == known[at : at + 2][::-1]
    return word[at + 1 :] == known[at + 1 :] or (swapped and word[at + 2 :] == known[at + 2 :])
