"""A feed of a real server, used as other programs use it."""

import asyncio
import re
import sys

import pytest

from app.client.fallback import Transport
from app.client.feed import open_feed
from app.client.transports import RequestRefused
from tests.conftest import NewPerson
from tests.harness.person import Person
from tests.harness.process import ROOT, environment

README_EXAMPLE = re.compile(r"## A client in Python\n.*?```python\n(.*?)```", re.DOTALL)


@pytest.mark.parametrize("transport", ["sse", "socket", "msgpack", "poll"])
async def test_a_feed_begins_with_a_snapshot_and_goes_on_with_whole_transactions(
    person: Person, server: str, transport: Transport
) -> None:
    project = await person.project("followed")
    async with (
        open_feed(server, project, person.token, transport=transport) as feed,
        asyncio.timeout(30),
    ):
        updates = aiter(feed)
        update = await anext(updates)
        assert update.events == []
        assert update.state["project"]["title"] == "followed"
        assert update.cursor == (await person.snapshot(project))["cursor"]
        scene = await person.scene(project, name="Hello")
        while scene["id"] not in update.state["scenes"]:
            update = await anext(updates)
        durable = [event for event in update.events if "revision" in event]
        assert durable[-1]["revision"] == durable[-1]["commit"] == update.state["revision"]
        assert update.state["scenes"][scene["id"]]["name"] == "Hello"
        assert (feed.connection, feed.transport, feed.resets) == ("live", transport, 0)


async def test_a_feed_of_a_project_that_may_not_be_read_ends(
    person: Person, new_person: NewPerson, server: str
) -> None:
    project = await (await new_person()).project()
    async with open_feed(server, project, person.token) as feed, asyncio.timeout(30):
        with pytest.raises(RequestRefused) as refused:
            await anext(aiter(feed))
    assert refused.value.status == 404
    assert feed.connection == "ended"


async def test_a_feed_goes_on_with_another_token(person: Person, server: str) -> None:
    project = await person.project()
    issued = await person.do("POST", "/api/auth/tokens", {"name": "first"})
    async with open_feed(server, project, issued["token"]) as feed, asyncio.timeout(30):
        updates = aiter(feed)
        await anext(updates)
        feed.use_token(person.token)
        await person.do("DELETE", f"/api/auth/tokens/{issued['id']}")
        scene = await person.scene(project)
        while feed.state is None or scene["id"] not in feed.state["scenes"]:
            await anext(updates)
        assert feed.resets == 0


async def test_the_example_in_the_readme_works(person: Person, server: str) -> None:
    found = README_EXAMPLE.search((ROOT / "README.md").read_text())
    assert found
    project = await person.project("Example")
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", found[1], server, project, person.token),
        env=environment(PYTHONUNBUFFERED="1"),
        stdout=asyncio.subprocess.PIPE,
    )
    assert child.stdout
    try:
        async with asyncio.timeout(30):
            assert b"Example: 0 scenes" in await child.stdout.readline()
            await person.scene(project, name="Hello")
            while b"Example: 1 scenes" not in (line := await child.stdout.readline()):
                assert line
    finally:
        child.kill()
        await child.wait()
