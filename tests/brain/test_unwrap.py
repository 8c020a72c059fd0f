"""Code and JSON are extracted alike, however the model's answer is cut into pieces."""

import itertools
import re

from hypothesis import example, given
from hypothesis import strategies as st

from app.brain.stream import Increment
from app.brain.unwrap import CodeExtractor, DecisionExtractor, JsonObjectExtractor

# GeneratedCode of what fences are made of, so that near misses are common.
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
    code = CodeExtractor()
    given = [code.feed(Increment(content=piece)) for piece in pieces]
    return "".join([*given, code.end(Increment())])


def expected(text: str) -> str:
    """Apply the same rule to the whole text at once."""
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


def test_a_fence_around_code_is_removed_and_one_inside_stays() -> None:
    inside = "const A = `\n```tsx\nx\n```\n`;\n"
    assert code_of([inside]) == inside
    assert code_of([f"```tsx\n{inside}```"]) == inside
    assert code_of(["\n\n```\n", inside, "```\n\n"]) == inside
    assert code_of([inside, "```"]) == inside


def test_code_without_a_fence_is_returned_at_once_and_unchanged() -> None:
    code = CodeExtractor()
    assert code.feed(Increment(content="import a;\n\n  ")) == "import a;\n\n"
    assert code.feed(Increment(content="b`")) == "  b`"
    assert code.feed(Increment(content="``")) == "``"
    assert code.end(Increment()) == ""


def test_white_space_around_code_is_kept() -> None:
    assert code_of([" \r\n\tcode \n\n"]) == " \r\n\tcode \n\n"


JSON_TEXTS = st.lists(
    st.sampled_from(["{", "}", '"', "\\", "[", "]", "a", '\\"', '{"a":{"b":[1,"}"]}}']), max_size=12
).map("".join)


@given(JSON_TEXTS, CUTS)
def test_any_cutting_gives_the_same_object(text: str, places: list[int]) -> None:
    whole = JsonObjectExtractor().feed(text)
    found = JsonObjectExtractor()
    assert "".join(found.feed(piece) for piece in cut(text, places)) == whole
    assert whole == "" if "{" not in text else whole.startswith("{")


def test_the_first_object_is_found_in_prose() -> None:
    text = 'So: ```json\n{"a": "} \\" {", "b": {"c": []}}\n``` and {"d": 1}'
    assert JsonObjectExtractor().feed(text) == '{"a": "} \\" {", "b": {"c": []}}'


def test_text_is_held_back_while_a_call_may_follow() -> None:
    text = DecisionExtractor(expects_call=True)
    assert text.feed(Increment(content='{"a": 1}')) == ""
    assert text.end(Increment(content=" ")) == '{"a": 1}'
    text = DecisionExtractor(expects_call=False)
    assert text.feed(Increment(content='x {"a"')) == '{"a"'
