"""Following a project by long polls."""

import asyncio
from typing import Any

from tests.recordings.chapter import ABSENT, NOTHING, Chapter
from tests.recordings.people import Person


async def record(ch: Chapter) -> None:
    ann = await ch.person("ann")
    project = await ch.project(ann, title="Polls")
    await _cursors(ch, ann, project)
    await _waiting(ch, ann, project)


async def _cursors(ch: Chapter, ann: Person, project: str) -> None:
    path = f"/api/projects/{project}/changes"
    snapshot = await ch.call("snapshot", ann, "GET", f"/api/projects/{project}/snapshot")
    epoch, cursor = snapshot["data"]["epoch"], snapshot["data"]["cursor"]
    for step, query in {
        "no-cursor": "",
        "malformed": "?after=odd",
        "no-epoch": "?after=.3",
        "negative": f"?after={epoch}.-1",
        "huge": f"?after={epoch}.{2**63}",
        "long": f"?after={'x' * 101}",
        "other-epoch": "?after=00000000.1",
        "future": f"?after={epoch}.99&wait=1",
        "start": f"?after={epoch}.0",
        "head": f"?after={cursor}",
        "short-wait": f"?after={cursor}&wait=0.01",
        "long-wait": f"?after={cursor}&wait=31",
        "negative-wait": f"?after={cursor}&wait=-1",
        "odd-wait": f"?after={cursor}&wait=soon",
        "zero-limit": f"?after={cursor}&limit=0",
        "high-limit": f"?after={cursor}&limit=100000",
    }.items():
        await ch.call(f"changes.{step}", ann, "GET", path + query)
    eve = await ch.person("eve")
    await ch.call("changes.nobody", None, "GET", f"{path}?after={cursor}")
    await ch.call("changes.foreign", eve, "GET", f"{path}?after={cursor}")
    await ch.call("changes.absent", ann, "GET", f"/api/projects/{ABSENT}/changes?after={cursor}")


async def _waiting(ch: Chapter, ann: Person, project: str) -> None:
    """Change something while a poll waits: scenes, a role, a token, and the project."""
    base = f"/api/projects/{project}"

    async def wait(
        step: str, who: Person, method: str, target: str, body: Any = NOTHING, by: Person = ann
    ) -> None:
        cursor = (await ch.data(who, "GET", f"{base}/snapshot"))["cursor"]
        path = f"{base}/changes?after={cursor}"
        async with asyncio.TaskGroup() as group:
            group.create_task(ch.call(step, who, "GET", f"{path}&wait=30"))
            for _ in range(5):  # these are behind the poll, so it waits when they are answered
                await ch.data(ann, "GET", path)
                await asyncio.sleep(0.05)
            await ch.data(by, method, target, body)
        await ch.call(f"{step}.limit", ann, "GET", f"{path}&limit=1")

    await wait("wait", ann, "POST", f"{base}/scenes", {"name": "One", "tsxCode": "one"})
    bob = await ch.person("bob")
    await ch.member(ann, project, bob, "editor")
    await wait("wait.lowered", bob, "PUT", f"{base}/members/{bob.id}", {"role": "viewer"})
    token = (await ch.data(bob, "GET", "/api/auth/tokens"))["items"][0]["id"]
    await wait("wait.session", bob, "DELETE", f"/api/auth/tokens/{token}", by=bob)
    await wait("wait.deleted", ann, "DELETE", base)
