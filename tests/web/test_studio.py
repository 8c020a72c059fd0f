"""The studio in a real browser: a prompt becomes a scene, live in every window, and plays."""

import re

from playwright.async_api import expect

from tests.harness.model_server import CODE, Behaviour, Exchange, ModelServer, decide
from tests.harness.process import Reelroom
from tests.web.conftest import NewVisitor
from tests.web.held import held
from tests.web.window import PLAYED, Visitor, Window

TITLE = 'Add a title scene that says "Reelroom"'


async def invited(owner: Visitor, project: str, guest: Visitor, role: str) -> None:
    invite = await owner.ask("POST", f"/api/projects/{project}/invites", {"role": role})
    await guest.ask("POST", f"/api/invites/{invite['token']}/accept")


async def test_the_login_link_opens_the_studio_once(
    owner: Visitor, new_visitor: NewVisitor, offline: Reelroom
) -> None:
    """The fixture `owner` has signed in by the link that the server printed."""
    window = await owner.window()
    await window.open("/")
    await window.page.get_by_label("Title").fill("My first film")
    await window.press("Create project")
    await expect(window.connection).to_have_text("Live")
    await expect(window.page.get_by_role("heading", name="My first film")).to_be_visible()
    await window.open("/")
    await window.page.get_by_role("link", name="My first film").click()
    await expect(window.connection).to_have_text("Live")

    late = await new_visitor(offline)
    answer = await late.context.request.get(offline.url + offline.link)
    assert answer.status == 410
    assert await late.context.cookies() == []


async def test_a_prompt_becomes_a_scene_in_every_window_while_its_code_streams_in(
    owner: Visitor, viewer: Visitor
) -> None:
    project = await owner.project("Streams in")
    await invited(owner, project, viewer, "viewer")
    windows = [await owner.window(project), await owner.window(project)]
    windows.append(await viewer.window(project))
    first = windows[0]
    await first.send(TITLE)
    for window in windows:
        await window.shows("Reelroom Title")
        await expect(window.decision).to_contain_text("addScene")
        await expect(window.turn).to_have_text("Done")
        await expect(window.messages).to_have_count(2)
        await expect(window.messages.last).to_have_attribute("data-status", "success")
        await expect(window.code).to_have_attribute("data-writing", "false")
        stored = (await owner.ask("GET", f"/api/projects/{project}/scenes"))["items"][0]
        assert await window.code.locator("code").text_content() == stored["tsxCode"]
        seen = await window.seen()
        assert len(seen["lengths"]) > 5, "the code is shown while it is written"
        assert seen["lengths"] == sorted(seen["lengths"])
        assert seen["lengths"][0] < len(stored["tsxCode"]) / 2
        assert all(seen["decisions"]), "the decision is there before the code"
        assert seen["violations"] == []
        await expect(window.stage).to_contain_text("Reelroom")


async def test_the_scene_plays_in_its_sandboxed_frame(owner: Visitor) -> None:
    project = await owner.project("Plays")
    window = await owner.window(project)
    await window.send('Add a bar chart: "Q1" 12, "Q2" 30, "Q3" 45')
    await expect(window.turn).to_have_text("Done")
    await expect(window.frame).to_have_attribute("sandbox", "allow-scripts")
    await window.seek(2)
    early = await window.picture()
    await window.seek(60)
    late = await window.picture()
    assert early != late
    await window.seek(0)
    await window.press("Play")
    await expect(window.counter).to_have_text(PLAYED)
    await window.press("Pause")
    frame = await window.counter.text_content()
    assert await window.picture() not in (early, b"")
    assert await window.counter.text_content() == frame


async def test_a_second_prompt_changes_the_scene_in_both_windows(owner: Visitor) -> None:
    project = await owner.project("Changes")
    first, second = await owner.window(project), await owner.window(project)
    await first.send(TITLE)
    await expect(second.stage).to_contain_text("Reelroom")
    await expect(first.turn).to_have_text("Done")
    await first.send('Change the text "Reelroom" to "Goodbye"')
    for window in (first, second):
        await expect(window.decision).to_contain_text("editScene")
        await expect(window.stage).to_contain_text("Goodbye")
        await expect(window.stage).not_to_contain_text("Reelroom")
        await expect(window.code).to_contain_text("Goodbye")
        await expect(window.scenes).to_have_count(1)


async def test_scenes_are_added_renamed_moved_trimmed_and_deleted_in_every_window(
    owner: Visitor, viewer: Visitor
) -> None:
    project = await owner.project("By hand")
    await invited(owner, project, viewer, "viewer")
    first, windows = await owner.window(project), [await viewer.window(project)]
    windows.append(first)
    for number in (1, 2, 3):
        await first.press("Add scene")
        for window in windows:
            await expect(window.scenes).to_have_count(number)
    await first.press("Rename Scene 3")
    await first.page.get_by_label("Scene name").fill("The end")
    await first.page.get_by_label("Scene name").press("Enter")
    for window in windows:
        await window.shows("Scene 1", "Scene 2", "The end")
    await first.press("Move The end up")
    for window in windows:
        await window.shows("Scene 1", "The end", "Scene 2")
    await trim(first, "The end", 45)
    for window in windows:
        await expect(window.named("The end")).to_contain_text("45 f · 1.5 s")
    await first.press("Delete Scene 1")
    for window in windows:
        await window.shows("The end", "Scene 2")


async def trim(window: Window, scene: str, frames: int) -> None:
    await window.named(scene).get_by_title("Change the duration").click()
    await window.page.get_by_label("Duration in frames").fill(str(frames))
    await window.page.get_by_label("Duration in frames").press("Enter")


async def test_a_viewer_watches_without_controls_for_changes(
    owner: Visitor, viewer: Visitor
) -> None:
    project = await owner.project("Watched", [("Only scene", CODE)])
    await invited(owner, project, viewer, "viewer")
    window = await viewer.window(project)
    await window.shows("Only scene")
    await expect(window.stage).to_contain_text("Hello from the model")
    await expect(window.prompt).to_have_count(0)
    for name in ("Send", "Add scene", "Delete Only scene", "Rename Only scene", "Undo", "Invite"):
        await expect(window.page.get_by_role("button", name=name, exact=True)).to_have_count(0)


async def test_other_users_are_shown_while_they_have_the_project_open(
    owner: Visitor, viewer: Visitor
) -> None:
    project = await owner.project("Together")
    await invited(owner, project, viewer, "viewer")
    first = await owner.window(project)
    others = first.page.get_by_role("list", name="Also here").get_by_role("listitem")
    await expect(others).to_have_count(0)
    second, third = await viewer.window(project), await viewer.window(project)
    await expect(others).to_have_count(1)
    await expect(others).to_have_attribute("title", re.compile("^Viewer"))
    await second.page.close()
    await expect(others).to_have_count(1)
    await third.page.close()
    await expect(others).to_have_count(0)


async def test_a_turn_is_cancelled_while_its_code_streams(
    director: Visitor, model_server: ModelServer
) -> None:
    project = await director.project("Cancelled")
    first, second = await director.window(project), await director.window(project)
    with held(CODE) as half:
        model_server.script(decide(), half.behaviour)
        await first.send("Add something")
        for window in (first, second):
            await expect(window.code).to_have_attribute("data-writing", "true")
            await expect(window.code.locator("code")).to_have_text(half.before)
        await second.press("Cancel")
        for window in (first, second):
            await expect(window.turn).to_have_text("Cancelled")
            await expect(window.messages.last).to_have_attribute("data-status", "cancelled")
            await expect(window.code).to_have_attribute("data-writing", "false")
            await expect(window.scenes).to_have_count(0)


async def test_a_window_opened_in_the_middle_shows_what_is_written_so_far(
    director: Visitor, model_server: ModelServer
) -> None:
    project = await director.project("Joined late")
    first = await director.window(project)
    with held(CODE) as half:
        model_server.script(decide(), half.behaviour)
        await first.send("Add something")
        await expect(first.code.locator("code")).to_have_text(half.before)
        late = await director.window(project)
        await expect(late.code.locator("code")).to_have_text(half.before)
        await expect(late.decision).to_contain_text("addScene")
    for window in (first, late):
        await expect(window.turn).to_have_text("Done")
        await expect(window.code.locator("code")).to_have_text(CODE)
        await expect(window.stage).to_contain_text("Hello from the model")


async def test_a_model_that_fails_is_shown_in_the_chat(
    director: Visitor, model_server: ModelServer
) -> None:
    async def refuse(to: Exchange) -> None:
        await to.refuse(400, {"message": "no", "code": "bad", "param": None})

    project = await director.project("Fails")
    window = await director.window(project)
    model_server.script(Behaviour(refuse))
    await window.send("Add something")
    await expect(window.turn).to_have_text("Failed")
    await expect(window.messages.last).to_have_attribute("data-status", "error")
    await expect(window.scenes).to_have_count(0)
