"""How long a scene shall last after a prompt, absolutely or from what it lasts now."""

import re

import msgspec

from app.tools.durations import MAX_REQUESTED_FRAMES, MIN_REQUESTED_FRAMES, find_durations

_LENGTH_VERB = re.compile(
    r"\b(?:shorten|extend|lengthen|trim|cut|stretch|prolong|crop|halve)\b|\bduration\b|\blength\b"
    r"|\b(?:shorter|longer)\b|\b(?:half|twice|double|triple) (?:as long|the (?:length|duration))"
)
_LESS = re.compile(r"\b(?:shorten|cut|trim|reduce|remove|crop|take|less|shorter|decrease)\b")
_MORE = re.compile(r"\b(?:extend|lengthen|longer|more|add|increase|stretch|prolong)\b")
_RELATIVE_BEFORE = re.compile(r"\b(?:by|add|remove|take|another|extra)\s+(?:about\s+)?$")
_RELATIVE_AFTER = re.compile(
    r"^\s*(?:shorter|longer|more|less|off|from\b|extra|to\s+(?:it|the|scene))"
)
_FACTORS: list[tuple[re.Pattern[str], float]] = [
    (re.compile(r"\b(?:half as long|half the (?:length|duration)|halve|in half|by half)\b"), 0.5),
    (re.compile(r"\b(?:twice as long|twice the (?:length|duration)|double)\b"), 2.0),
    (re.compile(r"\b(?:three times as long|triple)\b"), 3.0),
]
_ENDS = re.compile(r"\bthe last\s+(?=[0-9])")


class Length(msgspec.Struct, frozen=True, kw_only=True):
    """`frames` to last, or a question; both None when the text is not about length.

    `certain`: the text orders a length by a verb of its own, such as "trim".
    """

    frames: int | None = None
    question: str | None = None
    certain: bool = False


def read_length(plain: str, now: int, fps: int, scene: str) -> Length:
    """What `plain` (lower case, quotes masked) asks of a scene that lasts `now` frames."""
    certain = bool(_LENGTH_VERB.search(plain))
    wanted = _wanted(plain, now, fps) if certain or find_durations(plain, fps) else None
    if wanted is None:
        if not certain:
            return Length()
        question = (
            f"How long should {scene} last? It is {now} frames ({now / fps:.3g} seconds) now; "
            f'say for example "make it {max(1, round(now / fps / 2))} seconds".'
        )
        return Length(question=question, certain=True)
    least, most = MIN_REQUESTED_FRAMES, MAX_REQUESTED_FRAMES
    if not least <= wanted <= most:
        question = (
            f"{wanted} frames is out of reach: a scene can last {least} to {most} "
            f"frames ({least / fps:.3g} to {most / fps:.3g} seconds). "
            f"How long should {scene} be?"
        )
        return Length(question=question, certain=certain)
    return Length(frames=wanted, certain=certain)


def _wanted(plain: str, now: int, fps: int) -> int | None:
    text = _ENDS.sub(lambda found: "by".rjust(len(found[0]) - 1) + " ", plain)
    mentions = find_durations(text, fps)
    for mention in mentions:
        before, after = text[max(0, mention.start - 20) : mention.start], text[mention.end :]
        if _RELATIVE_BEFORE.search(before) or _RELATIVE_AFTER.search(after):
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
