"""The code of a scene may draw and nothing else: nothing gets out, and nothing in."""

import json
import re
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import expect

from tests.model_server import CODE
from tests.web.attacker import ESCAPES, Attacker
from tests.web.window import Visitor, Window

LEAVING = {
    "assigned": "location.href = EVIL",
    "replaced": "location.replace(EVIL)",
    "inline": "location.href = 'data:text/html,<img src=' + EVIL + '>'",
    "refreshed": "document.head.innerHTML = `<meta http-equiv=refresh content='0;url=${EVIL}'>`",
    "clicked": "Object.assign(document.createElement('a'), {href: EVIL}).click()",
}
STAYING = {
    "submitted": "const form = document.createElement('form'); form.action = EVIL;"
    " document.body.append(form); form.submit()",
    "opened": "Object.assign(document.createElement('a'), {href: EVIL, target: '_blank'}).click()",
    "above": "Object.assign(document.createElement('a'), {href: EVIL, target: '_top'}).click()",
}


@pytest.fixture
async def attacker() -> AsyncIterator[Attacker]:
    async with Attacker() as one:
        yield one


def scene(does: str) -> str:
    return f"""
        import {{AbsoluteFill}} from 'remotion';
        import {{useEffect}} from 'react';
        export default function Scene() {{
            useEffect(() => {{ {does} }}, []);
            return <AbsoluteFill style={{{{background: '#123'}}}}>Still here</AbsoluteFill>;
        }}"""


async def heard_nothing(window: Window, attacker: Attacker) -> None:
    """Assert it after a request of our own, which shows that the listener hears."""
    page = await window.page.context.new_page()
    await page.goto(f"{attacker.url}last")
    assert attacker.heard[0] == "GET /last HTTP/1.1"
    await page.close()


async def test_nothing_that_a_scene_tries_gets_out(owner: Visitor, attacker: Attacker) -> None:
    code = ESCAPES % {"port": attacker.port, "own": owner.url}
    project = await owner.project("Escapes", [("Escapes", code)])
    window = await owner.window(project)
    lines = window.stage.locator("p")
    await expect(lines).to_have_count(code.count(": () => "))
    for line in await lines.all():
        await expect(line).to_have_text(re.compile(": refused$"))
    await expect(window.stage.locator("b")).to_have_text("null")
    await heard_nothing(window, attacker)
    assert window.page.url == f"{owner.url}/projects/{project}"
    window.complaints.clear()  # the browser names each attempt


async def test_a_scene_may_use_markup_but_none_that_holds_a_page(owner: Visitor) -> None:
    def with_markup(markup: str) -> str:
        inner = f"{{{{__html: {json.dumps(markup)}}}}}"
        return f"export default () => <div dangerouslySetInnerHTML={inner} />"

    drawn = with_markup(
        "<style>@keyframes x {}</style><svg><foreignObject><b>drawn</b></foreignObject></svg>"
    )
    framed = with_markup("<svg><IFRAME srcdoc='<script>alert(1)</script>'></IFRAME></svg>")
    project = await owner.project("Markup", [("Drawn", drawn), ("Framed", framed)])
    window = await owner.window(project)
    await expect(window.stage.locator("b")).to_have_text("drawn")
    assert window.complaints == []
    await window.select("Framed")
    await expect(window.player).to_have_attribute("data-state", "failed")
    await expect(window.stage.locator("iframe")).to_have_count(0)
    window.complaints.clear()  # the browser names the attempt


async def test_a_scene_cannot_leave_its_frame(owner: Visitor, attacker: Attacker) -> None:
    tries = LEAVING | STAYING
    codes = [
        (name, scene(does.replace("EVIL", f"'{attacker.url}'"))) for name, does in tries.items()
    ]
    project = await owner.project("Leaves", [("First", CODE), *codes])
    window = await owner.window(project)
    for name in LEAVING:
        await window.select(name)
        await expect(window.player).to_contain_text("It tried to leave its frame.")
    for name in STAYING:
        await window.select(name)
        await expect(window.stage).to_contain_text("Still here")
    await heard_nothing(window, attacker)
    assert len(window.page.context.pages) == 1
    assert window.page.url == f"{owner.url}/projects/{project}"
    window.complaints.clear()  # the browser names each attempt


async def test_an_endless_loop_in_a_scene_does_not_stop_the_page(owner: Visitor) -> None:
    loop = "export default function Loop() { while (true) {} }"
    project = await owner.project("Loops", [("Good", CODE), ("Loop", loop)])
    window = await owner.window(project)
    await expect(window.player).to_have_attribute("data-state", "rendered")
    await window.select("Loop")
    await window.prompt.press_sequentially("I can still type")
    await expect(window.prompt).to_have_value("I can still type")
    await expect(window.player).to_have_attribute("data-state", "stopped")
    await expect(window.player).to_contain_text("Scene stopped")
    await window.select("Good")
    await expect(window.player).to_have_attribute("data-state", "rendered")
    await expect(window.stage).to_contain_text("Hello from the model")


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("export default function Bad() { throw new RangeError('of its own'); }", "of its own"),
        ("throw new Error('at the top'); export default () => null;", "at the top"),
        ("export default function Bad( { return <div>;", "SyntaxError"),
        ("import fs from 'fs'; export default () => fs;", 'there is no "fs" here'),
        ("export const four = 4;", "The scene exports no component"),
    ],
)
async def test_what_is_wrong_with_a_scene_is_told_until_it_is_mended(
    owner: Visitor, code: str, told: str
) -> None:
    project = await owner.project(f"Broken: {told}", [("Bad", code)])
    window = await owner.window(project)
    await expect(window.player).to_have_attribute("data-state", "failed")
    await expect(window.player.get_by_role("alert")).to_contain_text(told)
    (bad,) = (await owner.ask("GET", f"/api/projects/{project}/scenes"))["items"]
    await owner.ask("PATCH", f"/api/scenes/{bad['id']}", {"tsxCode": CODE, "baseRevision": 1})
    await expect(window.stage).to_contain_text("Hello from the model")
    await expect(window.player).to_have_attribute("data-state", "rendered")
    await expect(window.player.get_by_role("alert")).to_have_count(0)


async def test_the_preview_has_no_origin_of_its_own_even_as_a_page(owner: Visitor) -> None:
    window = await owner.window()
    await window.open("/preview")
    assert await window.page.evaluate("self.origin") == "null"
