"""The code of a scene can render and nothing else: nothing gets out of its frame, nothing in."""

import json
import re
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import expect

from tests.harness.model_server import CODE
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


async def assert_nothing_received(window: Window, attacker: Attacker) -> None:
    """Send a request, which shows that the server records, and assert that it is the first one."""
    page = await window.page.context.new_page()
    await page.goto(f"{attacker.url}last")
    assert attacker.received[0] == "GET /last HTTP/1.1"
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
    await assert_nothing_received(window, attacker)
    assert window.page.url == f"{owner.url}/projects/{project}"
    window.errors.clear()  # the browser logs each attempt


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
    assert window.errors == []
    await window.select("Framed")
    await expect(window.player).to_have_attribute("data-state", "failed")
    await expect(window.stage.locator("iframe")).to_have_count(0)
    window.errors.clear()  # the browser logs the attempt


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
    await assert_nothing_received(window, attacker)
    assert len(window.page.context.pages) == 1
    assert window.page.url == f"{owner.url}/projects/{project}"
    window.errors.clear()  # the browser logs each attempt


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
    ("code", "shown"),
    [
        ("export default function Bad() { throw new RangeError('of its own'); }", "of its own"),
        ("throw new Error('at the top'); export default () => null;", "at the top"),
        ("export default function Bad( { return <div>;", "SyntaxError"),
        ("import fs from 'fs'; export default () => fs;", 'there is no "fs" here'),
        ("export const four = 4;", "The scene exports no component"),
    ],
)
async def test_the_error_of_a_scene_is_shown_until_it_is_fixed(
    owner: Visitor, code: str, shown: str
) -> None:
    project = await owner.project(f"Broken: {shown}", [("Bad", code)])
    window = await owner.window(project)
    await expect(window.player).to_have_attribute("data-state", "failed")
    await expect(window.player.get_by_role("alert")).to_contain_text(shown)
    (bad,) = (await owner.ask("GET", f"/api/projects/{project}/scenes"))["items"]
    await owner.ask("PATCH", f"/api/scenes/{bad['id']}", {"tsxCode": CODE, "baseRevision": 1})
    await expect(window.stage).to_contain_text("Hello from the model")
    await expect(window.player).to_have_attribute("data-state", "rendered")
    await expect(window.player.get_by_role("alert")).to_have_count(0)


async def test_the_preview_has_no_origin_of_its_own_even_as_a_page(owner: Visitor) -> None:
    window = await owner.window()
    await window.open("/preview")
    assert await window.page.evaluate("self.origin") == "null"
