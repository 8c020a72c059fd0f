"""The change that each tool proposes, and the arguments that it refuses."""

import msgspec
import pytest

from app.problems import ValidationFailed
from app.scenes.model import SceneState
from app.tools.model import AddScene, Arguments, DeleteScene, EditScene, TrimScene
from app.tools.registry import TOOLS, run_tool
from tests.tools.test_code import GOOD

SCENE = SceneState(name="Hello", tsx_code=GOOD, duration=150, props={"a": 1}, position=2)
OTHER = GOOD.replace("rest of my life", "Bye")


def test_add_scene_takes_name_and_duration_from_the_code() -> None:
    change = run_tool("addScene", None, AddScene(code=GOOD))
    assert (change.operation, change.before, change.changes) == ("create", None, ["created"])
    assert change.after == SceneState(name="Hello Title", tsx_code=GOOD, duration=150)
    timed = run_tool(
        "addScene", None, AddScene(code="export const durationInFrames = 45;\n" + GOOD)
    )
    assert timed.after.duration == 45


def test_add_scene_prefers_its_arguments_to_the_code() -> None:
    change = run_tool("addScene", None, AddScene(code=GOOD, name=" Intro ", duration=60))
    assert (change.after.name, change.after.duration) == ("Intro", 60)


def test_edit_scene_keeps_all_but_code_and_duration() -> None:
    change = run_tool("editScene", SCENE, EditScene(code=OTHER, duration=90))
    assert change.changes == ["code", "duration 150 \u2192 90"]
    assert change.before is SCENE
    assert change.after == msgspec.structs.replace(SCENE, tsx_code=OTHER, duration=90)
    assert change.complexity == "surgical"
    assert run_tool("editScene", SCENE, EditScene(code=GOOD, duration=90)).changes == [
        "duration 150 \u2192 90"
    ]


def test_the_complexity_of_an_edit_follows_the_share_of_new_lines() -> None:
    new = "export default function Other() {\n  const a = 1;\n  return <p>{a}</p>;\n}\n"
    assert run_tool("editScene", SCENE, EditScene(code=new)).complexity == "structural"
    assert run_tool("editScene", SCENE, EditScene(code=new, complexity="creative")).complexity == (
        "creative"
    )


def test_delete_scene_keeps_the_content() -> None:
    change = run_tool("deleteScene", SCENE, DeleteScene())
    assert (change.operation, change.changes) == ("delete", ["deleted"])
    assert change.after == msgspec.structs.replace(SCENE, deleted=True, position=None)


def test_trim_scene_changes_the_duration_alone() -> None:
    change = run_tool("trimScene", SCENE, TrimScene(duration=90))
    assert (change.operation, change.changes) == ("trim", ["duration 150 \u2192 90"])
    assert change.after == msgspec.structs.replace(SCENE, duration=90)


GONE = msgspec.structs.replace(SCENE, deleted=True)


@pytest.mark.parametrize(
    ("name", "state", "arguments", "path", "rule"),
    [
        ("paint", SCENE, DeleteScene(), "toolName", "unknown"),
        ("trimScene", SCENE, DeleteScene(), "arguments", "type"),
        ("addScene", SCENE, AddScene(code=GOOD), "targetSceneId", "absent"),
        ("addScene", None, AddScene(code=""), "code", "code"),
        ("addScene", None, AddScene(code=GOOD + "eval('1')"), "code", "code"),
        ("addScene", None, AddScene(code="x" * 200_001), "code", "length"),
        ("addScene", None, AddScene(code=GOOD, name="  "), "name", "length"),
        ("addScene", None, AddScene(code=GOOD, name="x" * 201), "name", "length"),
        ("addScene", None, AddScene(code=GOOD, duration=18_001), "duration", "range"),
        ("editScene", None, EditScene(code=OTHER), "targetSceneId", "required"),
        ("editScene", GONE, EditScene(code=OTHER), "targetSceneId", "required"),
        ("editScene", SCENE, EditScene(code=GOOD), "code", "unchanged"),
        ("editScene", SCENE, EditScene(code=GOOD, duration=150), "code", "unchanged"),
        ("editScene", SCENE, EditScene(code="x" * 60), "code", "code"),
        ("editScene", SCENE, EditScene(code=OTHER, duration=0), "duration", "range"),
        ("deleteScene", None, DeleteScene(), "targetSceneId", "required"),
        ("deleteScene", GONE, DeleteScene(), "targetSceneId", "required"),
        ("trimScene", None, TrimScene(duration=9), "targetSceneId", "required"),
        ("trimScene", SCENE, TrimScene(duration=150), "duration", "unchanged"),
        ("trimScene", SCENE, TrimScene(duration=0), "duration", "range"),
        ("trimScene", SCENE, TrimScene(duration=18_001), "duration", "range"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(
    name: str, state: SceneState | None, arguments: Arguments, path: str, rule: str
) -> None:
    with pytest.raises(ValidationFailed) as caught:
        run_tool(name, state, arguments)
    assert (caught.value.details[0]["path"], caught.value.details[0]["rule"]) == (path, rule)


def test_every_fault_of_the_code_is_in_the_details() -> None:
    code = GOOD + 'eval("1");\nfetch("2");\n'
    with pytest.raises(ValidationFailed) as caught:
        run_tool("addScene", None, AddScene(code=code))
    assert len(caught.value.details) == 2


def test_the_registry_names_each_tool_as_itself() -> None:
    assert list(TOOLS) == ["addScene", "editScene", "deleteScene", "trimScene"]
    assert [tool.name for tool in TOOLS.values()] == list(TOOLS)
    assert [tool.writes_code for tool in TOOLS.values()] == [True, True, False, False]
    assert [tool.needs_target for tool in TOOLS.values()] == [False, True, True, True]
