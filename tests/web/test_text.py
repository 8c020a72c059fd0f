"""What users and models write is shown as text, even when it is markup."""

import json

from playwright.async_api import Page, expect

from tests.harness.model_server import ModelServer, code, decide
from tests.web.window import Visitor

NASTY = (
    '<img src=x onerror="window.owned=1"></script><script>window.owned=1</script>'
    "<b>bold</b> &amp; \"double\" 'single' `${back}` {{braces}} 🎬👩‍🚀 عربي \\n %s"
)
SCENE = f"""
import {{AbsoluteFill}} from 'remotion';
const TEXT = {json.dumps(NASTY)};
export default function Nasty() {{
  return <AbsoluteFill style={{{{color: 'white'}}}}>{{TEXT}}</AbsoluteFill>;
}}
"""


async def owned(page: Page) -> bool:
    """Return whether some of the text became an element or ran as a script."""
    ran = await page.evaluate("window.owned !== undefined || window.seen.violations.length > 0")
    return bool(ran) or await page.locator("img, b, script:not([src])").count() > 0


async def test_markup_in_titles_names_prompts_and_code_is_text(
    director: Visitor, model_server: ModelServer
) -> None:
    window = await director.window()
    page = window.page
    await window.open("/")
    await page.get_by_label("Title").fill(NASTY)
    await window.press("Create project")
    await expect(page.get_by_role("heading", level=1)).to_have_text(NASTY)
    model_server.script(decide(reasoning=NASTY, userFeedback=NASTY), code(SCENE))
    await window.send(NASTY)
    await expect(window.turn).to_have_text("Done")
    for message in await window.messages.all():
        await expect(message.locator("p").first).to_contain_text(NASTY)
    await page.get_by_text("Reasoning").click()
    await expect(window.decision.locator("details p")).to_have_text(NASTY)
    await expect(window.code.locator("code")).to_have_text(SCENE.strip())
    await expect(window.stage).to_have_text(NASTY)
    await expect(window.stage.locator("img, script")).to_have_count(0)
    await page.get_by_role("button", name="Rename").click()
    await page.get_by_label("Scene name").fill(NASTY)
    await page.get_by_label("Scene name").press("Enter")
    await window.shows(NASTY)
    assert not await owned(page)
    await window.open("/")
    await expect(page.get_by_role("link", name=NASTY)).to_be_visible()
    assert not await owned(page)


async def test_a_question_with_markup_is_text(director: Visitor, model_server: ModelServer) -> None:
    window = await director.window(await director.project("Asks"))
    question = {"toolName": None, "needsClarification": True, "clarificationQuestion": NASTY}
    model_server.script(decide(question))
    await window.send("Do something")
    await expect(window.messages.last.locator("p").first).to_have_text(NASTY)
    await expect(window.messages.last).to_contain_text("Question")
    assert not await owned(window.page)
