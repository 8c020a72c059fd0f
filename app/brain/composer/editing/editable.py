"""Scene code that can be edited: its texts and constants by role, and exact replacements."""

import re
from typing import Literal

import msgspec
from tree_sitter import Node

from app.brain.composer.composing.typescript import quoted
from app.tools.syntax import captures, parse, text_of

_STRINGS = "(string) @string (jsx_text) @jsx (template_string) @template"
_CONSTANTS = "(variable_declarator name: (identifier) @name value: (_) @value)"
_PAIRS = "(pair key: (property_identifier) @key value: (_) @value)"
_ATTRIBUTES = "(jsx_attribute (property_identifier) @key [(string) (jsx_expression)] @value)"
# Parents of strings that are never shown: imports, types, comparisons.
_NO_TEXT_PARENTS = {
    "import_statement", "export_statement", "literal_type", "binary_expression", "switch_case",
    "subscript_expression", "import_attribute", "expression_statement",
}  # fmt: skip
# Nodes between a string and the constant whose value it is part of.
_VALUE_NODES = ("array", "object", "pair", "as_expression")
# Names of constants, keys and attributes whose strings are no text: styles, identifiers, links.
_NO_TEXT_NAMES = re.compile(
    r"COLOR|BACKGROUND|FONT|ANIMATION|ALIGN|SHAPE|COLOUR|EASING|STYLE|^(?:class(?:Name)?|id|key|style|href"
    r"|src|d|viewBox|fill|stroke|color|background\w*|font(?!Text)\w*|position|display|transform\w*"
    r"|(?:align|justify|flex|text|white|overflow|border|box|letter|line|margin|padding|object|clip"
    r"|mix|pointer|filter|width|height|extrapolate|stroke|transition|animation|cursor|grid)[A-Z]?\w*"
    r"|left|right|top|bottom|inset|opacity|content|type|xmlns)$"
)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "v": "\v", "0": "\0"}
_ESCAPE = re.compile(
    r"\\(?:u\{([0-9a-fA-F]{1,6})\}|u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|(.|\n))", re.DOTALL
)
# Two escapes that are one character outside of the Basic Multilingual Plane.
_SURROGATE_PAIR = re.compile(r"\\u(d[89ab][0-9a-f]{2})\\u(d[c-f][0-9a-f]{2})", re.IGNORECASE)
# Text that can stand between JSX tags as it is.
_PLAIN_JSX = re.compile(r"[^{}<>&\\]*")


class CodeText(msgspec.Struct, frozen=True, kw_only=True):
    """A text in scene code and its range in bytes.

    `name` is the constant, key or attribute that it belongs to, empty without one. `shown` says
    that it stands where text to be seen stands.
    """

    value: str
    kind: Literal["string", "jsx", "template", "attribute"]
    start: int
    end: int
    name: str = ""
    shown: bool = False


class EditableCode:
    """Scene code, parsed once. Replacements are collected and applied together by `result`.

    The methods that replace return whether they did: the first replacement of a place wins.
    """

    def __init__(self, code: str) -> None:
        self.bytes = code.encode("utf-8", "replace")
        self.root = parse(code).root_node
        self._replacements: dict[tuple[int, int], bytes] = {}
        self.constants = self._read_constants()
        self.texts = self._read_texts()

    def replace(self, start: int, end: int, text: str) -> bool:
        """Replace a range of bytes; false if nothing changes or another replacement overlaps."""
        new = text.encode("utf-8", "replace")
        if self.bytes[start:end] == new:
            return False
        if any(start < right and left < end for left, right in self._replacements):
            return False
        self._replacements[start, end] = new
        return True

    def replace_node(self, node: Node, text: str) -> bool:
        """Replace a node's own text."""
        return self.replace(node.start_byte, node.end_byte, text)

    def result(self) -> str:
        """Return the code with all replacements; everything else stays byte for byte."""
        parts: list[bytes] = []
        position = 0
        for (start, end), new in sorted(self._replacements.items()):
            parts += [self.bytes[position:start], new]
            position = end
        parts.append(self.bytes[position:])
        return b"".join(parts).decode("utf-8", "replace")

    def set_text(self, old: CodeText, text: str) -> bool:
        """Replace the whole value of a text, written so that it stays one literal."""
        new = quoted(text)
        if old.kind == "jsx":
            is_plain = _PLAIN_JSX.fullmatch(text) and "\n" not in text and text == text.strip()
            return self.replace(old.start, old.end, text if is_plain else f"{{{new}}}")
        if old.kind == "attribute":
            return self.replace(old.start, old.end, f"{{{new}}}")
        if self.bytes[old.start : old.start + 1] == b"'":
            new = "'" + new[1:-1].replace('\\"', '"').replace("'", "\\'") + "'"
        return self.replace(old.start, old.end, new)

    def set_constant(self, name: str, value: str) -> bool:
        """Replace the value of a constant with TypeScript; false without such a constant."""
        node = self.constants.get(name)
        return node is not None and self.replace_node(node, value)

    def constant_text(self, name: str) -> str | None:
        """Return a constant's value if it is one string."""
        node = self.constants.get(name)
        return unquote(text_of(node)) if node is not None and node.type == "string" else None

    def constant_number(self, name: str) -> float | None:
        """Return a constant's value if it is one number."""
        return number_of(self.constants.get(name))

    def values_of(self, keys: frozenset[str]) -> list[Node]:
        """Return the values of the object keys and JSX attributes with these names, in text order.

        For a value that is a constant's name, the value of the constant is returned.
        """
        found: list[Node] = []
        for query in (_PAIRS, _ATTRIBUTES):
            for key in captures(self.root, query).get("key", []):
                value = key.next_named_sibling
                if text_of(key) in keys and value is not None:
                    found.append(self._follow(value))
        return sorted({node.id: node for node in found}.values(), key=lambda node: node.start_byte)

    def _follow(self, node: Node) -> Node:
        if node.type == "jsx_expression" and node.named_child_count == 1:
            node = node.named_children[0]
        if node.type == "identifier":
            return self.constants.get(text_of(node), node)
        return node

    def _read_constants(self) -> dict[str, Node]:
        """Return the values of all variables by name; of equal names the first one counts."""
        constants: dict[str, Node] = {}
        for name in captures(self.root, _CONSTANTS).get("name", []):
            value = name.parent.child_by_field_name("value") if name.parent else None
            if value is not None:
                constants.setdefault(text_of(name), value)
        return constants

    def _read_texts(self) -> list[CodeText]:
        hits = captures(self.root, _STRINGS)
        strings = hits.get("string", []) + [
            node
            for node in hits.get("template", [])
            if not any(child.type == "template_substitution" for child in node.children)
        ]
        found = [text for node in strings if (text := _string_text(node))]
        found += [text for node in hits.get("jsx", []) if (text := _jsx_text(node))]
        return sorted(found, key=lambda text: text.start)


def _jsx_text(node: Node) -> CodeText | None:
    raw = text_of(node)
    inner = raw.strip()
    if not inner:
        return None
    start = node.start_byte + len(raw[: raw.index(inner)].encode())
    return CodeText(
        value=inner, kind="jsx", start=start, end=start + len(inner.encode()), shown=True
    )


def _string_text(node: Node) -> CodeText | None:
    """Return the text of a string literal, None when it is no text to be shown."""
    parent = node.parent
    if parent is None or parent.type in _NO_TEXT_PARENTS:
        return None
    if parent.type == "pair" and parent.child_by_field_name("key") == node:
        return None
    attribute = _attribute_of(parent)
    name = ""
    if parent.type == "pair":
        name = text_of(parent.child_by_field_name("key")).strip("'\"")
    elif attribute is not None:
        name = text_of(attribute.named_children[0])
    declarator = _declarator_of(parent)
    if declarator is not None:
        name = name or text_of(declarator.child_by_field_name("name"))
    if _NO_TEXT_NAMES.search(name):
        return None
    is_jsx_child = parent.type == "jsx_expression" and attribute is None
    return CodeText(
        value=unquote(text_of(node)),
        kind="attribute"
        if parent.type == "jsx_attribute"
        else "template"
        if node.type == "template_string"
        else "string",
        start=node.start_byte,
        end=node.end_byte,
        name=name,
        shown=is_jsx_child or declarator is not None,
    )


def _attribute_of(parent: Node) -> Node | None:
    """Return the JSX attribute whose value a string is, directly or in braces."""
    node = parent.parent if parent.type == "jsx_expression" else parent
    return node if node is not None and node.type == "jsx_attribute" else None


def _declarator_of(parent: Node) -> Node | None:
    """Return the declaration of the variable whose value a string is part of."""
    node: Node | None = parent
    while node is not None and node.type in _VALUE_NODES:
        node = node.parent
    return node if node is not None and node.type == "variable_declarator" else None


def unquote(source: str) -> str:
    """Return the value of a string literal, or of a template literal without substitutions."""

    def put(found: re.Match[str]) -> str:
        code = found[1] or found[2] or found[3]
        if code:
            number = int(code, 16)
            return chr(number) if number < 0x110000 and not 0xD800 <= number < 0xE000 else "\ufffd"
        return "" if found[4] == "\n" else _ESCAPES.get(found[4], found[4])

    def join(pair: re.Match[str]) -> str:
        return chr(0x10000 + ((int(pair[1], 16) - 0xD800) << 10) + int(pair[2], 16) - 0xDC00)

    return _ESCAPE.sub(put, _SURROGATE_PAIR.sub(join, source[1:-1]))


def number_of(node: Node | None) -> float | None:
    """Return the value of a number literal, None for anything else."""
    if node is None or node.type not in ("number", "unary_expression"):
        return None
    found = re.fullmatch(r"-?[0-9]{1,12}(?:\.[0-9]{1,9})?", text_of(node))
    return float(found[0]) if found else None


def number_text(value: float) -> str:
    """Return a number as code: at most three decimals, no trailing zeros."""
    return f"{value:.3f}".rstrip("0").rstrip(".")
