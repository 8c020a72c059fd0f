"""Composes the code of a new scene from a brief."""

from collections.abc import Callable

from app.brain.composer.composing import figure_kinds, text_kinds
from app.brain.composer.composing.brief import Brief
from app.brain.composer.composing.plan import Plan, Values
from app.brain.composer.composing.template import fill
from app.brain.composer.scene_code import SceneCode

_PLANNERS: dict[str, Callable[[Brief], Plan]] = {
    "title": text_kinds.plan_title,
    "lower_third": text_kinds.plan_lower_third,
    "list": text_kinds.plan_list,
    "chart": figure_kinds.plan_chart,
    "quote": text_kinds.plan_quote,
    "logo": text_kinds.plan_logo,
    "shapes": figure_kinds.plan_shapes,
    "countdown": figure_kinds.plan_countdown,
    "counter": figure_kinds.plan_counter,
    "comparison": figure_kinds.plan_comparison,
    "call_to_action": text_kinds.plan_call_to_action,
}


def compose(brief: Brief) -> SceneCode:
    """Return the whole code of a scene that can be played; the same brief gives the same bytes."""
    plan = _PLANNERS[brief.kind](brief)
    palette = brief.palette
    values: Values = {
        "TEXT_COLOR": palette.text,
        "ACCENT_COLOR": palette.accent,
        "BACKGROUND_FROM": palette.start,
        "BACKGROUND_TO": palette.end,
        "GLOW": palette.glow,
        "FONT_FAMILY": palette.font,
        "ANIMATION": brief.animation,
        "SPEED": brief.speed,
        **plan.values,
    }
    return SceneCode(fill(brief.kind, values, plan.component), plan.note)
