"""The syntax tree of scene code: TypeScript with JSX, parsed and queried."""

from functools import cache

import tree_sitter_typescript
from tree_sitter import Language, Node, Parser, Query, QueryCursor, Tree

TSX = Language(tree_sitter_typescript.language_tsx())


def parse(code: str) -> Tree:
    """Never raises: broken code gives a tree with errors. Offsets in it are UTF-8 bytes."""
    return Parser(TSX).parse(code.encode("utf-8", "replace"))


@cache
def _query(source: str) -> Query:
    return Query(TSX, source)


def captures(node: Node, query: str) -> dict[str, list[Node]]:
    """All nodes under `node` that the query names, in the order of the text."""
    found = QueryCursor(_query(query)).captures(node)
    return {name: sorted(nodes, key=lambda n: n.start_byte) for name, nodes in found.items()}


def matches(node: Node, query: str) -> list[dict[str, Node]]:
    """One mapping per match, for queries that name each capture once."""
    found = QueryCursor(_query(query)).matches(node)
    return [{name: nodes[0] for name, nodes in each.items()} for _, each in found]


def text_of(node: Node | None) -> str:
    """The node's own text, empty for no node."""
    return node.text.decode("utf-8", "replace") if node is not None and node.text else ""


def line_of(node: Node) -> int:
    """Counted from 1."""
    return node.start_point[0] + 1
