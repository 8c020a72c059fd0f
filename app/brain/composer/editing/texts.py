"""Edits the texts of a scene, and through `lists` its items and numbers."""

import re

from app.brain.composer.editing.changes import NO_CHANGES, Changes, done, failed
from app.brain.composer.editing.editable import CodeText, EditableCode
from app.brain.composer.editing.lists import append_item, edit_bars, item_span
from app.brain.composer.reading.colours import find_colours
from app.brain.composer.reading.wording import Quote, find_quotes, plain_of, shorten

MAX_TEXT_CHARACTERS = 2_000  # of a text that an edit puts into a scene
MAX_QUOTED_CHARACTERS = 40  # of a new text, in a note
MAX_QUOTED_OLD_CHARACTERS = 60  # of a text that was not found, in a note
MAX_LINK_CHARACTERS = 30  # between two quotes of which the second replaces the first
MAX_BEFORE_CHARACTERS = 70  # before a quote, searched for what to do with it
MAX_AFTER_CHARACTERS = 30  # after a quote, searched for "list" and the like

# What a part of a scene is called, and the constants of the templates that hold it, the best
# first. "it" is what the scene says when the order names no part.
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
# Roles for which the first text that is shown will do, in code of others.
_MAIN_ROLES = ("title", "text", "heading", "headline", "words", "it")
_ROLE = "|".join(ROLES)
# What stands between an old and a new text in quotes: "a" to "b", "a" -> "b".
_REPLACED_BY = re.compile(
    r"^\W*(?:text\s+)?(?:to|with|by|into|for|\u2192|->|=>|say|becomes?)\b|^\s*(?:\u2192|->|=>)"
)
# A role right before a quote that is its new text: "the subtitle should say".
_ROLE_SAYS = re.compile(
    rf"\b(?P<role>{_ROLE})\b\s*(?:text\s+)?(?:in scene [0-9]+\s+)?"
    r"(?:to|say|says|read|reads|should (?:say|read|be)|is|be|:|=)\s*(?:say\s+|read\s+|:)?\s*$"
)
# A role that stands near a quote.
_ROLE_NEAR = re.compile(rf"\b(?P<role>{_ROLE})\b[^.;]{{0,30}}$")
_SAYS = re.compile(r"\b(?:say|says|read|reads|to|with|text)\s*:?\s*$")
# A new text for a role without quotes: "change the title to Welcome".
_ROLE_TO = re.compile(
    rf"\b(?:the |its |a )?(?P<role>{_ROLE})\b(?: text)?\s*(?:in scene [0-9]+\s+)?"
    r"(?:to|say|says|should (?:say|read|be)|:|=)\s*(?:say |read )?(?P<new>[^,;\n\ue000]{1,200})"
)
# An old and a new text without quotes: "change world to universe".
_OLD_TO_NEW = re.compile(
    r"\b(?:change|replace|swap|rename|turn)\s+(?:the (?:word|text|title|label)s?\s+)?"
    r"(?P<old>[^,;\n\ue000]{1,120}?)\s+(?:to|with|by|into)\s+(?P<new>[^,;\n\ue000]{1,200})"
)
# The next order or a full stop behind a new text.
_NEXT_ORDER = re.compile(
    r"\s+(?:and|then)\s+(?:make|change|set|add|use|turn|speed|slow|remove)\b.*$|[.!]\s*$", re.DOTALL
)
# What "change … to" may be about instead of a text: a size, or looks.
_SIZE = re.compile(r"[0-9.]+\s*(?:px|%|pt|em)?")
_LOOKS = re.compile(r"(?:be |say |read )?(?:bigger|smaller|larger|bold|faster|slower)\b")
_REMOVES_ROLE = re.compile(
    rf"\b(?:remove|delete|drop|hide|without|no)\s+(?:the |its |a )?(?P<role>{_ROLE})\b"
)
_REMOVES = re.compile(r"\b(?:remove|delete|drop|erase|take out)\b[^.;\ue000]{0,40}$")
_ADDS = re.compile(r"\b(?:add|insert|append|put)\b[^.;\ue000]{0,40}$")
_LIST_WORD = re.compile(r"\b(?:item|bullet|point|step|list)\b")


def edit_texts(code: EditableCode, text: str) -> Changes:
    """Apply the orders of a prompt about texts, items and the values of a chart."""
    quotes = find_quotes(text)
    plain = plain_of(text)
    pairs = _replacement_pairs(plain, quotes)
    paired = {index for first in pairs for index in (first, first + 1)}
    changes = NO_CHANGES
    for first in pairs:
        changes += _replace_text(code, quotes[first].text, quotes[first + 1].text)
    for index, quote in enumerate(quotes):
        if index not in paired:
            changes += _apply_quote(code, plain, quote)
    if not quotes:
        changes += _edit_unquoted(code, text, plain)
    for found in _REMOVES_ROLE.finditer(plain):
        changes += _clear_role(code, found["role"])
    return changes + edit_bars(code, plain)


def _replacement_pairs(plain: str, quotes: list[Quote]) -> list[int]:
    """Return the indexes of quotes that the next quote replaces: "A" to "B"."""
    pairs: list[int] = []
    for index in range(len(quotes) - 1):
        between = plain[quotes[index].end : quotes[index + 1].start]
        is_taken = bool(pairs) and pairs[-1] == index - 1
        if not is_taken and len(between) <= MAX_LINK_CHARACTERS and _REPLACED_BY.search(between):
            pairs.append(index)
    return pairs


def _replace_text(code: EditableCode, old: str, new: str) -> Changes:
    """Replace a text: whole texts that are equal, else equal without case, else parts of texts."""
    new = new[:MAX_TEXT_CHARACTERS]
    replaced = done(f"text \u201c{shorten(new, MAX_QUOTED_CHARACTERS)}\u201d")
    for is_same in (_is_equal, _is_equal_without_case):
        hits = [text for text in code.texts if is_same(text.value, old)]
        changed = [code.set_text(text, new) for text in hits]
        if any(changed):
            return replaced
        if hits:
            return failed(f"\u201c{shorten(old, MAX_QUOTED_CHARACTERS)}\u201d already reads so")
    within = re.compile(re.escape(old), re.IGNORECASE)
    hits = [text for text in code.texts if text.shown and within.search(text.value)]
    if not hits:
        quoted = shorten(old, MAX_QUOTED_OLD_CHARACTERS)
        return failed(f"I found no text \u201c{quoted}\u201d in this scene")
    exact = [text for text in hits if old in text.value]
    changed = [
        code.set_text(
            text,
            text.value.replace(old, new) if exact else within.sub(lambda _: new, text.value),
        )
        for text in exact or hits
    ]
    return replaced if changed[0] else NO_CHANGES


def _is_equal(one: str, other: str) -> bool:
    return one == other


def _is_equal_without_case(one: str, other: str) -> bool:
    return one.strip().casefold() == other.strip().casefold()


def _apply_quote(code: EditableCode, plain: str, quote: Quote) -> Changes:
    """Apply the words around one quote: remove it, add it, or set the text of a role to it."""
    before = plain[max(0, quote.start - MAX_BEFORE_CHARACTERS) : quote.start]
    after = plain[quote.end : quote.end + MAX_AFTER_CHARACTERS]
    if _REMOVES.search(before):
        return _remove_text(code, quote.text)
    if _ADDS.search(before) and _LIST_WORD.search(before + after):
        added = append_item(code, quote.text)
        if added:
            return added
    role = _ROLE_SAYS.search(before) or _ROLE_NEAR.search(before)
    if role:
        return _set_role(code, role["role"], quote.text)
    if _SAYS.search(before) or not any(quote.text in text.value for text in code.texts):
        return _set_role(code, "text", quote.text)
    return NO_CHANGES


def _set_role(code: EditableCode, role: str, new: str) -> Changes:
    new = new[:MAX_TEXT_CHARACTERS]
    text = _text_of_role(code, role)
    if text is None:
        return failed(f"I found no {role} in this scene")
    if code.set_text(text, new):
        label = "text" if role == "it" else role
        return done(f"{label} \u201c{shorten(new, MAX_QUOTED_CHARACTERS)}\u201d")
    return failed(f"the {role} already reads so")


def _text_of_role(code: EditableCode, role: str) -> CodeText | None:
    """Return the text that plays a role.

    It is the constant of that name, else one whose name holds the role, else for the main roles
    the first text that is shown.
    """
    by_name = {text.name: text for text in reversed(code.texts)}
    for name in ROLES[role]:
        if name in by_name:
            return by_name[name]
    for name, text in by_name.items():
        if role in name.lower() and role != "it":
            return text
    if role not in _MAIN_ROLES:
        return None
    candidates = [
        text
        for text in code.texts
        if text.shown
        and re.search(r"[^\W\d_]", text.value)
        and (not text.name or re.search(r"[A-Z\s]", text.value))
    ]
    return min(candidates, key=lambda text: (text.name != "", text.start), default=None)


def _clear_role(code: EditableCode, role: str) -> Changes:
    text = _text_of_role(code, role) if role != "it" else None
    if text is None:
        return NO_CHANGES
    if not text.value:
        return failed(f"there is no {role} to remove")
    return done(f"no {role}") if code.set_text(text, "") else NO_CHANGES


def _remove_text(code: EditableCode, old: str) -> Changes:
    """Remove a text: an item of a list with its comma, else empty the text or a part of it."""
    for text in code.texts:
        if _is_equal_without_case(text.value, old):
            span = item_span(code, text)
            if code.replace(*span, "") if span else code.set_text(text, ""):
                return done(f"without \u201c{shorten(old, MAX_QUOTED_CHARACTERS)}\u201d")
    return _replace_text(code, old, "")


def _edit_unquoted(code: EditableCode, text: str, plain: str) -> Changes:
    """Apply an order for a new text that has no quotes: "change world to universe"."""
    for pattern in (_OLD_TO_NEW, _ROLE_TO):
        found = pattern.search(plain)
        if not found:
            continue
        start = found.start("new")
        new = _NEXT_ORDER.sub("", text[start : found.end("new")]).strip()
        if not new or _is_no_text(plain, start, new):
            continue
        if pattern is _ROLE_TO:
            return _set_role(code, found["role"], new)
        old = text[found.start("old") : found.end("old")].strip()
        if any(old.casefold() in each.value.casefold() for each in code.texts):
            return _replace_text(code, old, new)
    return NO_CHANGES


def _is_no_text(plain: str, start: int, new: str) -> bool:
    """Return whether what follows "to" is a size, a colour or a look."""
    if _SIZE.fullmatch(new) or _LOOKS.match(new.lower()):
        return True
    return any(start <= colour.start <= start + len(new) for colour in find_colours(plain))
