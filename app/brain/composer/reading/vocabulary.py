"""The words that prompts use for kinds of scene and for ways of moving."""

import re

from app.brain.composer.reading.items import opens_list

# What a scene of each kind is called, as regular expressions without their word boundaries. The
# order decides when a prompt names several kinds.
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
KIND_PATTERNS = {kind: re.compile(rf"\b(?:{words})(?!\w)") for kind, words in KINDS.items()}
# A title that is named as the thing to make, not as a part of it ("the title is …").
_TITLE = re.compile(r"\b(?:title(?: card| scene)?|headline|heading)\b(?! (?:is|of|to|:))")

# Ways of moving; "slide up" must be found as a rise before "slide" is.
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
ANIMATION_PATTERNS = [(name, re.compile(rf"\b(?:{words})\b")) for name, words in _ANIMATIONS]


def kind_of(plain: str) -> str:
    """Return the kind of scene that a prompt names; "title" when it names none."""
    hits = [
        (kind, found.start())
        for kind, words in KIND_PATTERNS.items()
        if (found := words.search(plain))
    ]
    if not hits:
        return "list" if opens_list(plain) else "title"
    title = _TITLE.search(plain)
    if title and title.start() < min(start for _, start in hits):
        return "title"
    return hits[0][0]


def animation_of(plain: str) -> str | None:
    """Return the way of moving that a prompt names, None when it names none."""
    for name, pattern in ANIMATION_PATTERNS:
        if pattern.search(plain):
            return name
    return None
