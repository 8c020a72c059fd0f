"""The plan of a scene, and the text sizes that all planners compute."""

import math
import re
import unicodedata

import msgspec

from app.brain.composer.composing.brief import Brief

MIN_FONT_SIZE = 20  # pixels
SHRINK_FACTOR = 0.94  # between two sizes in the search for one that fits
MAX_MEASURED_CHARACTERS = 4_000  # of a text or a word
LINE_WIDTH_SLACK = 1.08  # of a line, for the words that do not break where it ends
LINE_HEIGHT = 1.2  # of the font size
WIDE_EM, UPPER_EM, LOWER_EM = 1.05, 0.62, 0.55  # widths of characters in bold, in font sizes
TALL_FRAME_SCALE = 1.3  # of sizes, where the frame is higher than wide
MAX_WIDTH_PER_HEIGHT = 1.4  # of the frame, up to which its width counts for sizes

# What cannot be broken: an East Asian character, or a run of others without a space.
_UNBREAKABLE = re.compile(
    r"[\u1100-\u11ff\u2e80-\ua4cf\uac00-\ud7af\uf900-\uffef]|[^\s\u2e80-\ua4cf]+"
)

Values = dict[str, object]


class Plan(msgspec.Struct, frozen=True):
    """The constants of a scene's template, its component's name, and a note for the chat."""

    values: Values
    component: str
    note: str | None = None


def size_of(
    brief: Brief, text: str, share: float, *, width: float = 0.82, height: float = 0.5
) -> int:
    """Return a font size in pixels, at most `share` of the frame's width.

    The text fits a box whose `width` and `height` are shares of the frame.
    """
    scale = brief.scale * (TALL_FRAME_SCALE if brief.height > brief.width else 1.0)
    largest = min(brief.width, brief.height * MAX_WIDTH_PER_HEIGHT) * share * scale
    return fit(text, brief.width * width, brief.height * height, largest)


def fit(text: str, width: float, height: float, largest: float) -> int:
    """Return the largest font size up to `largest` at which bold text fits a box, in pixels.

    The size is at least `MIN_FONT_SIZE`, even if the text does not fit then.
    """
    lines = text.split("\n") or [""]
    words = _UNBREAKABLE.findall(text[:MAX_MEASURED_CHARACTERS])
    longest = max(map(_ems, words), default=0.0)
    size = largest
    while size > MIN_FONT_SIZE:
        rows = sum(
            max(1, math.ceil(_ems(line) * size * LINE_WIDTH_SLACK / width)) for line in lines
        )
        if longest * size <= width and rows * size * LINE_HEIGHT <= height:
            break
        size *= SHRINK_FACTOR
    return max(MIN_FONT_SIZE, round(size))


def _ems(text: str) -> float:
    """Estimate the width of a text in font sizes."""
    return sum(
        WIDE_EM
        if unicodedata.east_asian_width(char) in "WF"
        else UPPER_EM
        if char.isupper()
        else LOWER_EM
        for char in text[:MAX_MEASURED_CHARACTERS]
    )
