"""Fills the templates of scenes: TSX files with sample constants, and parts that they share.

A template begins with its imports and constants. The line `// @stage` ends them and stands for
the part that all templates share (motion and backdrop); `// @words` stands for animated text.
"""

import re
from functools import cache
from importlib import resources

import msgspec

from app.brain.composer.composing.typescript import literal

END_OF_CONSTANTS = "// @stage\n"
WORDS_MARKER = "// @words\n"

# A constant in the head of a template: its name, its type if it has one, and its sample value.
_CONSTANT = re.compile(
    r"^const (?P<name>[A-Z_]+)(?P<type>: \w+(?:\[\])?)? = (?P<value>.*);$", re.MULTILINE
)
_REMOTION_IMPORT = re.compile(r"^import \{[^}]*\} from \"remotion\";", re.MULTILINE)
_REMOTION_NAMES = (
    "AbsoluteFill",
    "Easing",
    "interpolate",
    "spring",
    "useCurrentFrame",
    "useVideoConfig",
)


class Template(msgspec.Struct, frozen=True):
    """A scene's code in two parts: imports and constants, and all that follows them."""

    head: str
    body: str


@cache
def load_template(kind: str) -> Template:
    """Return the template of a kind of scene, with its shared parts put in."""
    head, _, own_body = _read(kind).partition(END_OF_CONSTANTS)
    body = f"{_read('stage')}\n{own_body.replace(WORDS_MARKER, _read('words'))}"
    return Template(head, body)


def _read(name: str) -> str:
    folder = resources.files("app.brain.composer.composing") / "templates"
    return (folder / f"{name}.tsx").read_text("utf-8")


def fill(kind: str, values: dict[str, object], component: str) -> str:
    """Return the code of a scene: the template with these constants and this component's name.

    Constants that `values` does not name keep their sample values; imports that the body does not
    use are left out.
    """
    template = load_template(kind)

    def put(found: re.Match[str]) -> str:
        key = found["name"]
        if key not in values:
            return found[0]
        return f"const {key}{found['type'] or ''} = {literal(values[key])};"

    used = [name for name in _REMOTION_NAMES if re.search(rf"\b{name}\b", template.body)]
    imports = f'import {{ {", ".join(used)} }} from "remotion";'
    head = _REMOTION_IMPORT.sub(imports, _CONSTANT.sub(put, template.head), count=1)
    body = template.body.replace(
        "export default function Scene(", f"export default function {component}("
    )
    return head + body
