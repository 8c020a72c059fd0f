"""Reading prompts: what stands in quotes, what is left of a text, and words to show."""

import re
import zlib

import msgspec

MASK = "\ue000"  # stands for each character inside quotes

_QUOTED = re.compile(
    r'"(?P<double>[^"]{1,2000})"|\u201c(?P<curly>[^\u201d\u201c]{1,2000})\u201d'
    r"|\u201e(?P<low>[^\u201c\u201d\"]{1,2000})[\u201c\u201d\"]"
    r"|\u00ab(?P<angle>[^\u00bb]{1,2000})\u00bb|`(?P<tick>[^`]{1,2000})`"
    r"|(?<!\w)\u2018(?P<curled>[^\u2018\n]{1,300}?)\u2019(?!\w)"
    r"|(?<!\w)'(?P<single>[^'\n]{1,300}(?:'\w[^'\n]{0,100}){0,4})'(?!\w)"
)
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ufeff\ufffe\uffff\u2028\u2029]")
_SURROGATE = re.compile("[\ud800-\udfff]")


class Quote(msgspec.Struct, frozen=True):
    """Quoted text and where it stands, quotation marks included."""

    text: str
    start: int
    end: int


def clean(text: str) -> str:
    """Without control characters, lone surrogates and our own mask; line ends as LF."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\t", " ")
    return _SURROGATE.sub("\ufffd", _CONTROL.sub("", text)).replace(MASK, "\ufffd")


def find_quotes(text: str) -> list[Quote]:
    """All that stands in quotation marks, in order, never empty."""
    return [
        Quote(inner, found.start(), found.end())
        for found in _QUOTED.finditer(text)
        if (inner := (found[found.lastgroup or 0]).strip())
    ]


def masked(text: str) -> str:
    """The text at its length, quoted parts made unreadable, so that no rule takes them up."""
    return _QUOTED.sub(lambda found: MASK * len(found[0]), text)


def lower(text: str) -> str:
    """ASCII in lower case, everything else and the length as it was."""
    return re.sub("[A-Z]+", lambda found: found[0].lower(), text)


def seed_of(text: str) -> int:
    """The same number for the same text, on every machine."""
    return zlib.crc32(text.encode("utf-8", "replace"))


def shorten(text: str, most: int) -> str:
    """At most `most` characters, cut at a word where one ends nearby."""
    text = text.strip()
    if len(text) <= most:
        return text
    cut = text[: most - 1]
    space = cut.rfind(" ", most // 2)
    return (cut[:space] if space > 0 else cut).rstrip(" ,.;:-") + "\u2026"


def headline(text: str) -> str:
    """First letters raised, as long as the text is short and all in lower case."""
    text = re.sub(r"\s+", " ", text).strip(" .,;:!-\u2014")
    if len(text) <= 40 and text == text.lower():
        small = {"a", "an", "and", "for", "in", "of", "on", "or", "the", "to", "with"}
        words = text.split(" ")
        return " ".join(
            word if index and word in small else word[:1].upper() + word[1:]
            for index, word in enumerate(words)
        )
    return text if text[1:2].isupper() else text[:1].upper() + text[1:]
