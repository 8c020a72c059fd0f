"""Chooses the colours of a scene: those of the prompt, else a palette that fits its mood."""

import re

import msgspec

from app.brain.composer.reading.colours import (
    BLACK,
    WHITE,
    Colour,
    contrast,
    find_colours,
    luminance,
    mix,
    readable_on,
    shift,
)

MIN_TEXT_CONTRAST = 3.0  # that WCAG 2 requires of large text
MIN_ACCENT_CONTRAST = 1.6  # at which a shape is still seen
MAX_COLOURED_GLOW = 0.3  # on a background of the prompt
PLAIN_GLOW = 0.12  # on a white, black or light background
BACKGROUND_SHADE = -0.35  # from the start of a background to its end, when one colour is given
THEME_SHADE = -0.25  # from the first colour of a theme to its background


class Palette(msgspec.Struct, frozen=True):
    """The ends of the background, text and accent as `#rrggbb`; the glow, 0 to 1; a font."""

    start: str
    end: str
    text: str
    accent: str
    glow: float = 0.35
    font: str = "Inter, 'Segoe UI', Helvetica, Arial, sans-serif"


_SERIF = "Georgia, 'Times New Roman', serif"
_MONO = "'JetBrains Mono', Menlo, Consolas, monospace"
_ROUND = "'Nunito', 'Trebuchet MS', Verdana, sans-serif"
_MOODS: list[tuple[str, Palette]] = [
    ("neon|cyberpunk|synthwave|vaporwave|gaming|rave",
     Palette("#0a0014", "#1b0038", "#f5f0ff", "#00f0ff", 0.5)),
    ("warm|cozy|cosy|autumn|fall|sunset|cafe|coffee|bakery",
     Palette("#3a1410", "#8a3b1e", "#fff3e2", "#ffb454")),
    ("minimal|minimalist|minimalistic|clean|simple|apple",
     Palette("#fafafa", "#ececf1", "#16181d", "#2f6bff", 0.08)),
    ("corporate|business|professional|finance|bank|enterprise",
     Palette("#0c2340", "#16437a", "#ffffff", "#3fb6ff", 0.25)),
    ("nature|eco|organic|forest|garden|sustainable|green energy",
     Palette("#0d2b1d", "#1f5c3a", "#f2fff5", "#9be15d", 0.3)),
    ("ocean|sea|water|calm|summer|fresh", Palette("#022b3a", "#0b6e8a", "#eafcff", "#5eead4", 0.3)),
    ("luxury|elegant|premium|wedding|classy",
     Palette("#0f0d0a", "#2a2318", "#f7efe0", "#d4af6a", 0.25, _SERIF)),
    ("playful|fun|kids|children|cartoon|party|birthday|happy",
     Palette("#5b2be0", "#e23fa8", "#ffffff", "#ffd84d", 0.4, _ROUND)),
    ("pastel|soft|gentle|cute|baby",
     Palette("#fde7f3", "#dfe9ff", "#3a3550", "#e58fb8", 0.3, _ROUND)),
    ("retro|vintage|80s|70s|90s", Palette("#2b1b3d", "#b5446e", "#ffe9c9", "#f9a03f", 0.3)),
    ("tech|code|developer|hacker|terminal|matrix|software|startup",
     Palette("#07110d", "#0d2b22", "#e7fff4", "#2ee6a6", 0.3, _MONO)),
    ("space|galaxy|cosmic|night|dark", Palette("#05060f", "#171a3a", "#f3f4ff", "#8b8cff", 0.35)),
    ("light|bright|white", Palette("#ffffff", "#eef2ff", "#14172b", "#5b5bf6", 0.12)),
    ("energetic|sport|sports|fitness|bold|action",
     Palette("#1a0505", "#8f1717", "#ffffff", "#ffd60a", 0.35)),
]  # fmt: skip
_MOOD_PATTERNS = [
    (re.compile(rf"\b(?:{words})\b", re.IGNORECASE), palette) for words, palette in _MOODS
]
_DEFAULTS = [
    Palette("#0b1020", "#2a1a5e", "#ffffff", "#8b7bff"),
    Palette("#04121f", "#0b4a5c", "#f2fdff", "#39d5c9"),
    Palette("#190b24", "#6a1f4f", "#fff4fb", "#ff7ab8"),
    Palette("#0e1512", "#1d4a3a", "#f4fff9", "#7ee0a1"),
    Palette("#131318", "#34343f", "#ffffff", "#ffb86b"),
    Palette("#07142e", "#1f4fbf", "#ffffff", "#ffd166"),
]
# Words that make several colours a theme, of which the first becomes the background.
_THEME = re.compile(r"\b(?:theme|palette|colou?rs|scheme|style)\b", re.IGNORECASE)


def mood_of(text: str) -> Palette | None:
    """Return the palette of the first mood that the text names, None when it names none."""
    hits = [
        (found.start(), palette)
        for words, palette in _MOOD_PATTERNS
        if (found := words.search(text))
    ]
    return min(hits, key=lambda hit: hit[0])[1] if hits else None


def choose_palette(text: str, seed: int, *, main_is_text: bool) -> Palette:
    """Return a palette with the colours of the text, and readable ones where it names none.

    A colour without a role becomes that of the text if `main_is_text`, else the accent.
    """
    colours = find_colours(text)
    base = mood_of(_without(text, colours)) or _DEFAULTS[seed % len(_DEFAULTS)]
    named = {
        role: [colour.value for colour in colours if colour.role == role]
        for role in ("background", "text", "accent", "main")
    }
    main = named["main"]
    if len(main) > 1 and _THEME.search(text):
        named["background"] = named["background"] or [shift(main.pop(0), THEME_SHADE)]
    if main:
        role = "text" if main_is_text and not named["text"] else "accent"
        named[role] = named[role] or [main[0]]
        if len(main) > 1:
            named["accent"] = named["accent"] or [main[1]]
    return _complete(base, named["background"], named["text"], named["accent"])


def toned(value: str) -> Palette:
    """Return a palette of one hue whose text can be read on both ends of the background."""
    light = luminance(value) > 0.3
    if light:
        start, end, accent = shift(value, 0.35), value, shift(value, -0.55)
    else:
        start, end, accent = shift(value, -0.6), shift(value, -0.3), shift(value, 0.55)
    tint = shift(value, -0.85 if light else 0.88)
    return Palette(start, end, tint, accent, 0.2)


def end_of_background(start: str) -> str:
    """Return the other end of a background of which one colour is given."""
    return start if is_black_or_white(start) else shift(start, BACKGROUND_SHADE)


def is_black_or_white(value: str) -> bool:
    """Return whether a background of this colour is to be flat: a tint would show."""
    return value in (BLACK, WHITE)


def _complete(base: Palette, backs: list[str], texts: list[str], accents: list[str]) -> Palette:
    """Fill in from `base` what the prompt does not name, changed where it could not be read."""
    start, end, glow = base.start, base.end, base.glow
    if backs:
        start = backs[0]
        end = backs[1] if len(backs) > 1 else end_of_background(start)
        is_plain = is_black_or_white(start) or luminance(start) > 0.5
        glow = PLAIN_GLOW if is_plain else min(base.glow, MAX_COLOURED_GLOW)
    elif texts and contrast(texts[0], mix(start, end, 0.5)) < MIN_TEXT_CONTRAST:
        text_is_light = luminance(texts[0]) > 0.18
        start, end = ("#0b0d14", "#1c2030") if text_is_light else (WHITE, "#eceff7")
    middle = mix(start, end, 0.5)
    text = texts[0] if texts else base.text
    if not texts and contrast(text, middle) < MIN_TEXT_CONTRAST:
        text = readable_on(middle)
    accent = accents[0] if accents else (texts[0] if texts and not backs else base.accent)
    if not accents and contrast(accent, middle) < MIN_ACCENT_CONTRAST:
        accent = mix(text, middle, 0.25)
    return Palette(start, end, text, accent, glow, base.font)


def _without(text: str, colours: list[Colour]) -> str:
    """Remove the colours from a text: the "dark" of "dark blue" names no mood."""
    for colour in reversed(colours):
        text = text[: colour.start] + " " + text[colour.end :]
    return text
