"""Writing TSX: templates, their constants, and literals that hold any text."""

import json
import math
import re
import unicodedata
from functools import cache
from importlib import resources

_CONSTANT = re.compile(
    r"^const (?P<name>[A-Z_]+)(?P<type>: \w+(?:\[\])?)? = (?P<value>.*);$", re.MULTILINE
)
_UNSAFE = re.compile("[\x7f-\x9f\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")
_WORD = re.compile(r"[\u1100-\u11ff\u2e80-\ua4cf\uac00-\ud7af\uf900-\uffef]|[^\s\u2e80-\ua4cf]+")
_REMOTION = ("AbsoluteFill", "Easing", "interpolate", "spring", "useCurrentFrame", "useVideoConfig")


@cache
def template(kind: str) -> str:
    """A scene's code with sample constants, its shared parts put in."""
    folder = resources.files("app.brain.composer") / "scenes"
    code = (folder / f"{kind}.tsx").read_text("utf-8")
    for part in ("stage", "words"):
        shared = (folder / f"{part}.tsx").read_text("utf-8")
        code = code.replace(f"// @{part}\n", shared + ("\n" if part == "stage" else ""))
    return code


def fill(kind: str, values: dict[str, object], name: str) -> str:
    """The template's code with these constants, exporting the component `name`."""
    code = template(kind)

    def put(found: re.Match[str]) -> str:
        key = found["name"]
        if key not in values:
            return found[0]
        return f"const {key}{found['type'] or ''} = {literal(values[key])};"

    head, mark, body = code.partition("/** In with ANIMATION")
    code = _CONSTANT.sub(put, head) + mark + body
    code = code.replace("export default function Scene(", f"export default function {name}(")
    used = [item for item in _REMOTION if re.search(rf"\b{item}\b", body + mark)]
    return re.sub(
        r"^import \{[^}]*\} from \"remotion\";", f'import {{ {", ".join(used)} }} from "remotion";',
        code, count=1, flags=re.MULTILINE,
    )  # fmt: skip


def literal(value: object) -> str:
    """A JavaScript literal; text may hold any character."""
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, list):
        inner = ", ".join(literal(item) for item in value)
        if len(inner) <= 70:
            return f"[{inner}]"
        return "[\n" + "".join(f"  {literal(item)},\n" for item in value) + "]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key}: {literal(item)}" for key, item in value.items()) + " }"
    return json.dumps(value)


def quoted(text: str) -> str:
    """The text in double quotes, everything invisible escaped."""
    return _UNSAFE.sub(lambda c: f"\\u{ord(c[0]):04x}", json.dumps(text, ensure_ascii=False))


def component_of(words: str, suffix: str) -> str:
    """A component's name from shown words: `hello world`, `Title` -> `HelloWorldTitle`."""
    plain = unicodedata.normalize("NFKD", words[:200]).encode("ascii", "ignore").decode()
    parts = re.findall(r"[A-Za-z0-9]+", re.sub(r"(?<=\w)'(?=\w)", "", plain))[:4]
    name = "".join(part[:1].upper() + part[1:] for part in parts)[:40]
    if name.lower().endswith(suffix.lower()):
        name = name[: -len(suffix)]
    if not name:
        return f"{suffix}Scene"
    return f"{'Scene' if name[0].isdigit() else ''}{name}{suffix}"


def fit(text: str, width: float, height: float, most: float) -> int:
    """The largest size in pixels, at most `most`, at which bold text fits a box; 20 at least."""
    lines = text.split("\n") or [""]
    words = _WORD.findall(text[:4000])
    size = most
    while size > 20:
        longest = max(map(_ems, words), default=0.0)
        rows = sum(max(1, math.ceil(_ems(line) * size * 1.08 / width)) for line in lines)
        if longest * size <= width and rows * size * 1.2 <= height:
            break
        size *= 0.94
    return max(20, round(size))


def _ems(text: str) -> float:
    return sum(
        1.05 if unicodedata.east_asian_width(char) in "WF" else 0.62 if char.isupper() else 0.55
        for char in text[:4000]
    )
