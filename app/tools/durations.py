"""Durations that a prompt asks for, in whole frames."""

import re
from fractions import Fraction

import msgspec

REQUEST_LEAST = 15  # frames
REQUEST_MOST = 1800  # frames

_WORDS: dict[str, int | Fraction] = {
    "a": 1, "an": 1, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7,
    "eight": 8, "nine": 9, "ten": 10, "twelve": 12, "fifteen": 15, "twenty": 20, "thirty": 30,
    "half a": Fraction(1, 2), "one and a half": Fraction(3, 2),
}  # fmt: skip
_SECONDS = {"ms": Fraction(1, 1000), "s": Fraction(1), "m": Fraction(60)}
_URL = re.compile(r"\b(?:https?://|www\.)\S+|[?&]t=[0-9]+s?\b", re.IGNORECASE)
_QUOTED = re.compile(
    r'"[^"\n]{0,500}"|\u201c[^\u201d\n]{0,500}\u201d|\u00ab[^\u00bb\n]{0,500}\u00bb'
    r"|(?<!\w)'[^'\n]{1,500}'(?!\w)|`[^`\n]{0,500}`"
)
_MENTION = re.compile(
    r"(?<![\w.,:$=#/-])"
    r"(?:(?P<number>[0-9]{1,3}(?:,[0-9]{3}){1,3}|[0-9]{1,9}(?:[.,][0-9]{1,4})?)[\s-]?"
    r"|(?P<word>one and a half|half a|an?|one|two|three|four|five|six|seven|eight|nine|ten|twelve"
    r"|fifteen|twenty|thirty)[\s-])"
    r"(?P<unit>frames?|milliseconds?|msecs?|ms|seconds?|secs?|s|minutes?|mins?)(?!\w)",
    re.IGNORECASE,
)
_POSITION = re.compile(
    r"(?:\b(?:at|after|every|each|within|from|per|until|since|over)|\bthe\s+(?:first|last)"
    r"|\bdelay(?:ed)?\s+(?:by|of))\s+(?:about\s+|around\s+)?$",
    re.IGNORECASE,
)
_DECADE = re.compile(r"[0-9]{0,3}0s", re.IGNORECASE)
_JOIN = re.compile(r"\s*(?:,|and|&|\+)?\s*", re.IGNORECASE)


class Mention(msgspec.Struct, frozen=True):
    """A duration in a text: frames (0 or more, not limited), and where it stands."""

    frames: int
    start: int
    end: int


def find_durations(prompt: str, fps: int = 30) -> list[Mention]:
    """All durations, in order; not those in quotes, in URLs, or that name a point in time."""
    text = prompt
    for pattern in (_URL, _QUOTED):
        text = pattern.sub(lambda found: " " * len(found[0]), text)
    mentions: list[Mention] = []
    sizes: list[str] = []
    for found in _MENTION.finditer(text):
        before = text[max(0, found.start() - 40) : found.start()]
        if _POSITION.search(before) or _decade(found, before):
            continue
        unit = _unit(found["unit"].lower())
        frames = _frames(_amount(found), unit, fps)
        if mentions and sizes[-1] == "m" and unit in ("s", "ms"):
            last = mentions[-1]
            if _JOIN.fullmatch(text, last.end, found.start()):
                mentions[-1] = Mention(last.frames + frames, last.start, found.end())
                sizes[-1] = unit
                continue
        mentions.append(Mention(frames, found.start(), found.end()))
        sizes.append(unit)
    return mentions


def requested_frames(prompt: str, fps: int = 30) -> int | None:
    """The first duration of 15 to 1800 frames that the prompt asks for, else None."""
    for mention in find_durations(prompt, fps):
        if REQUEST_LEAST <= mention.frames <= REQUEST_MOST:
            return mention.frames
    return None


def _decade(found: re.Match[str], before: str) -> bool:
    if not _DECADE.fullmatch(found[0]):
        return False
    return len(found[0]) > 3 or bool(re.search(r"\b(?:the|in|early|late|mid)[\s-]+$", before))


def _unit(word: str) -> str:
    if word.startswith(("ms", "milli")):
        return "ms"
    return word[0]


def _amount(found: re.Match[str]) -> Fraction:
    if found["word"]:
        return Fraction(_WORDS[found["word"].lower()])
    number = str(found["number"])
    if re.fullmatch(r"[0-9]{1,3}(?:,[0-9]{3})+", number):
        return Fraction(number.replace(",", ""))
    return Fraction(number.replace(",", "."))


def _frames(amount: Fraction, unit: str, fps: int) -> int:
    """Half a frame counts as one."""
    exact = amount if unit == "f" else amount * _SECONDS[unit] * fps
    return int(exact + Fraction(1, 2))
