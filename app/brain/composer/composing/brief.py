"""Reads what a prompt asks of a new scene: its kind, its words and its looks."""

import re

import msgspec

from app.brain.composer.composing.palette import Palette, choose_palette
from app.brain.composer.reading.colours import find_colours
from app.brain.composer.reading.items import without_items
from app.brain.composer.reading.prompt import MAX_SCENE_PROMPT_CHARACTERS, read_prompt
from app.brain.composer.reading.vocabulary import (
    ANIMATION_PATTERNS,
    KIND_PATTERNS,
    animation_of,
    kind_of,
)
from app.brain.composer.reading.wording import (
    MASK,
    find_quotes,
    headline,
    plain_of,
    seed_of,
    shorten,
)
from app.brain.model import WriteJob
from app.projects.model import FRAME_SIZES
from app.tools.durations import find_durations

MAX_TEXT_CHARACTERS = 240  # of one text on the screen
MAX_TOPIC_CHARACTERS = 60
MAX_TOPIC_WORDS = 9
MAX_TOPIC_SOURCE_CHARACTERS = 400  # of a prompt, searched for its topic

# Kinds that live of their text: a colour without a role is that of the text.
TEXT_KINDS = frozenset({"title", "quote", "lower_third", "list", "comparison", "counter"})
DEFAULT_ANIMATIONS = ("rise", "slide", "zoom", "bounce")
FAST_SPEED, SLOW_SPEED = 1.5, 0.65
BIG_SCALE, SMALL_SCALE = 1.3, 0.75

NEON = re.compile(r"\b(?:neon|glow(?:s|ing)?)\b")
_FAST = re.compile(r"\b(?:fast|quick|quickly|rapid|snappy|energetic|speedy)\b")
_SLOW = re.compile(r"\b(?:slow|slowly|calm|gentle|gently|relaxed)\b")
# "big" as a size, not as in "big news".
_BIG = re.compile(r"\b(?:big|large|huge|giant)\b(?! (?:news|data|idea|deal|day|thing))")
_SMALL = re.compile(r"\b(?:small|tiny|little)\b (?:text|font|title|letters)")

# Words to show that are not quoted: "saying hello", "titled Our year", "text: hi".
_SAYS = re.compile(
    r"\b(?:that (?:says|reads)|saying|reading|says|titled|entitled|called|named|labell?ed"
    r"|with (?:the )?(?:text|title|words|heading|headline)"
    r"|(?:text|title|heading|headline)\s*:)\s*:?\s*"
    r"(?P<said>[^,;.\n" + MASK + r"]{1,200})"
)
# A wish behind the words to show: "Bean & Gone? warm colours please".
_WISH_AFTER = re.compile(
    r"(?<=[?!])\s+(?=.*\b(?:please|colou?rs?|seconds?|style|font|background|thanks?)\b).*$"
)
# A prompt put as a question, whose question mark does not belong to the words to show.
_IS_QUESTION = re.compile(r"^\W*(?:hi\W+|hey\W+|please\s+)?(?:can|could|would|will) you\b")
_ABOUT = re.compile(
    r"\b(?:about|introducing|announcing|regarding|for)\s+(?P<topic>[^,;.\n]{2,120})"
)
# Words that are cut from both ends of a topic: orders, articles, and words about looks.
_NOT_A_TOPIC = frozenset(
    re.findall(
        r"\w+",
        "a an the my our your some this that please now then also and with in on of to for as "
        "it is me us i want would like need can could you let lets add create make made "
        "generate build design produce write show insert put give animate animated animation "
        "new another scene scenes video clip slide slides screen title titles text intro "
        "introduction opening opener big large huge small tiny nice cool beautiful great "
        "awesome simple style styled look theme themed using use from by at colour color "
        "colours colors background backdrop bg gradient font letters effect slow slowly fast "
        "quick quickly long second seconds frames very really where which have has should be "
        "short says saying say card neon minimal minimalist corporate warm elegant retro playful "
        "luxury modern clean professional pastel colorful colourful",
    )
)


class Brief(msgspec.Struct, frozen=True, kw_only=True):
    """What one prompt asks of a new scene.

    `text` and `plain` are the two forms of the prompt (see `wording`); `looks` is `plain` without
    the items of a list, for what it says about looks. `width` and `height` are in pixels,
    `speed` and `scale` are factors.
    """

    text: str
    plain: str
    looks: str
    quotes: list[str]
    kind: str
    width: int
    height: int
    fps: int
    palette: Palette
    animation: str
    speed: float
    scale: float
    seed: int

    @property
    def said(self) -> str | None:
        """The words to show: the first quote, else what follows "saying", "titled" and the like."""
        if self.quotes:
            return shorten(self.quotes[0], MAX_TEXT_CHARACTERS)
        found = _SAYS.search(self.plain)
        if not found:
            return None
        said = self.text[found.start("said") : found.end("said")]
        said = re.split(r"\s+(?:in|on|with|over|and then)\s+", said)[0].strip()
        said = _WISH_AFTER.sub("", said)
        if _IS_QUESTION.match(self.plain):
            said = said.rstrip("?")
        return shorten(headline(said), MAX_TEXT_CHARACTERS) or None

    @property
    def second_text(self) -> str:
        """The second quote, empty without one."""
        return shorten(self.quotes[1], MAX_TEXT_CHARACTERS) if len(self.quotes) > 1 else ""

    def topic(self, default: str) -> str:
        """Return a heading made of what the prompt is about, without what it orders."""
        found = _ABOUT.search(self.plain)
        words = self._content(found.start("topic"), found.end("topic")) if found else ""
        words = words or self._content(0, min(len(self.text), MAX_TOPIC_SOURCE_CHARACTERS))
        return shorten(headline(words), MAX_TOPIC_CHARACTERS) or default

    def _content(self, start: int, end: int) -> str:
        """Return the words of a range that are no orders, colours, durations or kinds."""
        skipped = [(c.start, c.end) for c in find_colours(self.plain)]
        skipped += [(m.start, m.end) for m in find_durations(self.plain, self.fps)]
        for pattern in (*KIND_PATTERNS.values(), *(p for _, p in ANIMATION_PATTERNS)):
            skipped += [found.span() for found in pattern.finditer(self.plain, start, end)]
        chars = list(self.text[start:end])
        for left, right in skipped:
            for index in range(max(left, start), min(right, end)):
                chars[index - start] = " "
        words = re.findall(r"[^\s,;:.!?()\[\]{}<>\"" + MASK + r"]+", "".join(chars))
        while words and words[0].lower() in _NOT_A_TOPIC:
            words.pop(0)
        while words and words[-1].lower() in _NOT_A_TOPIC:
            words.pop()
        return " ".join(words[:MAX_TOPIC_WORDS])


def read_brief(job: WriteJob) -> Brief:
    """Return everything that a template needs to know; the same job gives the same brief."""
    text = read_prompt(job.instruction or job.context.prompt, MAX_SCENE_PROMPT_CHARACTERS)
    plain = plain_of(text)
    kind = kind_of(plain)
    looks = without_items(text, plain) if kind == "list" else plain
    if NEON.search(looks):
        looks = f"neon, {looks}"  # so that neon is the first mood
    seed = seed_of(text)
    width, height = FRAME_SIZES[job.context.format]
    return Brief(
        text=text,
        plain=plain,
        looks=looks,
        quotes=[quote.text for quote in find_quotes(text)],
        kind=kind,
        width=width,
        height=height,
        fps=job.context.fps,
        palette=choose_palette(looks, seed, main_is_text=kind in TEXT_KINDS),
        animation=animation_of(looks) or DEFAULT_ANIMATIONS[seed // 7 % len(DEFAULT_ANIMATIONS)],
        speed=FAST_SPEED if _FAST.search(looks) else SLOW_SPEED if _SLOW.search(looks) else 1,
        scale=BIG_SCALE if _BIG.search(looks) else SMALL_SCALE if _SMALL.search(looks) else 1,
        seed=seed,
    )
