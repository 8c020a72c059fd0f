"""What a prompt asks of a new scene: its kind, its words, its looks."""

import re

import msgspec

from app.brain.composer.colours import find_colours
from app.brain.composer.german import translated
from app.brain.composer.items import opens_list, without_items
from app.brain.composer.palette import Palette, choose_palette
from app.brain.composer.spelling import spelled
from app.brain.composer.wording import (
    MASK,
    clean,
    find_quotes,
    headline,
    lower,
    masked,
    seed_of,
    shorten,
)
from app.brain.model import WriteJob
from app.projects.model import SIZES
from app.tools.durations import find_durations

READ_MOST = 6000  # characters of a prompt that can say what a scene is like
TEXT_MOST = 240  # characters of one text on the screen

KINDS: dict[str, str] = {
    "countdown": r"count(?:s|ing)?[ -]?down|timer",
    "lower_third": r"lower[ -]?thirds?|name ?tag|name banner|chyron",
    "comparison": r"vs\.?|versus|compar(?:e|es|ing|ison)|before and after|side by side",
    "chart": r"charts?|graphs?|histogram|diagram|bars",
    "quote": r"quotes?|quotation|testimonial",
    "list": r"lists?|bullets?|bullet points|checklist|agenda|steps|to-?dos?|reasons|tips|features",
    "call_to_action": r"call[ -]to[ -]action|cta|button|outro|end ?card|subscribe|sign ?up",
    "logo": r"logo|brand reveal",
    "counter": r"counter|count(?:s|ing)? (?:up|to|from)|counts?|odometer",
    "shapes": r"shapes?|circles?|squares?|triangles?|diamonds?|abstract|geometric|particles"
    r"|bouncing balls?|motion graphics?",
}
_KINDS = {kind: re.compile(rf"\b(?:{words})(?!\w)") for kind, words in KINDS.items()}
_TITLE = re.compile(r"\b(?:title(?: card| scene)?|headline|heading)\b(?! (?:is|of|to|:))")
NEON = re.compile(r"\b(?:neon|glow(?:s|ing)?)\b")
MAIN_TEXT = frozenset({"title", "quote", "lower_third", "list", "comparison", "counter"})

_ANIMATIONS: list[tuple[str, str]] = [
    ("typewriter", r"type ?writer|typ(?:ed|ing)(?: in| out| effect)?|letter by letter"),
    (
        "bounce",
        r"bounc(?:e|es|ing|y)|spring(?:s|y|ing)?(?: in)?|elastic|pop(?:s|ping)?(?: in| up)?",
    ),
    ("spin", r"spin(?:s|ning)?|rotat(?:e|es|ing|ion)|twirl(?:s|ing)?"),
    ("zoom", r"zoom(?:s|ing)?(?: in)?|scal(?:e|es|ing)(?: up| in)?|grow(?:s|ing)?(?: in)?"),
    ("rise", r"ris(?:e|es|ing)|slid(?:e|es|ing) up|float(?:s|ing)?(?: up)?"),
    ("slide", r"slid(?:e|es|ing)(?! ?(?:show|deck|[0-9]))|swipe|fl(?:y|ies|ying)(?: in)?"),
    ("fade", r"fad(?:e|es|ing)(?: in| out)?|dissolve|appear(?:s|ing)? (?:slowly|softly|gently)"),
]
ANIMATIONS = [(name, re.compile(rf"\b(?:{words})\b")) for name, words in _ANIMATIONS]
_FAST = re.compile(r"\b(?:fast|quick|quickly|rapid|snappy|energetic|speedy)\b")
_SLOW = re.compile(r"\b(?:slow|slowly|calm|gentle|gently|relaxed)\b")
_BIG = re.compile(r"\b(?:big|large|huge|giant)\b(?! (?:news|data|idea|deal|day|thing))")
_SMALL = re.compile(r"\b(?:small|tiny|little)\b (?:text|font|title|letters)")

_SAYS = re.compile(
    r"\b(?:that (?:says|reads)|saying|reading|says|titled|entitled|called|named|labell?ed"
    r"|with (?:the )?(?:text|title|words|heading|headline)"
    r"|(?:text|title|heading|headline)\s*:)\s*:?\s*"
    r"(?P<said>[^,;.\n" + MASK + r"]{1,200})"
)
_AFTERTHOUGHT = re.compile(
    r"(?<=[?!])\s+(?=.*\b(?:please|colou?rs?|seconds?|style|font|background|thanks?)\b).*$"
)
_ASKED = re.compile(r"^\W*(?:hi\W+|hey\W+|please\s+)?(?:can|could|would|will) you\b")
_ABOUT = re.compile(
    r"\b(?:about|introducing|announcing|regarding|for)\s+(?P<topic>[^,;.\n]{2,120})"
)
_STOP = frozenset(
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
    """One prompt, read once. `plain` is in lower case, quotes masked, as long as `text`."""

    text: str
    plain: str
    looks: str  # `plain` without a list's items, for what it says about looks
    quotes: list[str]
    kind: str
    width: int
    height: int
    fps: int
    duration: int | None
    palette: Palette
    animation: str
    speed: float
    scale: float
    seed: int

    @property
    def said(self) -> str | None:
        """The words to show: the first quote, or what follows "saying", "titled" …"""
        if self.quotes:
            return shorten(self.quotes[0], TEXT_MOST)
        found = _SAYS.search(self.plain)
        if not found:
            return None
        said = self.text[found.start("said") : found.end("said")]
        said = re.split(r"\s+(?:in|on|with|over|and then)\s+", said)[0].strip()
        said = _AFTERTHOUGHT.sub("", said)
        if _ASKED.match(self.plain):
            said = said.rstrip("?")
        return shorten(headline(said), TEXT_MOST) or None

    def topic(self, default: str) -> str:
        """A heading made of what the prompt is about, without what it orders."""
        found = _ABOUT.search(self.plain)
        words = self._content(found.start("topic"), found.end("topic")) if found else ""
        words = words or self._content(0, min(len(self.text), 400))
        return shorten(headline(words), 60) or default

    def _content(self, start: int, end: int) -> str:
        """Words of a part that are neither orders nor colours, durations, or known nouns."""
        skip = [(c.start, c.end) for c in find_colours(self.plain)]
        skip += [(m.start, m.end) for m in find_durations(self.plain, self.fps)]
        for pattern in (*_KINDS.values(), *(p for _, p in ANIMATIONS)):
            skip += [found.span() for found in pattern.finditer(self.plain, start, end)]
        chars = list(self.text[start:end])
        for left, right in skip:
            for index in range(max(left, start), min(right, end)):
                chars[index - start] = " "
        words = re.findall(r"[^\s,;:.!?()\[\]{}<>\"" + MASK + r"]+", "".join(chars))
        while words and words[0].lower() in _STOP:
            words.pop(0)
        while words and words[-1].lower() in _STOP:
            words.pop()
        return " ".join(words[:9])


def read_brief(job: WriteJob) -> Brief:
    """Everything a composer needs to know; the same job gives the same brief."""
    text = translated(spelled(clean(job.instruction or job.context.prompt)[:READ_MOST]))
    plain = lower(masked(text))
    kind = kind_of(plain)
    looks = without_items(text, plain) if kind == "list" else plain
    if NEON.search(looks):
        looks = f"neon, {looks}"
    seed = seed_of(text)
    width, height = SIZES[job.context.format]
    return Brief(
        text=text,
        plain=plain,
        looks=looks,
        quotes=[quote.text for quote in find_quotes(text)],
        kind=kind,
        width=width,
        height=height,
        fps=job.context.fps,
        duration=job.duration,
        palette=choose_palette(looks, seed, main_is_text=kind in MAIN_TEXT),
        animation=animation_of(looks) or ("rise", "slide", "zoom", "bounce")[seed // 7 % 4],
        speed=1.5 if _FAST.search(looks) else 0.65 if _SLOW.search(looks) else 1,
        scale=1.3 if _BIG.search(looks) else 0.75 if _SMALL.search(looks) else 1,
        seed=seed,
    )


def kind_of(plain: str) -> str:
    """The kind of scene that a prompt in lower case names; a title when it names none."""
    hits = [
        (kind, found.start()) for kind, words in _KINDS.items() if (found := words.search(plain))
    ]
    if not hits:
        return "list" if opens_list(plain) else "title"
    title = _TITLE.search(plain)
    if title and title.start() < min(start for _, start in hits):
        return "title"
    return hits[0][0]


def animation_of(plain: str) -> str | None:
    """The way of moving that a prompt in lower case names."""
    for name, pattern in ANIMATIONS:
        if pattern.search(plain):
            return name
    return None
