"""Undo and redo in the studio, the labels of answers, and the frame at which the player rests."""

import re

from playwright.async_api import Locator, expect

from tests.harness.model_server import CODE, ModelServer, decide
from tests.web.conftest import NewVisitor
from tests.web.test_studio import TITLE, invited, trim
from tests.web.window import Visitor, Window

LONG = "A name without an end " * 9
NARROW = {"width": 1100, "height": 700}
EARLY = re.compile(r"^([1-9]\d?|1\d\d) / 599$")  # the frame counter between 1 and 199


def note(window: Window) -> Locator:
    return window.page.get_by_role("status", name="Note")


def answer_chips(window: Window) -> Locator:
    return window.messages.locator("footer .chip")


async def test_a_deletion_is_undone_and_redone_in_every_window(owner: Visitor) -> None:
    project = await owner.project("Undone", [("First", CODE), ("Second", CODE)])
    first, second = await owner.window(project), await owner.window(project)
    await first.press("Delete First")
    await expect(note(first)).to_contain_text("Deleted “First”")
    await first.press("Undo the deletion")
    for window in (first, second):
        await window.shows("First", "Second")
    await expect(note(first)).to_contain_text("Undid")
    await first.press("Redo")
    for window in (first, second):
        await window.shows("Second")
    await expect(note(first)).to_contain_text("Redid")
    await first.press("Undo")
    for window in (first, second):
        await window.shows("First", "Second")


async def test_keys_undo_and_redo_except_in_text_fields(owner: Visitor) -> None:
    project = await owner.project("Keys")
    window = await owner.window(project)
    await window.press("Add scene")
    await window.shows("Scene 1")
    await window.prompt.fill("ab")
    await window.prompt.press("Control+z")
    await expect(window.prompt).not_to_have_value("ab")
    await window.page.get_by_role("heading", name="Scenes").click()
    await window.page.keyboard.press("Control+z")
    await window.shows()
    await expect(note(window)).to_contain_text("Undid")
    await window.page.keyboard.press("Control+Shift+z")
    await window.shows("Scene 1")
    timeline = await owner.ask("GET", f"/api/projects/{project}/timeline")
    assert [entry["kind"] for entry in timeline["items"]] == ["redo", "undo", "change"]


async def test_an_undo_that_is_refused_shows_why(
    owner: Visitor, new_visitor: NewVisitor, viewer: Visitor
) -> None:
    project = await owner.project("Refused", [("Shared", CODE)])
    await invited(owner, project, viewer, "editor")
    window, other = await owner.window(project), await viewer.window(project)
    await other.press("Undo")
    await expect(note(other)).to_contain_text("There is nothing to undo.")
    await trim(other, "Shared", 45)
    await expect(window.named("Shared")).to_contain_text("45 f")
    await window.press("Undo")
    await expect(note(window)).to_contain_text("Cannot undo: somebody else")
    await window.shows("Shared")
    for one in (window, other):
        one.errors.clear()  # the browser reports each answer of 409


async def test_answers_that_changed_nothing_are_labelled_so_after_a_reload_as_well(
    director: Visitor, model_server: ModelServer
) -> None:
    project = await director.project("Unchanged", [("Here", CODE)])
    [here] = (await director.ask("GET", f"/api/projects/{project}/scenes"))["items"]
    window = await director.window(project)
    asks = {"toolName": None, "needsClarification": True, "clarificationQuestion": "Which?"}
    model_server.script(decide(asks))
    await window.send("Do something")
    await expect(answer_chips(window)).to_have_text(["Question"])
    trims = {"toolName": "trimScene", "targetSceneId": here["id"]}
    model_server.script(decide(trims, targetDuration=here["duration"]))
    await window.send("Make it five seconds long")
    await expect(answer_chips(window)).to_have_text(["Question", "No change"])
    await expect(window.turn).to_have_text("No change")
    await window.page.reload()
    await expect(answer_chips(window)).to_have_text(["Question", "No change"])


async def test_a_reload_keeps_the_scenes_of_an_answer(owner: Visitor) -> None:
    window = await owner.window(await owner.project("Kept"))
    await window.send(TITLE)
    await expect(answer_chips(window)).to_have_text(["Done", "Reelroom Title"])
    await window.page.reload()
    await expect(answer_chips(window)).to_have_text(["Done", "Reelroom Title"])


async def test_long_names_leave_every_control_inside_the_window(owner: Visitor) -> None:
    window = await owner.window(await owner.project("Long", [("Short", CODE), (LONG, CODE)]))
    await window.page.set_viewport_size(NARROW)  # type: ignore[arg-type]
    await window.scenes.last.locator(".scene-name").click()
    await expect(window.page.get_by_text("Selected: A name")).to_be_visible()
    await window.prompt.fill("x")
    for name in ("Delete Short", "Send", "Sign out"):
        button = window.page.get_by_role("button", name=name, exact=True)
        await expect(button).to_be_in_viewport(ratio=1)
        await button.click(trial=True)
    chat = await window.page.get_by_role("region", name="Chat").bounding_box()
    send = await window.page.get_by_role("button", name="Send", exact=True).bounding_box()
    assert chat
    assert send
    assert send["x"] + send["width"] <= chat["x"] + chat["width"]


async def test_a_scene_rests_at_its_poster_frame_and_plays_from_its_first(owner: Visitor) -> None:
    window = await owner.window(await owner.project("Rests", [("Only scene", CODE)]))
    await expect(window.counter).to_have_text("60 / 149")
    await trim(window, "Only scene", 600)
    await expect(window.counter).to_have_text("240 / 599")
    await window.press("Play")
    await expect(window.counter).to_have_text(EARLY)
    await window.press("Pause")
    await window.seek(30)
    await window.press("Play")
    await window.press("Pause")
    counter = await window.counter.text_content()
    assert counter is not None
    assert int(counter.split(" ")[0]) >= 30
