"""Planners for the kinds of scene that live of numbers and figures."""

import re

from app.brain.composer.composing.brief import Brief
from app.brain.composer.composing.plan import MIN_FONT_SIZE, Plan, Values, fit, size_of
from app.brain.composer.composing.series import Series, read_series
from app.brain.composer.composing.typescript import component_name_of
from app.brain.composer.reading.wording import headline, shorten

DEFAULT_COUNTDOWN, MAX_COUNTDOWN = 5, 60
DEFAULT_COUNT, MAX_COUNT = 1_000, 1e12
MAX_SHAPES = 40
MAX_END_TEXT_CHARACTERS = 40
MAX_COUNTER_LABEL_CHARACTERS = 80
MAX_SIDE_CHARACTERS = 60
MAX_COMPARISON_TEXT_CHARACTERS = 80
SHAPES = ("circle", "square", "triangle", "diamond")

# A quote that is named as the chart's title.
_TITLED_QUOTE = re.compile(r"(?:titled|called|named|title)\s*:?\s*\ue000")
_OTHER_CHART = re.compile(r"\b(pie|donut|doughnut|line|area|scatter)\b")
# What a chart is about: "of our sales"; the second pattern cuts what is said about its looks.
_CHART_TOPIC = re.compile(r"\b(?:of|about|for|showing)\s+(?:our |my |the )?([a-z][a-z ]{2,40})")
_END_OF_TOPIC = re.compile(r"\s+(?:in|with|on|as|for|and)\b")
_SHAPE = re.compile(r"\b(circle|square|triangle|diamond)")
_SHAPE_COUNT = re.compile(r"\b([0-9]{1,2}) (?:\w+ )?(?:shape|circle|square|triangle|diamond|ball)")
_SINGLE_SHAPE = re.compile(
    r"\b(?:an?|one)\s+(?:[\w-]+\s+){0,3}(?:circle|square|triangle|diamond|ball)\b"
)
# Where a countdown starts: "from 10", "10 to 0", "countdown: 3".
_COUNTDOWN_START = re.compile(
    r"\bfrom ([0-9]{1,4})\b|\b([0-9]{1,4})(?:[ -]to[ -](?:0|1|zero|one))\b"
    r"|\bcountdown:? ([0-9]{1,4})\b"
)
# A number to count to, with its currency and its unit.
_COUNT = re.compile(
    r"([$\u20ac\u00a3]?)([0-9][0-9,.]{0,14})\s?(%|\+|[km]\b|million\b|thousand\b|billion\b)?"
)
# The two sides of a comparison: "coffee vs tea", "compare coffee and tea".
_VERSUS = re.compile(
    r"(?P<left>[^\s,.;:]+(?: [^\s,.;:]+)?)\s+(?:vs\.?|versus)\s+"
    r"(?P<right>[^\s,.;:]+(?: [^\s,.;:]+)?)"
)
_COMPARE = re.compile(
    r"compar(?:e|ing|ison of|ison between)\s+(?P<left>[^,.;:\n]{1,40}?)\s+(?:and|with|to)\s+"
    r"(?P<right>[^,.;:\n]{1,40})"
)
# Words of the order that may be taken for the beginning of a side.
_ORDER_WORDS = re.compile(
    r"^(?:(?:add|create|make|show|of|a|an|the|between|comparison|compare)\s+)+", re.IGNORECASE
)


def plan_chart(brief: Brief) -> Plan:
    series = read_series(brief)
    is_titled = _TITLED_QUOTE.search(brief.plain) or len(brief.quotes) == 1
    title = (brief.said if is_titled else None) or series.heading
    title = title or _chart_topic(brief) or "Results"
    has_whole_values = all(value.is_integer() for _, value in series.bars)
    values: Values = {
        "TITLE": title,
        "BARS": [
            {"label": label, "value": int(value) if value.is_integer() else value}
            for label, value in series.bars
        ],
        "PREFIX": series.prefix,
        "SUFFIX": series.suffix,
        "DECIMALS": 0 if has_whole_values else 1,
        "FONT_SIZE": _chart_font_size(brief, series, title),
    }
    notes = []
    if other := _OTHER_CHART.search(brief.plain):
        notes.append(f"I cannot draw a {other[1]} chart offline, so it is a bar chart.")
    if series.invented:
        notes.append("You gave no numbers, so the chart shows samples: tell me the real ones.")
    return Plan(values, component_name_of(title, "Chart"), " ".join(notes) or None)


def _chart_font_size(brief: Brief, series: Series, title: str) -> int:
    """Return a size at which the title fits the frame and the labels fit below their bars."""
    label_ems = max(len(label) for label, _ in series.bars) * 0.62
    bar_width = brief.width * 0.84 / len(series.bars)
    largest = bar_width / max(3.2, label_ems * 0.6)
    return max(MIN_FONT_SIZE, min(round(largest), size_of(brief, title, 0.045, height=0.15)))


def _chart_topic(brief: Brief) -> str:
    found = _CHART_TOPIC.search(brief.plain)
    words = found[1] if found else ""
    return headline(_END_OF_TOPIC.split(words)[0])


def plan_shapes(brief: Brief) -> Plan:
    title = brief.said or ""
    found = _SHAPE.search(brief.plain)
    shape = found[1] if found else SHAPES[brief.seed % len(SHAPES)]
    number = _SHAPE_COUNT.search(brief.plain)
    count = 1 if _SINGLE_SHAPE.search(brief.plain) else 7 + brief.seed % 6
    values: Values = {
        "TITLE": title,
        "SHAPE": shape,
        "COUNT": min(MAX_SHAPES, max(1, int(number[1]))) if number else count,
        "FONT_SIZE": size_of(brief, title or "A", 0.08, width=0.5, height=0.3),
    }
    return Plan(values, component_name_of(title or f"{shape} dance", "Shapes"))


def countdown_start(plain: str) -> int:
    """Return where a countdown starts, 1 to `MAX_COUNTDOWN`."""
    found = _COUNTDOWN_START.search(plain)
    number = int(found[1] or found[2] or found[3]) if found else DEFAULT_COUNTDOWN
    return min(MAX_COUNTDOWN, max(1, number))


def plan_countdown(brief: Brief) -> Plan:
    end_text = shorten(brief.said or "Go!", MAX_END_TEXT_CHARACTERS)
    shorter_side = min(brief.width, brief.height)
    size = shorter_side * 0.34 * min(1.0, brief.scale)
    half_size = fit(end_text, shorter_side * 0.5, brief.height * 0.3, size * 0.5)
    values: Values = {
        "COUNT_FROM": countdown_start(brief.plain),
        "END_TEXT": end_text,
        "FONT_SIZE": min(round(size), half_size * 2),  # the template shows the end at half of it
    }
    return Plan(values, "Countdown")


def plan_counter(brief: Brief) -> Plan:
    numbers = _COUNT.findall(brief.plain)
    counts = [_whole_number(number) for _, number, _ in numbers]
    has_start = len(counts) > 1 and re.search(r"\bfrom\b", brief.plain)
    last = counts[-1] if counts else DEFAULT_COUNT
    prefix, _, suffix = numbers[-1] if numbers else ("", "", "")
    label = shorten(brief.said or "", MAX_COUNTER_LABEL_CHARACTERS)
    text = f"{prefix}{last:,}{suffix}"
    values: Values = {
        "COUNT_FROM": counts[0] if has_start else 0,
        "COUNT_TO": last,
        "PREFIX": prefix,
        "SUFFIX": _counter_suffix(suffix),
        "LABEL": label,
        "FONT_SIZE": size_of(brief, text, 0.17, height=0.35),
    }
    note = None if counts else "You gave no number, so it counts to 1,000."
    return Plan(values, component_name_of(label, "Counter") if label else "Counter", note)


def _counter_suffix(suffix: str) -> str:
    """Return a unit as it is shown: "K", "%", " million"."""
    if suffix in ("k", "m"):
        return suffix.upper()
    return suffix if len(suffix) < 2 else f" {suffix}"


def _whole_number(number: str) -> int:
    """Return the whole part of a number that may have commas or points between thousands."""
    digits = re.sub(r"[,.](?=[0-9]{3}(?![0-9]))", "", number).replace(",", ".").strip(".")
    found = re.match(r"[0-9]+", digits)
    return int(min(MAX_COUNT, float(found[0]))) if found else 0


def plan_comparison(brief: Brief) -> Plan:
    left, right = (shorten(side, MAX_SIDE_CHARACTERS) for side in _sides(brief))
    width = 0.36 if brief.width >= brief.height else 0.7
    quotes = [shorten(text, MAX_COMPARISON_TEXT_CHARACTERS) for text in brief.quotes]
    values: Values = {
        "TITLE": quotes[2] if len(quotes) > 2 else "",
        "LEFT": left,
        "RIGHT": right,
        "LEFT_ITEMS": quotes[3:9:2],
        "RIGHT_ITEMS": quotes[4:10:2],
        "VERSUS": "\u2192" if re.search(r"\bbefore and after\b", brief.plain) else "VS",
        "FONT_SIZE": min(
            size_of(brief, side, 0.07, width=width, height=0.2) for side in (left, right)
        ),
    }
    return Plan(values, component_name_of(f"{left} or {right}", "Comparison"))


def _sides(brief: Brief) -> tuple[str, str]:
    """Return the two things to compare: two quotes, or what stands around "vs" or "and"."""
    if len(brief.quotes) > 1:
        return brief.quotes[0], brief.quotes[1]
    pair = _VERSUS.search(brief.plain) or _COMPARE.search(brief.plain)
    if pair is None:
        return "Before", "After"
    left, right = (
        headline(_ORDER_WORDS.sub("", brief.text[slice(*pair.span(side))]))
        for side in ("left", "right")
    )
    return left or "Before", right or "After"
