"""Edits are exact and minimal, and their notes say what could not be done."""

import difflib

import pytest

from app.brain.composer.editing.editable import EditableCode
from app.scenes.blank import BLANK
from tests.brain.composer import BY_HAND, CHART, LIST, TITLE, edit


def added(before: str, after: str) -> list[str]:
    lines = difflib.ndiff(before.splitlines(), after.splitlines())
    return [line[2:].strip() for line in lines if line.startswith("+ ")]


@pytest.mark.parametrize(
    ("code", "prompt", "lines"),
    [
        (TITLE, 'change "Hello World" to "It\'s `new`"', ['const TITLE = "It\'s `new`";']),
        (TITLE, "change world to universe", ['const TITLE = "Hello universe";']),
        (TITLE, "change the title to Welcome Home", ['const TITLE = "Welcome Home";']),
        (TITLE, 'make it say "Hi"', ['const TITLE = "Hi";']),
        (TITLE, 'set the subtitle to "B"', ['const SUBTITLE = "B";']),
        (TITLE, "remove the subtitle", ['const SUBTITLE = "";']),
        (TITLE, "make it red", ['const TEXT_COLOR = "#ff0000";']),
        (TITLE, "text in yellow", ['const TEXT_COLOR = "#ffff00";']),
        (TITLE, "change the title to green", ['const TEXT_COLOR = "#008000";']),
        (TITLE, "make the accent gold", ['const ACCENT_COLOR = "#ffd700";']),
        (TITLE, "font size 80", ["const FONT_SIZE = 80;"]),
        (TITLE, "speed up", ["const SPEED = 1.5;"]),
        (TITLE, "2x faster", ["const SPEED = 2;"]),
        (TITLE, "slow down", ["const SPEED = 0.667;"]),
        (TITLE, "let it fade", ['const ANIMATION: string = "fade";']),
        (
            TITLE,
            "make the background white",
            ['const TEXT_COLOR = "#111318";', 'const BACKGROUND_FROM = "#ffffff";',
             'const BACKGROUND_TO = "#ffffff";'],
        ),
        (LIST, 'add "Tea" to the list',
         ['const ITEMS: string[] = ["Eggs", "Milk", "Bread", "Tea"];']),
        (LIST, 'remove "Milk"', ['const ITEMS: string[] = ["Eggs", "Bread"];']),
        (LIST, 'remove "Bread"', ['const ITEMS: string[] = ["Eggs", "Milk"];']),
        (LIST, 'change "Eggs" to "Ham"', ['const ITEMS: string[] = ["Ham", "Milk", "Bread"];']),
        (CHART, "set Q1 to 20",
         ['const BARS = [{ label: "Q1", value: 20 }, { label: "Q2", value: 30 }];']),
        (CHART, "make the bars green", ['const ACCENT_COLOR = "#008000";']),
        (BY_HAND, "make the circle blue", ['const accent = "#0000ff";']),
        (BY_HAND, "change one to first", ["const words = ['first', \"T\\u0077o\", `Three`];"]),
        (BY_HAND, 'change "Two" to "2"', ["const words = ['One', \"2\", `Three`];"]),
        (BY_HAND, 'change "Three" to "`3`"', ["const words = ['One', \"T\\u0077o\", \"`3`\"];"]),
        (BY_HAND, "let 'One' be", []),
    ],
)  # fmt: skip
def test_edits_touch_only_what_is_asked(code: str, prompt: str, lines: list[str]) -> None:
    edited = edit(code, prompt)
    assert added(code, edited.code) == lines
    if lines:
        assert (edited.note or "").startswith("Changed: ")


@pytest.mark.parametrize(
    ("prompt", "old", "new"),
    [
        ("make the background dark blue", "backgroundColor: 'white'", 'backgroundColor: "#00008b"'),
        ("change white to black", "backgroundColor: 'white'", 'backgroundColor: "#000000"'),
        ("make the text green", "color: '#333'", 'color: "#008000"'),
        ('change "Hello" to "Hi"', ">Hello   {title}", ">Hi   {title}"),
        ("change text to t{x}t", "{title} text &amp;", '{title} {"t{x}t"} &amp;'),
        ("serif font please, use monospace", "fontFamily: 'serif'", "fontFamily: \"'JetBrains"),
    ],
)
def test_hand_written_code_is_edited_in_place(prompt: str, old: str, new: str) -> None:
    edited = edit(BY_HAND, prompt)
    assert old in BY_HAND
    assert new in edited.code


def test_sizes_of_hand_written_code_keep_their_units() -> None:
    code = edit(BY_HAND, "make it bigger").code
    assert "fontSize: 75," in code
    assert 'fontSize: "5rem"' in code


def test_plain_ranges_are_scaled_and_springs_get_a_faster_frame() -> None:
    assert "interpolate(frame, [0, 20], [0, 1]" in edit(BY_HAND, "make it faster").code
    spring = BY_HAND.replace("interpolate(frame,", "spring({frame, fps: 30}) + interpolate(frame,")
    code = edit(spring, "make it 2x faster").code
    assert "useCurrentFrame() * 2;" in code
    assert "[0, 30]" in code
    assert "useCurrentFrame() * 4;" in edit(code, "make it 2x faster").code


@pytest.mark.parametrize(
    ("code", "prompt", "expected"),
    [
        (TITLE, "let it dance", "did not understand"),
        (TITLE, 'change "nope" to "x"', "I found no text \u201cnope\u201d"),
        (TITLE, "let it bounce", "already moves by bounce"),
        (BY_HAND, "let it bounce", "cannot rebuild the motion"),
        (BY_HAND, "make it darker", "tell me the colours"),
        (BY_HAND, 'set the author to "X"', "I found no author"),
    ],
)
def test_what_cannot_be_done_is_noted_and_nothing_changes(
    code: str, prompt: str, expected: str
) -> None:
    edited = edit(code, prompt)
    assert edited.code == code
    assert expected in (edited.note or "")
    assert "offline" in (edited.note or "")


def test_the_note_of_a_partial_edit_says_what_was_left() -> None:
    edited = edit(BY_HAND, "make the text green and let it bounce")
    assert 'color: "#008000"' in edited.code
    assert "cannot rebuild the motion" in (edited.note or "")
    assert "The rest is done." in (edited.note or "")


def test_a_new_length_alone_needs_no_note() -> None:
    edited = edit(TITLE, "make it 3 seconds", duration=90)
    assert (edited.code, edited.note) == (TITLE, None)


def test_several_edits_in_one_prompt() -> None:
    code = edit(TITLE, "make it red and bigger and faster").code
    assert len(added(TITLE, code)) == 3


def test_the_first_of_two_replacements_of_one_place_wins() -> None:
    code_ = EditableCode('const TITLE = "abc";')
    assert code_.replace(14, 19, '"x"')
    assert not code_.replace(15, 16, "y")
    assert code_.replace(6, 11, "NAME")
    assert code_.result() == 'const NAME = "x";'
    code = edit(TITLE, 'change "Hello World" to "A" and change "Hello World" to "B"').code
    assert added(TITLE, code) == ['const TITLE = "A";']


def test_a_blank_scene_is_composed_when_the_prompt_says_its_content() -> None:
    code = edit(BLANK, 'make it a quote "Less is more" by Mies').code
    assert 'const QUOTE = "Less is more";' in code
    assert 'const TITLE = "Hi";' in edit("", 'make it say "Hi"').code
    recoloured = edit(BLANK, "make the background dark blue").code
    assert 'background: "#00008b",' in recoloured
    assert "New scene" in recoloured


def test_code_that_had_faults_before_is_left_as_it_was() -> None:
    code = 'import x from "lodash";\n' + BY_HAND
    edited = edit(code, "make the text green")
    assert edited.code == code
    assert "cannot repair" in (edited.note or "")
    assert "lodash" in (edited.note or "")
