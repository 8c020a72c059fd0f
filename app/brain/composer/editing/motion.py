"""Edits how fast and in which way a scene moves."""

import re
from itertools import pairwise

from tree_sitter import Node

from app.brain.composer.composing.typescript import quoted
from app.brain.composer.editing.changes import NO_CHANGES, Changes, done, failed
from app.brain.composer.editing.editable import EditableCode, number_of, number_text
from app.brain.composer.reading.vocabulary import animation_of
from app.tools.syntax import captures, text_of

MIN_SPEED, MAX_SPEED = 0.05, 16.0  # of the constant `SPEED` or the factor of a frame
DEFAULT_FACTOR, STRONG_FACTOR = 1.5, 2.0  # of "faster" and of "much faster"
MIN_FACTOR = 1.01  # by which an order for another speed changes it at least

_FASTER = re.compile(
    r"\b(?:faster|speed (?:it |this |that |the \w+ |scene [0-9]+ )?up|quicker"
    r"|accelerate|(?:twice|double|[0-9]+ times) as (?:fast|quick)"
    r"|(?:twice|double) (?:the |its )?(?:speed|tempo|pace))\b"
)
_SLOWER = re.compile(
    r"\b(?:slower|slow (?:it |this |that |the \w+ |scene [0-9]+ )?down|calmer"
    r"|half as (?:fast|quick)|twice as slow|(?:half|halve) (?:the |its )?(?:speed|tempo|pace))\b"
)
# A factor in figures: "3x", "4 times", "50%".
_FIGURES = re.compile(
    r"\b(?P<times>[0-9]{1,2}(?:\.[0-9]{1,2})?)\s?(?:x|times)(?!\w)|\b(?P<percent>[0-9]{1,3})\s?%"
)
_STRONG = re.compile(r"\b(?:twice|double|half|halve|much|way)\b")
# Bars that grow are what a chart does anyway, not another animation.
_GROWING_BARS = re.compile(r"\bgrow(?:s|ing)?\b.*\b(?:bar|chart|number)")
_CALLS = "(call_expression function: (identifier) @callee arguments: (arguments) @arguments)"


def edit_motion(code: EditableCode, plain: str) -> Changes:
    """Apply the orders in `plain` about speed and animation."""
    return _edit_speed(code, plain) + _edit_animation(code, plain)


def scale_speed(code: EditableCode, factor: float) -> bool:
    """Make a scene faster (over 1) or slower; false when it has no motion that can be scaled."""
    now = code.constant_number("SPEED")
    if now is not None:
        return code.set_constant("SPEED", _speed_text(now * factor))
    return _scale_ranges(code, factor) or _scale_frame(code, factor)


def set_animation(code: EditableCode, name: str) -> bool:
    """Set the way of moving of a scene that the composer made; false for other code."""
    return code.set_constant("ANIMATION", quoted(name))


def _edit_speed(code: EditableCode, plain: str) -> Changes:
    faster, slower = bool(_FASTER.search(plain)), bool(_SLOWER.search(plain))
    if faster == slower:
        return NO_CHANGES
    factor = min(MAX_SPEED, max(MIN_FACTOR, _factor_of(plain)))
    factor = factor if faster else 1 / factor
    word = "faster" if faster else "slower"
    if scale_speed(code, factor):
        return done(f"{word} (speed {factor:.3g}x)")
    return failed(f"I found no motion that I could make {word}")


def _factor_of(plain: str) -> float:
    if found := _FIGURES.search(plain):
        return float(found["times"]) if found["times"] else 1 + float(found["percent"]) / 100
    return STRONG_FACTOR if _STRONG.search(plain) else DEFAULT_FACTOR


def _speed_text(speed: float) -> str:
    return number_text(min(MAX_SPEED, max(MIN_SPEED, speed)))


def _scale_ranges(code: EditableCode, factor: float) -> bool:
    """Scale the input ranges of `interpolate` that are plain numbers.

    A scene with a spring is left alone: its motion would come apart from the scaled ranges.
    """
    callees = captures(code.root, _CALLS).get("callee", [])
    if any(text_of(callee) == "spring" for callee in callees):
        return False
    hits = [
        _scale_range(code, callee, factor) for callee in callees if text_of(callee) == "interpolate"
    ]
    return any(hits)


def _scale_range(code: EditableCode, callee: Node, factor: float) -> bool:
    arguments = callee.parent.child_by_field_name("arguments") if callee.parent else None
    if arguments is None:
        return False
    arrays = [node for node in arguments.named_children if node.type == "array"]
    values = [number_of(node) for node in arrays[0].named_children] if arrays else []
    if not values or any(value is None for value in values):
        return False
    scaled = [round((value or 0.0) / factor, 2) for value in values]
    if any(right <= left for left, right in pairwise(scaled)):
        return False
    text = "[" + ", ".join(number_text(value) for value in scaled) + "]"
    return code.replace_node(arrays[0], text)


def _scale_frame(code: EditableCode, factor: float) -> bool:
    """Multiply what `useCurrentFrame` returns, wherever a component asks for its frame."""
    hits = []
    for callee in captures(code.root, _CALLS).get("callee", []):
        call = callee.parent
        if text_of(callee) != "useCurrentFrame" or call is None or call.parent is None:
            continue
        outer = call.parent
        by = outer.child_by_field_name("right") if outer.type == "binary_expression" else None
        old = number_of(by)
        if by is not None and old and text_of(outer.child_by_field_name("operator")) == "*":
            hits.append(code.replace_node(by, _speed_text(old * factor)))
        elif outer.type == "variable_declarator":
            hits.append(code.replace(call.end_byte, call.end_byte, f" * {number_text(factor)}"))
    return any(hits)


def _edit_animation(code: EditableCode, plain: str) -> Changes:
    name = animation_of(plain)
    if name is None or _GROWING_BARS.search(plain):
        return NO_CHANGES
    if set_animation(code, name):
        return done(f"{name} animation")
    if "ANIMATION" in code.constants:
        return failed(f"it already moves by {name}")
    return failed(f"I cannot rebuild the motion of code that I did not write ({name})")
