"""The server is killed during a turn and started again; the page recovers by itself."""

import asyncio

from playwright.async_api import Browser, expect

from tests.harness.model_server import CODE, ModelServer, decide
from tests.web.conftest import NewServer, NewVisitor, signed_in
from tests.web.held import held

TAKEOVER_TIMEOUT_MS = 40_000  # for the lease to expire and a worker to claim the run


async def test_a_turn_survives_the_death_of_its_server_and_ends_once(
    chromium: Browser, new_server: NewServer, new_visitor: NewVisitor, model_server: ModelServer
) -> None:
    server = await new_server(OPENAI_BASE_URL=model_server.url, OPENAI_API_KEY="test")
    visitor = await new_visitor(server, await signed_in(chromium, server))
    project = await visitor.project("Killed")
    window = await visitor.window(project)
    with held(CODE) as half:
        model_server.script(decide(), half.behaviour)
        await window.send("Add a scene")
        await expect(window.code.locator("code")).to_have_text(half.before)
        server.kill()
        await expect(window.connection).to_have_text("Reconnecting…")
        await expect(window.scenes).to_have_count(0)
        server.start()
        await asyncio.to_thread(server.ready)
    await expect(window.connection).to_have_text("Live", timeout=TAKEOVER_TIMEOUT_MS)
    await expect(window.turn).to_have_text("Done", timeout=TAKEOVER_TIMEOUT_MS)
    await expect(window.scenes).to_have_count(1)
    await expect(window.messages).to_have_count(2)
    await expect(window.messages.last).to_have_attribute("data-status", "success")
    await expect(window.code.locator("code")).to_have_text(CODE)
    await expect(window.stage).to_contain_text("Hello from the model")

    epoch = (await visitor.ask("GET", f"/api/projects/{project}"))["epoch"]
    log = await visitor.ask("GET", f"/api/projects/{project}/changes?after={epoch}.0")
    ended = [event["data"]["run"] for event in log["events"] if event["type"] == "run.finished"]
    assert [(run["status"], run["attempt"]) for run in ended] == [("succeeded", 2)]
    assert [event["type"] for event in log["events"]].count("scene.created") == 1
    assert all("net::ERR" in line for line in window.errors)
    window.errors.clear()  # the browser logs each attempt to reach the dead server
