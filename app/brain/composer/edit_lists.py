"""Edits of lists and charts: items, and values by their labels."""

import re

from tree_sitter import Node

from app.brain.composer.sheet import Literal, Sheet, number_of, number_text, unquote
from app.brain.composer.source import literal as js_literal
from app.brain.composer.wording import lower, shorten
from app.tools.syntax import captures, text_of

_BAR = re.compile(
    r"(?P<label>[\w&' -]{1,30}?)\s*(?:to|=|:|is|becomes)\s*[$\u20ac\u00a3]?"
    r"(?P<value>-?[0-9]{1,12}(?:\.[0-9]{1,4})?)(?![\w.])"
)
_VALUES = re.compile(
    r"\b(?:values?|numbers?|data|bars?|chart)\s*(?:should be|to|=|:|are|with|become)\s*"
    r"(?P<numbers>[$\u20ac\u00a3]?-?[0-9][0-9.]{0,14}(?:\s?%)?"
    r"(?:\s*(?:,|and|, and)\s*[$\u20ac\u00a3]?-?[0-9][0-9.]{0,14}(?:\s?%)?){1,11})(?![\w])"
)
_MEMBERS = "(object (pair key: (property_identifier) @key value: (_) @value)) @object"


def item_span(sheet: Sheet, literal: Literal) -> tuple[int, int] | None:
    """The bytes of an array's element with its comma; None for a text outside of arrays."""
    node = sheet.root.descendant_for_byte_range(literal.start, literal.end)
    if node is None or node.parent is None or node.parent.type != "array":
        return None
    after = re.match(rb"\s*,\s*", sheet.bytes[literal.end : literal.end + 200])
    if after and node.next_named_sibling is not None:
        return literal.start, literal.end + after.end()
    before = re.search(rb",\s*$", sheet.bytes[max(0, literal.start - 200) : literal.start])
    return literal.start - (len(before[0]) if before else 0), literal.end


def append_item(sheet: Sheet, item: str, done: list[str]) -> bool:
    """One more item at the end of a list; False when the scene has no list."""
    node = sheet.constants.get("ITEMS")
    if node is None or node.type != "array" or not node.named_child_count:
        return False
    last = node.named_children[-1]
    if not sheet.replace(last.end_byte, last.end_byte, f", {js_literal(item)}"):
        return False
    done.append(f"item \u201c{shorten(item, 40)}\u201d")
    return True


def edit_bars(sheet: Sheet, plain: str, done: list[str]) -> None:
    """New values of a chart's bars by their labels: "set Q1 to 20"."""
    node = sheet.constants.get("BARS")
    if node is None or _all_bars(sheet, node, plain, done):
        return
    wanted = {
        found["label"].strip().split(" ")[-1]: found["value"] for found in _BAR.finditer(plain)
    }
    for bar in captures(node, _MEMBERS).get("object", []):
        pairs = _pairs(bar)
        label, value = pairs.get("label"), pairs.get("value")
        if label is None or value is None or number_of(value) is None:
            continue
        name = unquote(text_of(label))
        number = wanted.get(lower(name).split(" ")[-1])
        if number and sheet.replace(value.start_byte, value.end_byte, number_text(float(number))):
            done.append(f"{shorten(name, 30)} = {number}")


def _all_bars(sheet: Sheet, node: Node, plain: str, done: list[str]) -> bool:
    """All values at once, "change the values to 5, 50, 100"; labels stay as far as they reach."""
    found = _VALUES.search(plain)
    if not found:
        return False
    numbers = [float(n) for n in re.findall(r"-?[0-9]{1,12}(?:\.[0-9]{1,4})?", found["numbers"])]
    labels = [
        unquote(text_of(value))
        for bar in captures(node, _MEMBERS).get("object", [])
        for key, value in _pairs(bar).items()
        if key == "label" and value is not None
    ]
    bars = [
        {
            "label": labels[index] if index < len(labels) else f"{index + 1}",
            "value": int(number) if number.is_integer() else number,
        }
        for index, number in enumerate(numbers)
    ]
    if not sheet.replace(node.start_byte, node.end_byte, js_literal(bars)):
        return False
    whole = all(number.is_integer() for number in numbers)
    sheet.set_constant("DECIMALS", "0" if whole else "1")
    done.append("values " + ", ".join(number_text(number) for number in numbers))
    return True


def _pairs(bar: Node) -> dict[str, Node | None]:
    return {
        text_of(each.child_by_field_name("key")): each.child_by_field_name("value")
        for each in bar.named_children
        if each.type == "pair"
    }
