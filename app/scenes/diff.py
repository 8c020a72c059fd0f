"""What differs between two states of a scene, to the byte; pure."""

import difflib
from typing import Any

import msgspec

from app.problems import ValidationFailed
from app.scenes.model import Iteration, Operation, Scene, SceneState

LINES_MOST = 2000  # of a code that is compared line by line; a longer one is replaced as a whole
ONE_FIELD: dict[str, Operation] = {"name": "rename", "duration": "trim", "props": "props"}
NO_END = "\n\\ No newline at end of file\n"


class FieldDifference(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
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
    """Raise `ValidationFailed` for a scene beside an order. Slow for long codes: use a thread."""
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
    """A unified diff in the form that `patch` reads: lines end with a line feed alone."""
    old, new = lines_of(before), lines_of(after)
    if max(len(old), len(new)) > LINES_MOST:
        ranges = [f"{min(len(lines), 1)},{len(lines)}" for lines in (old, new)]
        head = f"--- before\n+++ after\n@@ -{ranges[0]} +{ranges[1]} @@\n"
        lines = [f"-{line}" for line in old] + [f"+{line}" for line in new]
        return head + "".join(map(_ended, lines))
    return "".join(map(_ended, difflib.unified_diff(old, new, "before", "after")))


def lines_of(text: str) -> list[str]:
    """With their ends; unlike `splitlines` a line separator inside a text ends no line."""
    lines = text.split("\n")
    whole = [f"{line}\n" for line in lines[:-1]]
    return [*whole, lines[-1]] if lines[-1] else whole


def _ended(line: str) -> str:
    return line if line.endswith("\n") else line + NO_END


def changed_fields(before: SceneState, after: SceneState) -> list[str]:
    """Wire names of the fields that differ."""
    old, new = msgspec.to_builtins(before), msgspec.to_builtins(after)
    return [
        name
        for name in new
        if name not in ("position", "deleted") and not same_json(old[name], new[name])
    ]


def operation_of(changed: list[str]) -> Operation:
    """What a change of these fields is called."""
    return ONE_FIELD.get(changed[0], "edit") if len(changed) == 1 else "edit"


def same_json(one: Any, other: Any) -> bool:
    """To the byte: `1`, `1.0` and `true` are equal in Python, and three values in JSON."""
    if one != other:
        return False
    return exact(one) == exact(other)


def exact(value: Any) -> bytes:
    return msgspec.json.encode(value, order="deterministic")


def describe(before: Scene | SceneState, after: Scene | SceneState) -> list[str]:
    """Name what differs: "code", "name A \u2192 B", "duration 1 \u2192 2", "props", "layout"."""
    said: list[str] = []
    if before.tsx_code != after.tsx_code:
        said.append("code")
    if before.name != after.name:
        said.append(f"name {before.name} \u2192 {after.name}")
    if before.duration != after.duration:
        said.append(f"duration {before.duration} \u2192 {after.duration}")
    if not same_json(before.props, after.props):
        said.append("props")
    if before.layout_json != after.layout_json:
        said.append("layout")
    return said
