"""Where a network buffers streams, the studio changes to a transport that gets through."""

import asyncio
import json

import pytest
from playwright.async_api import Route, WebSocketRoute, expect

from app.client.feed import open_feed
from tests.harness.process import Reelroom
from tests.web.window import Visitor

FIRST_EVENT_TIMEOUT_MS = 4_000  # after which a client gives up a silent transport
TWO_SCENES = (("First", "export default () => <b>1</b>;"), ("Second", "export default () => null;"))


async def hold_streams(visitor: Visitor) -> None:
    """Act as a proxy that forwards a response only at its end."""

    async def hold(route: Route) -> None:
        await asyncio.Event().wait()

    await visitor.context.route("**/events*", hold)


async def hold_sockets(visitor: Visitor) -> None:
    """Act as a proxy that opens WebSockets and forwards nothing."""

    def hold(socket: WebSocketRoute) -> None:
        socket.on_message(lambda _: None)

    await visitor.context.route_web_socket("**/socket", hold)


@pytest.mark.parametrize("blocked", ["nothing", "streams", "streams and sockets"])
async def test_the_first_transport_that_gets_through_is_used(owner: Visitor, blocked: str) -> None:
    project = await owner.project(f"Behind a proxy: {blocked}", TWO_SCENES)
    used = {"nothing": "sse", "streams": "socket", "streams and sockets": "poll"}[blocked]
    if blocked != "nothing":
        await hold_streams(owner)
    if blocked == "streams and sockets":
        await hold_sockets(owner)
    window = await owner.window(project)
    await expect(window.connection).to_have_attribute("data-transport", used)
    await expect(window.connection).to_have_text("Live")
    await owner.ask("POST", f"/api/projects/{project}/scenes", {"name": "Third"})
    await window.shows("First", "Second", "Third")
    await window.send('Make a title scene that says "Through"')
    await expect(window.turn).to_have_text("Done")
    await expect(window.scenes).to_have_count(4)


async def test_the_transport_found_for_one_project_is_used_for_the_next(owner: Visitor) -> None:
    first, second = await owner.project("Learned"), await owner.project("Known")
    await hold_streams(owner)
    window = await owner.window(first)
    await expect(window.connection).to_have_attribute("data-transport", "socket")
    await window.page.get_by_role("link", name="Reelroom").click()
    await window.page.get_by_role("link", name="Known").click()
    await expect(window.connection).to_have_text("Live", timeout=FIRST_EVENT_TIMEOUT_MS - 1_000)
    assert await window.connection.get_attribute("data-transport") == "socket"
    assert second in window.page.url


async def test_a_client_on_a_socket_sends_which_scene_it_shows(
    offline: Reelroom, owner: Visitor
) -> None:
    project = await owner.project("Looked at", TWO_SCENES)
    listed = await owner.ask("GET", f"/api/projects/{project}/scenes")
    second = listed["items"][1]["id"]
    token = (await owner.ask("POST", "/api/auth/tokens", {"name": "other"}))["token"]
    await hold_streams(owner)
    async with open_feed(offline.url, project, token) as feed, asyncio.timeout(30):
        updates = aiter(feed)
        await anext(updates)
        window = await owner.window(project)
        await window.select("Second")
        async for update in updates:
            presence = [event for event in update.events if event["type"] == "presence.updated"]
            if any(second in json.dumps(event["data"]) for event in presence):
                break
