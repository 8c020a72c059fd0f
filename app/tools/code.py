"""Checks scene code, and reads the name and the duration that it declares.

The checks keep broken and half-written code out of the video. They are no security boundary: the
browser runs scene code in a sandbox.
"""

import re

from tree_sitter import Node

from app.scenes.model import MAX_CODE_CHARACTERS, MAX_DURATION_FRAMES, MAX_NAME_CHARACTERS
from app.tools.syntax import captures, line_of, matches, parse, text_of

MIN_CODE_CHARACTERS = 40  # the shortest component that draws something is longer
MAX_FAULTS = 20  # that are reported for one code
MAX_QUOTED_PLACEHOLDER_CHARACTERS = 80  # of a placeholder, in the message about it
ALLOWED_IMPORTS = ("react", "remotion")

_SURROGATE = re.compile("[\ud800-\udfff]")
# Comments by which models leave out code: "// ... rest of the code", "/* unchanged */".
_PLACEHOLDER = re.compile(
    r"(?:\.\.\.|\u2026|\b(?:rest|remainder)\s+of)[\s\w,'-]{0,60}?"
    r"\b(?:code|component|unchanged|existing|same|file|imports?|styles?|scene|implementation)\b"
    r"|^[\s/*{]*(?:existing|previous|original|same|other|remaining)\s+code\b"
    r"|\b(?:code|rest)\s+(?:remains?|stays?|is|goes)\s+(?:unchanged|(?:the\s+)?same|here)\b"
    r"|^[\s/*{]*unchanged\b|\bsame as before\b|\bomitted for brevity\b",
    re.IGNORECASE,
)
_FORBIDDEN_NAMES = frozenset(
    {"fetch", "XMLHttpRequest", "WebSocket", "EventSource", "eval", "require", "importScripts"}
    | {"localStorage", "sessionStorage", "indexedDB"}
)
# Objects through which a forbidden name can be reached as a member: `window.fetch`.
_GLOBALS = frozenset({"window", "globalThis", "self", "document"})
_FORBIDDEN_MEMBERS = _FORBIDDEN_NAMES | {"Function", "cookie", "parent", "top", "opener"}

_IMPORTS = """
(import_statement source: (string) @source)
(import_require_clause source: (string) @source)
(export_statement source: (string) @source)
"""
_NAMES = "(identifier) @name (shorthand_property_identifier) @name"
_MEMBERS = """
(member_expression object: (identifier) @object property: (property_identifier) @property)
(subscript_expression object: (identifier) @object index: (string) @property)
"""
_CALLS = """
(call_expression function: (import) @import)
(call_expression function: (identifier) @callee)
(new_expression constructor: (identifier) @callee)
"""
_ERRORS = "(ERROR) @error (MISSING) @missing"
_ELEMENTS = """(jsx_element open_tag: (jsx_opening_element) @open
close_tag: (jsx_closing_element) @close)"""
_EXPORTS = "(program (export_statement) @export)"
_DECLARED = """
[(function_declaration name: (identifier) @name) (class_declaration name: (type_identifier) @name)
 (function_expression name: (identifier) @name) (variable_declarator name: (identifier) @name)]
"""


def find_faults(code: str) -> list[str]:
    """Return a sentence for each fault, at most `MAX_FAULTS`; no faults mean that it can be played.

    Names and imports are only checked in code that is complete and has no syntax error.
    """
    if not code.strip():
        return ["The code is empty."]
    if len(code) > MAX_CODE_CHARACTERS:
        return [f"The code has {len(code)} characters; at most {MAX_CODE_CHARACTERS} are allowed."]
    if "\0" in code or _SURROGATE.search(code):
        return ["The code contains a NUL or half of a character (a lone surrogate)."]
    if len(code.strip()) < MIN_CODE_CHARACTERS:
        return [f"The code is too short to draw anything (under {MIN_CODE_CHARACTERS} characters)."]
    root = parse(code).root_node
    faults = _placeholders(root) + _syntax_errors(root)
    if not faults:
        faults = _exports(root) + _imports(root) + _forbidden(root)
    return faults[:MAX_FAULTS]


def component_name(code: str) -> str | None:
    """Return the name of the exported component, None without one.

    The default export is preferred to the first other export.
    """
    root = parse(code).root_node
    exports = captures(root, _EXPORTS).get("export", [])
    defaults = [node for node in exports if any(c.type == "default" for c in node.children)]
    for node in [*defaults, *exports]:
        value = node.child_by_field_name("value")
        if value is not None and value.type == "identifier":
            return text_of(value)
        for name in captures(node, _DECLARED).get("name", [])[:1]:
            if text_of(name)[:1].isupper():
                return text_of(name)
        for item in captures(node, "(export_specifier) @item").get("item", []):
            name_node = item.child_by_field_name("name")
            if text_of(name_node)[:1].isupper():
                return text_of(name_node)
    return None


def title_of(code: str) -> str:
    """Return the component's name as a title (`HelloTitle`: "Hello Title"), "Scene" without one."""
    name = component_name(code) or ""
    words = re.findall(r"[A-Z]+(?![a-z])[0-9]*|[A-Z]?[^\W_A-Z0-9]+[0-9]*|[0-9]+", name)
    return (" ".join(word[:1].upper() + word[1:] for word in words) or "Scene")[
        :MAX_NAME_CHARACTERS
    ]


def duration_of(code: str) -> int | None:
    """Return the frames of the exported constant `durationInFrames`, None when out of bounds."""
    found = re.search(r"^export const durationInFrames\w*\s*=\s*([0-9]{1,6})\s*;?\s*$", code, re.M)
    frames = int(found[1]) if found else 0
    return frames if 1 <= frames <= MAX_DURATION_FRAMES else None


def _placeholders(root: Node) -> list[str]:
    found = captures(root, "(comment) @comment (jsx_text) @text")
    hits = [node for node in found.get("comment", []) if _PLACEHOLDER.search(text_of(node))]
    hits += [
        node
        for node in found.get("text", [])
        if text_of(node).strip().startswith(("...", "\u2026", "// ..."))
        and _PLACEHOLDER.search(text_of(node))
    ]
    return [
        f"Line {line_of(node)}: a placeholder stands where code should be: "
        f"{text_of(node).strip()[:MAX_QUOTED_PLACEHOLDER_CHARACTERS]}"
        for node in hits
    ]


def _syntax_errors(root: Node) -> list[str]:
    if root.has_error:
        found = captures(root, _ERRORS)
        nodes = found.get("error", []) + found.get("missing", [])
        first = min((line_of(node) for node in nodes), default=1)
        return [f"Line {first}: this is not valid TSX."]
    faults = []
    for pair in matches(root, _ELEMENTS):
        opened, closed = (
            text_of(pair[side].child_by_field_name("name")) for side in ("open", "close")
        )
        if opened != closed:
            line = line_of(pair["close"])
            faults.append(f"Line {line}: </{closed}> closes <{opened}>.")
    return faults


def _exports(root: Node) -> list[str]:
    exports = captures(root, _EXPORTS).get("export", [])
    if any(child.type == "default" for node in exports for child in node.children):
        return []
    names = captures(root, "(program (export_statement) @e)").get("e", [])
    for node in names:
        declared = captures(node, _DECLARED).get("name", [])
        listed = captures(node, "(export_specifier) @item").get("item", [])
        if any(text_of(name)[:1].isupper() for name in declared + listed):
            return []
    return ["No component is exported; a scene needs `export default function Name()`."]


def _imports(root: Node) -> list[str]:
    return [
        f"Line {line_of(node)}: only 'react' and 'remotion' can be imported, not {text_of(node)}."
        for node in captures(root, _IMPORTS).get("source", [])
        if text_of(node)[1:-1] not in ALLOWED_IMPORTS
    ]


def _forbidden(root: Node) -> list[str]:
    hits = [
        (node, text_of(node))
        for node in captures(root, _NAMES).get("name", [])
        if text_of(node) in _FORBIDDEN_NAMES
    ]
    calls = captures(root, _CALLS)
    hits += [(node, "import()") for node in calls.get("import", [])]
    hits += [(node, "Function") for node in calls.get("callee", []) if text_of(node) == "Function"]
    for pair in matches(root, _MEMBERS):
        owner, member = text_of(pair["object"]), text_of(pair["property"]).strip("'\"")
        if owner in _GLOBALS and member in _FORBIDDEN_MEMBERS:
            hits.append((pair["object"], f"{owner}.{member}"))
    return [
        f"Line {line_of(node)}: `{what}` is not allowed in a scene."
        for node, what in sorted(hits, key=lambda hit: hit[0].start_byte)
    ]
