"""Edits a scene's colours."""

import re

from tree_sitter import Node

from app.brain.composer.composing.palette import (
    MIN_TEXT_CONTRAST,
    Palette,
    end_of_background,
    mood_of,
    toned,
)
from app.brain.composer.composing.typescript import quoted
from app.brain.composer.editing.changes import NO_CHANGES, Changes, done, failed
from app.brain.composer.editing.editable import EditableCode, number_text, unquote
from app.brain.composer.reading.colours import Colour, contrast, find_colours, readable_on, shift
from app.brain.composer.reading.css_colours import NAMED
from app.tools.syntax import captures, text_of

MAX_COLOURS = 8  # that one edit takes up
DARKER, LIGHTER = -0.3, 0.25  # shares of black or white that are mixed in

# The constants by which the composer's templates name their colours.
_CONSTANTS = {"text": "TEXT_COLOR", "accent": "ACCENT_COLOR"}
# A scene of the composer with one of these is made of figures, of which a colour is the accent.
_FIGURES = ("BARS", "SHAPE", "BUTTON", "MARK", "END_TEXT")
# In other code, the style keys and attributes that hold the colours.
_KEYS = {
    "background": frozenset({"background", "backgroundColor"}),
    "text": frozenset({"color"}),
    "accent": frozenset({"fill", "accentColor"}),
    "line": frozenset({"stroke", "borderColor"}),
}
# Values of these keys that are no colour.
_NO_VALUES = ("transparent", "none", "inherit", "currentColor", "")
# What stands between two colours of which the second replaces the first: "red to green".
_REPLACED_BY = re.compile(r"\s*(?:\w+\s+)?(?:to|with|by|into|->|\u2192)\s+(?:an?\s+)?")
_EVERYTHING = re.compile(
    r"\b(?:everything|all of it|it all|(?:the )?whole (?:scene|thing|look|video)"
    r"|all (?:the )?colou?rs)\b"
)
# A word where a colour is expected: "the background blurple".
_PART_AND_WORD = re.compile(
    r"\b(?:background|backdrop|text|font|letters|accent|bars?|lines?|shapes?|button)"
    r"(?:\s+colou?r)?\s+(?:(?:to|in|into)\s+)?(?P<word>[a-z]{3,20})\b"
    r"(?=\s*(?:$|[,.;!]|and\b|please\b|colou?r))"
)
_CHANGES = re.compile(r"\b(?:make|set|change|turn|paint|colou?r|recolou?r)\b")
# Words in that place that are no colour and mean something else.
_OTHER_WORDS = frozenset(
    re.findall(
        "[a-z]+",
        "bigger smaller larger bold bolder darker lighter brighter faster slower longer shorter say"
        " read bounce fade slide zoom spin rise big small huge tiny readable visible colour color"
        " gone away out off dark light bright italic serif mono monospace sans glow neon thicker"
        " thinner wider narrower higher lower left right centered centred animation animate move"
        " colourful colorful transparent grow text size font one more less stay style",
    )
)
_DARKER = re.compile(r"\bdarker\b")
_LIGHTER = re.compile(r"\b(?:lighter|brighter)\b")
# Words by which a mood is an order for a palette.
_MOOD_ORDER = re.compile(r"\b(?:make|look|style|theme|more|mood|feel|palette)\b")


def edit_colours(code: EditableCode, plain: str) -> Changes:
    """Apply the orders in `plain` about colours: replace, retone, set by role, shade, or a mood."""
    colours = find_colours(plain)[:MAX_COLOURS]
    if len(colours) > 1 and _REPLACED_BY.fullmatch(plain[colours[0].end : colours[1].start]):
        old, new = colours[0].value, colours[1].value
        if _replace_colour(code, old, new):
            return done(f"{old} is now {new}")
        colours = colours[1:]
    if len(colours) == 1 and colours[0].role == "main" and _EVERYTHING.search(plain):
        retoned = _retone(code, colours[0].value)
        if retoned:
            return retoned
    changes = NO_CHANGES
    backs = [colour for colour in colours if colour.role == "background"]
    if backs:
        changes += _set_background(code, backs, colours)
    for colour in colours:
        if colour.role != "background":
            changes += _set_colour(code, _role_in(code, colour), colour)
    changes += _unknown_colours(plain)
    if not colours:
        changes += _edit_shade(code, plain) or _edit_mood(code, plain)
    return changes


def _role_in(code: EditableCode, colour: Colour) -> str:
    """Return what a colour is for in this scene, if the prompt does not say."""
    if colour.role != "main":
        return colour.role
    return "accent" if any(name in code.constants for name in _FIGURES) else "text"


def _set_colour(code: EditableCode, role: str, colour: Colour) -> Changes:
    """Set the colour of the text or the accent, in code of the composer or of others."""
    name = _CONSTANTS[role]
    before = code.constant_text(name)
    hit = code.set_constant(name, quoted(colour.value))
    if hit and role == "accent":
        code.set_constant("BUTTON_TEXT_COLOR", quoted(readable_on(colour.value)))
    if not hit and name not in code.constants:
        hit = _set_values(code, _KEYS[role], colour.value)
        if not hit and role == "accent":
            hit = _set_values(code, _KEYS["line"], colour.value)
        if not hit and colour.role == "main":
            hit = _set_values(code, _KEYS["background"], colour.value)
    if hit:
        was = f"{before} \u2192 " if before is not None else ""
        return done(f"{role} colour {was}{colour.value}{_contrast_warning(code, role, colour)}")
    if before == colour.value or _has_value(code, _KEYS[role], colour.value):
        return failed(f"the {role} colour already is {colour.value}")
    return failed(f"I found no {role} colour that I could set to {colour.value}")


def _contrast_warning(code: EditableCode, role: str, colour: Colour) -> str:
    """Return a warning when a text is hard to read on the scene's background, else nothing."""
    back = code.constant_text("BACKGROUND_FROM") or ""
    if role != "text" or colour.role != "main" or not _is_hex(back):
        return ""
    is_hard = contrast(colour.value, back) < MIN_TEXT_CONTRAST
    return f" (hard to read on {back})" if is_hard else ""


def _unknown_colours(plain: str) -> Changes:
    """Name the words that stand where a colour is expected and are none that is known."""
    changes = NO_CHANGES
    if not _CHANGES.search(plain):
        return changes
    for found in _PART_AND_WORD.finditer(plain):
        word = found["word"]
        if word not in _OTHER_WORDS and not find_colours(f"in {word}") and mood_of(word) is None:
            changes += failed(f"I do not know the colour \u201c{word}\u201d: give it as #rrggbb")
    return changes


def _retone(code: EditableCode, value: str) -> Changes:
    """Give all constants one hue; no changes in code without the composer's constants."""
    if "BACKGROUND_FROM" not in code.constants or "TEXT_COLOR" not in code.constants:
        return NO_CHANGES
    look = toned(value)
    hits = _set_palette(code, look)
    hits += [code.set_constant("BUTTON_TEXT_COLOR", quoted(readable_on(look.accent)))]
    if not any(hits):
        return NO_CHANGES
    return done(f"background {look.start}, text colour {look.text}, accent colour {look.accent}")


def _set_palette(code: EditableCode, palette: Palette) -> list[bool]:
    values = {
        "BACKGROUND_FROM": palette.start,
        "BACKGROUND_TO": palette.end,
        "TEXT_COLOR": palette.text,
        "ACCENT_COLOR": palette.accent,
    }
    return [code.set_constant(name, quoted(value)) for name, value in values.items()]


def _set_background(code: EditableCode, backs: list[Colour], colours: list[Colour]) -> Changes:
    """Set the background; a text that could not be read on it, and is not ordered, changes too."""
    start = backs[0].value
    end = backs[1].value if len(backs) > 1 else end_of_background(start)
    before = code.constant_text("BACKGROUND_FROM")
    changes = NO_CHANGES
    if "BACKGROUND_FROM" in code.constants:
        hits = [
            code.set_constant("BACKGROUND_FROM", quoted(start)),
            code.set_constant("BACKGROUND_TO", quoted(end)),
        ]
        hit = any(hits)
        text = code.constant_text("TEXT_COLOR") or ""
        text_is_ordered = any(colour.role in ("text", "main") for colour in colours)
        if not text_is_ordered and _is_hex(text) and contrast(text, start) < MIN_TEXT_CONTRAST:
            readable = readable_on(start)
            code.set_constant("TEXT_COLOR", quoted(readable))
            changes += done(f"text colour {text} \u2192 {readable}, to stay readable")
    else:
        hit = _set_values(code, _KEYS["background"], start, only_first=True)
    if hit:
        was = f"{before} \u2192 " if before is not None else ""
        return changes + done(f"background {was}{start}")
    if before == start or _has_value(code, _KEYS["background"], start):
        return changes + failed(f"the background already is {start}")
    return changes + failed(f"I found no background that I could set to {start}")


def _set_values(
    code: EditableCode, keys: frozenset[str], value: str, *, only_first: bool = False
) -> bool:
    """Set the colours and gradients under these keys; return whether any has changed."""
    hits = []
    for node in code.values_of(keys):
        if _colour_of(node) == value:
            if only_first:
                break
            continue
        if _is_colour_value(node):
            hits.append(code.replace_node(node, quoted(value)))
        if only_first and any(hits):
            break
    return any(hits)


def _is_colour_value(node: Node) -> bool:
    """Return whether a value is a colour or a gradient, so not "transparent" or an expression."""
    if node.type == "string":
        return unquote(text_of(node)) not in _NO_VALUES
    return node.type == "template_string" and "gradient" in text_of(node)


def _has_value(code: EditableCode, keys: frozenset[str], value: str) -> bool:
    return any(_colour_of(node) == value for node in code.values_of(keys))


def _colour_of(node: Node) -> str | None:
    """Return the colour of a string literal as `#rrggbb`, None when it is something else."""
    if node.type != "string":
        return None
    low = unquote(text_of(node)).strip().lower()
    if re.fullmatch(r"#[0-9a-f]{3}", low):
        return "#" + "".join(digit * 2 for digit in low[1:])
    if _is_hex(low):
        return low
    return f"#{NAMED[low]}" if low in NAMED else None


def _is_hex(value: str) -> bool:
    return bool(re.fullmatch(r"#[0-9a-fA-F]{6}", value))


def _replace_colour(code: EditableCode, old: str, new: str) -> bool:
    hits = [
        code.replace_node(node, quoted(new))
        for node in captures(code.root, "(string) @s").get("s", [])
        if _colour_of(node) == old
    ]
    return any(hits)


def _edit_shade(code: EditableCode, plain: str) -> Changes:
    """Make the background darker or lighter, in code of the composer."""
    is_darker = _DARKER.search(plain)
    if not is_darker and not _LIGHTER.search(plain):
        return NO_CHANGES
    by, word = (DARKER, "darker") if is_darker else (LIGHTER, "lighter")
    hits = []
    for name in ("BACKGROUND_FROM", "BACKGROUND_TO"):
        old = code.constant_text(name) or ""
        hits.append(_is_hex(old) and code.set_constant(name, quoted(shift(old, by))))
    if any(hits):
        return done(f"a {word} background")
    return failed(f"I could not make it {word}: tell me the colours instead")


def _edit_mood(code: EditableCode, plain: str) -> Changes:
    """Apply the palette of a mood, in code of the composer."""
    mood = mood_of(plain)
    if mood is None or not _MOOD_ORDER.search(plain):
        return NO_CHANGES
    hits = _set_palette(code, mood)
    hits += [code.set_constant("FONT_FAMILY", quoted(mood.font))]
    if not any(hits):
        return failed("I know that mood only for scenes of my own: tell me the colours instead")
    code.set_constant("GLOW", number_text(mood.glow))
    code.set_constant("NEON", "true" if "neon" in plain else "false")
    return done(f"the palette of that mood, background {mood.start}, text colour {mood.text}")
