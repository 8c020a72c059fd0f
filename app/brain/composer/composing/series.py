"""Reads labelled numbers from prompts, for charts."""

import re

import msgspec

from app.brain.composer.composing.brief import Brief
from app.brain.composer.reading.colours import find_colours
from app.brain.composer.reading.wording import headline, shorten
from app.tools.durations import find_durations

MAX_BARS = 12
MAX_LABEL_CHARACTERS = 24
MAX_LABEL_WORDS = 3
SAMPLE_BARS = 4  # of a chart whose prompt gives no numbers

_NUMBER = r"[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]{1,4})?|[0-9]{1,12}(?:\.[0-9]{1,4})?"
# What a prompt for a chart is made of. A year before a colon or "=" is a label, not a number.
_TOKEN = re.compile(
    rf"(?P<quote>[\"\u201c\u00ab](?P<inner>[^\"\u201d\u00bb\n]{{1,60}})[\"\u201d\u00bb])"
    rf"|(?P<year>(?:19|20)[0-9]{{2}})(?=\s*[:=])"
    rf"|(?P<sign>[-\u2212])?(?P<prefix>[$\u20ac\u00a3])?(?P<number>{_NUMBER})"
    rf"(?P<suffix>\s?%|[kKmM](?!\w))?(?!\w)"
    rf"|(?P<word>[^\W\d_][\w'&/+-]{{0,40}})|(?P<stop>[,;\n.])"
)
# Words that are no label.
_CHART_WORDS = frozenset(
    re.findall(
        r"\w+",
        "add create make a an the bar bars chart charts graph graphs diagram histogram column line "
        "pie of with for and showing show shows our my about in on at is are was were values value "
        "data numbers number to from then please scene new values titled comparing per",
    )
)
# Labels for numbers without one, by a word in the prompt.
_NAMED_LABELS = {
    "quarter": ["Q1", "Q2", "Q3", "Q4"],
    "month": ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"],
    "week": ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"],
    "dai": ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"],  # "daily"
}


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """The bars of a chart as labels and values, with what stands before and after each number.

    `invented` is true when the prompt had no numbers.
    """

    bars: list[tuple[str, float]]
    heading: str | None
    prefix: str = ""
    suffix: str = ""
    invented: bool = False


class _Number(msgspec.Struct):
    label: str | None
    value: float
    prefix: str
    suffix: str


def read_series(brief: Brief) -> Series:
    """Read labels and numbers such as "Q1 12, Q2 30" or "sales 10, 20, 35"."""
    numbers, words_after = _read_numbers(brief)
    if words_after and numbers and numbers[0].label is None:
        # "30% rent, 20% food": the labels stand behind their numbers.
        labels = [*(number.label for number in numbers[1:]), _label(words_after)]
        for number, label in zip(numbers, labels, strict=True):
            number.label = label
    if len(numbers) < 2:
        return _samples(brief)
    return _series(brief, numbers)


def _read_numbers(brief: Brief) -> tuple[list[_Number], list[str]]:
    """Return the numbers with the words before them as labels, and the words after the last."""
    skipped = [(c.start, c.end) for c in find_colours(brief.plain)]
    skipped += [(m.start, m.end) for m in find_durations(brief.plain, brief.fps)]
    words: list[str] = []
    after_quote = False  # a quote is a label only of a number right behind it
    numbers: list[_Number] = []
    for token in _TOKEN.finditer(brief.text):
        if any(start <= token.start() < end for start, end in skipped):
            continue
        if token["number"]:
            numbers.append(_number(token, words))
            words = []
        elif token["quote"]:
            words, after_quote = [token["inner"].strip()], True
            continue
        elif token["year"]:
            words = [token["year"]]
        elif token["word"]:
            previous = [] if after_quote else words
            is_label = token["word"].lower() not in _CHART_WORDS
            words = [*previous, token["word"]] if is_label else []
        elif token["stop"] != ",":
            words = []
        after_quote = False
    return numbers, words


def _number(token: re.Match[str], words: list[str]) -> _Number:
    value = float(token["number"].replace(",", ""))
    return _Number(
        label=_label(words) if words else None,
        value=-value if token["sign"] else value,
        prefix=token["prefix"] or "",
        suffix=(token["suffix"] or "").strip(),
    )


def _label(words: list[str]) -> str:
    return shorten(headline(" ".join(words[-MAX_LABEL_WORDS:])), MAX_LABEL_CHARACTERS)


def _series(brief: Brief, numbers: list[_Number]) -> Series:
    """Return a series; a label that only the first number has is the heading of all."""
    signs = {(number.prefix, number.suffix) for number in numbers}
    prefix, suffix = signs.pop() if len(signs) == 1 else ("", "")
    bars = numbers[:MAX_BARS]
    names = _default_labels(brief.plain, len(bars))
    labels = [number.label for number in bars]
    heading = None
    if labels[0] and not any(labels[1:]):
        heading, labels = labels[0], [None, *labels[1:]]
    return Series(
        bars=[
            (label or name, number.value)
            for label, name, number in zip(labels, names, bars, strict=True)
        ],
        heading=heading,
        prefix=prefix,
        suffix=suffix,
    )


def _samples(brief: Brief) -> Series:
    """Return rising sample values that depend on the prompt."""
    shifts = range(0, SAMPLE_BARS * 5, 5)
    values = sorted(float(12 + (brief.seed >> shift) % 40 + shift) for shift in shifts)
    labels = _default_labels(brief.plain, SAMPLE_BARS)
    return Series(bars=list(zip(labels, values, strict=True)), heading=None, invented=True)


def _default_labels(plain: str, count: int) -> list[str]:
    for word, names in _NAMED_LABELS.items():
        if word in plain and count <= len(names):
            return names[:count]
    return [f"{index + 1}" for index in range(count)]
