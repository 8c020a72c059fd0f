"""Edits of a scene's font sizes and fonts."""

import re

from tree_sitter import Node

from app.brain.composer.sheet import Sheet, number_of, number_text, unquote
from app.brain.composer.source import quoted
from app.tools.syntax import text_of

SIZE_MOST, SIZE_LEAST = 2000.0, 4.0  # pixels

_BIGGER = re.compile(r"\b(?:bigger|larger|increase the (?:font|text|size)|enlarge|huge|big)\b")
_SMALLER = re.compile(
    r"\b(?:smaller|tinier|decrease the (?:font|text|size)|reduce the (?:font|text|size)|tiny)\b"
)
_SIZE = re.compile(
    r"\b(?:font[ -]?size|text[ -]?size|size)\s*(?:to|of|:|=|is)?\s*(?P<a>[0-9]{1,4})"
    r"|\b(?P<b>[0-9]{1,4})\s?px\b"
)
_FONTS: list[tuple[str, str]] = [
    (r"mono(?:space|spaced)?", "'JetBrains Mono', Menlo, Consolas, monospace"),
    (r"sans(?:[ -]serif)?", "Inter, 'Segoe UI', Helvetica, Arial, sans-serif"),
    (r"serif", "Georgia, 'Times New Roman', serif"),
    (r"rounded font|round font", "'Nunito', 'Trebuchet MS', Verdana, sans-serif"),
]


def edit_fonts(sheet: Sheet, plain: str, done: list[str], undone: list[str]) -> None:
    """Apply what `plain` (lower case, quotes masked) says about the size and kind of fonts."""
    _sizes(sheet, plain, done, undone)
    _fonts(sheet, plain, done, undone)


def _sizes(sheet: Sheet, plain: str, done: list[str], undone: list[str]) -> None:
    fixed = _SIZE.search(plain)
    bigger, smaller = bool(_BIGGER.search(plain)), bool(_SMALLER.search(plain))
    if not fixed and bigger == smaller:
        return
    much = 2.0 if re.search(r"\b(?:twice|double|2x)\b", plain) else 1.6 if "much" in plain else 1.25
    factor = much if bigger else 1 / much
    nodes = sheet.values_of(frozenset({"fontSize"}))
    constant = sheet.constants.get("FONT_SIZE")
    hits = []
    told = ""
    for node in [constant] if constant is not None else nodes:
        size, unit = _size_of(node)
        if size is None:
            continue
        new = (
            float(fixed["a"] or fixed["b"])
            if fixed
            else round(size * factor, 2 if unit in ("em", "rem") else 0)
        )
        new = min(SIZE_MOST, max(SIZE_LEAST if unit in ("", "px") else 0.1, new))
        text = quoted(number_text(new) + unit) if unit else number_text(new)
        told = told or f"font size {number_text(size)}{unit} \u2192 {number_text(new)}{unit}"
        hits.append(sheet.replace(node.start_byte, node.end_byte, text))
        if fixed:
            break
    if any(hits):
        done.append(told)
    else:
        undone.append("I found no font size that I could change")


def _size_of(node: Node) -> tuple[float | None, str]:
    if node.type == "string":
        found = re.fullmatch(
            r"([0-9]{1,5}(?:\.[0-9]{1,3})?)(px|em|rem|vw|vh|pt|%)", unquote(text_of(node))
        )
        return (float(found[1]), found[2]) if found else (None, "")
    return number_of(node), ""


def _fonts(sheet: Sheet, plain: str, done: list[str], undone: list[str]) -> None:
    if re.search(r"\bbold(?:er)?\b", plain):
        _set_font(sheet, "fontWeight", "FONT_WEIGHT", "900", "bold text", done, undone)
    for words, family in _FONTS:
        if re.search(rf"\b(?:{words})\b", plain):
            _set_font(sheet, "fontFamily", "FONT_FAMILY", quoted(family), "font", done, undone)
            return


def _set_font(
    sheet: Sheet, key: str, name: str, value: str, label: str, done: list[str], undone: list[str]
) -> None:
    nodes = (
        [sheet.constants[name]] if name in sheet.constants else sheet.values_of(frozenset({key}))
    )
    simple = [node for node in nodes if node.type in ("string", "number")]
    changed = [sheet.replace(node.start_byte, node.end_byte, value) for node in simple]
    if any(changed):
        done.append(label)
    else:
        undone.append(f"I found no place to set the {label}")
