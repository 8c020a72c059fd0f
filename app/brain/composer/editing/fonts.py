"""Edits a scene's font sizes and fonts."""

import re

from tree_sitter import Node

from app.brain.composer.composing.typescript import quoted
from app.brain.composer.editing.changes import NO_CHANGES, Changes, done, failed
from app.brain.composer.editing.editable import EditableCode, number_of, number_text, unquote
from app.tools.syntax import text_of

MIN_PIXELS, MAX_SIZE = 4.0, 2000.0  # of a font size; the upper bound holds for every unit
MIN_OTHER_UNITS = 0.1  # of a font size that is not in pixels
BOLD_WEIGHT = "900"
DEFAULT_FACTOR, MUCH_FACTOR, DOUBLE_FACTOR = 1.25, 1.6, 2.0

_BIGGER = re.compile(r"\b(?:bigger|larger|increase the (?:font|text|size)|enlarge|huge|big)\b")
_SMALLER = re.compile(
    r"\b(?:smaller|tinier|decrease the (?:font|text|size)|reduce the (?:font|text|size)|tiny)\b"
)
_DOUBLE = re.compile(r"\b(?:twice|double|2x)\b")
# A size in figures: "font size 80", "44px".
_SIZE = re.compile(
    r"\b(?:font[ -]?size|text[ -]?size|size)\s*(?:to|of|:|=|is)?\s*(?P<named>[0-9]{1,4})"
    r"|\b(?P<pixels>[0-9]{1,4})\s?px\b"
)
_CSS_SIZE = re.compile(r"([0-9]{1,5}(?:\.[0-9]{1,3})?)(px|em|rem|vw|vh|pt|%)")
# "sans serif" must be tried before "serif".
_FONTS: list[tuple[re.Pattern[str], str]] = [
    (re.compile(rf"\b(?:{words})\b"), family)
    for words, family in (
        (r"mono(?:space|spaced)?", "'JetBrains Mono', Menlo, Consolas, monospace"),
        (r"sans(?:[ -]serif)?", "Inter, 'Segoe UI', Helvetica, Arial, sans-serif"),
        (r"serif", "Georgia, 'Times New Roman', serif"),
        (r"rounded font|round font", "'Nunito', 'Trebuchet MS', Verdana, sans-serif"),
    )
]


def edit_fonts(code: EditableCode, plain: str) -> Changes:
    """Apply the orders in `plain` about the size, weight and family of fonts."""
    changes = _edit_sizes(code, plain)
    if re.search(r"\bbold(?:er)?\b", plain):
        changes += _set_font(code, "fontWeight", "FONT_WEIGHT", BOLD_WEIGHT, "bold text")
    for words, family in _FONTS:
        if words.search(plain):
            return changes + _set_font(code, "fontFamily", "FONT_FAMILY", quoted(family), "font")
    return changes


def _edit_sizes(code: EditableCode, plain: str) -> Changes:
    """Set the first font size to a given one, or scale all of them."""
    fixed = _SIZE.search(plain)
    bigger, smaller = bool(_BIGGER.search(plain)), bool(_SMALLER.search(plain))
    if not fixed and bigger == smaller:
        return NO_CHANGES
    factor = _factor_of(plain)
    factor = factor if bigger else 1 / factor
    constant = code.constants.get("FONT_SIZE")
    nodes = [constant] if constant is not None else code.values_of(frozenset({"fontSize"}))
    hits = []
    first_change = ""
    for node in nodes:
        size, unit = _size_of(node)
        if size is None:
            continue
        decimals = 2 if unit in ("em", "rem") else 0
        new = float(fixed["named"] or fixed["pixels"]) if fixed else round(size * factor, decimals)
        new = min(MAX_SIZE, max(MIN_PIXELS if unit in ("", "px") else MIN_OTHER_UNITS, new))
        text = f"{number_text(new)}{unit}"
        first_change = first_change or f"font size {number_text(size)}{unit} \u2192 {text}"
        hits.append(code.replace_node(node, quoted(text) if unit else text))
        if fixed:
            break
    return done(first_change) if any(hits) else failed("I found no font size that I could change")


def _factor_of(plain: str) -> float:
    if _DOUBLE.search(plain):
        return DOUBLE_FACTOR
    return MUCH_FACTOR if "much" in plain else DEFAULT_FACTOR


def _size_of(node: Node) -> tuple[float | None, str]:
    """Return a font size and its unit, empty for a number; None when it is something else."""
    if node.type == "string":
        found = _CSS_SIZE.fullmatch(unquote(text_of(node)))
        return (float(found[1]), found[2]) if found else (None, "")
    return number_of(node), ""


def _set_font(code: EditableCode, key: str, name: str, value: str, label: str) -> Changes:
    """Set a constant, or all values of a style key where the code has no such constant."""
    constant = code.constants.get(name)
    nodes = [constant] if constant is not None else code.values_of(frozenset({key}))
    simple = [node for node in nodes if node.type in ("string", "number")]
    changed = [code.replace_node(node, value) for node in simple]
    return done(label) if any(changed) else failed(f"I found no place to set the {label}")
