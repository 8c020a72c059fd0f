"""Edits lists and charts: items, and values by their labels."""

import re

from tree_sitter import Node

from app.brain.composer.composing.typescript import literal
from app.brain.composer.editing.changes import NO_CHANGES, Changes, done
from app.brain.composer.editing.editable import (
    CodeText,
    EditableCode,
    number_of,
    number_text,
    unquote,
)
from app.brain.composer.reading.wording import lower, shorten
from app.tools.syntax import captures, text_of

MAX_QUOTED_CHARACTERS = 40  # of an item, in a note
MAX_LABEL_CHARACTERS = 30  # of a bar, in a note
MAX_GAP_BYTES = 200  # around an item, searched for its comma

# A value by its label: "Q1 to 20", "sales = 5".
_VALUE = re.compile(
    r"(?P<label>[\w&' -]{1,30}?)\s*(?:to|=|:|is|becomes)\s*[$\u20ac\u00a3]?"
    r"(?P<value>-?[0-9]{1,12}(?:\.[0-9]{1,4})?)(?![\w.])"
)
# All values at once: "the values to 5, 50 and 100".
_ALL_VALUES = re.compile(
    r"\b(?:values?|numbers?|data|bars?|chart)\s*(?:should be|to|=|:|are|with|become)\s*"
    r"(?P<numbers>[$\u20ac\u00a3]?-?[0-9][0-9.]{0,14}(?:\s?%)?"
    r"(?:\s*(?:,|and|, and)\s*[$\u20ac\u00a3]?-?[0-9][0-9.]{0,14}(?:\s?%)?){1,11})(?![\w])"
)
_NUMBER = re.compile(r"-?[0-9]{1,12}(?:\.[0-9]{1,4})?")
_OBJECTS = "(object (pair key: (property_identifier) @key value: (_) @value)) @object"


def item_span(code: EditableCode, text: CodeText) -> tuple[int, int] | None:
    """Return the bytes of a list's item with one comma, None for a text outside of lists."""
    node = code.root.descendant_for_byte_range(text.start, text.end)
    if node is None or node.parent is None or node.parent.type != "array":
        return None
    after = re.match(rb"\s*,\s*", code.bytes[text.end : text.end + MAX_GAP_BYTES])
    if after and node.next_named_sibling is not None:
        return text.start, text.end + after.end()
    before = re.search(rb",\s*$", code.bytes[max(0, text.start - MAX_GAP_BYTES) : text.start])
    return text.start - (len(before[0]) if before else 0), text.end


def append_item(code: EditableCode, item: str) -> Changes:
    """Add an item at the end of the list; no changes when the scene has no list."""
    node = code.constants.get("ITEMS")
    if node is None or node.type != "array" or not node.named_child_count:
        return NO_CHANGES
    last = node.named_children[-1]
    if not code.replace(last.end_byte, last.end_byte, f", {literal(item)}"):
        return NO_CHANGES
    return done(f"item \u201c{shorten(item, MAX_QUOTED_CHARACTERS)}\u201d")


def edit_bars(code: EditableCode, plain: str) -> Changes:
    """Set the values of a chart, all at once or by their labels: "set Q1 to 20"."""
    node = code.constants.get("BARS")
    if node is None:
        return NO_CHANGES
    changes = _set_all_bars(code, node, plain)
    if changes:
        return changes
    wanted = {
        found["label"].strip().split(" ")[-1]: found["value"] for found in _VALUE.finditer(plain)
    }
    for bar in _bars(node):
        label, value = bar.get("label"), bar.get("value")
        if label is None or value is None or number_of(value) is None:
            continue
        name = unquote(text_of(label))
        number = wanted.get(lower(name).split(" ")[-1])
        if number and code.replace_node(value, number_text(float(number))):
            changes += done(f"{shorten(name, MAX_LABEL_CHARACTERS)} = {number}")
    return changes


def _set_all_bars(code: EditableCode, node: Node, plain: str) -> Changes:
    """Replace all bars; the labels stay, and bars beyond them are numbered."""
    found = _ALL_VALUES.search(plain)
    if not found:
        return NO_CHANGES
    numbers = [float(number) for number in _NUMBER.findall(found["numbers"])]
    labels = [
        unquote(text_of(label)) for bar in _bars(node) if (label := bar.get("label")) is not None
    ]
    bars = [
        {
            "label": labels[index] if index < len(labels) else f"{index + 1}",
            "value": int(number) if number.is_integer() else number,
        }
        for index, number in enumerate(numbers)
    ]
    if not code.replace_node(node, literal(bars)):
        return NO_CHANGES
    has_whole_values = all(number.is_integer() for number in numbers)
    code.set_constant("DECIMALS", "0" if has_whole_values else "1")
    return done("values " + ", ".join(number_text(number) for number in numbers))


def _bars(node: Node) -> list[dict[str, Node | None]]:
    """Return the members of the objects in an array by their keys."""
    return [
        {
            text_of(each.child_by_field_name("key")): each.child_by_field_name("value")
            for each in bar.named_children
            if each.type == "pair"
        }
        for bar in captures(node, _OBJECTS).get("object", [])
    ]
