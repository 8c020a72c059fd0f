"""Edits a scene's code: exact changes, and a note about what could not be done."""

from app.brain.composer.composing.brief import read_brief
from app.brain.composer.composing.compose import compose
from app.brain.composer.editing.changes import Changes
from app.brain.composer.editing.colours import edit_colours
from app.brain.composer.editing.editable import EditableCode
from app.brain.composer.editing.fonts import edit_fonts
from app.brain.composer.editing.motion import edit_motion
from app.brain.composer.editing.texts import edit_texts
from app.brain.composer.reading.prompt import MAX_SCENE_PROMPT_CHARACTERS, read_edit_prompt
from app.brain.composer.reading.wording import plain_of, shorten
from app.brain.composer.scene_code import SceneCode
from app.brain.model import WriteJob
from app.scenes.blank import BLANK
from app.tools.code import find_faults

MAX_NOTE_PART_CHARACTERS = 500  # of what was done, and of what was not

ABILITIES = (
    "I can change texts, colours, font sizes, fonts, speed, animation and length. "
    'For example: change "old" to "new", or make the background dark blue.'
)


def edit_code(job: WriteJob) -> SceneCode:
    """Return the scene's code with what the job asks for; all other bytes stay.

    The code is unchanged when nothing could be done. A scene that is still blank is composed anew
    when the job says what to show in it.
    """
    before = job.scene.tsx_code if job.scene else ""
    if _is_for_blank(job, before):
        return compose(read_brief(job))
    text = read_edit_prompt(job.instruction or job.context.prompt, MAX_SCENE_PROMPT_CHARACTERS)
    plain = plain_of(text)
    code = EditableCode(before)
    changes = edit_texts(code, text)
    changes += edit_colours(code, plain)
    changes += edit_fonts(code, plain)
    changes += edit_motion(code, plain)
    after = code.result() if changes.done else before
    if after != before and (faults := find_faults(after)):
        return SceneCode(before, f"I am offline and cannot repair this scene's code. {faults[0]}")
    return SceneCode(after, _note(changes, is_timed=job.duration is not None))


def _is_for_blank(job: WriteJob, code: str) -> bool:
    """Return whether the scene is still blank and the job has content for it."""
    if not code.strip():
        return True
    if code != BLANK:
        return False
    brief = read_brief(job)
    return brief.kind != "title" or bool(brief.said) or "title" in brief.plain


def _note(changes: Changes, *, is_timed: bool) -> str | None:
    """Return the note for the chat; a job that only changes the duration needs none."""
    changed = f"Changed: {_joined(changes.done)}."
    if changes.failed:
        ending = f"The rest is done. {changed}" if changes.done else ABILITIES
        rest = _joined(changes.failed)
        return f"I am offline and could not do all of it: {rest}. {ending}"
    if changes.done:
        return changed
    if is_timed:
        return None
    return f"I am offline and did not understand what to change. {ABILITIES}"


def _joined(phrases: tuple[str, ...]) -> str:
    return shorten("; ".join(dict.fromkeys(phrases)), MAX_NOTE_PART_CHARACTERS)
