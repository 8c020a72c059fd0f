"""Scene code as something to be edited: its literals by role, and exact replacements."""

import re

import msgspec
from tree_sitter import Node

from app.brain.composer.source import quoted
from app.tools.syntax import captures, parse, text_of

_LITERALS = "(string) @string (jsx_text) @jsx (template_string) @template"
_CONSTANTS = "(variable_declarator name: (identifier) @name value: (_) @value)"
_PAIRS = "(pair key: (property_identifier) @key value: (_) @value)"
_ATTRIBUTES = "(jsx_attribute (property_identifier) @key [(string) (jsx_expression)] @value)"
_NO_TEXT = {
    "import_statement", "export_statement", "literal_type", "binary_expression", "switch_case",
    "subscript_expression", "import_attribute", "expression_statement",
}  # fmt: skip
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
_PLAIN_JSX = re.compile(r"[^{}<>&\\]*")


class Literal(msgspec.Struct, frozen=True, kw_only=True):
    """A text in the code; `name` is the constant, key or attribute that it belongs to."""

    value: str
    kind: str  # string, jsx, template, attribute
    start: int
    end: int
    name: str = ""
    shown: bool = False  # stands where text to be seen stands


class Sheet:
    """Code, read once; replacements are collected and applied together, the rest stays as it is."""

    def __init__(self, code: str) -> None:
        self.code = code
        self.bytes = code.encode("utf-8", "replace")
        self.root = parse(code).root_node
        self._edits: dict[tuple[int, int], bytes] = {}
        self.constants = self._read_constants()
        self.texts = self._read_texts()

    def replace(self, start: int, end: int, text: str) -> bool:
        """Put `text` for these bytes; False when another replacement touches them already."""
        new = text.encode("utf-8", "replace")
        if self.bytes[start:end] == new:
            return False
        if any(start < right and left < end for left, right in self._edits):
            return False
        self._edits[start, end] = new
        return True

    def result(self) -> str:
        """The code with all replacements."""
        parts: list[bytes] = []
        position = 0
        for (start, end), new in sorted(self._edits.items()):
            parts += [self.bytes[position:start], new]
            position = end
        parts.append(self.bytes[position:])
        return b"".join(parts).decode("utf-8", "replace")

    def set_text(self, literal: Literal, text: str) -> bool:
        """Put `text` for a literal's whole value, written so that it stays one literal."""
        if literal.kind == "jsx":
            plain = _PLAIN_JSX.fullmatch(text) and "\n" not in text and text == text.strip()
            return self.replace(
                literal.start, literal.end, text if plain else f"{{{quoted(text)}}}"
            )
        if literal.kind == "attribute":
            return self.replace(literal.start, literal.end, f"{{{quoted(text)}}}")
        mark = self.bytes[literal.start : literal.start + 1]
        new = quoted(text)
        if mark == b"'":
            new = "'" + new[1:-1].replace('\\"', '"').replace("'", "\\'") + "'"
        return self.replace(literal.start, literal.end, new)

    def set_constant(self, name: str, value: str) -> bool:
        """Put TypeScript for the value of a top-level constant; False without such a constant."""
        node = self.constants.get(name)
        return node is not None and self.replace(node.start_byte, node.end_byte, value)

    def constant_text(self, name: str) -> str | None:
        """A constant's value when it is one string."""
        node = self.constants.get(name)
        return unquote(text_of(node)) if node is not None and node.type == "string" else None

    def constant_number(self, name: str) -> float | None:
        """A constant's value when it is one number."""
        node = self.constants.get(name)
        return number_of(node)

    def values_of(self, keys: frozenset[str]) -> list[Node]:
        """Values of object keys and JSX attributes so named, followed to the constant they name."""
        found: list[Node] = []
        for query in (_PAIRS, _ATTRIBUTES):
            hits = captures(self.root, query)
            for key in hits.get("key", []):
                if text_of(key) in keys:
                    value = key.next_named_sibling
                    if value is not None:
                        found.append(self._follow(value))
        return sorted({node.id: node for node in found}.values(), key=lambda node: node.start_byte)

    def _follow(self, node: Node) -> Node:
        if node.type == "jsx_expression" and node.named_child_count == 1:
            node = node.named_children[0]
        if node.type == "identifier":
            return self.constants.get(text_of(node), node)
        return node

    def _read_constants(self) -> dict[str, Node]:
        constants: dict[str, Node] = {}
        names = captures(self.root, _CONSTANTS).get("name", [])
        for name in names:
            value = name.parent.child_by_field_name("value") if name.parent else None
            if value is not None:
                constants.setdefault(text_of(name), value)
        return constants

    def _read_texts(self) -> list[Literal]:
        hits = captures(self.root, _LITERALS)
        found = [text for node in hits.get("string", []) if (text := _string(node))]
        for node in hits.get("template", []):
            if not any(child.type == "template_substitution" for child in node.children):
                found += [text] if (text := _string(node)) else []
        for node in hits.get("jsx", []):
            raw = text_of(node)
            inner = raw.strip()
            if inner:
                start = node.start_byte + len(raw[: raw.index(inner)].encode())
                end = start + len(inner.encode())
                found.append(Literal(value=inner, kind="jsx", start=start, end=end, shown=True))
        return sorted(found, key=lambda literal: literal.start)


def _string(node: Node) -> Literal | None:
    parent, name, shown = node.parent, "", False
    kind = "template" if node.type == "template_string" else "string"
    if parent is None or parent.type in _NO_TEXT:
        return None
    if parent.type == "pair":
        key = parent.child_by_field_name("key")
        if key == node:
            return None
        name = text_of(key).strip("'\"")
    elif parent.type == "jsx_attribute":
        name, kind = text_of(parent.named_children[0]), "attribute"
    elif parent.type == "jsx_expression":
        outer = parent.parent
        if outer is not None and outer.type == "jsx_attribute":
            name = text_of(outer.named_children[0])
        else:
            shown = True
    owner: Node | None = parent
    while owner is not None and owner.type in ("array", "object", "pair", "as_expression"):
        owner = owner.parent
    if owner is not None and owner.type == "variable_declarator":
        name = name or text_of(owner.child_by_field_name("name"))
        shown = True
    if _NO_TEXT_NAMES.search(name):
        return None
    value = unquote(text_of(node))
    return Literal(
        value=value, kind=kind, start=node.start_byte, end=node.end_byte, name=name, shown=shown
    )


def unquote(source: str) -> str:
    """The value of a JavaScript string literal or of a template without substitutions."""

    def put(found: re.Match[str]) -> str:
        code = found[1] or found[2] or found[3]
        if code:
            number = int(code, 16)
            return chr(number) if number < 0x110000 and not 0xD800 <= number < 0xE000 else "\ufffd"
        return "" if found[4] == "\n" else _ESCAPES.get(found[4], found[4])

    pairs = re.sub(
        r"\\u(d[89ab][0-9a-f]{2})\\u(d[c-f][0-9a-f]{2})",
        lambda two: chr(0x10000 + ((int(two[1], 16) - 0xD800) << 10) + int(two[2], 16) - 0xDC00),
        source[1:-1],
        flags=re.IGNORECASE,
    )
    return _ESCAPE.sub(put, pairs)


def number_of(node: Node | None) -> float | None:
    """The value of a number literal, else None."""
    if node is None or node.type not in ("number", "unary_expression"):
        return None
    found = re.fullmatch(r"-?[0-9]{1,12}(?:\.[0-9]{1,9})?", text_of(node))
    return float(found[0]) if found else None


def number_text(value: float) -> str:
    """A number as it is written in code: no trailing zeros, three decimals at most."""
    return f"{value:.3f}".rstrip("0").rstrip(".")
