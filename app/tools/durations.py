"""Finds the durations that a prompt mentions, in whole frames."""

import re
from fractions import Fraction

import msgspec

# The durations that a prompt can ask for; a number beyond them is likely to mean something else.
MIN_REQUESTED_FRAMES = 15
MAX_REQUESTED_FRAMES = 1800
MAX_LEADING_CHARACTERS = 40  # before a duration, searched for words that make it a position

_NUMBER_WORDS: dict[str, int | Fraction] = {
    "a": 1, "an": 1, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7,
    "eight": 8, "nine": 9, "ten": 10, "twelve": 12, "fifteen": 15, "twenty": 20, "thirty": 30,
    "half a": Fraction(1, 2), "one and a half": Fraction(3, 2),
}  # fmt: skip
_SECONDS_PER_UNIT = {"ms": Fraction(1, 1000), "s": Fraction(1), "m": Fraction(60)}
# A `t=30s` in a link is a position in another video.
_URL = re.compile(r"\b(?:https?://|www\.)\S+|[?&]t=[0-9]+s?\b", re.IGNORECASE)
_QUOTED = re.compile(
    r'"[^"\n]{0,500}"|\u201c[^\u201d\n]{0,500}\u201d|\u00ab[^\u00bb\n]{0,500}\u00bb'
    r"|(?<!\w)'[^'\n]{1,500}'(?!\w)|`[^`\n]{0,500}`"
)
# A number or a number word, followed by a unit: "1.5 s", "a minute", "90 frames".
_MENTION = re.compile(
    r"(?<![\w.,:$=#/-])"
    r"(?:(?P<number>[0-9]{1,3}(?:,[0-9]{3}){1,3}|[0-9]{1,9}(?:[.,][0-9]{1,4})?)[\s-]?"
    r"|(?P<word>one and a half|half a|an?|one|two|three|four|five|six|seven|eight|nine|ten|twelve"
    r"|fifteen|twenty|thirty)[\s-])"
    r"(?P<unit>frames?|milliseconds?|msecs?|ms|seconds?|secs?|s|minutes?|mins?)(?!\w)",
    re.IGNORECASE,
)
# Words before a duration that make it a point in time or a part: "at 2 s", "the first 2 s".
_POSITION = re.compile(
    r"(?:\b(?:at|after|every|each|within|from|per|until|since|over)|\bthe\s+(?:first|last)"
    r"|\bdelay(?:ed)?\s+(?:by|of))\s+(?:about\s+|around\s+)?$",
    re.IGNORECASE,
)
# "80s" and "1990s" are decades, not seconds.
_DECADE = re.compile(r"[0-9]{0,3}0s", re.IGNORECASE)
# What may stand between the minutes and the seconds of one duration.
_JOIN = re.compile(r"\s*(?:,|and|&|\+)?\s*", re.IGNORECASE)


class Mention(msgspec.Struct, frozen=True):
    """A duration in a text: its frames (0 or more, without a limit) and its character range."""

    frames: int
    start: int
    end: int


def find_durations(prompt: str, fps: int = 30) -> list[Mention]:
    """Return the durations in a prompt, in text order.

    Durations in quotes or URLs and those that name a point in time are left out.
    """
    text = prompt
    for pattern in (_URL, _QUOTED):
        text = pattern.sub(lambda found: " " * len(found[0]), text)
    mentions: list[Mention] = []
    units: list[str] = []
    for found in _MENTION.finditer(text):
        before = text[max(0, found.start() - MAX_LEADING_CHARACTERS) : found.start()]
        if _POSITION.search(before) or _is_decade(found, before):
            continue
        unit = _unit(found["unit"].lower())
        frames = _frames(_amount(found), unit, fps)
        if mentions and units[-1] == "m" and unit in ("s", "ms"):
            last = mentions[-1]
            if _JOIN.fullmatch(text, last.end, found.start()):
                mentions[-1] = Mention(last.frames + frames, last.start, found.end())
                units[-1] = unit
                continue
        mentions.append(Mention(frames, found.start(), found.end()))
        units.append(unit)
    return mentions


def requested_frames(prompt: str, fps: int = 30) -> int | None:
    """Return the first duration in a prompt that a scene can be given, else None."""
    for mention in find_durations(prompt, fps):
        if MIN_REQUESTED_FRAMES <= mention.frames <= MAX_REQUESTED_FRAMES:
            return mention.frames
    return None


def _is_decade(found: re.Match[str], before: str) -> bool:
    if not _DECADE.fullmatch(found[0]):
        return False
    return len(found[0]) > 3 or bool(re.search(r"\b(?:the|in|early|late|mid)[\s-]+$", before))


def _unit(word: str) -> str:
    if word.startswith(("ms", "milli")):
        return "ms"
    return word[0]


def _amount(found: re.Match[str]) -> Fraction:
    if found["word"]:
        return Fraction(_NUMBER_WORDS[found["word"].lower()])
    number = str(found["number"])
    if re.fullmatch(r"[0-9]{1,3}(?:,[0-9]{3})+", number):
        return Fraction(number.replace(",", ""))
    return Fraction(number.replace(",", "."))


def _frames(amount: Fraction, unit: str, fps: int) -> int:
    """Round to whole frames; half a frame counts as one."""
    exact = amount if unit == "f" else amount * _SECONDS_PER_UNIT[unit] * fps
    return int(exact + Fraction(1, 2))
