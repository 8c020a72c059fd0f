"""Lists in prompts: what shall be shown line by line."""

import re

from app.brain.composer.brief import Brief
from app.brain.composer.wording import clean, find_quotes, shorten

ITEMS_MOST = 8
ITEM_MOST = 90  # characters

_LINE = re.compile(r"^[ \t]*(?:[-*\u2022]|[0-9]{1,2}[.)])[ \t]+(.{1,400})$", re.MULTILINE)
_AFTER_COLON = re.compile(r":\s*([^:\n]{3,600})")
_SPLIT = re.compile(r"\s*(?:[,;\n]|\band\b)\s*", re.IGNORECASE)
_NUMBERED = re.compile(r"\s*\b[0-9]{1,2}[.)]\s+")
_TITLED = re.compile(
    r"(?:titled|called|title|heading|headline|named)\s*(?:is|of|:)?\s*$", re.IGNORECASE
)


def read_items(brief: Brief) -> tuple[str | None, list[str]]:
    """A heading, when one is named, and the items: quotes, marked lines, or what a colon lists."""
    text = clean(brief.text)
    quotes = find_quotes(text)
    heading = None
    if quotes and (len(quotes) > 1 or _listed(text, quotes[0].end)):
        titled = _TITLED.search(text[max(0, quotes[0].start - 20) : quotes[0].start])
        if titled or _opens_list(text, quotes[0].end):
            heading = quotes.pop(0).text
    elif quotes and _TITLED.search(text[max(0, quotes[0].start - 20) : quotes[0].start]):
        heading = quotes.pop(0).text
    lines = [found[1] for found in _LINE.finditer(text)]
    items = [quote.text for quote in quotes] if len(quotes) > 1 else lines
    if not items:
        after = _AFTER_COLON.search(text, quotes[0].end if quotes else 0)
        parts = after[1] if after else ""
        items = (_NUMBERED if _NUMBERED.match(parts) else _SPLIT).split(parts)
    if not items and len(quotes) == 1:
        parts = _SPLIT.split(quotes[0].text)
        items = parts if len(parts) > 1 else [quotes[0].text]
    shown = [shorten(_sentence(item), ITEM_MOST) for item in items]
    return heading, [item for item in shown if item][:ITEMS_MOST]


def _sentence(item: str) -> str:
    item = re.sub(r"\s+", " ", item).strip(" \"'.\u201c\u201d")
    return item[:1].upper() + item[1:]


def _opens_list(text: str, end: int) -> bool:
    """True when the first quote is followed by "with …" or a colon, so that it is a heading."""
    return bool(re.match(r"\s*(?::|with\b|listing\b|and the (?:items|points|steps))", text[end:]))


def _listed(text: str, end: int) -> bool:
    return ":" in text[end:] or bool(_LINE.search(text, end))
