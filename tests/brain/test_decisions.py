"""The offline model's decisions: the tool, the scene, the length, or the question."""

import msgspec
import pytest

from app.brain.composer import composer
from app.brain.model import Context, ContextScene
from tests.brain.composer import SCENES, answer, composed


@pytest.mark.parametrize(
    ("prompt", "tool", "target", "duration"),
    [
        ('add a title "A"', "addScene", None, None),
        ("add a new scene like scene 1", "addScene", None, None),
        ("a 4 second bar chart of sales 10, 20, 35", "addScene", None, 120),
        ("Add a bar chart: Q1 12, Q2 30, Q3 45", "addScene", None, None),
        ("add a text animation of the word Go", "addScene", None, None),
        ("make the first scene 3 seconds", "trimScene", "a", 90),
        ("countdown from 10", "addScene", None, 330),
        ("a 5 second countdown from 10", "addScene", None, 150),
        ("can you create a quote?", "addScene", None, None),
        ('Add an outro with "Bye" and a subscribe button', "addScene", None, None),
        ("Add a title. Make it red. Make it 3 seconds", "addScene", None, 90),
        ("checklist\n- one\n- two", "addScene", None, None),
        ('Make a title that says "Go", fade in over 2 seconds', "addScene", None, None),
        ("make it red", "editScene", "c", None),
        ("make the background dark blue", "editScene", "c", None),
        ("make the title bigger in scene 1", "editScene", "a", None),
        ("in scene 2 make the bars green", "editScene", "b", None),
        ('add a subtitle "x" to scene 1', "editScene", "a", None),
        ('change "Hello" to "Bye"', "editScene", "a", None),
        ("make the chart blue", "editScene", "b", None),
        ("change the second scene to white", "editScene", "b", None),
        ("speed up", "editScene", "c", None),
        ("slow down scene 1", "editScene", "a", None),
        ("fix it", "editScene", "c", None),
        ("remove the subtitle", "editScene", "c", None),
        ("make it red and 4 seconds long", "editScene", "c", 120),
        ("can you make it bigger?", "editScene", "c", None),
        ("make it 3 seconds", "trimScene", "c", 90),
        ("cut scene 2 to 60 frames", "trimScene", "b", 60),
        ("shorten by 1 second", "trimScene", "c", 120),
        ("trim 1 second off scene 2", "trimScene", "b", 60),
        ("extend the chart to 5 seconds", "trimScene", "b", 150),
        ("extend the Hello Title by 30 frames", "trimScene", "a", 180),
        ("make the chart 2 seconds longer", "trimScene", "b", 150),
        ("add 2 seconds to scene 1", "trimScene", "a", 210),
        ("double the length of scene 1", "trimScene", "a", 300),
        ("make scene one half as long", "trimScene", "a", 75),
        ("cut the last 20 frames", "trimScene", "c", 130),
        ("delete the intro", "deleteScene", "a", None),
        ("remove scene 2", "deleteScene", "b", None),
        ("remove the last scene", "deleteScene", "c", None),
        ("please get rid of the sales chart", "deleteScene", "b", None),
        ('delete the "Bye now" scene', "deleteScene", "c", None),
    ],
)
def test_single_orders(prompt: str, tool: str, target: str | None, duration: int | None) -> None:
    assert answer(prompt) == [(tool, target, duration)]


def test_it_is_the_selected_scene_before_the_newest() -> None:
    assert answer("make it red", selected="a") == [("editScene", "a", None)]
    assert answer("delete it", selected="b") == [("deleteScene", "b", None)]
    assert answer("make it 2s", selected="gone") == [("trimScene", "c", 60)]
    assert answer("make scene 3 red", selected="a") == [("editScene", "c", None)]


def test_of_two_scenes_of_one_kind_the_current_one_is_meant() -> None:
    code = composed("a countdown from 3")
    two = [
        ContextScene(id=name, number=at, name="Countdown", tsx_code=code, duration=150)
        for at, name in enumerate("ab", 1)
    ]
    assert answer("make the countdown red", two, "a") == [("editScene", "a", None)]
    assert answer("make the countdown red", two) == [("editScene", "b", None)]
    assert answer("delete the countdown", two) == (
        "Which scene do you mean: 1 \u201cCountdown\u201d, 2 \u201cCountdown\u201d?"
    )
    assert answer("make the countdown red", two[:1]) == [("editScene", "a", None)]


@pytest.mark.parametrize(
    ("prompt", "steps"),
    [
        (
            'add a title "A", then a chart and delete scene 1',
            [("addScene", None, None), ("addScene", None, None), ("deleteScene", "a", None)],
        ),
        (
            "cut scene 2 to 60 frames and make it blue",
            [("trimScene", "b", 60), ("editScene", "b", None)],
        ),
        ("delete scenes 1 and 3", [("deleteScene", "a", None), ("deleteScene", "c", None)]),
        ("delete scenes 1-2", [("deleteScene", "a", None), ("deleteScene", "b", None)]),
        (
            "make all scenes 2 seconds",
            [("trimScene", "a", 60), ("trimScene", "b", 60), ("trimScene", "c", 60)],
        ),
        (
            "make scene 1 red, make scene 1 bigger, then delete scene 2",
            [("editScene", "a", None), ("deleteScene", "b", None)],
        ),
    ],
)
def test_several_orders_are_a_workflow_in_their_order(
    prompt: str, steps: list[tuple[str, str | None, int | None]]
) -> None:
    assert answer(prompt) == steps


def test_each_step_carries_its_part_of_the_prompt() -> None:
    context = Context(prompt='add a title "A, then B", then a chart of x 1, 2', scenes=SCENES)
    workflow = composer.decide(context).workflow
    assert [step.context for step in workflow or []] == [
        'add a title "A, then B"',
        "a chart of x 1, 2",
    ]


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("hi", "What would you like to see?"),
        ("what can you do?", "I am the offline model"),
        ("how is the weather?", "I am the offline model"),
        ("add background music", "I am the offline model"),
        ("generate an image of a cat", "I cannot make or find pictures"),
        ("https://youtu.be/x?t=30", "I cannot open links"),
        ("????", "What should the scene show?"),
        ("delete it", "Which scene shall I delete? The video has 1 \u201cHello Title\u201d"),
        ("delete a scene", "Which scene shall I delete?"),
        ("delete scene 9", "There is no scene 9. The video has 1"),
        ("delete the title scene", "Which scene do you mean: 1 \u201cHello Title\u201d, 3"),
        ("make it longer", "How long should \u201cBye Title\u201d last? It is 150 frames"),
        ("make it 10000 frames", "10000 frames is out of reach"),
        ("trim scene 1 to 1 frame", "1 frames is out of reach"),
        ("shorten scene 2 by 3 seconds", "0 frames is out of reach"),
        ("delete scene 1 and then make scene 1 red", "would be deleted before that"),
        ("; ".join(["add a chart"] * 11), "at most 10"),
    ],
)
def test_an_unclear_order_is_answered_with_a_question(prompt: str, expected: str) -> None:
    question = answer(prompt)
    assert isinstance(question, str)
    assert expected in question


@pytest.mark.parametrize("prompt", ["make it red", "delete the intro", "trim it to 3s"])
def test_without_scenes_there_is_nothing_to_change(prompt: str) -> None:
    assert "There is no scene to" in answer(prompt, [])


def test_without_scenes_vague_prompts_are_new_scenes() -> None:
    assert answer("make the best intro ever", []) == [("addScene", None, None)]
    assert answer("use blue", []) == [("addScene", None, None)]


def test_a_single_scene_can_be_deleted_as_it() -> None:
    assert answer("delete it", SCENES[:1]) == [("deleteScene", "a", None)]


def test_equal_names_are_answered_with_a_question() -> None:
    twins = [msgspec.structs.replace(scene, name="Twin") for scene in SCENES]
    assert "Which scene do you mean" in answer("delete twin", twins)


def test_seconds_follow_the_frame_rate() -> None:
    context = Context(prompt="make it 2 seconds", scenes=SCENES, fps=60)
    assert composer.decide(context).target_duration == 120


def test_scenes_named_as_examples_are_referenced() -> None:
    context = Context(prompt="add a title in the same style as scene 2", scenes=SCENES)
    assert composer.decide(context).referenced_scene_ids == ["b"]
