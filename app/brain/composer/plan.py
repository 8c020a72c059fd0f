"""What all kinds of scene share: a plan of constants, and sizes that fit."""

import msgspec

from app.brain.composer.brief import TEXT_MOST, Brief
from app.brain.composer.source import fit
from app.brain.composer.wording import shorten

Values = dict[str, object]


class Plan(msgspec.Struct, frozen=True):
    """A scene's constants, its component's name, and what the chat should be told."""

    values: Values
    name: str
    note: str | None = None


def second_text(brief: Brief) -> str:
    """A second text: the second quote, else nothing."""
    return shorten(brief.quotes[1], TEXT_MOST) if len(brief.quotes) > 1 else ""


def size_of(
    brief: Brief, text: str, share: float, *, width: float = 0.82, tall: float = 0.5
) -> int:
    """A size for `text` in a box of shares of the frame; `share` of the width at most."""
    tall_frame = 1.3 if brief.height > brief.width else 1.0
    most = min(brief.width, brief.height * 1.4) * share * brief.scale * tall_frame
    return fit(text, brief.width * width, brief.height * tall, most)
