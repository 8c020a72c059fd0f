"""Writes TypeScript: literals that hold any value, and names of components."""

import json
import re
import unicodedata

MAX_LIST_LINE_CHARACTERS = 70  # a longer list is written with one item on a line
MAX_NAME_WORDS = 4  # of the shown words, in a component's name
MAX_NAME_CHARACTERS = 40  # of a component's name, without its suffix
MAX_NAME_SOURCE_CHARACTERS = 200  # of the shown words, read for a name

# Characters that cannot be seen in code, or change the direction of its text.
_INVISIBLE = re.compile("[\x7f-\x9f\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")


def literal(value: object) -> str:
    """Return a string, number, bool, list or dict as a literal; strings may hold any character."""
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, list):
        inner = ", ".join(literal(item) for item in value)
        if len(inner) <= MAX_LIST_LINE_CHARACTERS:
            return f"[{inner}]"
        return "[\n" + "".join(f"  {literal(item)},\n" for item in value) + "]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key}: {literal(item)}" for key, item in value.items()) + " }"
    return json.dumps(value)


def quoted(text: str) -> str:
    """Return the text as a string literal in double quotes, invisible characters escaped."""
    return _INVISIBLE.sub(lambda c: f"\\u{ord(c[0]):04x}", json.dumps(text, ensure_ascii=False))


def component_name_of(words: str, suffix: str) -> str:
    """Return a component's name from shown words: `HelloWorldTitle` for "hello world", "Title"."""
    normalized = unicodedata.normalize("NFKD", words[:MAX_NAME_SOURCE_CHARACTERS])
    ascii_only = normalized.encode("ascii", "ignore").decode()
    parts = re.findall(r"[A-Za-z0-9]+", re.sub(r"(?<=\w)'(?=\w)", "", ascii_only))[:MAX_NAME_WORDS]
    name = "".join(part[:1].upper() + part[1:] for part in parts)[:MAX_NAME_CHARACTERS]
    if name.lower().endswith(suffix.lower()):
        name = name[: -len(suffix)]
    if not name:
        return f"{suffix}Scene"
    return f"{'Scene' if name[0].isdigit() else ''}{name}{suffix}"
