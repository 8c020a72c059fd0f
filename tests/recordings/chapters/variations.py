"""Generations that are being written: their limit, and the deletion of a pending one."""

import asyncio

from tests.recordings.chapter import Chapter
from tests.recordings.client import PATIENCE_SECONDS
from tests.recordings.model import Gate, Model, halting


async def record(ch: Chapter, model: Model) -> None:
    ann = await ch.person("ann")
    project = await ch.project(ann, title="Variations")
    path = f"/api/projects/{project}/generations"
    gates = [Gate() for _ in range(20)]
    name = model.script("variations", *(halting("Half", gate) for gate in gates))
    body = {"prompt": "A title", "count": 4, "model": name}
    batches = [await ch.data(ann, "POST", path, body) for _ in range(5)]
    await gates[0].reached.wait()
    await ch.call("full", ann, "POST", path, {**body, "count": 1})
    waiting = batches[4]["items"][3]["id"]
    await ch.call("pending.delete", ann, "DELETE", f"/api/generations/{waiting}")
    wait = [("prefer", "wait=1")]
    keyed = [("idempotency-key", "late"), *wait]
    late = {**body, "count": 1}
    begun = await ch.call("late", ann, "POST", path, late, headers=keyed)
    for gate in gates:
        gate.open()
    every = f"/api/generations?limit=100&projectId={project}"
    async with asyncio.timeout(PATIENCE_SECONDS):
        while any(
            one["status"] == "pending" for one in (await ch.data(ann, "GET", every))["items"]
        ):
            await asyncio.sleep(0.05)
    one = f"/api/generations/{begun['data']['items'][0]['id']}"
    await ch.call("late.read", ann, "GET", one)
    await ch.call("late.again", ann, "POST", path, late, headers=keyed)
