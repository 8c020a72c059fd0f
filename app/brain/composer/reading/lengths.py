"""Reads how long a scene is to last after a prompt, absolutely or relative to its duration now."""

import re

import msgspec

from app.tools.durations import MAX_REQUESTED_FRAMES, MIN_REQUESTED_FRAMES, find_durations

MAX_LEADING_CHARACTERS = 20  # before a duration, searched for a word that makes it relative

# A word that says that the length is to change, with or without a duration.
_LENGTH_VERB = re.compile(
    r"\b(?:shorten|extend|lengthen|trim|cut|stretch|prolong|crop|halve)\b|\bduration\b|\blength\b"
    r"|\b(?:shorter|longer)\b|\b(?:half|twice|double|triple) (?:as long|the (?:length|duration))"
)
# Words that give a relative duration its direction.
_LESS = re.compile(r"\b(?:shorten|cut|trim|reduce|remove|crop|take|less|shorter|decrease)\b")
_MORE = re.compile(r"\b(?:extend|lengthen|longer|more|add|increase|stretch|prolong)\b")
# Words beside a duration that make it relative: "by 2 seconds", "2 seconds off".
_RELATIVE_BEFORE = re.compile(r"\b(?:by|add|remove|take|another|extra)\s+(?:about\s+)?$")
_RELATIVE_AFTER = re.compile(
    r"^\s*(?:shorter|longer|more|less|off|from\b|extra|to\s+(?:it|the|scene))"
)
# Multiples of the duration now.
_FACTORS: list[tuple[re.Pattern[str], float]] = [
    (re.compile(r"\b(?:half as long|half the (?:length|duration)|halve|in half|by half)\b"), 0.5),
    (re.compile(r"\b(?:twice as long|twice the (?:length|duration)|double)\b"), 2.0),
    (re.compile(r"\b(?:three times as long|triple)\b"), 3.0),
]
# "cut the last 20 frames" means "cut by 20 frames".
_THE_LAST = re.compile(r"\bthe last\s+(?=[0-9])")


class Length(msgspec.Struct, frozen=True, kw_only=True):
    """The new duration in frames, or a question; both None when the text is not about length."""

    frames: int | None = None
    question: str | None = None


def read_length(plain: str, now: int, fps: int, scene: str) -> Length:
    """Read what `plain` asks of a scene that lasts `now` frames; `scene` names it in questions."""
    has_verb = bool(_LENGTH_VERB.search(plain))
    wanted = _wanted(plain, now, fps) if has_verb or find_durations(plain, fps) else None
    if wanted is None:
        if not has_verb:
            return Length()
        question = (
            f"How long should {scene} last? It is {now} frames ({now / fps:.3g} seconds) now; "
            f'say for example "make it {max(1, round(now / fps / 2))} seconds".'
        )
        return Length(question=question)
    least, most = MIN_REQUESTED_FRAMES, MAX_REQUESTED_FRAMES
    if not least <= wanted <= most:
        question = (
            f"{wanted} frames is out of reach: a scene can last {least} to {most} "
            f"frames ({least / fps:.3g} to {most / fps:.3g} seconds). "
            f"How long should {scene} be?"
        )
        return Length(question=question)
    return Length(frames=wanted)


def _wanted(plain: str, now: int, fps: int) -> int | None:
    """Return the new duration in frames without a limit, None when the text names none."""
    text = _THE_LAST.sub(lambda found: "by".rjust(len(found[0]) - 1) + " ", plain)
    mentions = find_durations(text, fps)
    for mention in mentions:
        before = text[max(0, mention.start - MAX_LEADING_CHARACTERS) : mention.start]
        if _RELATIVE_BEFORE.search(before) or _RELATIVE_AFTER.search(text[mention.end :]):
            if _LESS.search(text):
                return now - mention.frames
            if _MORE.search(text):
                return now + mention.frames
    if mentions:
        return mentions[-1].frames
    for pattern, factor in _FACTORS:
        if pattern.search(text):
            return round(now * factor)
    return None
