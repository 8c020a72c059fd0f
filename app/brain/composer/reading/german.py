"""German prompts: orders for a new scene are translated, all others are recognised."""

import re

from app.brain.composer.reading.wording import MASK, find_quotes, masked

MAX_JUDGED_CHARACTERS = 2_000  # of a prompt whose language is judged

# Common German words, and those that orders are made of.
_GERMAN_WORD = re.compile(
    r"\b(?:bitte|mach(?:e|st)?|l\u00f6sch(?:e|en)?|f\u00fcge?|fuege|hinzu|erstelle|erzeuge"
    r"|\u00e4ndere?|entferne|zeige|schreibe?|setze|szenen?|titel|hintergrund|farbe|sekunden?|liste"
    r"|diagramm|zitat|der|die|das|den|dem|ein|eine|einen|und|mit|auf|letzte|erste|zweite|rot|blau"
    r"|gr\u00fcn|gelb|wei\u00df|schwarz|gr\u00f6\u00dfer|kleiner|schneller|langsamer|k\u00fcrzer"
    r"|l\u00e4nger|ist|nicht|ich|du|kannst|text)\b",
    re.IGNORECASE,
)
_NOUNS = {
    "titel": "title", "title": "title", "liste": "list", "diagramm": "chart", "zitat": "quote",
    "countdown": "countdown", "logo": "logo", "szene": "scene",
}  # fmt: skip
# The beginning of an order for a new scene: "Füge einen Titel", "Zeige mir bitte ein Zitat".
_ADDS = re.compile(
    r"^\W*(?:bitte\s+)?(?:f\u00fcge?|fuege|erstelle|erzeuge|mache?|zeige)\s+(?:mir\s+)?(?:bitte\s+)?"
    rf"(?:einen|eine|ein)\s+(?:neue[nrs]?\s+)?(?P<noun>{'|'.join(_NOUNS)})\b",
    re.IGNORECASE,
)
# Words in the rest of such an order, as regular expressions, and what they become.
_TRANSLATIONS = {
    r"hinzu|bitte|lang": "", r"sekunden?": "seconds", "mit": "with", "auf": "on", "und": "and",
    r"dem text|text": "text", "rot": "red", "blau": "blue", "gr\u00fcn": "green", "gelb": "yellow",
    "wei\u00df": "white", "schwarz": "black", "von": "from", "f\u00fcr": "for",
}  # fmt: skip


def translated(text: str) -> str:
    """Return a German order for a new scene in English, any other text as it is.

    Quoted parts are what the scene shows, so they are not translated.
    """
    found = _ADDS.match(masked(text))
    if not found:
        return text
    words = ["add a ", _NOUNS[found["noun"].lower()]]
    position = found.end()
    for quote in find_quotes(text):
        if quote.start >= position:
            words += [_translate(text[position : quote.start]), text[quote.start : quote.end]]
            position = quote.end
    return "".join([*words, _translate(text[position:])])


def is_german(plain: str) -> bool:
    """Return whether at least two words, and half of those outside of quotes, look German."""
    words = re.findall(r"[^\W\d_]+", plain.replace(MASK, " ")[:MAX_JUDGED_CHARACTERS])
    hits = _GERMAN_WORD.findall(" ".join(words))
    return len(hits) >= 2 and len(hits) * 2 >= len(words)


def _translate(part: str) -> str:
    for words, english in _TRANSLATIONS.items():
        part = re.sub(rf"\b(?:{words})\b", english, part, flags=re.IGNORECASE)
    return part
