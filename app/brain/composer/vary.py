"""Makes the variations of one prompt differ: in the colours, motion and tempo it leaves open."""

import msgspec

from app.brain.composer.composing.brief import TEXT_KINDS, Brief
from app.brain.composer.composing.palette import choose_palette
from app.brain.composer.editing.editable import EditableCode
from app.brain.composer.editing.motion import scale_speed, set_animation
from app.brain.composer.reading.vocabulary import animation_of
from app.brain.model import WriteJob
from app.tools.code import find_faults

ANIMATIONS = ("rise", "slide", "zoom", "bounce")
SPEED_FACTORS = (1.0, 1.25, 0.8, 1.6)  # of the variations, in turn


def vary_brief(brief: Brief, variation: int) -> Brief:
    """Return the brief of a variation; variation 0 is the brief itself."""
    if variation == 0:
        return brief
    animation = brief.animation
    if animation_of(brief.looks) is None:
        at = ANIMATIONS.index(animation) if animation in ANIMATIONS else 0
        animation = ANIMATIONS[(at + variation) % len(ANIMATIONS)]
    return msgspec.structs.replace(
        brief,
        palette=choose_palette(
            brief.looks, brief.seed + variation, main_is_text=brief.kind in TEXT_KINDS
        ),
        animation=animation,
        speed=round(brief.speed * SPEED_FACTORS[variation % len(SPEED_FACTORS)], 2),
    )


def vary_code(code: str, job: WriteJob) -> str:
    """Return an edited scene's code with another tempo and animation.

    Code without motion stays as it is, and so does code that would have faults.
    """
    if job.variation == 0:
        return code
    editable = EditableCode(code)
    scale_speed(editable, SPEED_FACTORS[job.variation % len(SPEED_FACTORS)])
    if animation_of(job.instruction.lower()) is None:
        set_animation(editable, ANIMATIONS[job.variation % len(ANIMATIONS)])
    varied = editable.result()
    return code if find_faults(varied) else varied
