"""Races of the browser: many tabs, tabs that die, proxies that hold back, pages that slept."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from playwright.async_api import expect

from tests.fault_proxy import BufferingProxy, FaultProxy
from tests.web.server import Server
from tests.web.window import Visitor, Window

TABS = 8  # a browser opens six connections to a server over HTTP/1.1
STREAMS = 3  # of them may be streams
ONE_SCENE = (("First", "export default () => <b>1</b>;"),)
FALLBACK = 15_000  # ms in which a way through is found: ten, and more on a busy machine
AWAKE = 10_000  # ms; without a look at waking up the silence would last 35 s
MINUTES = 60_000  # ms
DAY = 86_400  # s


async def transports(windows: list[Window]) -> list[str | None]:
    return [await window.connection.get_attribute("data-transport") for window in windows]


async def crash(window: Window) -> None:
    """Kill the tab's process."""
    session = await window.page.context.new_cdp_session(window.page)
    async with window.page.expect_event("crash"):
        asking = asyncio.create_task(session.send("Page.crash", {}))  # answers nothing
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)


async def add(owner: Visitor, project: str, *names: str) -> None:
    for name in names:
        await owner.ask("POST", f"/api/projects/{project}/scenes", {"name": name})


async def test_two_tabs_leader_dies_and_seven_tabs_over_http_1(owner: Visitor) -> None:
    """All tabs load and are live; those that die leave their streams to those that come."""
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
    """A window whose requests go through a proxy; what it complains of is not looked at."""
    window = Window(await owner.context.new_page(), f"http://127.0.0.1:{port}")
    await window.open(f"/projects/{project}")
    return window


@pytest.mark.parametrize("heeds", [True, False], ids=["asked not to", "header stripped"])
async def test_proxy_buffering(owner: Visitor, offline: Server, heeds: bool) -> None:
    project = await owner.project(f"Held back: {heeds}", ONE_SCENE)
    port = int(offline.url.rpartition(":")[2])
    async with BufferingProxy(port, heeds=heeds).running() as proxy:
        window = await through(owner, proxy.port, project)
        began = time.monotonic()
        await expect(window.connection).to_have_attribute(
            "data-transport", "sse" if heeds else "poll", timeout=2 * FALLBACK
        )
        await expect(window.connection).to_have_text("Live", timeout=2 * FALLBACK)
        found = time.monotonic() - began
        print(f"a way through was found after {found:.1f} s")
        for number in range(3):
            await add(owner, project, f"More {number}")
            await window.shows("First", *(f"More {n}" for n in range(number + 1)))
        await window.page.close()
    assert found * 1000 < FALLBACK


@asynccontextmanager
async def wired(offline: Server) -> AsyncIterator[FaultProxy]:
    port = int(offline.url.rpartition(":")[2])
    async with FaultProxy("127.0.0.1", port).running() as wire:
        yield wire


async def cut_off(wire: FaultProxy) -> None:
    """What is open dies without a word: the stream alone, for a browser that sleeps keeps no more.

    What it keeps for other requests the server closes after some seconds.
    """
    async with asyncio.timeout(30):
        while len(wire.open) > 1:
            await asyncio.sleep(0.05)
    wire.silence()


@contextlib.contextmanager
def timed(what: str) -> Iterator[None]:
    began = time.monotonic()
    yield
    print(f"{what}: right after {time.monotonic() - began:.2f} s")


async def test_frozen_tab(owner: Visitor, offline: Server) -> None:
    """The browser stops a tab's scripts while its network goes on, or breaks, too."""
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
                await expect(window.scenes.locator(".name")).to_have_text(names, timeout=AWAKE)
        await window.page.close()


@pytest.mark.parametrize("told", [True, False], ids=["told", "untold"])
async def test_sleep_of_ten_minutes(owner: Visitor, offline: Server, told: bool) -> None:
    """The machine sleeps, its connections die without a word; nobody may even tell the page."""
    project = await owner.project(f"Slept {told}", ONE_SCENE)
    async with wired(offline) as wire:
        page = await owner.context.new_page()
        await page.clock.install()
        window = Window(page, f"http://127.0.0.1:{wire.port}")
        await window.open(f"/projects/{project}")
        await expect(window.connection).to_have_text("Live")
        await cut_off(wire)
        await add(owner, project, "Second", "Third")
        await page.clock.fast_forward(10 * MINUTES)
        if told:
            await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        with timed(f"slept, {told=}"):
            names = ["First", "Second", "Third"]
            await expect(window.scenes.locator(".name")).to_have_text(names, timeout=AWAKE)
            await expect(window.connection).to_have_text("Live", timeout=AWAKE)
        assert (await transports([window])) == ["sse"], "sleeping blames no transport"
        await page.close()


@pytest.mark.parametrize("days", [2, -2])
async def test_clock_jump(owner: Visitor, offline: Server, days: int) -> None:
    """Somebody sets the clock: what comes is shown, and a connection that dies is noticed."""
    project = await owner.project(f"Jumped {days}", ONE_SCENE)
    async with wired(offline) as wire:
        page = await owner.context.new_page()
        await page.clock.install()
        window = Window(page, f"http://127.0.0.1:{wire.port}")
        await window.open(f"/projects/{project}")
        await expect(window.connection).to_have_text("Live")
        await page.clock.set_system_time(time.time() + days * DAY)
        await add(owner, project, "Second")
        await window.shows("First", "Second")
        await expect(window.connection).to_have_text("Live", timeout=AWAKE)
        await page.clock.run_for(5_000)  # a few looks at the clock
        await expect(window.connection).to_have_text("Live", timeout=AWAKE)
        await cut_off(wire)
        await add(owner, project, "Third")
        await page.clock.fast_forward(MINUTES)
        with timed(f"jumped {days} days"):
            names = ["First", "Second", "Third"]
            await expect(window.scenes.locator(".name")).to_have_text(names, timeout=AWAKE)
        await page.close()


async def test_bfcache(owner: Visitor) -> None:
    """Left and come back to with the browser's arrow, whether it was kept or is loaded anew."""
    project = await owner.project("Left", ONE_SCENE)
    window = await owner.window(project)
    await window.page.goto("about:blank")
    await add(owner, project, "Second")
    await window.page.go_back()
    await window.shows("First", "Second")
    await expect(window.connection).to_have_text("Live")
    await add(owner, project, "Third")
    await window.shows("First", "Second", "Third")
