"""Edits as people ask for them: what changes, that it stays readable, and what the note says."""

import re

import pytest

from app.brain.composer.reading.colours import contrast
from app.tools.code import find_faults
from tests.brain.composer import (
    BY_HAND,
    CHART,
    LIST,
    TITLE,
    compose,
    composed,
    constant,
    edit,
)
from tests.brain.test_edit import added


def test_two_colours_in_one_order_are_set_and_noted() -> None:
    edited = edit(TITLE, "make the background dark green and the text cream")
    assert constant(edited.code, "BACKGROUND_FROM") == "#006400"
    assert constant(edited.code, "TEXT_COLOR") == "#fffdd0"
    assert edited.note == (
        "Changed: background #000080 \u2192 #006400; text colour #ffffff \u2192 #fffdd0."
    )


@pytest.mark.parametrize(
    ("code", "prompt", "expected"),
    [
        (TITLE, "make the text white", "the text colour already is #ffffff"),
        (TITLE, "make the background navy", "the background already is #000080"),
        (BY_HAND, "make the background white", "the background already is #ffffff"),
        (TITLE, "make the background blurple", "I do not know the colour \u201cblurple\u201d"),
    ],
)
def test_colours_set_already_or_unknown_are_noted(code: str, prompt: str, expected: str) -> None:
    edited = edit(code, prompt)
    assert edited.code == code
    assert expected in (edited.note or "")
    assert "I found no" not in (edited.note or "")


@pytest.mark.parametrize(
    "prompt",
    ["make the text bigger", "make the title bounce", "make the text say hi",
     "make the background darker"],
)  # fmt: skip
def test_other_wishes_are_no_unknown_colours(prompt: str) -> None:
    assert "do not know" not in (edit(TITLE, prompt).note or "")


@pytest.mark.parametrize(
    "colour",
    [
        "blue",
        "red",
        "yellow",
        "white",
        "black",
        "grey",
        "teal",
        "#00c387",
        "tomato",
        "#ff0",
        "#8f8f8f",
    ],
)
def test_everything_in_one_colour_can_be_read(colour: str) -> None:
    for code in (TITLE, LIST, CHART):
        after = edit(code, f"make everything {colour}").code
        assert after != code
        text, start, end, accent = (
            str(constant(after, name))
            for name in ("TEXT_COLOR", "BACKGROUND_FROM", "BACKGROUND_TO", "ACCENT_COLOR")
        )
        assert contrast(text, start) >= 4.5
        assert contrast(text, end) >= 4.5
        assert contrast(accent, start) >= 1.6
        assert find_faults(after) == []


def test_a_colour_that_is_hard_to_read_is_noted() -> None:
    assert "hard to read on #000080" in (edit(TITLE, "make it blue").note or "")
    assert "hard to read" not in (edit(TITLE, "make it yellow").note or "")


@pytest.mark.parametrize(
    ("prompt", "speed"),
    [("make it twice as fast", 2), ("half as fast", 0.5), ("make it half the speed", 0.5),
     ("double speed", 2), ("double the speed", 2), ("halve the speed", 0.5),
     ("make it twice as slow", 0.5), ("make it 3 times as fast", 3)],
)  # fmt: skip
def test_speeds_in_words(prompt: str, speed: float) -> None:
    assert constant(edit(TITLE, prompt).code, "SPEED") == speed


@pytest.mark.parametrize(
    ("prompt", "bars"),
    [
        ("change the values to 5, 50", [("Q1", "5"), ("Q2", "50")]),
        ("change the values to 5, 50, 100", [("Q1", "5"), ("Q2", "50"), ("3", "100")]),
        ("set the numbers to 1.5 and 2", [("Q1", "1.5"), ("Q2", "2")]),
        ("set Q1 to 20", [("Q1", "20"), ("Q2", "30")]),
    ],
)
def test_all_values_of_a_chart_at_once(prompt: str, bars: list[tuple[str, str]]) -> None:
    edited = edit(CHART, prompt)
    assert re.findall(r'label: "([^"]*)", value: ([0-9.]+)', edited.code) == bars
    assert find_faults(edited.code) == []
    assert constant(edited.code, "DECIMALS") == (1 if "1.5" in prompt else 0)


@pytest.mark.parametrize("kind", ["pie", "line"])
def test_a_chart_that_cannot_be_drawn_is_noted(kind: str) -> None:
    prompt = f"{kind} chart of rent 30, food 20"
    assert compose(prompt).note == f"I cannot draw a {kind} chart offline, so it is a bar chart."


@pytest.mark.parametrize("prompt", ['neon title "Hi"', 'a glowing title "Hi"', 'neon pink "Hi"'])
def test_neon_titles_glow_and_can_be_read(prompt: str) -> None:
    code = composed(prompt)
    assert "const NEON: boolean = true;" in code
    assert "textShadow: NEON ?" in code
    assert constant(code, "BACKGROUND_FROM") == "#0a0014"
    text, start = str(constant(code, "TEXT_COLOR")), str(constant(code, "BACKGROUND_FROM"))
    accent = str(constant(code, "ACCENT_COLOR"))
    assert contrast(text, start) >= 4.5
    assert contrast(accent, start) >= 3
    assert "const NEON: boolean = false;" in composed('title "Hi"')


def test_a_title_becomes_neon_by_an_edit() -> None:
    lines = added(TITLE, edit(TITLE, "make it neon style").code)
    assert "const NEON: boolean = true;" in lines
