"""New scenes hold the words, colours, numbers and looks of their prompts."""

import re

import pytest

from app.brain.composer.composing.palette import choose_palette
from app.brain.composer.composing.plan import fit
from app.brain.composer.composing.typescript import component_name_of, quoted
from app.brain.composer.editing.editable import EditableCode, unquote
from app.brain.composer.reading.colours import contrast, find_colours
from app.brain.composer.reading.wording import find_quotes
from app.tools.code import title_of
from tests.brain.composer import compose, composed, constant


@pytest.mark.parametrize(
    ("prompt", "name", "constants"),
    [
        (
            'Add a title "Hello World" in red on dark blue',
            "Hello World Title",
            {"TITLE": "Hello World", "TEXT_COLOR": "#ff0000", "BACKGROUND_FROM": "#00008b"},
        ),
        (
            "Make an intro for my coffee shop",
            "Coffee Shop Title",
            {"TITLE": "Coffee Shop", "SUBTITLE": ""},
        ),
        (
            "Welcome to the future",
            "Welcome To The Future Title",
            {"TITLE": "Welcome to the future"},
        ),
        (
            'lower third "Ada Lovelace" "Mathematician"',
            "Ada Lovelace Lower Third",
            {"NAME": "Ada Lovelace", "ROLE": "Mathematician"},
        ),
        ("a list: eggs, milk and bread", "Eggs List", {"TITLE": ""}),
        (
            "quote \u201cStay hungry\u201d by Steve Jobs",
            "Steve Jobs Quote",
            {"QUOTE": "Stay hungry", "AUTHOR": "Steve Jobs"},
        ),
        ("bar chart of sales 10, 20, 35 in orange", "Sales Chart", {"ACCENT_COLOR": "#ffa500"}),
        ("logo for Acme Corp", "Acme Corp Logo", {"BRAND": "Acme Corp", "MARK": "AC"}),
        ("12 triangles dancing", "Triangle Dance Shapes", {"SHAPE": "triangle", "COUNT": 12.0}),
        ("countdown from 10", "Countdown", {"COUNT_FROM": 10.0, "END_TEXT": "Go!"}),
        (
            'counter to $5,000 "Happy users"',
            "Happy Users Counter",
            {"COUNT_TO": 5000.0, "PREFIX": "$", "LABEL": "Happy users"},
        ),
        ("counter from 0 to 1 million", "Counter", {"COUNT_TO": 1.0, "SUFFIX": " million"}),
        ("Add a countdown from 3", "Countdown", {"COUNT_FROM": 3.0}),
        ("countdown 3 2 1", "Countdown", {"COUNT_FROM": 3.0}),
        ("a rotating blue square", "Square Dance Shapes", {"COUNT": 1.0, "SHAPE": "square"}),
        (
            "lower third for Jane Doe, CEO",
            "Jane Doe Lower Third",
            {"NAME": "Jane Doe", "ROLE": "CEO"},
        ),
        ("coffee vs tea", "Coffee Or Tea Comparison", {"LEFT": "Coffee", "RIGHT": "Tea"}),
        (
            'call to action "Try it" subscribe www.example.com',
            "Try It Call To Action",
            {"HEADLINE": "Try it", "BUTTON": "Subscribe", "DETAIL": "www.example.com"},
        ),
        ('a typewriter title "X", fast', "XTitle", {"ANIMATION": "typewriter", "SPEED": 1.5}),
        ('title "X" that bounces slowly', "XTitle", {"ANIMATION": "bounce", "SPEED": 0.65}),
        ('title "X" zoom', "XTitle", {"ANIMATION": "zoom"}),
        ("title \u00abIt's 'so'\u00bb", "Its So Title", {"TITLE": "It's 'so'"}),
        ("title 'don\u2019t stop'", "Dont Stop Title", {"TITLE": "don\u2019t stop"}),
    ],
)
def test_prompts_are_honoured(prompt: str, name: str, constants: dict[str, object]) -> None:
    code = composed(prompt)
    assert {key: constant(code, key) for key in constants} == constants
    assert title_of(code).replace(" ", "") == name.replace(" ", "")


@pytest.mark.parametrize(
    ("prompt", "bars"),
    [
        ("chart Q1 12 Q2 30", [("Q1", "12"), ("Q2", "30")]),
        ("chart of sales 10, 20, 35", [("1", "10"), ("2", "20"), ("3", "35")]),
        ('chart "Revenue" Jan 12%, Feb 30%', [("Jan", "12"), ("Feb", "30")]),
        ("pie chart of 30% rent, 20% food", [("Rent", "30"), ("Food", "20")]),
        ("monthly chart 10, 20.5", [("Jan", "10"), ("Feb", "20.5")]),
        ("bar chart apples: 1,200, pears: 900", [("Apples", "1200"), ("Pears", "900")]),
        ("chart 2023: 5, 2024: 9 in 4 seconds", [("2023", "5"), ("2024", "9")]),
        ('chart with "A b" 4 and "C" 6 on #112233', [("A b", "4"), ("C", "6")]),
    ],
)
def test_charts_take_numbers_and_labels(prompt: str, bars: list[tuple[str, str]]) -> None:
    found = re.findall(r'label: "([^"]*)", value: ([0-9.]+)', composed(prompt))
    assert found == bars


def test_sample_numbers_are_noted() -> None:
    assert "samples" in (compose("a bar chart").note or "")


@pytest.mark.parametrize(
    ("prompt", "items"),
    [
        ('list titled "Plan": eggs, milk and bread', ["Eggs", "Milk", "Bread"]),
        ('list "one" "two"', ["One", "Two"]),
        ("checklist\n- a b\n- c", ["A b", "C"]),
        ("steps: 1. open 2. look", ["Open", "Look"]),
    ],
)
def test_lists_take_their_items(prompt: str, items: list[str]) -> None:
    node = EditableCode(composed(prompt)).constants["ITEMS"]
    assert [unquote((each.text or b"").decode()) for each in node.named_children] == items


def test_portrait_text_is_smaller_and_fits() -> None:
    wide = constant(composed('title "Extraordinary things"', "landscape"), "FONT_SIZE")
    tall = constant(composed('title "Extraordinary things"', "portrait"), "FONT_SIZE")
    assert isinstance(wide, float)
    assert isinstance(tall, float)
    assert tall < wide
    assert 0.55 * len("Extraordinary") * tall <= 1080 * 0.82


def test_long_words_and_texts_shrink() -> None:
    assert fit("a", 1000, 500, 200) == 200
    assert fit("a" * 40, 1000, 500, 200) < 50
    assert fit("\u4f60\u597d" * 20, 1000, 100, 200) < fit("ab" * 2, 1000, 100, 200)
    assert fit("word " * 2000, 1000, 500, 200) == 20


def test_text_can_be_read_on_any_named_background() -> None:
    for name in ("white", "black", "yellow", "navy", "red", "grey", "teal", "pink", "#777"):
        palette = choose_palette(f"title on {name} background", 3, main_is_text=True)
        assert contrast(palette.text, palette.start) >= 3, name


@pytest.mark.parametrize(
    ("text", "colours"),
    [
        ("red title on dark blue background", [("#ff0000", "text"), ("#00008b", "background")]),
        ("background red, text white", [("#ff0000", "background"), ("#ffffff", "text")]),
        ("light-green bars", [("#90ee90", "accent")]),
        ("#F0f on Black", [("#ff00ff", "main"), ("#000000", "background")]),
        ("blue to purple gradient", [("#0000ff", "background"), ("#800080", "background")]),
        ("neon green", [("#00ff00", "main")]),
        ("a tomato soup, Black Friday, infrared", []),
        ("in tomato", [("#ff6347", "main")]),
    ],
)
def test_colours_and_what_they_are_for(text: str, colours: list[tuple[str, str]]) -> None:
    assert [(each.value, each.role) for each in find_colours(text)] == colours


def test_any_text_survives_as_a_literal() -> None:
    text = "a\"b'c`d\\e\nf\u2028g\U0001f600{h}${i}</j>\x7f\u202e"
    assert unquote(quoted(text)) == text
    assert "\u2028" not in quoted(text)


def test_component_names_are_identifiers() -> None:
    assert component_name_of("2024 sales!", "Chart") == "Scene2024SalesChart"
    assert component_name_of("\u4f60\u597d", "Title") == "TitleScene"
    assert component_name_of("Caf\u00e9 don't", "Title") == "CafeDontTitle"
    assert component_name_of("Our chart", "Chart") == "OurChart"


def test_quotes_of_all_kinds_are_found_and_apostrophes_are_not() -> None:
    text = (
        "it's \"a\" 'b c' \u201cd\u201d \u00abe\u00bb `f` don't 'it's g' \u201eh\u201c rock 'n roll"
    )
    assert [quote.text for quote in find_quotes(text)] == ["a", "b c", "d", "e", "f", "it's g", "h"]
