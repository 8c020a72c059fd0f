"""What sets the variations of one prompt apart: colours, motion and tempo that it leaves open."""

import msgspec

from app.brain.composer.brief import MAIN_TEXT, Brief, animation_of
from app.brain.composer.edit_motion import edit_motion
from app.brain.composer.palette import choose_palette
from app.brain.composer.sheet import Sheet
from app.brain.model import WriteJob
from app.tools.code import find_faults

MOVES = ("rise", "slide", "zoom", "bounce")
TEMPI = (1.0, 1.25, 0.8, 1.6)  # the last resort, when the prompt says all the rest


def vary_brief(brief: Brief, variation: int) -> Brief:
    """Variation 0 is the brief itself; the others differ from it and from each other."""
    if variation == 0:
        return brief
    move = brief.animation
    if animation_of(brief.looks) is None:
        at = MOVES.index(move) if move in MOVES else 0
        move = MOVES[(at + variation) % len(MOVES)]
    return msgspec.structs.replace(
        brief,
        palette=choose_palette(
            brief.looks, brief.seed + variation, main_is_text=brief.kind in MAIN_TEXT
        ),
        animation=move,
        speed=round(brief.speed * TEMPI[variation % len(TEMPI)], 2),
    )


def vary_code(code: str, job: WriteJob) -> str:
    """An edited scene's code with another motion and tempo; what has none stays as it is."""
    if job.variation == 0:
        return code
    sheet = Sheet(code)
    tempo = TEMPI[job.variation % len(TEMPI)]
    word = f"faster {tempo}x" if tempo > 1 else f"slower {1 / tempo}x"
    edit_motion(sheet, word, [], [])
    if animation_of(job.instruction.lower()) is None:
        edit_motion(sheet, MOVES[job.variation % len(MOVES)], [], [])
    varied = sheet.result()
    return code if find_faults(varied) else varied
