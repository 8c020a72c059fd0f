"""Following a project by plain requests."""

import asyncio
from typing import Any

from tests.recordings.chapter import ABSENT, NOTHING, Chapter


async def record(ch: Chapter) -> None:
    ann, eve = await ch.person("ann"), await ch.person("eve")
    project = await ch.project(ann, title="Polls")
    base = f"/api/projects/{project}"
    path = f"{base}/changes"
    snapshot = await ch.call("snapshot", ann, "GET", f"{base}/snapshot")
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
    await ch.call("changes.nobody", None, "GET", f"{path}?after={cursor}")
    await ch.call("changes.foreign", eve, "GET", f"{path}?after={cursor}")
    await ch.call("changes.absent", ann, "GET", f"/api/projects/{ABSENT}/changes?after={cursor}")

    async def later(method: str, target: str, body: Any, who: Any = ann) -> None:
        """Change something once the poll waits: others that were sent behind it are answered."""
        for _ in range(5):
            await ch.data(ann, "GET", f"{path}?after={cursor}")
            await asyncio.sleep(0.05)
        await ch.data(who, method, target, body)

    wait = f"{path}?wait=30&after="
    async with asyncio.TaskGroup() as group:
        group.create_task(later("POST", f"{base}/scenes", {"name": "One", "tsxCode": "one"}))
        found = await ch.call("wait", ann, "GET", wait + cursor)
    await ch.call("limit", ann, "GET", f"{path}?limit=1&after={cursor}")
    cursor = found["data"]["cursor"]

    bob = await ch.person("bob")
    await ch.member(ann, project, bob, "editor")
    cursor = (await ch.data(bob, "GET", f"{base}/snapshot"))["cursor"]
    async with asyncio.TaskGroup() as group:
        group.create_task(later("PUT", f"{base}/members/{bob.id}", {"role": "viewer"}))
        await ch.call("wait.lowered", bob, "GET", wait + cursor)
    cursor = (await ch.data(bob, "GET", f"{base}/snapshot"))["cursor"]
    token = (await ch.data(bob, "GET", "/api/auth/tokens"))["items"][0]["id"]
    async with asyncio.TaskGroup() as group:
        group.create_task(later("DELETE", f"/api/auth/tokens/{token}", NOTHING, bob))
        await ch.call("wait.session", bob, "GET", wait + cursor)
    async with asyncio.TaskGroup() as group:
        group.create_task(later("DELETE", base, NOTHING))
        await ch.call("wait.deleted", ann, "GET", wait + cursor)
