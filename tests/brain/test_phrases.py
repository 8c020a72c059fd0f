"""Prompts as people write them: they are understood, or answered with a question."""

import pytest

from app.brain.composer import composer
from app.brain.composer.editing.editable import EditableCode, unquote
from app.brain.composer.reading.spelling import spelled
from app.brain.model import Context, ContextScene
from tests.brain.composer import SCENES, answer, composed, constant

ALPHA = [
    ContextScene(id="a", number=1, name="Alpha Title", tsx_code=composed('title "Alpha"'),
                 duration=150),
    ContextScene(id="b", number=2, name="Sales Chart", tsx_code=composed("chart Q1 12 Q2 30"),
                 duration=90, newest=True),
]  # fmt: skip


@pytest.mark.parametrize("scenes", [[], SCENES], ids=["empty", "with scenes"])
@pytest.mark.parametrize(
    "prompt",
    ["something cool", "write my tax return", "asdf qwer", "Mach den Hintergrund rot", "hjkl",
     "l\u00f6sche die letzte Szene", "frobnicate the first scene", "do something nice",
     "add something cool", "send me a pizza"],
)  # fmt: skip
def test_a_prompt_not_understood_is_no_title(prompt: str, scenes: list[ContextScene]) -> None:
    question = answer(prompt, scenes)
    assert isinstance(question, str)
    assert "I am the offline model" in question
    assert "I understood nothing in this that I can do." in question
    assert 'Try: add a title "Hello"' in question
    assert ("English only" in question) == ("den H" in prompt or "die l" in prompt)


@pytest.mark.parametrize(
    "prompt", ["Welcome to the future", "hello world", "Sustainable shoes for everybody",
               "\u4f60\u597d \u4e16\u754c", "While you wait", "Die Hard", "a video about bees",
               "Buy now", "I want a title that says Yes", "draw a circle"]
)  # fmt: skip
def test_a_slogan_is_a_scene_to_begin_with(prompt: str) -> None:
    assert answer(prompt, []) == [("addScene", None, None)]


@pytest.mark.parametrize("prompt", ["Welcome to the future", "hello world", "beautify the chart"])
def test_a_slogan_in_a_video_with_scenes_is_not_understood(prompt: str) -> None:
    assert "I understood nothing" in answer(prompt)


@pytest.mark.parametrize(
    ("prompt", "steps"),
    [
        ("delet the first scene", [("deleteScene", "a", None)]),
        ("Delte scene 2", [("deleteScene", "b", None)]),
        ("add a ttile sayng Hi", [("addScene", None, None)]),
        ("a dark red background", [("editScene", "c", None)]),
        ("white on black", [("editScene", "c", None)]),
        ("fruits: apples, pears", [("addScene", None, None)]),
        ('F\u00fcge einen Titel \u201eGuten Morgen" hinzu, 4 Sekunden lang',
         [("addScene", None, 120)]),
        ("Erstelle eine Liste: Brot, Milch", [("addScene", None, None)]),
    ],
)  # fmt: skip
def test_misspelled_and_short_orders_are_understood(
    prompt: str, steps: list[tuple[str, str | None, int | None]]
) -> None:
    assert answer(prompt) == steps


@pytest.mark.parametrize(
    ("text", "corrected"),
    [
        ("delet the ttile", "delete the title"),
        ("a ttile sayng welcom yelow, yelow text", "a title saying welcom yelow, yellow text"),
        ("a title saying yelow in yelow", "a title saying yelow in yellow"),
        ('titel "titel" in yelow', 'title "titel" in yellow'),
        ("quite a chance for grapes, flower oranges titled", None),
        ("list: scens, quot", None),
        ("brake changing remote while black white writes", None),
    ],
)  # fmt: skip
def test_one_wrong_letter_in_an_order_is_corrected(text: str, corrected: str | None) -> None:
    assert spelled(text) == (corrected or text)
    assert spelled(spelled(text)) == spelled(text)


@pytest.mark.parametrize(
    ("prompt", "title", "items"),
    [
        ("add a list of apples, pears, plums", "", ["Apples", "Pears", "Plums"]),
        ("add a list with apples, pears and plums", "", ["Apples", "Pears", "Plums"]),
        ("add a list of a, b, c", "", ["A", "B", "C"]),
        ("Add a list of our drinks: Espresso, Flat white, Cold brew, Chai latte", "Our drinks",
         ["Espresso", "Flat white", "Cold brew", "Chai latte"]),
        ("make a list with 3 items: a, b", "", ["A", "B"]),
        ("fruits: apples, pears", "Fruits", ["Apples", "Pears"]),
        ("list of fruits: apples, pears", "Fruits", ["Apples", "Pears"]),
        ("add a list of apples, pears in red, 4 seconds", "", ["Apples", "Pears"]),
        ("a list with items tea, milk on dark blue for 3 seconds", "", ["Tea", "Milk"]),
        ("5 tips for better sleep: rest, read", "5 tips for better sleep", ["Rest", "Read"]),
        ("steps: open, look", "", ["Open", "Look"]),
        ("Erstelle eine Liste: Brot, Milch", "", ["Brot", "Milch"]),
        ("a list of apples, pears and plums that bounce in", "", ["Apples", "Pears", "Plums"]),
    ],
)  # fmt: skip
def test_lists_are_read_in_many_forms(prompt: str, title: str, items: list[str]) -> None:
    code = composed(prompt)
    node = EditableCode(code).constants["ITEMS"]
    assert [unquote((each.text or b"").decode()) for each in node.named_children] == items
    assert constant(code, "TITLE") == title


@pytest.mark.parametrize("items", ["Flat white, Chai", "Cold brew, Red tea", "Flat black, Mocha"])
def test_a_colour_within_an_item_is_no_order(items: str) -> None:
    code = composed(f"Add a list of our drinks: Espresso, {items} on navy")
    assert constant(code, "BACKGROUND_FROM") == "#000080"
    colours = {constant(code, "TEXT_COLOR"), constant(code, "ACCENT_COLOR")}
    assert not colours & {"#ffffff", "#ff0000", "#000000"}


@pytest.mark.parametrize(
    ("prompt", "target"),
    [
        ("make the alpha scene twice as fast", "a"),
        ("make the alpha title twice as fast", "a"),
        ("double the speed of the alpha scene", "a"),
        ("make alpha's background red in the alpha scene", "a"),
        ("change the values to 5, 50, 100", "b"),
        ("make the sales scene blue", "b"),
    ],
)
def test_a_word_of_a_name_wins_over_the_newest(prompt: str, target: str) -> None:
    assert answer(prompt, ALPHA) == [("editScene", target, None)]
    other = next(scene for scene in ALPHA if scene.id != target).id
    assert answer(prompt, ALPHA, selected=other) == [("editScene", target, None)]


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("move the chart to the start", "arrows in the scene list"),
        ("move scene 2 up", "arrows in the scene list"),
        ("swap the first and second scene", "arrows in the scene list"),
        ("put the sales chart before the alpha title", "arrows in the scene list"),
        ("rename the chart to Revenue", "pencil"),
        ("rename scene 1 to Intro", "pencil"),
        ("duplicate the chart", "cannot copy scenes"),
        ("undo", "Use Undo in the studio's bar"),
        ("redo", "Use Undo in the studio's bar"),
    ],
)
def test_orders_for_controls_of_the_studio_name_the_control(prompt: str, expected: str) -> None:
    for scenes in (ALPHA, []):
        question = answer(prompt, scenes)
        assert isinstance(question, str)
        assert expected in question or (not scenes and "There is no scene" in question)


@pytest.mark.parametrize(
    "prompt", ["move the text to the left", "rename Q1 to First", "swap white with black"]
)
def test_an_order_about_a_part_of_a_scene_is_an_edit(prompt: str) -> None:
    assert answer(prompt, ALPHA) == [("editScene", "b", None)]


@pytest.mark.parametrize(
    ("prompt", "title"),
    [
        ("can you make me an intro for my coffee shop called Bean & Gone? warm colours please",
         "Bean & Gone"),
        ("add a title saying Ready? Go", "Ready? Go"),
        ("can you add a title saying Hello?", "Hello"),
        ("an intro for a firm named Acme! in red", "Acme"),
    ],
)  # fmt: skip
def test_a_name_ends_where_another_wish_begins(prompt: str, title: str) -> None:
    assert constant(composed(prompt), "TITLE") == title


def test_german_orders_keep_their_text_and_length() -> None:
    prompt = 'F\u00fcge einen Titel \u201eGuten Morgen" hinzu, 4 Sekunden lang'
    step = composer.decide(Context(prompt=prompt))
    assert (step.tool_name, step.target_duration) == ("addScene", 120)
    assert constant(composed(prompt), "TITLE") == "Guten Morgen"


@pytest.mark.parametrize(
    "prompt",
    ["make the alpha scene twice as fast", "make scene 2 blue", "make the first slide red"],
)
def test_orders_about_scenes_that_do_not_exist_are_answered_with_a_question(prompt: str) -> None:
    assert "There is no scene to change yet" in answer(prompt, [])
