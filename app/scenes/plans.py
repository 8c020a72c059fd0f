"""What going back would do to the scenes and their order, and whose later work it would lose; pure.

A unit is the iterations that go back together. A scene goes to where it was before the unit's first
iteration of it, or after its last. Later changes stand in the way unless all of them were taken
back since: then the scene is as the unit left it, and a revert is the newest of its iterations.

The order of scenes goes back in the same way, as far as they are still there: those that an order
names take the places that they hold now in the order that it says, and all others stay in theirs.
"""

from datetime import datetime
from typing import Any, Literal, NamedTuple

import msgspec

from app.scenes.diff import same_json
from app.scenes.model import ChangeSource, Iteration, Operation, Scene, SceneState
from app.scenes.reads import plain

Target = Literal["before", "after"]
Json = dict[str, Any]


class LaterChange(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """An iteration that came later, without its states."""

    id: str
    scene_id: str | None
    operation_type: Operation
    change_source: ChangeSource
    user_prompt: str
    changes_applied: list[str]
    message_id: str | None
    actor_id: str
    revision: int
    created_at: datetime


class Now(NamedTuple):
    """The touched scenes, the live ones' order, and what came after the unit had begun."""

    scenes: dict[str, Scene]
    order: list[str]
    others: list[LaterChange]


class Move(NamedTuple):
    """A scene that is to have this state, as an iteration says on one of its sides."""

    scene: Scene
    state: SceneState
    iteration_id: str
    at: int  # the revision at which it had this state


class Plan(NamedTuple):
    """What to do, and what of others it would lose."""

    moves: list[Move]
    order: list[str]
    order_iteration_id: str | None
    later: list[LaterChange]

    @property
    def empty(self) -> bool:
        return not self.moves and self.order_iteration_id is None


def make_plan(unit: list[Iteration], target: Target, now: Now) -> Plan:
    """`unit` is sorted by revision; positions are settled by the order alone."""
    moves, later = list[Move](), list[LaterChange]()
    for scene_id, (first, last) in _spans(unit).items():
        if scene_id is None:
            continue
        wanted, given = _sides(first, last, target)
        others = [one for one in now.others if one.scene_id == scene_id]
        scene = now.scenes[scene_id]
        current = plain(scene.state)
        if fits(current, wanted):
            continue
        if not _is_free(first, last, others, fits(current, given)):
            later += [one for one in others if one.revision > first.revision]
        source, at = (first, first.revision - 1) if target == "before" else (last, last.revision)
        moves.append(Move(scene, _state(wanted, scene), source.id, at))
    named, more = _plan_order(unit, target, now)
    later = sorted([*later, *more], key=lambda one: one.revision)
    order = order_after(unit, target, now.order)
    return Plan(moves, order if named else placed(order, now.order), named, later)


def _plan_order(
    unit: list[Iteration], target: Target, now: Now
) -> tuple[str | None, list[LaterChange]]:
    span = _spans(unit).get(None)
    if span is None:
        return None, []
    wanted, given = (side["sceneIds"] for side in _sides(*span, target))
    if placed(now.order, wanted) == now.order:
        return None, []
    others = [one for one in now.others if one.scene_id is None]
    free = _is_free(*span, others, placed(now.order, given) == now.order)
    source = span[0] if target == "before" else span[1]
    return source.id, [] if free else [one for one in others if one.revision > span[0].revision]


def _is_free(first: Iteration, last: Iteration, others: list[LaterChange], as_left: bool) -> bool:
    """True when nothing of others is lost."""
    between = any(
        first.revision < one.revision < last.revision and one.change_source != "revert"
        for one in others
    )
    newest = next((one for one in reversed(others) if one.revision > last.revision), None)
    return not between and as_left and (newest is None or newest.change_source == "revert")


def _spans(unit: list[Iteration]) -> dict[str | None, tuple[Iteration, Iteration]]:
    """The first and the last iteration of each scene; of the order under None."""
    spans = dict[str | None, tuple[Iteration, Iteration]]()
    for one in unit:
        spans[one.scene_id] = (spans[one.scene_id][0] if one.scene_id in spans else one, one)
    return spans


def _sides(first: Iteration, last: Iteration, target: Target) -> tuple[Any, Any]:
    """Where to, and the other end."""
    return (first.before, last.after) if target == "before" else (last.after, first.before)


def _state(side: Json | None, scene: Scene) -> SceneState:
    """Before its creation a scene was not there: it is deleted, with the content that it has."""
    if side is None:
        return msgspec.structs.replace(scene.state, deleted=True, position=None)
    return msgspec.convert(side, SceneState)


def fits(current: Json, side: Json | None) -> bool:
    """True when a scene is as a side says, but for its place among the others."""
    if side is None:
        return bool(current["deleted"])
    return same_json({**current, "position": None}, {**side, "position": None})


def order_after(unit: list[Iteration], target: Target, order: list[str]) -> list[str]:
    """The live scenes' order once the unit's steps are taken back, or done again, one by one."""
    ids = list(order)
    for one in reversed(unit) if target == "before" else unit:
        side = one.before if target == "before" else one.after
        if one.scene_id is None:
            ids = placed(ids, side["sceneIds"])
        elif side is None or side["deleted"]:
            ids = [scene_id for scene_id in ids if scene_id != one.scene_id]
        elif one.scene_id not in ids:
            ids.insert(min(side["position"], len(ids)), one.scene_id)
    return ids


def placed(ids: list[str], wanted: list[str]) -> list[str]:
    """`ids`, where those that `wanted` names too stand in its order; the others stay."""
    here = set(ids)
    common = [scene_id for scene_id in wanted if scene_id in here]
    named, turn = set(common), iter(common)
    return [next(turn) if scene_id in named else scene_id for scene_id in ids]
