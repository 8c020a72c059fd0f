"""Parses scene code (TypeScript with JSX) into a syntax tree and runs queries on it."""

from functools import cache

import tree_sitter_typescript
from tree_sitter import Language, Node, Parser, Query, QueryCursor, Tree

TSX = Language(tree_sitter_typescript.language_tsx())


def parse(code: str) -> Tree:
    """Parse code without raising: broken code gives a tree with error nodes.

    Offsets in the tree count UTF-8 bytes.
    """
    return Parser(TSX).parse(code.encode("utf-8", "replace"))


@cache
def _query(source: str) -> Query:
    return Query(TSX, source)


def captures(node: Node, query: str) -> dict[str, list[Node]]:
    """Return the nodes under `node` by the names of the query's captures, in text order."""
    found = QueryCursor(_query(query)).captures(node)
    return {name: sorted(nodes, key=lambda n: n.start_byte) for name, nodes in found.items()}


def matches(node: Node, query: str) -> list[dict[str, Node]]:
    """Return one mapping for each match of a query in which every capture name occurs once."""
    found = QueryCursor(_query(query)).matches(node)
    return [{name: nodes[0] for name, nodes in each.items()} for _, each in found]


def text_of(node: Node | None) -> str:
    """Return the text of a node, an empty string for None."""
    return node.text.decode("utf-8", "replace") if node is not None and node.text else ""


def line_of(node: Node) -> int:
    """Return the line of a node's first character, counted from 1."""
    return node.start_point[0] + 1
