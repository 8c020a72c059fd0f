"""Corrects small misspellings in the words that order things.

A word counts as misspelled when it is one letter away from exactly one known word: a letter too
few or too many, a wrong one, or two neighbours swapped.
"""

import re

from app.brain.composer.reading.css_colours import MORE, NAMED
from app.brain.composer.reading.wording import find_quotes

MIN_WORD_LETTERS = 5  # in a shorter word one letter makes too much of a difference

_ORDERS = (
    "delete remove change create insert generate replace rename extend shorten lengthen update "
    "title titles quote chart countdown counter comparison checklist subtitle headline scene "
    "scenes background saying called seconds second faster slower bigger smaller brighter darker "
    "white black green brown orange purple yellow"
)
_KNOWN_WORDS = frozenset(_ORDERS.split())
# Words with a meaning of their own that are one letter away from a known one.
_OTHER_WORDS = frozenset(
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
_TOKEN = re.compile(r"(?P<word>[A-Za-z]+)|(?P<stop>[,;.\n])|(?P<colon>:)")
# Words after which a scene's own text follows, and words that end such a text (see `Brief.said`).
_SAYS = frozenset(
    re.findall("[a-z]+", "say says saying reads reading called named titled entitled")
)
_ENDS_CONTENT = ("in", "on", "with", "over")


def spelled(text: str) -> str:
    """Correct misspellings, but not in quotes, lists, or what a scene is to say."""
    quotes = [(quote.start, quote.end) for quote in find_quotes(text)]
    parts: list[str] = []
    position = 0
    in_content = False
    in_list = False
    for found in _TOKEN.finditer(text):
        if found["stop"]:
            in_content = False
            in_list = in_list and found[0] == ","
            continue
        if found["colon"]:
            in_list = True
            continue
        in_content = in_content and found[0] not in _ENDS_CONTENT
        if in_content or in_list or any(left <= found.start() < right for left, right in quotes):
            continue
        word = found["word"]
        corrected = _correct(word.lower())
        in_content = (corrected or word.lower()) in _SAYS
        if corrected is not None:
            parts += [text[position : found.start()], corrected]
            position = found.end()
    return "".join([*parts, text[position:]])


def _correct(word: str) -> str | None:
    """Return the known word that a word stands for, None when it is none or not certain."""
    if len(word) < MIN_WORD_LETTERS or word in _KNOWN_WORDS or word in _OTHER_WORDS:
        return None
    hits = [known for known in sorted(_KNOWN_WORDS) if _is_misspelling(word, known)]
    return hits[0] if len(hits) == 1 else None


def _is_misspelling(word: str, known: str) -> bool:
    """Return whether the words are one letter or one swap apart.

    The first letter must be right, and a known word with an ending added is no misspelling.
    """
    if word[0] != known[0] or abs(len(word) - len(known)) > 1 or word.startswith(known):
        return False
    at = next((i for i, (a, b) in enumerate(zip(word, known, strict=False)) if a != b), len(word))
    if len(word) < len(known):
        return word[at:] == known[at + 1 :]
    if len(word) > len(known):
        return word[at + 1 :] == known[at:]
    swapped = word[at : at + 2] == known[at : at + 2][::-1]
    return word[at + 1 :] == known[at + 1 :] or (swapped and word[at + 2 :] == known[at + 2 :])
