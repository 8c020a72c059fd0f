"""Races in the browser: many tabs, tabs that crash, proxies that buffer, pages that were asleep."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from playwright.async_api import expect

from tests.harness.process import Reelroom
from tests.harness.proxies import BufferingProxy, FaultProxy
from tests.web.window import Visitor, Window

TABS = 8  # a browser opens six connections to a server over HTTP/1.1
STREAMS = 3  # of them may be streams
ONE_SCENE = (("First", "export default () => <b>1</b>;"),)
FALLBACK_TIMEOUT_MS = 15_000  # to find a transport that gets through; takes 10 s on an idle machine
WAKE_MS = 10_000  # without a check on waking up, the silence would last 35 s
MINUTE_MS = 60_000
DAY_SECONDS = 86_400


async def transports(windows: list[Window]) -> list[str | None]:
    return [await window.connection.get_attribute("data-transport") for window in windows]


async def crash(window: Window) -> None:
    """Kill the tab's process."""
    session = await window.page.context.new_cdp_session(window.page)
    async with window.page.expect_event("crash"):
        asking = asyncio.create_task(session.send("Page.crash", {}))  # never answers
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)


async def add(owner: Visitor, project: str, *names: str) -> None:
    for name in names:
        await owner.ask("POST", f"/api/projects/{project}/scenes", {"name": name})


async def test_two_tabs_leader_dies_and_seven_tabs_over_http_1(owner: Visitor) -> None:
    """All tabs are live; the streams of tabs that end go to tabs that are opened later."""
    project = await owner.project("In many tabs", ONE_SCENE)
    windows = [await owner.window(project) for _ in range(TABS)]
    assert await transports(windows) == ["sse"] * STREAMS + ["socket"] * (TABS - STREAMS)
    crashed, closed = windows[:2]
    await crash(crashed)
    await closed.page.close()
    await add(owner, project, "Second", "Third")
    for window in windows[2:]:
        await window.shows("First", "Second", "Third")
        await expect(window.connection).to_have_text("Live")
    late = await owner.window(project)
    assert await transports([late]) == ["sse"]
    await late.shows("First", "Second", "Third")


async def through(owner: Visitor, port: int, project: str) -> Window:
    """Open a window whose requests go through a proxy; the errors of its console are ignored."""
    window = Window(await owner.context.new_page(), f"http://127.0.0.1:{port}")
    await window.open(f"/projects/{project}")
    return window


@pytest.mark.parametrize("heeds", [True, False], ids=["asked not to", "header stripped"])
async def test_proxy_buffering(owner: Visitor, offline: Reelroom, heeds: bool) -> None:
    project = await owner.project(f"LeasedRun back: {heeds}", ONE_SCENE)
    port = int(offline.url.rpartition(":")[2])
    async with BufferingProxy(port, heeds=heeds).running() as proxy:
        window = await through(owner, proxy.port, project)
        began = time.monotonic()
        await expect(window.connection).to_have_attribute(
            "data-transport", "sse" if heeds else "poll", timeout=2 * FALLBACK_TIMEOUT_MS
        )
        await expect(window.connection).to_have_text("Live", timeout=2 * FALLBACK_TIMEOUT_MS)
        found = time.monotonic() - began
        print(f"a way through was found after {found:.1f} s")
        for number in range(3):
            await add(owner, project, f"More {number}")
            await window.shows("First", *(f"More {n}" for n in range(number + 1)))
        await window.page.close()
    assert found * 1000 < FALLBACK_TIMEOUT_MS


@asynccontextmanager
async def wired(offline: Reelroom) -> AsyncIterator[FaultProxy]:
    port = int(offline.url.rpartition(":")[2])
    async with FaultProxy("127.0.0.1", port).running() as wire:
        yield wire


async def cut_off(wire: FaultProxy) -> None:
    """Cut the stream without closing it, as when a machine sleeps.

    Waits until the server has closed the idle connections of other requests.
    """
    async with asyncio.timeout(30):
        while len(wire.open) > 1:
            await asyncio.sleep(0.05)
    wire.silence()


@contextlib.contextmanager
def timed(what: str) -> Iterator[None]:
    began = time.monotonic()
    yield
    print(f"{what}: correct after {time.monotonic() - began:.2f} s")


async def test_frozen_tab(owner: Visitor, offline: Reelroom) -> None:
    """The browser stops a tab's scripts while its network works, or breaks as well."""
    project = await owner.project("Frozen", ONE_SCENE)
    async with wired(offline) as wire:
        window = await through(owner, wire.port, project)
        await expect(window.connection).to_have_text("Live")
        session = await owner.context.new_cdp_session(window.page)
        names = ["First"]
        for broken in (False, True):
            await session.send("Page.setWebLifecycleState", {"state": "frozen"})
            if broken:
                await cut_off(wire)
            names += [f"while frozen {broken} {number}" for number in range(3)]
            await add(owner, project, *names[-3:])
            await session.send("Page.setWebLifecycleState", {"state": "active"})
            if broken:
                await window.page.evaluate("dispatchEvent(new Event('online'))")
            with timed(f"frozen, {broken=}"):
                await expect(window.scenes.locator(".name")).to_have_text(names, timeout=WAKE_MS)
        await window.page.close()


@pytest.mark.parametrize("notified", [True, False], ids=["notified", "not notified"])
async def test_sleep_of_ten_minutes(owner: Visitor, offline: Reelroom, notified: bool) -> None:
    """The machine sleeps and its connections die; the page gets an event for it, or none."""
    project = await owner.project(f"Slept {notified}", ONE_SCENE)
    async with wired(offline) as wire:
        page = await owner.context.new_page()
        await page.clock.install()
        window = Window(page, f"http://127.0.0.1:{wire.port}")
        await window.open(f"/projects/{project}")
        await expect(window.connection).to_have_text("Live")
        await cut_off(wire)
        await add(owner, project, "Second", "Third")
        await page.clock.fast_forward(10 * MINUTE_MS)
        if notified:
            await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        with timed(f"slept, {notified=}"):
            names = ["First", "Second", "Third"]
            await expect(window.scenes.locator(".name")).to_have_text(names, timeout=WAKE_MS)
            await expect(window.connection).to_have_text("Live", timeout=WAKE_MS)
        assert (await transports([window])) == ["sse"], "a sleep says nothing against a transport"
        await page.close()


@pytest.mark.parametrize("days", [2, -2])
async def test_clock_jump(owner: Visitor, offline: Reelroom, days: int) -> None:
    """The clock is set: events are shown, and a connection that dies is noticed."""
    project = await owner.project(f"Jumped {days}", ONE_SCENE)
    async with wired(offline) as wire:
        page = await owner.context.new_page()
        await page.clock.install()
        window = Window(page, f"http://127.0.0.1:{wire.port}")
        await window.open(f"/projects/{project}")
        await expect(window.connection).to_have_text("Live")
        await page.clock.set_system_time(time.time() + days * DAY_SECONDS)
        await add(owner, project, "Second")
        await window.shows("First", "Second")
        await expect(window.connection).to_have_text("Live", timeout=WAKE_MS)
        await page.clock.run_for(5_000)  # a few ticks of the client
        await expect(window.connection).to_have_text("Live", timeout=WAKE_MS)
        await cut_off(wire)
        await add(owner, project, "Third")
        await page.clock.fast_forward(MINUTE_MS)
        with timed(f"jumped {days} days"):
            names = ["First", "Second", "Third"]
            await expect(window.scenes.locator(".name")).to_have_text(names, timeout=WAKE_MS)
        await page.close()


async def test_bfcache(owner: Visitor) -> None:
    """The page is left and returned to by the back button, whether it was cached or is reloaded."""
    project = await owner.project("Left", ONE_SCENE)
    window = await owner.window(project)
    await window.page.goto("about:blank")
    await add(owner, project, "Second")
    await window.page.go_back()
    await window.shows("First", "Second")
    await expect(window.connection).to_have_text("Live")
    await add(owner, project, "Third")
    await window.shows("First", "Second", "Third")
