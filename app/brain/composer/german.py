"""German prompts: orders for a new scene are put into English, all else is recognised."""

import re

from app.brain.composer.wording import MASK, find_quotes, masked

_SIGNS = re.compile(
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
_ADD = re.compile(
    r"^\W*(?:bitte\s+)?(?:f\u00fcge?|fuege|erstelle|erzeuge|mache?|zeige)\s+(?:mir\s+)?(?:bitte\s+)?"
    rf"(?:einen|eine|ein)\s+(?:neue[nrs]?\s+)?(?P<noun>{'|'.join(_NOUNS)})\b",
    re.IGNORECASE,
)
_REST = {
    r"hinzu|bitte|lang": "", r"sekunden?": "seconds", "mit": "with", "auf": "on", "und": "and",
    r"dem text|text": "text", "rot": "red", "blau": "blue", "gr\u00fcn": "green", "gelb": "yellow",
    "wei\u00df": "white", "schwarz": "black", "von": "from", "f\u00fcr": "for",
}  # fmt: skip


def translated(text: str) -> str:
    """A German order to add a scene in English, quotes kept; any other text as it is."""
    found = _ADD.match(masked(text))
    if not found:
        return text
    words = ["add a ", _NOUNS[found["noun"].lower()]]
    position = found.end()
    for quote in find_quotes(text):
        if quote.start >= position:
            words += [_replace(text[position : quote.start]), text[quote.start : quote.end]]
            position = quote.end
    return "".join([*words, _replace(text[position:])])


def is_german(plain: str) -> bool:
    """True when at least half of the words outside of quotes look German, and two of them."""
    words = re.findall(r"[^\W\d_]+", plain.replace(MASK, " ")[:2000])
    hits = _SIGNS.findall(" ".join(words))
    return len(hits) >= 2 and len(hits) * 2 >= len(words)


def _replace(part: str) -> str:
    for words, english in _REST.items():
        part = re.sub(rf"\b(?:{words})\b", english, part, flags=re.IGNORECASE)
    return part
