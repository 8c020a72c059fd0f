"""Edits of how fast and in which way a scene moves."""

import re
from itertools import pairwise

from app.brain.composer.brief import animation_of
from app.brain.composer.sheet import Sheet, number_of, number_text
from app.brain.composer.source import quoted
from app.tools.syntax import captures, text_of

SPEED_MOST, SPEED_LEAST = 16.0, 0.05

_FASTER = re.compile(
    r"\b(?:faster|speed (?:it |this |that |the \w+ |scene [0-9]+ )?up|quicker"
    r"|accelerate|(?:twice|double|[0-9]+ times) as (?:fast|quick)"
    r"|(?:twice|double) (?:the |its )?(?:speed|tempo|pace))\b"
)
_SLOWER = re.compile(
    r"\b(?:slower|slow (?:it |this |that |the \w+ |scene [0-9]+ )?down|calmer"
    r"|half as (?:fast|quick)|twice as slow|(?:half|halve) (?:the |its )?(?:speed|tempo|pace))\b"
)
_TIMES = re.compile(
    r"\b(?P<n>[0-9]{1,2}(?:\.[0-9]{1,2})?)\s?(?:x|times)(?!\w)|\b(?P<p>[0-9]{1,3})\s?%"
)
_CALLS = "(call_expression function: (identifier) @callee arguments: (arguments) @arguments)"


def edit_motion(sheet: Sheet, plain: str, done: list[str], undone: list[str]) -> None:
    """Apply what `plain` (lower case, quotes masked) says about motion."""
    _speed(sheet, plain, done, undone)
    _animation(sheet, plain, done, undone)


def _speed(sheet: Sheet, plain: str, done: list[str], undone: list[str]) -> None:
    faster, slower = bool(_FASTER.search(plain)), bool(_SLOWER.search(plain))
    if faster == slower:
        return
    factor = 1.5
    if found := _TIMES.search(plain):
        factor = float(found["n"]) if found["n"] else 1 + float(found["p"]) / 100
    elif re.search(r"\b(?:twice|double|half|halve|much|way)\b", plain):
        factor = 2.0
    factor = min(SPEED_MOST, max(1.01, factor))
    factor = factor if faster else 1 / factor
    word = "faster" if faster else "slower"
    now = sheet.constant_number("SPEED")
    if now is not None:
        new = number_text(min(SPEED_MOST, max(SPEED_LEAST, now * factor)))
        hit = sheet.set_constant("SPEED", new)
    else:
        hit = _scale_ranges(sheet, factor) or _scale_frame(sheet, factor)
    if hit:
        done.append(f"{word} (speed {factor:.3g}x)")
    else:
        undone.append(f"I found no motion that I could make {word}")


def _scale_ranges(sheet: Sheet, factor: float) -> bool:
    """Scale the input ranges of `interpolate` that are plain numbers; not beside a spring."""
    calls = captures(sheet.root, _CALLS)
    names = [text_of(node) for node in calls.get("callee", [])]
    if "spring" in names:
        return False
    count = 0
    for callee in calls.get("callee", []):
        arguments = callee.parent.child_by_field_name("arguments") if callee.parent else None
        if text_of(callee) != "interpolate" or arguments is None:
            continue
        ranges = [node for node in arguments.named_children if node.type == "array"][:1]
        values = [number_of(node) for node in ranges[0].named_children] if ranges else []
        if not values or any(value is None for value in values):
            continue
        new = [round((value or 0.0) / factor, 2) for value in values]
        if any(right <= left for left, right in pairwise(new)):
            continue
        text = "[" + ", ".join(number_text(value) for value in new) + "]"
        count += sheet.replace(ranges[0].start_byte, ranges[0].end_byte, text)
    return count > 0


def _scale_frame(sheet: Sheet, factor: float) -> bool:
    """Let time pass faster or slower where a component asks for its frame."""
    count = 0
    for callee in captures(sheet.root, _CALLS).get("callee", []):
        call = callee.parent
        if text_of(callee) != "useCurrentFrame" or call is None or call.parent is None:
            continue
        outer = call.parent
        by = outer.child_by_field_name("right") if outer.type == "binary_expression" else None
        old = number_of(by)
        if by is not None and old and text_of(outer.child_by_field_name("operator")) == "*":
            new = min(SPEED_MOST, max(SPEED_LEAST, old * factor))
            count += sheet.replace(by.start_byte, by.end_byte, number_text(new))
        elif outer.type == "variable_declarator":
            count += sheet.replace(call.end_byte, call.end_byte, f" * {number_text(factor)}")
    return count > 0


def _animation(sheet: Sheet, plain: str, done: list[str], undone: list[str]) -> None:
    name = animation_of(plain)
    if name is None or re.search(r"\bgrow(?:s|ing)?\b.*\b(?:bar|chart|number)", plain):
        return
    if sheet.set_constant("ANIMATION", quoted(name)):
        done.append(f"{name} animation")
    elif "ANIMATION" in sheet.constants:
        undone.append(f"it already moves by {name}")
    else:
        undone.append(f"I cannot rebuild the motion of code that I did not write ({name})")
