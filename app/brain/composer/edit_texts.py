"""Edits of what a scene says: texts, list items, numbers of a chart."""

import re

from app.brain.composer.colours import find_colours
from app.brain.composer.edit_lists import append_item, edit_bars, item_span
from app.brain.composer.sheet import Literal, Sheet
from app.brain.composer.wording import Quote, find_quotes, lower, masked, shorten

ROLES: dict[str, tuple[str, ...]] = {
    "subtitle": ("SUBTITLE", "TAGLINE", "DETAIL", "ROLE", "LABEL"),
    "subtext": ("SUBTITLE", "DETAIL", "TAGLINE"),
    "tagline": ("TAGLINE", "SUBTITLE"),
    "author": ("AUTHOR",),
    "role": ("ROLE",),
    "name": ("NAME", "BRAND"),
    "brand": ("BRAND",),
    "logo": ("BRAND",),
    "quote": ("QUOTE",),
    "button": ("BUTTON",),
    "label": ("LABEL",),
    "heading": ("TITLE", "HEADLINE"),
    "headline": ("HEADLINE", "TITLE"),
    "title": ("TITLE", "HEADLINE", "NAME", "BRAND", "QUOTE"),
    "text": ("TITLE", "HEADLINE", "QUOTE", "NAME", "BRAND", "END_TEXT", "LABEL"),
    "words": ("TITLE", "HEADLINE", "QUOTE", "NAME", "BRAND"),
    "it": ("TITLE", "HEADLINE", "QUOTE", "NAME", "BRAND", "END_TEXT"),
}
_ROLE = "|".join(ROLES)
_LINK = re.compile(
    r"^\W*(?:text\s+)?(?:to|with|by|into|for|\u2192|->|=>|say|becomes?)\b|^\s*(?:\u2192|->|=>)"
)
_SAY = re.compile(
    rf"\b(?P<role>{_ROLE})\b\s*(?:text\s+)?(?:in scene [0-9]+\s+)?"
    r"(?:to|say|says|read|reads|should (?:say|read|be)|is|be|:|=)\s*(?:say\s+|read\s+|:)?\s*$"
)
_NEAR = re.compile(rf"\b(?P<role>{_ROLE})\b[^.;]{{0,30}}$")
_ROLE_TO = re.compile(
    rf"\b(?:the |its |a )?(?P<role>{_ROLE})\b(?: text)?\s*(?:in scene [0-9]+\s+)?"
    r"(?:to|say|says|should (?:say|read|be)|:|=)\s*(?:say |read )?(?P<new>[^,;\n\ue000]{1,200})"
)
_A_TO_B = re.compile(
    r"\b(?:change|replace|swap|rename|turn)\s+(?:the (?:word|text|title|label)s?\s+)?"
    r"(?P<old>[^,;\n\ue000]{1,120}?)\s+(?:to|with|by|into)\s+(?P<new>[^,;\n\ue000]{1,200})"
)
_TAIL = re.compile(
    r"\s+(?:and|then)\s+(?:make|change|set|add|use|turn|speed|slow|remove)\b.*$|[.!]\s*$", re.DOTALL
)
_REMOVE_ROLE = re.compile(
    rf"\b(?:remove|delete|drop|hide|without|no)\s+(?:the |its |a )?(?P<role>{_ROLE})\b"
)
_REMOVE = re.compile(r"\b(?:remove|delete|drop|erase|take out)\b[^.;\ue000]{0,40}$")
_ADD = re.compile(r"\b(?:add|insert|append|put)\b[^.;\ue000]{0,40}$")
TEXT_MOST = 2000


def edit_texts(sheet: Sheet, text: str, done: list[str], undone: list[str]) -> None:
    """Apply all that `text` says about texts; what was done and what was not is told."""
    quotes = find_quotes(text)
    plain = lower(masked(text))
    used = _swap_quotes(sheet, plain, quotes, done, undone)
    for index, quote in enumerate(quotes):
        if index not in used:
            _one_quote(sheet, plain, quote, done, undone)
    if not quotes:
        _unquoted(sheet, text, plain, done, undone)
    for found in _REMOVE_ROLE.finditer(plain):
        _clear_role(sheet, found["role"], done, undone)
    edit_bars(sheet, plain, done)


def _swap_quotes(
    sheet: Sheet, plain: str, quotes: list[Quote], done: list[str], undone: list[str]
) -> set[int]:
    """ "A" to "B", for each such pair."""
    used: set[int] = set()
    for index in range(len(quotes) - 1):
        old, new = quotes[index], quotes[index + 1]
        between = plain[old.end : new.start]
        if index in used or len(between) > 30 or not _LINK.search(between):
            continue
        used |= {index, index + 1}
        _swap(sheet, old.text, new.text, done, undone)
    return used


def _swap(sheet: Sheet, old: str, new: str, done: list[str], undone: list[str]) -> bool:
    new = new[:TEXT_MOST]
    for same in (_equal, _equal_folded):
        hits = [literal for literal in sheet.texts if same(literal.value, old)]
        changed = [sheet.set_text(literal, new) for literal in hits]
        if any(changed):
            done.append(f"text \u201c{shorten(new, 40)}\u201d")
            return True
        if hits:
            undone.append(f"\u201c{shorten(old, 40)}\u201d already reads so")
            return False
    within = re.compile(re.escape(old), re.IGNORECASE)
    hits = [literal for literal in sheet.texts if literal.shown and within.search(literal.value)]
    exact = [literal for literal in hits if old in literal.value]
    for literal in exact or hits:
        value = (
            literal.value.replace(old, new) if exact else within.sub(lambda _: new, literal.value)
        )
        if sheet.set_text(literal, value) and literal is (exact or hits)[0]:
            done.append(f"text \u201c{shorten(new, 40)}\u201d")
    if not hits:
        undone.append(f"I found no text \u201c{shorten(old, 60)}\u201d in this scene")
    return bool(hits)


def _equal(one: str, other: str) -> bool:
    return one == other


def _equal_folded(one: str, other: str) -> bool:
    return one.strip().casefold() == other.strip().casefold()


def _one_quote(sheet: Sheet, plain: str, quote: Quote, done: list[str], undone: list[str]) -> None:
    before = plain[max(0, quote.start - 70) : quote.start]
    if _REMOVE.search(before):
        _remove(sheet, quote.text, done, undone)
        return
    to_list = re.search(
        r"\b(?:item|bullet|point|step|list)\b", before + plain[quote.end : quote.end + 30]
    )
    if _ADD.search(before) and to_list and append_item(sheet, quote.text, done):
        return
    found = _SAY.search(before) or _NEAR.search(before)
    ordered = re.search(r"\b(?:say|says|read|reads|to|with|text)\s*:?\s*$", before)
    if found:
        _set_role(sheet, found["role"], quote.text, done, undone)
    elif ordered or not any(quote.text in literal.value for literal in sheet.texts):
        _set_role(sheet, "text", quote.text, done, undone)


def _set_role(sheet: Sheet, role: str, new: str, done: list[str], undone: list[str]) -> None:
    new = new[:TEXT_MOST]
    literal = _literal_of(sheet, role)
    if literal is None:
        undone.append(f"I found no {role} in this scene")
    elif sheet.set_text(literal, new):
        done.append(f"{'text' if role == 'it' else role} \u201c{shorten(new, 40)}\u201d")
    else:
        undone.append(f"the {role} already reads so")


def _literal_of(sheet: Sheet, role: str) -> Literal | None:
    """The literal that plays a role: a constant so named, else the first text that is shown."""
    by_name = {literal.name: literal for literal in reversed(sheet.texts)}
    for name in ROLES[role]:
        if name in by_name:
            return by_name[name]
    for name, literal in by_name.items():
        if role in name.lower() and role != "it":
            return literal
    if role not in ("title", "text", "heading", "headline", "words", "it"):
        return None
    shown = [
        each
        for each in sheet.texts
        if each.shown
        and re.search(r"[^\W\d_]", each.value)
        and (not each.name or re.search(r"[A-Z\s]", each.value))
    ]
    return min(shown, key=lambda each: (each.name != "", each.start), default=None)


def _clear_role(sheet: Sheet, role: str, done: list[str], undone: list[str]) -> None:
    literal = _literal_of(sheet, role) if role != "it" else None
    if literal is None:
        return
    if literal.value and sheet.set_text(literal, ""):
        done.append(f"no {role}")
    elif not literal.value:
        undone.append(f"there is no {role} to remove")


def _remove(sheet: Sheet, old: str, done: list[str], undone: list[str]) -> None:
    for literal in sheet.texts:
        if _equal_folded(literal.value, old):
            span = item_span(sheet, literal)
            if sheet.replace(*span, "") if span else sheet.set_text(literal, ""):
                done.append(f"without \u201c{shorten(old, 40)}\u201d")
                return
    _swap(sheet, old, "", done, undone)


def _unquoted(sheet: Sheet, text: str, plain: str, done: list[str], undone: list[str]) -> None:
    colours = find_colours(plain)
    for pattern in (_A_TO_B, _ROLE_TO):
        found = pattern.search(plain)
        if not found:
            continue
        start = found.start("new")
        new = _TAIL.sub("", text[start : found.end("new")]).strip()
        size = re.fullmatch(r"[0-9.]+\s*(?:px|%|pt|em)?", new)
        if (
            not new
            or size
            or any(c.start <= start + len(new) and start <= c.start for c in colours)
        ):
            continue
        if re.match(
            r"(?:be |say |read )?(?:bigger|smaller|larger|bold|faster|slower)\b", new.lower()
        ):
            continue
        if pattern is _ROLE_TO:
            _set_role(sheet, found["role"], new, done, undone)
            return
        old = text[found.start("old") : found.end("old")].strip()
        if any(old.casefold() in literal.value.casefold() for literal in sheet.texts):
            _swap(sheet, old, new, done, undone)
            return
