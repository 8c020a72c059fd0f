"""Lists in prompts: what shall be shown line by line."""

import re

from app.brain.composer.colours import find_colours
from app.brain.composer.wording import MASK, clean, find_quotes, lower, masked, shorten
from app.tools.durations import find_durations

ITEMS_MOST = 8
ITEM_MOST = 90  # characters
HEADING_MOST = 60  # characters

_LINE = re.compile(r"^[ \t]*(?:[-*\u2022]|[0-9]{1,2}[.)])[ \t]+(.{1,400})$", re.MULTILINE)
_AFTER_COLON = re.compile(r":\s*([^:\n]{3,600})")
_SPLIT = re.compile(r"\s*(?:[,;\n]|\band\b)\s*", re.IGNORECASE)
_NUMBERED = re.compile(r"\s*\b[0-9]{1,2}[.)]\s+")
_TITLED = re.compile(
    r"(?:titled|called|title|heading|headline|named)\s*(?:is|of|:)?\s*$", re.IGNORECASE
)
_LISTS = r"(?:lists?|bullet points|bullets?|checklist|agenda|to-?dos?|to-?do list)"
_NAMED = re.compile(
    rf"\b{_LISTS}\s+(?:of|with|containing|listing|showing)\s+"
    r"(?:(?:the\s+)?(?:items|points|entries|bullets)\s+)?(?P<items>[^:\n]{3,600}?)"
    r"(?=\s+(?:that|which)\s|[:\n]|$)"
)
_ORDER = re.compile(
    r"^\W*(?:(?:please|now|then|can you|could you)\s+)*(?:(?:add|make|create|show|build|generate"
    r"|insert|give)\s+)?(?:me\s+)?(?:(?:an?|the|another|new|short|bulleted|numbered)\s+)*"
    rf"(?:(?:{_LISTS}|slide|scene)\b\s*)*"
    r"(?:(?:of|about|with|for|that says|titled|called|named|saying)\b\s*)?"
    r"(?:(?:(?:the|[0-9]+)\s+)?(?:items|points|steps|entries|bullets)\s*$)?"
)
_OPENS = re.compile(rf"^\s*(?P<heading>[^:,;.\n{MASK}]{{2,40}}):\s*(?P<items>[^:\n]{{3,600}})$")
_OTHER = re.compile(
    r"\b(?:text|title|subtitle|says?|saying|reads?|headline|heading|caption|words?|scene|slide|intro"
    r"|quote|chart|graph|change|make|set|it|https?|logo|button|to)\b"
)
_TAIL = re.compile(r"\s*,?\s+(?:in|on|with|for|over)\s+(?=\S+(?:\s+\S+){0,7}\s*$)")


def read_items(prompt: str) -> tuple[str | None, list[str]]:
    """A heading, when one is named, and the items: quotes, marked lines, or what is listed."""
    text = clean(prompt)
    quotes = find_quotes(text)
    heading = None if quotes else _heading(text)
    if quotes and (len(quotes) > 1 or _listed(text, quotes[0].end)):
        titled = _TITLED.search(text[max(0, quotes[0].start - 20) : quotes[0].start])
        if titled or _opens_quoted(text, quotes[0].end):
            heading = quotes.pop(0).text
    elif quotes and _TITLED.search(text[max(0, quotes[0].start - 20) : quotes[0].start]):
        heading = quotes.pop(0).text
    lines = [found[1] for found in _LINE.finditer(text)]
    items = [quote.text for quote in quotes] if len(quotes) > 1 else lines
    if not items and (span := _span(text, quotes[0].end if quotes else 0)):
        parts = text[slice(*span)]
        items = (_NUMBERED if _NUMBERED.match(parts) else _SPLIT).split(parts)
    if not items and len(quotes) == 1:
        items = _SPLIT.split(quotes[0].text)
    shown = [shorten(_sentence(item), ITEM_MOST) for item in items]
    return heading, [item for item in shown if item][:ITEMS_MOST]


def opens_list(plain: str) -> bool:
    """True for "fruits: apples, pears": a heading, a colon, and words in a row."""
    found = _OPENS.match(plain)
    if not found or _OTHER.search(found["heading"]):
        return False
    parts = [part for part in _SPLIT.split(found["items"]) if part]
    return len(parts) > 1 and all(re.match(r"[^\W\d_]", part) for part in parts)


def without_items(text: str, plain: str) -> str:
    """`plain` with its list's items blanked: a "flat white" says nothing about colours."""
    quotes = find_quotes(text)
    spans = [found.span(1) for found in _LINE.finditer(text)]
    if len(quotes) < 2 and not spans:
        span = _span(text, quotes[0].end if quotes else 0)
        spans = [span] if span else []
    for start, end in spans:
        plain = plain[:start] + " " * (end - start) + plain[end:]
    return plain


def _span(text: str, begin: int) -> tuple[int, int] | None:
    """Where unquoted items stand, without a length or colours that follow them."""
    found = _AFTER_COLON.search(text, begin)
    if found:
        start, end = found.span(1)
    else:
        named = _NAMED.search(lower(masked(text)), begin)
        if not named or MASK in named["items"]:
            return None
        start, end = named.span("items")
    end = _end_of_items(text, start, end)
    # one thing behind "list of" is what the list is about
    alone = found is None and len(_SPLIT.split(text[start:end])) < 2
    return None if alone else (start, end)


def _end_of_items(text: str, start: int, end: int) -> int:
    while True:
        part = text[start:end]
        cut = len(part.rstrip(" .!"))
        for mention in find_durations(part)[-1:]:
            if re.fullmatch(r"\W*(?:long)?\W*", part[mention.end :]):
                cut = len(re.sub(r"[\s,]*(?:for|over)?\s*$", "", part[: mention.start]))
        for tail in _TAIL.finditer(part):
            colours = find_colours(lower(part[tail.end() :]))
            if colours and colours[0].start < 20:
                cut = min(cut, tail.start())
                break
        if cut >= len(part) or cut < 3:
            break
        end = start + cut
    return end


def _heading(text: str) -> str | None:
    """What stands before the colon, without the order: "add a list of our drinks:"."""
    found = re.match(r"([^:\n]{1,120}):", text)
    if not found:
        return None
    order = _ORDER.match(lower(found[1]))
    words = found[1][order.end() if order else 0 :].strip(" ,.;-")
    alone = re.fullmatch(
        rf"(?:{_LISTS}|steps?|items?|points?|reasons|tips|features|things)", lower(words)
    )
    return None if not words or alone else shorten(_sentence(words), HEADING_MOST)


def _sentence(item: str) -> str:
    item = re.sub(r"\s+", " ", item).strip(" \"'.\u201c\u201d")
    return item[:1].upper() + item[1:]


def _opens_quoted(text: str, end: int) -> bool:
    """True when the first quote is followed by "with …" or a colon, so that it is a heading."""
    return bool(re.match(r"\s*(?::|with\b|listing\b|and the (?:items|points|steps))", text[end:]))


def _listed(text: str, end: int) -> bool:
    return ":" in text[end:] or bool(_LINE.search(text, end))
