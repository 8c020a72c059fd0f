"""Scenes of numbers and figures."""

import re

from app.brain.composer.brief import Brief
from app.brain.composer.numbers import LARGEST, read_series
from app.brain.composer.plan import Plan, Values, size_of
from app.brain.composer.source import component_of, fit
from app.brain.composer.wording import headline, shorten

COUNTDOWN_MOST = 60


def plan_chart(brief: Brief) -> Plan:
    series = read_series(brief)
    titled = re.search(r"(?:titled|called|named|title)\s*:?\s*\ue000", brief.plain)
    title = (brief.said if titled or len(brief.quotes) == 1 else None) or series.heading
    title = title or _chart_topic(brief) or "Results"
    wide = max(len(label) for label, _ in series.bars) * 0.62
    most = brief.width * 0.84 / len(series.bars) / max(3.2, wide * 0.6)
    values: Values = {
        "TITLE": title,
        "BARS": [
            {"label": label, "value": int(value) if value.is_integer() else value}
            for label, value in series.bars
        ],
        "PREFIX": series.prefix,
        "SUFFIX": series.suffix,
        "DECIMALS": 0 if all(value.is_integer() for _, value in series.bars) else 1,
        "FONT_SIZE": max(20, min(round(most), size_of(brief, title, 0.045, tall=0.15))),
    }
    notes = []
    if other := re.search(r"\b(pie|donut|doughnut|line|area|scatter)\b", brief.plain):
        notes.append(f"I cannot draw a {other[1]} chart offline, so it is a bar chart.")
    if series.invented:
        notes.append("You gave no numbers, so the chart shows samples: tell me the real ones.")
    return Plan(values, component_of(title, "Chart"), " ".join(notes) or None)


def _chart_topic(brief: Brief) -> str:
    found = re.search(
        r"\b(?:of|about|for|showing)\s+(?:our |my |the )?([a-z][a-z ]{2,40})", brief.plain
    )
    words = found[1] if found else ""
    return headline(re.split(r"\s+(?:in|with|on|as|for|and)\b", words)[0])


def plan_shapes(brief: Brief) -> Plan:
    title = brief.said or ""
    found = re.search(r"\b(circle|square|triangle|diamond)", brief.plain)
    shape = found[1] if found else ("circle", "square", "triangle", "diamond")[brief.seed % 4]
    number = re.search(
        r"\b([0-9]{1,2}) (?:\w+ )?(?:shape|circle|square|triangle|diamond|ball)", brief.plain
    )
    single = re.search(
        r"\b(?:an?|one)\s+(?:[\w-]+\s+){0,3}(?:circle|square|triangle|diamond|ball)\b", brief.plain
    )
    count = 1 if single else 7 + brief.seed % 6
    values: Values = {
        "TITLE": title,
        "SHAPE": shape,
        "COUNT": min(40, max(1, int(number[1]))) if number else count,
        "FONT_SIZE": size_of(brief, title or "A", 0.08, width=0.5, tall=0.3),
    }
    return Plan(values, component_of(title or f"{shape} dance", "Shapes"))


def countdown_from(plain: str) -> int:
    """Where a countdown starts: 1 to 60, 5 when the prompt does not say."""
    found = re.search(
        r"\bfrom ([0-9]{1,4})\b|\b([0-9]{1,4})(?:[ -]to[ -](?:0|1|zero|one))\b"
        r"|\bcountdown:? ([0-9]{1,4})\b",
        plain,
    )
    number = int(found[1] or found[2] or found[3]) if found else 5
    return min(COUNTDOWN_MOST, max(1, number))


def plan_countdown(brief: Brief) -> Plan:
    start = countdown_from(brief.plain)
    end = brief.said or "Go!"
    size = min(brief.width, brief.height) * 0.34 * min(1.0, brief.scale)
    shown = shorten(end, 40)
    half = fit(shown, min(brief.width, brief.height) * 0.5, brief.height * 0.3, size * 0.5)
    values: Values = {
        "COUNT_FROM": start,
        "END_TEXT": shown,
        "FONT_SIZE": min(round(size), half * 2),
    }
    return Plan(values, "Countdown")


def plan_counter(brief: Brief) -> Plan:
    numbers = re.findall(
        r"([$\u20ac\u00a3]?)([0-9][0-9,.]{0,14})\s?(%|\+|[km]\b|million\b|thousand\b|billion\b)?",
        brief.plain,
    )
    values = [_whole(number) for _, number, _ in numbers]
    first = values[0] if len(values) > 1 and re.search(r"\bfrom\b", brief.plain) else 0
    last = values[-1] if values else 1000
    prefix, _, suffix = numbers[-1] if numbers else ("", "", "")
    label = shorten(brief.said or "", 80)
    shown = f"{prefix}{last:,}{suffix}"
    constants: Values = {
        "COUNT_FROM": first,
        "COUNT_TO": last,
        "PREFIX": prefix,
        "SUFFIX": suffix.upper()
        if suffix in ("k", "m")
        else suffix
        if len(suffix) < 2
        else f" {suffix}",
        "LABEL": label,
        "FONT_SIZE": size_of(brief, shown, 0.17, tall=0.35),
    }
    note = None if values else "You gave no number, so it counts to 1,000."
    return Plan(constants, component_of(label, "Counter") if label else "Counter", note)


def _whole(number: str) -> int:
    digits = re.sub(r"[,.](?=[0-9]{3}(?![0-9]))", "", number).replace(",", ".").strip(".")
    found = re.match(r"[0-9]+", digits)
    return int(min(LARGEST, float(found[0]))) if found else 0


def plan_comparison(brief: Brief) -> Plan:
    left, right = _sides(brief)
    left, right = shorten(left, 60), shorten(right, 60)
    width = 0.36 if brief.width >= brief.height else 0.7
    size = min(size_of(brief, side, 0.07, width=width, tall=0.2) for side in (left, right))
    title = shorten(brief.quotes[2], 80) if len(brief.quotes) > 2 else ""
    values: Values = {
        "TITLE": title,
        "LEFT": left,
        "RIGHT": right,
        "LEFT_ITEMS": [shorten(text, 80) for text in brief.quotes[3:9:2]],
        "RIGHT_ITEMS": [shorten(text, 80) for text in brief.quotes[4:10:2]],
        "VERSUS": "\u2192" if re.search(r"\bbefore and after\b", brief.plain) else "VS",
        "FONT_SIZE": size,
    }
    return Plan(values, component_of(f"{left} or {right}", "Comparison"))


_VERSUS = re.compile(
    r"(?P<left>[^\s,.;:]+(?: [^\s,.;:]+)?)\s+(?:vs\.?|versus)\s+"
    r"(?P<right>[^\s,.;:]+(?: [^\s,.;:]+)?)"
)
_COMPARE = re.compile(
    r"compar(?:e|ing|ison of|ison between)\s+(?P<left>[^,.;:\n]{1,40}?)\s+(?:and|with|to)\s+"
    r"(?P<right>[^,.;:\n]{1,40})"
)
_ORDER = re.compile(
    r"^(?:(?:add|create|make|show|of|a|an|the|between|comparison|compare)\s+)+", re.IGNORECASE
)


def _sides(brief: Brief) -> tuple[str, str]:
    if len(brief.quotes) > 1:
        return brief.quotes[0], brief.quotes[1]
    pair = _VERSUS.search(brief.plain) or _COMPARE.search(brief.plain)
    if pair is None:
        return "Before", "After"
    left, right = (brief.text[slice(*pair.span(side))] for side in ("left", "right"))
    return headline(_ORDER.sub("", left)) or "Before", headline(_ORDER.sub("", right)) or "After"
