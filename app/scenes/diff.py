"""Differences between two states of a scene, compared as JSON; pure functions."""

import difflib
from typing import Any

import msgspec

from app.problems import ValidationFailed
from app.scenes.model import Iteration, Operation, SceneState

MAX_COMPARED_LINES = 2000  # of code; longer code is shown as replaced as a whole
PLACEMENT = ("position", "deleted")  # they are no content of a scene
OPERATIONS_BY_FIELD: dict[str, Operation] = {"name": "rename", "duration": "trim", "props": "props"}
NO_END_OF_LINE = "\n\\ No newline at end of file\n"


class FieldDifference(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """A field's values on both sides."""

    field: str
    before: Any
    after: Any


class Difference(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """From the state that iteration `a` left to the one that `b` left.

    `changed` names the fields; `fields` holds both values of all but the code, which `code` shows
    as a unified diff (empty when it is the same).
    """

    a: str
    b: str
    changed: list[str]
    fields: list[FieldDifference]
    code: str


def difference(a: Iteration, b: Iteration) -> Difference:
    """Compare the states after two iterations, of scenes or of the order.

    Raises `ValidationFailed` for a scene and an order. Call it in a thread, since comparing long
    code takes long.
    """
    if (a.scene_id is None) != (b.scene_id is None):
        raise ValidationFailed.at("b", "comparable", "A scene and an order can't be compared.")
    old, new = a.after, b.after
    names = ("sceneIds",) if a.scene_id is None else SceneState.__struct_encode_fields__
    changed = [name for name in names if not same_json(old[name], new[name])]
    fields = [
        FieldDifference(field=name, before=old[name], after=new[name])
        for name in changed
        if name != "tsxCode"
    ]
    code = code_difference(old["tsxCode"], new["tsxCode"]) if "tsxCode" in changed else ""
    return Difference(a=a.id, b=b.id, changed=changed, fields=fields, code=code)


def code_difference(before: str, after: str) -> str:
    """Return a unified diff in the form that `patch` reads: only a line feed ends a line."""
    old, new = lines_of(before), lines_of(after)
    if max(len(old), len(new)) > MAX_COMPARED_LINES:
        ranges = [f"{min(len(lines), 1)},{len(lines)}" for lines in (old, new)]
        head = f"--- before\n+++ after\n@@ -{ranges[0]} +{ranges[1]} @@\n"
        lines = [f"-{line}" for line in old] + [f"+{line}" for line in new]
        return head + "".join(map(_with_newline, lines))
    return "".join(map(_with_newline, difflib.unified_diff(old, new, "before", "after")))


def lines_of(text: str) -> list[str]:
    """Split at line feeds and keep them; `splitlines` would also split at line separators."""
    lines = text.split("\n")
    whole = [f"{line}\n" for line in lines[:-1]]
    return [*whole, lines[-1]] if lines[-1] else whole


def _with_newline(line: str) -> str:
    return line if line.endswith("\n") else line + NO_END_OF_LINE


def changed_fields(before: SceneState, after: SceneState) -> list[str]:
    """Return the wire names of the content fields that differ."""
    old, new = msgspec.to_builtins(before), msgspec.to_builtins(after)
    return [name for name in new if name not in PLACEMENT and not same_json(old[name], new[name])]


def operation_of(changed: list[str]) -> Operation:
    """Return the operation in the history for a change of these fields."""
    return OPERATIONS_BY_FIELD.get(changed[0], "edit") if len(changed) == 1 else "edit"


def same_json(one: Any, other: Any) -> bool:
    """Compare as JSON, where `1`, `1.0` and `true` are different, unlike in Python."""
    if one != other:
        return False
    return canonical_json(one) == canonical_json(other)


def canonical_json(value: Any) -> bytes:
    """Encode with sorted keys, so that equal values give equal bytes."""
    return msgspec.json.encode(value, order="deterministic")


def describe(before: SceneState | None, after: SceneState) -> list[str]:
    """Return descriptions of the changes between two states; `before` is None at creation."""
    if before is None:
        return ["created"]
    changes = []
    if before.tsx_code != after.tsx_code:
        changes.append("code")
    if before.name != after.name:
        changes.append(f"name {before.name} \u2192 {after.name}")
    if before.duration != after.duration:
        changes.append(f"duration {before.duration} \u2192 {after.duration}")
    if not same_json(before.props, after.props):
        changes.append("props")
    if before.layout_json != after.layout_json:
        changes.append("layout")
    if before.deleted != after.deleted:
        changes.append("deleted" if after.deleted else "restored")
    return changes
