"""A window of the studio: its parts, what a user does in it, and the errors of its console."""

import re
from collections.abc import Sequence
from typing import Any

from playwright.async_api import BrowserContext, ConsoleMessage, Error, Locator, Page, expect

expect.set_options(timeout=15_000)

# Records what the page shows while code streams in; polling from outside would miss most of it.
RECORDER = """
window.seen = {lengths: [], decisions: [], violations: []};
addEventListener("securitypolicyviolation", (event) => seen.violations.push(event.blockedURI));
new MutationObserver(() => {
  const code = document.querySelector('[aria-label="Code"][data-writing="true"] code');
  const length = code?.textContent.length ?? 0;
  if (length > 0 && seen.lengths.at(-1) !== length) {
    seen.lengths.push(length);
    seen.decisions.push(document.querySelector('[aria-label="Decision"]') !== null);
  }
}).observe(document, {subtree: true, childList: true, characterData: true, attributes: true});
"""
PLAYED = re.compile(r"^([2-9]\d|1\d\d) / ")  # the frame counter from frame 20 on


class Window:
    """One tab; `errors` has the errors and warnings of its console."""

    def __init__(self, page: Page, url: str) -> None:
        self.page, self.url = page, url
        self.errors: list[str] = []
        page.on("console", self._on_console)
        page.on("pageerror", self._on_error)
        self.prompt = page.get_by_role("textbox", name="Prompt")
        self.connection = page.get_by_role("status", name="Connection")
        self.turn = page.get_by_role("status", name="Turn")
        self.decision = page.get_by_role("region", name="Decision")
        self.code = page.get_by_role("region", name="Code")
        self.messages = page.get_by_role("list", name="Messages").get_by_role("listitem")
        self.scenes = page.get_by_role("list", name="Scenes").get_by_role("listitem")
        self.player = page.get_by_test_id("player")
        self.counter = page.get_by_label("Frame counter")
        self.frame = page.get_by_title("Preview")
        self.stage = page.frame_locator("iframe[title=Preview]").locator("#stage")

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.errors.append(f"{message.type}: {message.text}")

    def _on_error(self, error: Error) -> None:
        self.errors.append(f"thrown: {error}")

    async def open(self, path: str) -> None:
        await self.page.goto(self.url + path)

    async def open_project(self, project: str) -> None:
        """Open a project and wait until it is shown and live."""
        await self.open(f"/projects/{project}")
        await expect(self.connection).to_have_text("Live")

    async def send(self, prompt: str) -> None:
        await self.prompt.fill(prompt)
        await self.press("Send")

    async def press(self, name: str) -> None:
        await self.page.get_by_role("button", name=name, exact=True).click()

    def named(self, name: str) -> Locator:
        """Return the row of a scene."""
        return self.scenes.filter(has=self.page.get_by_text(name, exact=True))

    async def shows(self, *names: str | re.Pattern[str]) -> None:
        """Assert that these are the scenes, in this order."""
        await expect(self.scenes.locator(".name")).to_have_text(list(names))

    async def select(self, scene: str) -> None:
        await self.named(scene).locator(".scene-name").click()

    async def seek(self, frame: int) -> None:
        await self.page.get_by_role("slider", name="Frame").fill(str(frame))
        await expect(self.counter).to_have_text(re.compile(rf"^{frame} / "))

    async def picture(self) -> bytes:
        """Return the preview as an image, once the scene is rendered."""
        await self.page.bring_to_front()
        await expect(self.player).to_have_attribute("data-state", "rendered")
        return await self.frame.screenshot()

    async def seen(self) -> dict[str, Any]:
        """Return what the recorder recorded."""
        recorded: dict[str, Any] = await self.page.evaluate("window.seen")
        return recorded


class Visitor:
    """One browser profile, signed in or not."""

    def __init__(self, context: BrowserContext, url: str) -> None:
        self.context, self.url = context, url
        self.windows: list[Window] = []

    async def window(self, project: str | None = None) -> Window:
        window = Window(await self.context.new_page(), self.url)
        self.windows.append(window)
        if project is not None:
            await window.open_project(project)
        return window

    async def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Send a request that must succeed, and return its data."""
        answer = await self.context.request.fetch(
            self.url + path, method=method, data=body or {}, headers={"Origin": self.url}
        )
        assert answer.ok, await answer.text()
        return (await answer.json())["data"]

    async def project(self, title: str, scenes: Sequence[tuple[str, str]] = ()) -> str:
        """Create a project with scenes of these names and codes, and return its id."""
        created = await self.ask("POST", "/api/projects", {"title": title})
        for name, code in scenes:
            body = {"name": name, "tsxCode": code}
            await self.ask("POST", f"/api/projects/{created['id']}/scenes", body)
        return str(created["id"])
