"""Text operations on prompts: cleaning, quotes, masking, shortening and headlines.

Two forms of a prompt are used all over the composer, both of the same length, so that a position
in one is a position in the other: `text` is the prompt as it was written, and `plain` is the same
in lower case with its quoted parts masked, so that no rule reads an order in them.
"""

import re
import zlib

import msgspec

MASK = "\ue000"  # stands for each character inside quotes; from the private use area
MAX_TITLE_CASED_CHARACTERS = 40  # a longer text is a sentence, not a title

# Quotation marks of all kinds. Single ones count only at the edge of a word, else "it's" opens one.
_QUOTED = re.compile(
    r'"(?P<double>[^"]{1,2000})"|\u201c(?P<curly>[^\u201d\u201c]{1,2000})\u201d'
    r"|\u201e(?P<low>[^\u201c\u201d\"]{1,2000})[\u201c\u201d\"]"
    r"|\u00ab(?P<angle>[^\u00bb]{1,2000})\u00bb|`(?P<tick>[^`]{1,2000})`"
    r"|(?<!\w)\u2018(?P<curled>[^\u2018\n]{1,300}?)\u2019(?!\w)"
    r"|(?<!\w)'(?P<single>[^'\n]{1,300}(?:'\w[^'\n]{0,100}){0,4})'(?!\w)"
)
# Control characters and separators that would break a line of code.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ufeff\ufffe\uffff\u2028\u2029]")
_SURROGATE = re.compile("[\ud800-\udfff]")
# Words that stay in lower case within a title.
_SMALL_WORDS = frozenset({"a", "an", "and", "for", "in", "of", "on", "or", "the", "to", "with"})


class Quote(msgspec.Struct, frozen=True):
    """A quoted text and its character range, quotation marks included."""

    text: str
    start: int
    end: int


def clean(text: str) -> str:
    """Remove control characters, end lines with LF, replace lone surrogates and `MASK`."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\t", " ")
    return _SURROGATE.sub("\ufffd", _CONTROL.sub("", text)).replace(MASK, "\ufffd")


def find_quotes(text: str) -> list[Quote]:
    """Return the quoted texts in order, without empty ones."""
    return [
        Quote(inner, found.start(), found.end())
        for found in _QUOTED.finditer(text)
        if (inner := (found[found.lastgroup or 0]).strip())
    ]


def masked(text: str) -> str:
    """Return the text with each character of a quoted part replaced by `MASK`."""
    return _QUOTED.sub(lambda found: MASK * len(found[0]), text)


def lower(text: str) -> str:
    """Put ASCII in lower case; `str.lower` would change the length of some other characters."""
    return re.sub("[A-Z]+", lambda found: found[0].lower(), text)


def plain_of(text: str) -> str:
    """Return the text in lower case with its quoted parts masked, at the same length."""
    return lower(masked(text))


def seed_of(text: str) -> int:
    """Return a number that depends on the text only, the same on every machine."""
    return zlib.crc32(text.encode("utf-8", "replace"))


def shorten(text: str, max_characters: int) -> str:
    """Cut a text to `max_characters` with an ellipsis, at the end of a word if one is near."""
    text = text.strip()
    if len(text) <= max_characters:
        return text
    cut = text[: max_characters - 1]
    space = cut.rfind(" ", max_characters // 2)
    return (cut[:space] if space > 0 else cut).rstrip(" ,.;:-") + "\u2026"


def headline(text: str) -> str:
    """Return a text as a heading: title case for a short one in lower case, else a capital."""
    text = re.sub(r"\s+", " ", text).strip(" .,;:!-\u2014")
    if len(text) <= MAX_TITLE_CASED_CHARACTERS and text == text.lower():
        words = text.split(" ")
        return " ".join(
            word if index and word in _SMALL_WORDS else word[:1].upper() + word[1:]
            for index, word in enumerate(words)
        )
    return text if text[1:2].isupper() else text[:1].upper() + text[1:]
