"""Edits of a scene's colours."""

import re

from app.brain.composer.colours import Colour, contrast, find_colours, readable_on, shift
from app.brain.composer.css_colours import NAMED
from app.brain.composer.palette import READABLE, mood_of, toned
from app.brain.composer.sheet import Sheet, number_text, unquote
from app.brain.composer.source import quoted
from app.tools.syntax import captures, text_of

_KEPT = ("transparent", "none", "inherit", "currentColor", "")
COLOURS_MOST = 8  # that one edit takes up

_KEYS = {
    "background": frozenset({"background", "backgroundColor"}),
    "text": frozenset({"color"}),
    "accent": frozenset({"fill", "accentColor"}),
    "line": frozenset({"stroke", "borderColor"}),
}
_EVERYTHING = re.compile(
    r"\b(?:everything|all of it|it all|(?:the )?whole (?:scene|thing|look|video)"
    r"|all (?:the )?colou?rs)\b"
)
_PART_TO = re.compile(
    r"\b(?:background|backdrop|text|font|letters|accent|bars?|lines?|shapes?|button)"
    r"(?:\s+colou?r)?\s+(?:(?:to|in|into)\s+)?(?P<word>[a-z]{3,20})\b"
    r"(?=\s*(?:$|[,.;!]|and\b|please\b|colou?r))"
)
_CHANGED = re.compile(r"\b(?:make|set|change|turn|paint|colou?r|recolou?r)\b")
_NO_COLOUR = frozenset(
    re.findall(
        "[a-z]+",
        "bigger smaller larger bold bolder darker lighter brighter faster slower longer shorter say"
        " read bounce fade slide zoom spin rise big small huge tiny readable visible colour color"
        " gone away out off dark light bright italic serif mono monospace sans glow neon thicker"
        " thinner wider narrower higher lower left right centered centred animation animate move"
        " colourful colorful transparent grow text size font one more less stay style",
    )
)
_FIGURES = ("BARS", "SHAPE", "BUTTON", "MARK", "END_TEXT")


def edit_colours(sheet: Sheet, plain: str, done: list[str], undone: list[str]) -> None:
    colours = find_colours(plain)[:COLOURS_MOST]
    if len(colours) > 1 and re.fullmatch(
        r"\s*(?:\w+\s+)?(?:to|with|by|into|->|\u2192)\s+(?:an?\s+)?",
        plain[colours[0].end : colours[1].start],
    ):
        if _swap_colour(sheet, colours[0].value, colours[1].value):
            done.append(f"{colours[0].value} is now {colours[1].value}")
            return
        colours = colours[1:]
    whole = len(colours) == 1 and colours[0].role == "main" and _EVERYTHING.search(plain)
    if whole and _tone(sheet, colours[0].value, done):
        return
    backs = [colour for colour in colours if colour.role == "background"]
    if backs:
        _background(sheet, backs, colours, done, undone)
    for colour in colours:
        if colour.role == "background":
            continue
        role = colour.role
        if role == "main":
            role = "accent" if any(name in sheet.constants for name in _FIGURES) else "text"
        _set_colour(sheet, role, colour, done, undone)
    _unknown(plain, undone)
    if not colours:
        _shades(sheet, plain, done, undone)


def _set_colour(
    sheet: Sheet, role: str, colour: Colour, done: list[str], undone: list[str]
) -> None:
    name = {"text": "TEXT_COLOR", "accent": "ACCENT_COLOR"}[role]
    before = sheet.constant_text(name)
    hit = sheet.set_constant(name, quoted(colour.value))
    if hit and role == "accent":
        sheet.set_constant("BUTTON_TEXT_COLOR", quoted(readable_on(colour.value)))
    if not hit and name not in sheet.constants:
        hit = _set_values(sheet, _KEYS[role], colour.value)
        if not hit and role == "accent":
            hit = _set_values(sheet, _KEYS["line"], colour.value)
        if not hit and colour.role == "main":
            hit = _set_values(sheet, _KEYS["background"], colour.value)
    if hit:
        was = f"{before} \u2192 " if before is not None else ""
        done.append(f"{role} colour {was}{colour.value}{_hard(sheet, role, colour)}")
    elif before == colour.value or _has(sheet, _KEYS[role], colour.value):
        undone.append(f"the {role} colour already is {colour.value}")
    else:
        undone.append(f"I found no {role} colour that I could set to {colour.value}")


def _hard(sheet: Sheet, role: str, colour: Colour) -> str:
    """A warning when a text is hard to read on the background that the scene has."""
    back = sheet.constant_text("BACKGROUND_FROM") or ""
    if role != "text" or colour.role != "main" or not _is_hex(back):
        return ""
    hard = contrast(colour.value, back) < READABLE
    return f" (hard to read on {back})" if hard else ""


def _has(sheet: Sheet, keys: frozenset[str], value: str) -> bool:
    nodes = [node for node in sheet.values_of(keys) if node.type == "string"]
    return any(_hex_of(unquote(text_of(node))) == value for node in nodes)


def _unknown(plain: str, undone: list[str]) -> None:
    """Say which word after "make the background …" is no colour that is known."""
    if not _CHANGED.search(plain):
        return
    for found in _PART_TO.finditer(plain):
        word = found["word"]
        if word not in _NO_COLOUR and not find_colours(f"in {word}") and mood_of(word) is None:
            undone.append(f"I do not know the colour \u201c{word}\u201d: give it as #rrggbb")


def _tone(sheet: Sheet, value: str, done: list[str]) -> bool:
    """All colours of one hue; only for scenes that have our constants."""
    look = toned(value)
    values = {
        "BACKGROUND_FROM": look.start,
        "BACKGROUND_TO": look.end,
        "TEXT_COLOR": look.text,
        "ACCENT_COLOR": look.accent,
        "BUTTON_TEXT_COLOR": readable_on(look.accent),
    }
    if "BACKGROUND_FROM" not in sheet.constants or "TEXT_COLOR" not in sheet.constants:
        return False
    hits = [sheet.set_constant(name, quoted(colour)) for name, colour in values.items()]
    if any(hits):
        done.append(
            f"background {look.start}, text colour {look.text}, accent colour {look.accent}"
        )
    return any(hits)


def _background(
    sheet: Sheet, backs: list[Colour], colours: list[Colour], done: list[str], undone: list[str]
) -> None:
    start = backs[0].value
    plain = start in ("#000000", "#ffffff")
    end = backs[1].value if len(backs) > 1 else (start if plain else shift(start, -0.35))
    before = sheet.constant_text("BACKGROUND_FROM")
    if "BACKGROUND_FROM" in sheet.constants:
        hits = [
            sheet.set_constant("BACKGROUND_FROM", quoted(start)),
            sheet.set_constant("BACKGROUND_TO", quoted(end)),
        ]
        hit = any(hits)
        text = sheet.constant_text("TEXT_COLOR") or ""
        given = any(colour.role in ("text", "main") for colour in colours)
        if not given and _is_hex(text) and contrast(text, start) < READABLE:
            sheet.set_constant("TEXT_COLOR", quoted(readable_on(start)))
            done.append(f"text colour {text} \u2192 {readable_on(start)}, to stay readable")
    else:
        hit = _set_values(sheet, _KEYS["background"], start, most=1)
    if hit:
        was = f"{before} \u2192 " if before is not None else ""
        done.append(f"background {was}{start}")
    elif before == start or _has(sheet, _KEYS["background"], start):
        undone.append(f"the background already is {start}")
    else:
        undone.append(f"I found no background that I could set to {start}")


def _set_values(sheet: Sheet, keys: frozenset[str], value: str, most: int = 1000) -> bool:
    """Put a colour for string values of these keys; transparent ones stay."""
    count = 0
    for node in sheet.values_of(keys):
        old = unquote(text_of(node)) if node.type == "string" else ""
        if old and _hex_of(old) == value:
            if most == 1:
                break
            continue
        gradient = node.type == "template_string" and "gradient" in text_of(node)
        if gradient or (node.type == "string" and old not in _KEPT):
            count += sheet.replace(node.start_byte, node.end_byte, quoted(value))
        if count >= most:
            break
    return count > 0


def _is_hex(value: str) -> bool:
    return bool(re.fullmatch(r"#[0-9a-fA-F]{6}", value))


def _hex_of(value: str) -> str | None:
    low = value.strip().lower()
    if re.fullmatch(r"#[0-9a-f]{3}", low):
        return "#" + "".join(digit * 2 for digit in low[1:])
    if _is_hex(low):
        return low
    return f"#{NAMED[low]}" if low in NAMED else None


def _swap_colour(sheet: Sheet, old: str, new: str) -> bool:
    hits = [
        sheet.replace(node.start_byte, node.end_byte, quoted(new))
        for node in captures(sheet.root, "(string) @s").get("s", [])
        if _hex_of(unquote(text_of(node))) == old
    ]
    return any(hits)


def _shades(sheet: Sheet, plain: str, done: list[str], undone: list[str]) -> None:
    """Darker, lighter, or the palette of a mood: for scenes that have our constants."""
    by = (
        -0.3
        if re.search(r"\bdarker\b", plain)
        else 0.25
        if re.search(r"\b(?:lighter|brighter)\b", plain)
        else 0
    )
    if by:
        hits = []
        for name in ("BACKGROUND_FROM", "BACKGROUND_TO"):
            old = sheet.constant_text(name) or ""
            hits.append(_is_hex(old) and sheet.set_constant(name, quoted(shift(old, by))))
        word = "darker" if by < 0 else "lighter"
        if any(hits):
            done.append(f"a {word} background")
        else:
            undone.append(f"I could not make it {word}: tell me the colours instead")
        return
    mood = mood_of(plain)
    if mood is None or not re.search(
        r"\b(?:make|look|style|theme|more|mood|feel|palette)\b", plain
    ):
        return
    values = {"BACKGROUND_FROM": mood.start, "BACKGROUND_TO": mood.end, "TEXT_COLOR": mood.text,
              "ACCENT_COLOR": mood.accent, "FONT_FAMILY": mood.font}  # fmt: skip
    changed = [sheet.set_constant(name, quoted(value)) for name, value in values.items()]
    if any(changed):
        sheet.set_constant("GLOW", number_text(mood.glow))
        sheet.set_constant("NEON", "true" if "neon" in plain else "false")
        done.append(f"the palette of that mood, background {mood.start}, text colour {mood.text}")
    else:
        undone.append("I know that mood only for scenes of my own: tell me the colours instead")
