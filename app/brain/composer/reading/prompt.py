"""The first step of reading any prompt: cleaning, spelling and translation."""

from app.brain.composer.reading.german import translated
from app.brain.composer.reading.spelling import spelled
from app.brain.composer.reading.wording import clean

MAX_DECISION_PROMPT_CHARACTERS = 12_000  # of a prompt, read for a decision
MAX_SCENE_PROMPT_CHARACTERS = 6_000  # of a prompt, read for what a scene is like


def read_prompt(prompt: str, max_characters: int) -> str:
    """Return a prompt cleaned, cut, its misspelled orders corrected, and in English.

    Only German orders for a new scene are translated; other German text stays as it is.
    """
    return translated(read_edit_prompt(prompt, max_characters))


def read_edit_prompt(prompt: str, max_characters: int) -> str:
    """Return a prompt cleaned, cut, and its misspelled orders corrected."""
    return spelled(clean(prompt)[:max_characters])
