"""Reads colours and what they are for from prompts, and computes with colours."""

import re
from typing import Literal

import msgspec

from app.brain.composer.reading.css_colours import MORE, THINGS
from app.brain.composer.reading.css_colours import NAMED as CSS
from app.brain.composer.reading.wording import lower

Role = Literal["background", "text", "accent", "main"]

NAMED = {**CSS, **MORE}
MAX_BEFORE_CHARACTERS = 40  # before a colour, searched for what it is for
MAX_AFTER_CHARACTERS = 30  # after a colour, searched for what it is for
WHITE, BLACK = "#ffffff", "#000000"
NEAR_BLACK = "#111318"  # softer on the eye than black, for text on light backgrounds

# Words in front of a colour and the share of white (positive) or black (negative) they add.
_SHADES = {"dark": -0.45, "deep": -0.35, "light": 0.45, "pale": 0.6, "bright": 0.12, "pastel": 0.55,
    "neon": 0.0, "vivid": 0.0}  # fmt: skip
_NAMES = sorted(NAMED, key=len, reverse=True)
# The first word of a compound name, so that "light green" is found as well as "lightgreen".
_COMPOUND = re.compile(r"^(dark|light|medium|pale|deep|hot|sky|royal|navy|steel|forest|midnight"
                       r"|lime|off|sea|spring|slate|dodger|powder|orange)(.+)$")  # fmt: skip
_SPACED = {
    "[ -]?".join(found.groups()) if (found := _COMPOUND.match(name)) else name for name in _NAMES
}
# A colour as `#rgb`, `#rrggbb` or a name, the longest name first; "Black Friday" is none.
_COLOUR = re.compile(
    r"#(?P<hex>[0-9a-f]{6}|[0-9a-f]{3})(?![0-9a-f])"
    rf"|\b(?:(?P<shade>{'|'.join(_SHADES)})[ -])?"
    rf"(?P<name>{'|'.join(sorted(_SPACED, key=len, reverse=True))})\b(?![ -]friday)",
    re.IGNORECASE,
)
# What may stand between a part of the scene and its colour: "text is", "background in a".
_LINK = r"\s*(?:colou?rs?)?\s*(?:is|are|to|in|as|:|=|should be|be|of|from)?\s*(?:an?\s+)?"
_BACK_WORDS = r"(?:background|backdrop|bg|canvas)"
_TEXT_WORDS = r"(?:text|font|letters|lettering|words?|title|subtitle|heading|headline|writing|type)"
_ACCENT_WORDS = (
    r"(?:accents?|bars?|lines?|buttons?|rings?|shapes?|circles?|squares?|triangles?|diamonds?"
    r"|logo|mark|icons?|bullets?|highlights?|underline|columns?)"
)
# What a colour is for, from the words before it and from those after it.
_BEFORE: list[tuple[Role, re.Pattern[str]]] = [
    ("background", re.compile(rf"(?:\b(?:on|against|over)\s+(?:an?\s+)?|\b{_BACK_WORDS}{_LINK})$")),
    ("text", re.compile(rf"\b{_TEXT_WORDS}{_LINK}$")),
    ("accent", re.compile(rf"\b{_ACCENT_WORDS}{_LINK}$")),
]
_AFTER: list[tuple[Role, re.Pattern[str]]] = [
    ("background", re.compile(rf"^[\s-]*(?:colou?red\s+)?(?:gradient\s+)?{_BACK_WORDS}\b")),
    ("accent", re.compile(rf"^[\s-]*(?:colou?red\s+)?{_ACCENT_WORDS}\b")),
    ("text", re.compile(rf"^[\s-]*(?:colou?red\s+)?{_TEXT_WORDS}\b")),
]
# Words before the name of a thing (`THINGS`) that make it a colour: "in tomato".
_COLOUR_CONTEXT = re.compile(
    r"\b(?:in|on|to|with|colou?r|background|text|bright|make it|everything"
    r"|use|and|from|be|is|dark|light)"
    r"\s+(?:an?\s+)?$"
)


class Colour(msgspec.Struct, frozen=True):
    """A colour in a text: its value as `#rrggbb`, what it is for, and its character range.

    The role "main" means that the text does not say what the colour is for.
    """

    value: str
    role: Role
    start: int
    end: int


def find_colours(text: str) -> list[Colour]:
    """Return the colours in a text, in order; quoted parts must have been masked before."""
    low = lower(text)
    found = []
    for hit in _COLOUR.finditer(low):
        before = low[max(0, hit.start() - MAX_BEFORE_CHARACTERS) : hit.start()]
        role = _role(before, low[hit.end() : hit.end() + MAX_AFTER_CHARACTERS])
        is_thing = hit["name"] in THINGS and not hit["shade"]
        if is_thing and role == "main" and not _COLOUR_CONTEXT.search(before):
            continue
        found.append(Colour(_value(hit), role, hit.start(), hit.end()))
    return _with_gradient(low, found)


def _with_gradient(text: str, found: list[Colour]) -> list[Colour]:
    """Make colours of a text with the word "gradient" the ends of the background."""
    if "gradient" not in text or any(colour.role == "background" for colour in found[1:]):
        return found
    return [
        msgspec.structs.replace(colour, role="background") if colour.role == "main" else colour
        for colour in found
    ]


def _role(before: str, after: str) -> Role:
    for role, pattern in _AFTER:
        if pattern.search(after):
            return role
    for role, pattern in _BEFORE:
        if pattern.search(before):
            return role
    return "main"


def _value(hit: re.Match[str]) -> str:
    if hit["hex"]:
        digits = hit["hex"] if len(hit["hex"]) == 6 else "".join(d * 2 for d in hit["hex"])
        return f"#{digits}"
    name = re.sub(r"[ -]", "", hit["name"])
    shade = hit["shade"]
    if shade and shade + name in NAMED:
        return f"#{NAMED[shade + name]}"
    value = f"#{NAMED[name]}"
    if shade in ("neon", "vivid", "bright"):
        value = _vivid(value)
    return shift(value, _SHADES[shade] if shade else 0.0)


def _vivid(value: str) -> str:
    """Return the colour as bright as its hue allows."""
    channels = _channels(value)
    brightest = max(*channels, 1)
    return "#" + "".join(f"{round(channel * 255 / brightest):02x}" for channel in channels)


def _channels(value: str) -> tuple[int, int, int]:
    return int(value[1:3], 16), int(value[3:5], 16), int(value[5:7], 16)


def mix(one: str, other: str, share: float) -> str:
    """Mix two colours; `share` is that of the other one, 0 to 1."""
    pairs = zip(_channels(one), _channels(other), strict=True)
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in pairs)


def shift(value: str, by: float) -> str:
    """Mix a colour with white (positive `by`) or with black (negative), by a share of 1."""
    return mix(value, WHITE if by > 0 else BLACK, min(1.0, abs(by)))


def luminance(value: str) -> float:
    """Return the relative luminance as WCAG 2 defines it, 0 to 1."""
    linear = [
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
        for c in (channel / 255 for channel in _channels(value))
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """Return the contrast ratio as WCAG 2 defines it, 1 to 21."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def readable_on(value: str) -> str:
    """Return white or near black, whichever has more contrast to the colour."""
    return max(WHITE, NEAR_BLACK, key=lambda text: contrast(text, value))
