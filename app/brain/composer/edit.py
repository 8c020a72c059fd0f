"""Editing a scene: exact changes of its code, and plain words about what could not be done."""

import msgspec

from app.brain.composer.brief import READ_MOST, read_brief
from app.brain.composer.compose import compose
from app.brain.composer.edit_colours import edit_colours
from app.brain.composer.edit_fonts import edit_fonts
from app.brain.composer.edit_motion import edit_motion
from app.brain.composer.edit_texts import edit_texts
from app.brain.composer.sheet import Sheet
from app.brain.composer.spelling import spelled
from app.brain.composer.wording import clean, lower, masked, shorten
from app.brain.model import WriteJob
from app.scenes.blank import BLANK
from app.tools.code import find_faults

KNOWN = (
    "I can change texts, colours, font sizes, fonts, speed, animation and length. "
    'For example: change "old" to "new", or make the background dark blue.'
)


class Edited(msgspec.Struct, frozen=True):
    """The whole code after an edit, unchanged when nothing could be done.

    `note` says what changed, and what could not be done.
    """

    code: str
    note: str | None = None


def edit_code(job: WriteJob) -> Edited:
    """The scene's code with what the job asks for; bytes that it does not speak of stay."""
    before = job.scene.tsx_code if job.scene else ""
    text = spelled(clean(job.instruction or job.context.prompt)[:READ_MOST])
    if _is_for_blank(job, before):
        composed = compose(read_brief(job))
        return Edited(composed.code, composed.note)
    sheet = Sheet(before)
    done: list[str] = []
    undone: list[str] = []
    edit_texts(sheet, text, done, undone)
    plain = lower(masked(text))
    for edit in (edit_colours, edit_fonts, edit_motion):
        edit(sheet, plain, done, undone)
    after = sheet.result() if done else before
    if after != before and (faults := find_faults(after)):
        return Edited(before, f"I am offline and cannot repair this scene's code. {faults[0]}")
    return Edited(after, _note(done, undone, timed=job.duration is not None))


def _is_for_blank(job: WriteJob, code: str) -> bool:
    """True when the scene is still blank and the job says what to show in it."""
    if not code.strip():
        return True
    if code != BLANK:
        return False
    brief = read_brief(job)
    return brief.kind != "title" or bool(brief.said) or "title" in brief.plain


def _note(done: list[str], undone: list[str], *, timed: bool) -> str | None:
    changed = f"Changed: {shorten('; '.join(dict.fromkeys(done)), 500)}."
    if undone:
        rest = shorten("; ".join(dict.fromkeys(undone)), 500)
        ending = f"The rest is done. {changed}" if done else KNOWN
        return f"I am offline and could not do all of it: {rest}. {ending}"
    if done:
        return changed
    if timed:
        return None
    return f"I am offline and did not understand what to change. {KNOWN}"
