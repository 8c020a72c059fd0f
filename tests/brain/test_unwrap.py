"""However a model's answer is cut into pieces, the same code comes out."""

import itertools
import re

from hypothesis import example, given
from hypothesis import strategies as st

from app.brain.stream import Gain
from app.brain.unwrap import Code, DecisionText, JsonObject

# Made of what fences are made of, so that near misses are common.
TEXTS = st.lists(
    st.sampled_from(
        [
            "`",
            "``",
            "```",
            "````",
            "\n",
            "\r\n",
            "\r",
            " ",
            "\t",
            "tsx",
            "const a = 1;",
            "\ufeff",
            "é🎬",
        ]
    ),
    max_size=14,
).map("".join)
CUTS = st.lists(st.integers(0, 80), max_size=12)


def cut(text: str, places: list[int]) -> list[str]:
    edges = [0, *sorted(place for place in places if place <= len(text)), len(text)]
    return [text[a:b] for a, b in itertools.pairwise(edges)]


def code_of(pieces: list[str]) -> str:
    code = Code()
    given = [code.feed(Gain(content=piece)) for piece in pieces]
    return "".join([*given, code.end(Gain())])


def expected(text: str) -> str:
    """The same rule on the whole text at once."""
    text = text.removeprefix("\ufeff")
    text = re.sub(r"\A[ \t\r\n]{0,64}`{3,10}[^`\r\n]{0,64}(\r?\n|\Z)", "", text)
    return re.sub(r"(?m)^ {0,3}`{3,10}[ \t\r\n]{0,200}\Z", "", text)


@given(TEXTS, CUTS)
@example("```tsx\r\ncode\r\n```\r\n", [1, 2, 3, 7, 8, 17])
@example("\ufeff\ufeffcode", [1, 2])
@example("a\n``` \n \n```\n", [4, 5, 9])
@example("```\n```", [3, 4])
def test_any_cutting_gives_the_same_code(text: str, places: list[int]) -> None:
    assert code_of(cut(text, places)) == expected(text)
    assert code_of(list(text)) == expected(text)


def test_a_fence_around_code_goes_and_one_inside_stays() -> None:
    inside = "const A = `\n```tsx\nx\n```\n`;\n"
    assert code_of([inside]) == inside
    assert code_of([f"```tsx\n{inside}```"]) == inside
    assert code_of(["\n\n```\n", inside, "```\n\n"]) == inside
    assert code_of([inside, "```"]) == inside


def test_code_without_a_fence_is_given_at_once_and_unchanged() -> None:
    code = Code()
    assert code.feed(Gain(content="import a;\n\n  ")) == "import a;\n\n"
    assert code.feed(Gain(content="b`")) == "  b`"
    assert code.feed(Gain(content="``")) == "``"
    assert code.end(Gain()) == ""


def test_white_space_around_code_is_kept() -> None:
    assert code_of([" \r\n\tcode \n\n"]) == " \r\n\tcode \n\n"


JSON_TEXTS = st.lists(
    st.sampled_from(["{", "}", '"', "\\", "[", "]", "a", '\\"', '{"a":{"b":[1,"}"]}}']), max_size=12
).map("".join)


@given(JSON_TEXTS, CUTS)
def test_any_cutting_gives_the_same_object(text: str, places: list[int]) -> None:
    whole = JsonObject().feed(text)
    found = JsonObject()
    assert "".join(found.feed(piece) for piece in cut(text, places)) == whole
    assert whole == "" if "{" not in text else whole.startswith("{")


def test_the_first_object_is_found_in_prose() -> None:
    text = 'So: ```json\n{"a": "} \\" {", "b": {"c": []}}\n``` and {"d": 1}'
    assert JsonObject().feed(text) == '{"a": "} \\" {", "b": {"c": []}}'


def test_text_waits_while_a_call_may_still_come() -> None:
    text = DecisionText(called=True)
    assert text.feed(Gain(content='{"a": 1}')) == ""
    assert text.end(Gain(content=" ")) == '{"a": 1}'
    text = DecisionText(called=False)
    assert text.feed(Gain(content='x {"a"')) == '{"a"'
