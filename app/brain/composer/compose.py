"""Composing a new scene: from a brief to its whole code."""

from collections.abc import Callable

import msgspec

from app.brain.composer import figure_kinds, text_kinds
from app.brain.composer.brief import Brief
from app.brain.composer.plan import Plan, Values
from app.brain.composer.source import fill


class Composed(msgspec.Struct, frozen=True):
    """A new scene's whole code."""

    code: str
    note: str | None = None


def compose(brief: Brief) -> Composed:
    """Real Remotion code for any brief; the same brief gives the same bytes."""
    plan = _PLANS[brief.kind](brief)
    look = brief.palette
    values: Values = {
        "TEXT_COLOR": look.text,
        "ACCENT_COLOR": look.accent,
        "BACKGROUND_FROM": look.start,
        "BACKGROUND_TO": look.end,
        "GLOW": look.glow,
        "FONT_FAMILY": look.font,
        "ANIMATION": brief.animation,
        "SPEED": brief.speed,
        **plan.values,
    }
    return Composed(fill(brief.kind, values, plan.name), plan.note)


_PLANS: dict[str, Callable[[Brief], Plan]] = {
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
