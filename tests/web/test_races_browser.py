"""Races of the browser: many tabs, tabs that die, proxies that hold back, pages that slept."""

import asyncio
import time

from playwright.async_api import expect

from tests.web.window import Visitor

TABS = 8  # a browser opens six connections to a server over HTTP/1.1
ONE_SCENE = (("First", "export default () => <b>1</b>;"),)


async def test_seven_tabs_over_http_1_all_load(owner: Visitor) -> None:
    project = await owner.project("In many tabs", ONE_SCENE)
    for n in range(TABS):
        t = time.monotonic()
        w = await owner.window(project)
        print(n, time.monotonic() - t, await w.connection.get_attribute("data-transport"))
    last = owner.windows[-1]
    await last.send('Make a title scene that says "Tabs"')
    for window in owner.windows:
        await expect(window.scenes).to_have_count(2)
        await expect(window.connection).to_have_text("Live")
