"""Colours of prompts: which are named, what each is for, and sums with them."""

import re
from typing import Literal

import msgspec

from app.brain.composer.css_colours import MORE, THINGS
from app.brain.composer.css_colours import NAMED as CSS
from app.brain.composer.wording import lower

Role = Literal["background", "text", "accent", "main"]

NAMED = {**CSS, **MORE}
_SHADES = {"dark": -0.45, "deep": -0.35, "light": 0.45, "pale": 0.6, "bright": 0.12, "pastel": 0.55,
    "neon": 0.0, "vivid": 0.0}  # fmt: skip
_NAMES = sorted(NAMED, key=len, reverse=True)
_COMPOUND = re.compile(r"^(dark|light|medium|pale|deep|hot|sky|royal|navy|steel|forest|midnight"
                       r"|lime|off|sea|spring|slate|dodger|powder|orange)(.+)$")  # fmt: skip
_SPACED = {
    "[ -]?".join(found.groups()) if (found := _COMPOUND.match(name)) else name for name in _NAMES
}
_COLOUR = re.compile(
    r"#(?P<hex>[0-9a-f]{6}|[0-9a-f]{3})(?![0-9a-f])"
    rf"|\b(?:(?P<shade>{'|'.join(_SHADES)})[ -])?"
    rf"(?P<name>{'|'.join(sorted(_SPACED, key=len, reverse=True))})\b(?![ -]friday)",
    re.IGNORECASE,
)
_LINK = r"\s*(?:colou?rs?)?\s*(?:is|are|to|in|as|:|=|should be|be|of|from)?\s*(?:an?\s+)?"
_BACK_WORDS = r"(?:background|backdrop|bg|canvas)"
_TEXT_WORDS = r"(?:text|font|letters|lettering|words?|title|subtitle|heading|headline|writing|type)"
_ACCENT_WORDS = (
    r"(?:accents?|bars?|lines?|buttons?|rings?|shapes?|circles?|squares?|triangles?|diamonds?"
    r"|logo|mark|icons?|bullets?|highlights?|underline|columns?)"
)
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
_CONTEXT = re.compile(
    r"\b(?:in|on|to|with|colou?r|background|text|bright|make it|everything"
    r"|use|and|from|be|is|dark|light)"
    r"\s+(?:an?\s+)?$"
)


class Colour(msgspec.Struct, frozen=True):
    """A colour in a text: `#rrggbb`, what it is for, and where it stands."""

    value: str
    role: Role
    start: int
    end: int


def find_colours(text: str) -> list[Colour]:
    """All colours that the text names, in order; quoted text must be masked before."""
    low = lower(text)
    found = []
    for hit in _COLOUR.finditer(low):
        before, after = low[max(0, hit.start() - 40) : hit.start()], low[hit.end() : hit.end() + 30]
        role = _role(before, after)
        thing = hit["name"] in THINGS and not hit["shade"]
        if thing and role == "main" and not _CONTEXT.search(before):
            continue
        found.append(Colour(_value(hit), role, hit.start(), hit.end()))
    return _gradients(low, found)


def _gradients(text: str, found: list[Colour]) -> list[Colour]:
    """Colours next to the word "gradient" are the background's two ends."""
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
    """As bright as its hue allows."""
    channels = _channels(value)
    most = max(*channels, 1)
    return "#" + "".join(f"{round(channel * 255 / most):02x}" for channel in channels)


def _channels(value: str) -> tuple[int, int, int]:
    return int(value[1:3], 16), int(value[3:5], 16), int(value[5:7], 16)


def mix(one: str, other: str, share: float) -> str:
    """`share` of the other colour in the first, 0 to 1."""
    pairs = zip(_channels(one), _channels(other), strict=True)
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in pairs)


def shift(value: str, by: float) -> str:
    """Lighter for positive, darker for negative shares of 1."""
    return mix(value, "#ffffff" if by > 0 else "#000000", min(1.0, abs(by)))


def luminance(value: str) -> float:
    """Relative luminance of WCAG 2, 0 to 1."""
    linear = [
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
        for c in (channel / 255 for channel in _channels(value))
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """Contrast ratio of WCAG 2, 1 to 21."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def readable_on(value: str) -> str:
    """White or near black, whichever reads better."""
    return max("#ffffff", "#111318", key=lambda text: contrast(text, value))
