"""Where the network keeps streams back, the studio finds a way that gets through."""

import asyncio
import json
from contextlib import aclosing

import pytest
from playwright.async_api import Route, WebSocketRoute, expect

from tests.follow.client import follow
from tests.web.server import Server
from tests.web.window import Visitor

HELLO = 4_000  # ms after which a silent transport is given up
TWO_SCENES = (("First", "export default () => <b>1</b>;"), ("Second", "export default () => null;"))


async def keep_streams(visitor: Visitor) -> None:
    """As a proxy that waits for the end of an answer before it passes it on."""

    async def keep(route: Route) -> None:
        await asyncio.Event().wait()

    await visitor.context.route("**/events*", keep)


async def keep_sockets(visitor: Visitor) -> None:
    """As a proxy that opens WebSockets and passes nothing on."""

    def keep(socket: WebSocketRoute) -> None:
        socket.on_message(lambda _: None)

    await visitor.context.route_web_socket("**/socket", keep)


@pytest.mark.parametrize("blocked", ["nothing", "streams", "streams and sockets"])
async def test_what_gets_through_is_used(owner: Visitor, blocked: str) -> None:
    project = await owner.project(f"Behind a proxy: {blocked}", TWO_SCENES)
    used = {"nothing": "sse", "streams": "socket", "streams and sockets": "poll"}[blocked]
    if blocked != "nothing":
        await keep_streams(owner)
    if blocked == "streams and sockets":
        await keep_sockets(owner)
    window = await owner.window(project)
    await expect(window.connection).to_have_attribute("data-transport", used)
    await expect(window.connection).to_have_text("Live")
    await owner.ask("POST", f"/api/projects/{project}/scenes", {"name": "Third"})
    await window.shows("First", "Second", "Third")
    await window.send('Make a title scene that says "Through"')
    await expect(window.turn).to_have_text("Done")
    await expect(window.scenes).to_have_count(4)


async def test_what_was_learned_holds_for_the_next_project(owner: Visitor) -> None:
    first, second = await owner.project("Learned"), await owner.project("Known")
    await keep_streams(owner)
    window = await owner.window(first)
    await expect(window.connection).to_have_attribute("data-transport", "socket")
    await window.page.get_by_role("link", name="Reelroom").click()
    await window.page.get_by_role("link", name="Known").click()
    await expect(window.connection).to_have_text("Live", timeout=HELLO - 1_000)
    assert await window.connection.get_attribute("data-transport") == "socket"
    assert second in window.page.url


async def test_over_a_socket_others_learn_which_scene_is_looked_at(
    offline: Server, owner: Visitor
) -> None:
    project = await owner.project("Looked at", TWO_SCENES)
    listed = await owner.ask("GET", f"/api/projects/{project}/scenes")
    second = listed["items"][1]["id"]
    token = (await owner.ask("POST", "/api/auth/tokens", {"name": "other"}))["token"]
    await keep_streams(owner)
    async with aclosing(follow(offline.url, project, token)) as updates, asyncio.timeout(30):
        await anext(updates)
        window = await owner.window(project)
        await window.select("Second")
        async for update in updates:
            told = [event for event in update.events if event["type"] == "presence.updated"]
            if any(second in json.dumps(event["data"]) for event in told):
                break
