"""Labelled numbers in prompts, for charts and counters."""

import re

import msgspec

from app.brain.composer.brief import Brief
from app.brain.composer.colours import find_colours
from app.brain.composer.wording import headline, shorten
from app.tools.durations import find_durations

BARS_MOST = 12
LABEL_MOST = 24  # characters
LARGEST = 1e12

_NUMBER = r"[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]{1,4})?|[0-9]{1,12}(?:\.[0-9]{1,4})?"
_TOKEN = re.compile(
    rf"(?P<quote>[\"\u201c\u00ab](?P<inner>[^\"\u201d\u00bb\n]{{1,60}})[\"\u201d\u00bb])"
    rf"|(?P<year>(?:19|20)[0-9]{{2}})(?=\s*[:=])"
    rf"|(?P<sign>[-\u2212])?(?P<prefix>[$\u20ac\u00a3])?(?P<number>{_NUMBER})"
    rf"(?P<suffix>\s?%|[kKmM](?!\w))?(?!\w)"
    rf"|(?P<word>[^\W\d_][\w'&/+-]{{0,40}})|(?P<stop>[,;\n.])"
)
_CHART_WORDS = frozenset(
    re.findall(
        r"\w+",
        "add create make a an the bar bars chart charts graph graphs diagram histogram column line "
        "pie of with for and showing show shows our my about in on at is are was were values value "
        "data numbers number to from then please scene new values titled comparing per",
    )
)
_SERIES = {
    "quarter": ["Q1", "Q2", "Q3", "Q4"],
    "month": ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"],
    "week": ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"],
    "dai": ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"],
}


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """Bars for a chart. `invented` when the prompt had no numbers."""

    bars: list[tuple[str, float]]
    heading: str | None
    prefix: str = ""
    suffix: str = ""
    invented: bool = False


def read_series(brief: Brief) -> Series:
    """Labels and numbers such as "Q1 12, Q2 30" or "sales 10, 20, 35"; at most 12."""
    skip = [(c.start, c.end) for c in find_colours(brief.plain)]
    skip += [(m.start, m.end) for m in find_durations(brief.plain, brief.fps)]
    words: list[str] = []
    quoted = False  # the words are a quote, which labels only a number right behind it
    bars: list[tuple[str | None, float]] = []
    marks: list[tuple[str, str]] = []
    for token in _TOKEN.finditer(brief.text):
        if any(start <= token.start() < end for start, end in skip):
            continue
        if token["number"]:
            label = " ".join(words[-3:])
            bars.append((shorten(headline(label), LABEL_MOST) if label else None, _value(token)))
            marks.append((token["prefix"] or "", (token["suffix"] or "").strip()))
            words = []
        elif token["quote"]:
            words, quoted = [token["inner"].strip()], True
            continue
        elif token["year"]:
            words = [token["year"]]
        elif token["word"]:
            kept = [] if quoted else words
            known = token["word"].lower() in _CHART_WORDS
            words = [] if known else [*kept, token["word"]]
        elif token["stop"] != ",":
            words = []
        quoted = False
    if words and bars and bars[0][0] is None:
        # "30% rent, 20% food": the labels stand behind their numbers
        labels = [
            *(label for label, _ in bars[1:]),
            shorten(headline(" ".join(words[-3:])), LABEL_MOST),
        ]
        bars = [(label, value) for label, (_, value) in zip(labels, bars, strict=True)]
    return _series(brief, bars[:BARS_MOST], marks)


def _value(token: re.Match[str]) -> float:
    number = float(token["number"].replace(",", ""))
    return -number if token["sign"] else number


def _series(
    brief: Brief, bars: list[tuple[str | None, float]], marks: list[tuple[str, str]]
) -> Series:
    names = _names(brief.plain, len(bars))
    if len(bars) < 2:
        sample = [12 + (brief.seed >> shift) % 40 + shift for shift in (0, 5, 10, 15)]
        labels = _names(brief.plain, 4)
        rising = sorted(float(value) for value in sample)
        return Series(bars=list(zip(labels, rising, strict=True)), heading=None, invented=True)
    found = [label for label, _ in bars]
    heading = None
    if found[0] and not any(found[1:]):
        heading, found = found[0], [None, *found[1:]]
    prefix, suffix = marks[0] if len(set(marks)) == 1 else ("", "")
    return Series(
        bars=[
            (label or names[index], value)
            for index, (label, (_, value)) in enumerate(zip(found, bars, strict=True))
        ],
        heading=heading,
        prefix=prefix,
        suffix=suffix,
    )


def _names(plain: str, count: int) -> list[str]:
    for word, names in _SERIES.items():
        if word in plain and count <= len(names):
            return names[:count]
    return [f"{index + 1}" for index in range(count)]
