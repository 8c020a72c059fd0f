"""Reads lists from prompts: a heading, and the items to show line by line."""

import re

from app.brain.composer.reading.colours import find_colours
from app.brain.composer.reading.wording import MASK, clean, find_quotes, lower, masked, shorten
from app.tools.durations import find_durations

MAX_ITEMS = 8
MAX_ITEM_CHARACTERS = 90
MAX_HEADING_CHARACTERS = 60
MAX_TITLED_DISTANCE = 20  # characters before a quote, searched for a word that makes it a heading
MAX_COLOUR_DISTANCE = 20  # characters from the start of a tail to its first colour
MIN_ITEMS_CHARACTERS = 3  # of a span that holds items

# An item on a line of its own, with a bullet or a number.
_BULLET_LINE = re.compile(r"^[ \t]*(?:[-*\u2022]|[0-9]{1,2}[.)])[ \t]+(.{1,400})$", re.MULTILINE)
# Items behind a colon, up to the end of the line.
_AFTER_COLON = re.compile(r":\s*([^:\n]{3,600})")
# What separates items in a row, and numbers that do: "1. open 2. look".
_SEPARATOR = re.compile(r"\s*(?:[,;\n]|\band\b)\s*", re.IGNORECASE)
_NUMBER_SEPARATOR = re.compile(r"\s*\b[0-9]{1,2}[.)]\s+")
# Words right before a quote that make it the heading.
_TITLED = re.compile(
    r"(?:titled|called|title|heading|headline|named)\s*(?:is|of|:)?\s*$", re.IGNORECASE
)
_LIST_NOUNS = r"(?:lists?|bullet points|bullets?|checklist|agenda|to-?dos?|to-?do list)"
# Items without a colon: "a list of apples, pears", "bullets with the points a, b".
_LIST_OF = re.compile(
    rf"\b{_LIST_NOUNS}\s+(?:of|with|containing|listing|showing)\s+"
    r"(?:(?:the\s+)?(?:items|points|entries|bullets)\s+)?(?P<items>[^:\n]{3,600}?)"
    r"(?=\s+(?:that|which)\s|[:\n]|$)"
)
# The order in front of a heading: "please add a numbered list of" in "… our drinks:".
_ORDER = re.compile(
    r"^\W*(?:(?:please|now|then|can you|could you)\s+)*(?:(?:add|make|create|show|build|generate"
    r"|insert|give)\s+)?(?:me\s+)?(?:(?:an?|the|another|new|short|bulleted|numbered)\s+)*"
    rf"(?:(?:{_LIST_NOUNS}|slide|scene)\b\s*)*"
    r"(?:(?:of|about|with|for|that says|titled|called|named|saying)\b\s*)?"
    r"(?:(?:(?:the|[0-9]+)\s+)?(?:items|points|steps|entries|bullets)\s*$)?"
)
# A prompt that is a list without an order: "fruits: apples, pears".
_BARE_LIST = re.compile(rf"^\s*(?P<heading>[^:,;.\n{MASK}]{{2,40}}):\s*(?P<items>[^:\n]{{3,600}})$")
# Words in front of a colon that are no heading of a list: "change the title: …".
_NO_HEADING = re.compile(
    r"\b(?:text|title|subtitle|says?|saying|reads?|headline|heading|caption|words?|scene|slide|intro"
    r"|quote|chart|graph|change|make|set|it|https?|logo|button|to)\b"
)
# What may follow the items: "in red", "on dark blue for 3 seconds"; at most eight words.
_TAIL = re.compile(r"\s*,?\s+(?:in|on|with|for|over)\s+(?=\S+(?:\s+\S+){0,7}\s*$)")


def read_items(prompt: str) -> tuple[str | None, list[str]]:
    """Return the heading, None without one, and the items: quotes, bullet lines or a row."""
    text = clean(prompt)
    quotes = find_quotes(text)
    heading = None if quotes else _heading(text)
    if quotes:
        start, end = quotes[0].start, quotes[0].end
        titled = _TITLED.search(text[max(0, start - MAX_TITLED_DISTANCE) : start])
        has_items = len(quotes) > 1 or _is_listing(text, end)
        if titled or (has_items and _introduces_items(text, end)):
            heading = quotes.pop(0).text
    items = [found[1] for found in _BULLET_LINE.finditer(text)]
    if len(quotes) > 1:
        items = [quote.text for quote in quotes]
    if not items and (span := _items_span(text, quotes[0].end if quotes else 0)):
        row = text[slice(*span)]
        items = (_NUMBER_SEPARATOR if _NUMBER_SEPARATOR.match(row) else _SEPARATOR).split(row)
    if not items and len(quotes) == 1:
        items = _SEPARATOR.split(quotes[0].text)
    texts = [shorten(_sentence(item), MAX_ITEM_CHARACTERS) for item in items]
    return heading, [item for item in texts if item][:MAX_ITEMS]


def opens_list(plain: str) -> bool:
    """Return whether a prompt is a list without an order: a heading, a colon, words in a row."""
    found = _BARE_LIST.match(plain)
    if not found or _NO_HEADING.search(found["heading"]):
        return False
    parts = [part for part in _SEPARATOR.split(found["items"]) if part]
    return len(parts) > 1 and all(re.match(r"[^\W\d_]", part) for part in parts)


def without_items(text: str, plain: str) -> str:
    """Blank the items in `plain`: the item "flat white" says nothing about colours."""
    quotes = find_quotes(text)
    spans = [found.span(1) for found in _BULLET_LINE.finditer(text)]
    if len(quotes) < 2 and not spans:
        span = _items_span(text, quotes[0].end if quotes else 0)
        spans = [span] if span else []
    for start, end in spans:
        plain = plain[:start] + " " * (end - start) + plain[end:]
    return plain


def _items_span(text: str, begin: int) -> tuple[int, int] | None:
    """Return the range of unquoted items, without a length or colours that follow them."""
    found = _AFTER_COLON.search(text, begin)
    if found:
        start, end = found.span(1)
    else:
        named = _LIST_OF.search(lower(masked(text)), begin)
        if not named or MASK in named["items"]:
            return None
        start, end = named.span("items")
    end = _end_of_items(text, start, end)
    # A single thing behind "list of" is the topic of the list, not an item.
    is_topic = found is None and len(_SEPARATOR.split(text[start:end])) < 2
    return None if is_topic else (start, end)


def _end_of_items(text: str, start: int, end: int) -> int:
    """Cut durations and colours from the end of a span until none is left there."""
    while True:
        part = text[start:end]
        cut = len(part.rstrip(" .!"))
        for mention in find_durations(part)[-1:]:
            if re.fullmatch(r"\W*(?:long)?\W*", part[mention.end :]):
                cut = len(re.sub(r"[\s,]*(?:for|over)?\s*$", "", part[: mention.start]))
        for tail in _TAIL.finditer(part):
            colours = find_colours(lower(part[tail.end() :]))
            if colours and colours[0].start < MAX_COLOUR_DISTANCE:
                cut = min(cut, tail.start())
                break
        if cut >= len(part) or cut < MIN_ITEMS_CHARACTERS:
            return end
        end = start + cut


def _heading(text: str) -> str | None:
    """Return what stands before the colon, without the order: "our drinks"."""
    found = re.match(r"([^:\n]{1,120}):", text)
    if not found:
        return None
    order = _ORDER.match(lower(found[1]))
    words = found[1][order.end() if order else 0 :].strip(" ,.;-")
    is_noun = re.fullmatch(
        rf"(?:{_LIST_NOUNS}|steps?|items?|points?|reasons|tips|features|things)", lower(words)
    )
    return None if not words or is_noun else shorten(_sentence(words), MAX_HEADING_CHARACTERS)


def _sentence(item: str) -> str:
    """Return a text on one line, without quotation marks, and with a capital."""
    item = re.sub(r"\s+", " ", item).strip(" \"'.\u201c\u201d")
    return item[:1].upper() + item[1:]


def _introduces_items(text: str, end: int) -> bool:
    """Return whether what follows the first quote makes it a heading: a colon, "with …"."""
    return bool(re.match(r"\s*(?::|with\b|listing\b|and the (?:items|points|steps))", text[end:]))


def _is_listing(text: str, end: int) -> bool:
    """Return whether unquoted items follow."""
    return ":" in text[end:] or bool(_BULLET_LINE.search(text, end))
