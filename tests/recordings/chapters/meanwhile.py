"""Requests while a turn runs: joining it, cancelling it, and changing what it works on.

The model stops at a gate, so that everything else happens at a known moment.
"""

import asyncio
from typing import Any

from tests.recordings.chapter import JSON, MSGPACK, Chapter
from tests.recordings.chapters.sockets import HELLO, path_of
from tests.recordings.client import EventStream
from tests.recordings.model import Gate, Model, component, decide, halting, write
from tests.recordings.people import Person

HALF = len(component("Half")) // 2


async def record(ch: Chapter, model: Model) -> None:
    ann = await ch.person("ann")
    await _joining(ch, model, ann)
    await _queue(ch, model, ann)
    await _interrupting(ch, model, ann)
    await _workflow(ch, model, ann)
    await _stale(ch, model, ann)
    await _rights(ch, model, ann)


async def _begin(ch: Chapter, who: Person, project: str, model: str, **more: Any) -> dict[str, Any]:
    body = {"prompt": "A title", "model": model, **more}
    found: dict[str, Any] = await ch.data(who, "POST", f"/api/projects/{project}/runs", body)
    return found


async def _followed(ch: Chapter, step: str, who: Person, project: str) -> EventStream:
    stream = await ch.follow(step, who, f"/api/projects/{project}/events")
    await stream.until("sync.ready")
    stream.blocks.take()
    return stream


async def _joining(ch: Chapter, model: Model, ann: Person) -> None:
    """Join a turn whose code is half written, in every way."""
    project = await ch.project(ann, title="Joining")
    base = f"/api/projects/{project}"
    stream = await _followed(ch, "first", ann, project)
    gate = Gate()
    name = model.script("joining", decide(), halting("Half", gate))
    begun = await _begin(ch, ann, project, name)
    await gate.reached.wait()
    await stream.until("code.delta")
    cursor = (await ch.data(ann, "GET", f"{base}/snapshot"))["cursor"]
    run = f"/api/runs/{begun['run']['id']}"
    late = await ch.follow("late", ann, f"{base}/events?after={cursor}")
    await late.until("run.snapshot")
    await late.until("sync.ready")
    ch.events("late.events", late)
    packed = await ch.connect("late.socket", ann, path_of(project), MSGPACK)
    await packed.send({**HELLO, "after": cursor}, packed=True)
    await packed.until("sync.ready")
    ch.frames("late.socket.frames", packed)
    follower = await ch.follow("late.run", ann, f"{run}/events")
    await follower.until("run.snapshot")
    await ch.call("late.poll", ann, "GET", f"{base}/changes?after={cursor}")
    await ch.call("running.run", ann, "GET", run)
    await _asking(ch, ann, project)
    gate.open()
    for one in (stream, late, packed):
        await one.until("run.finished")
    await follower.blocks.ended()
    ch.events("first.events", stream)
    ch.events("late.rest", late)
    ch.frames("late.socket.rest", packed)
    ch.events("late.run.events", follower)
    for one in (stream, late, packed):
        await one.close()


async def _asking(ch: Chapter, ann: Person, project: str) -> None:
    """Request what depends on whether a turn runs and writes."""
    base = f"/api/projects/{project}"
    await ch.call("running.snapshot", ann, "GET", f"{base}/snapshot")
    body = {"prompt": "x", "onBusy": "reject"}
    await ch.call("reject", ann, "POST", f"{base}/runs", body)
    pending = await ch.data(ann, "GET", f"/api/generations?projectId={project}")
    made = f"/api/generations/{pending['items'][0]['id']}"
    await ch.call("generation.pending", ann, "GET", made)
    await ch.call("generation.delete", ann, "DELETE", made)
    await ch.call("generation.apply", ann, "POST", f"{made}/apply")
    await ch.call("generation.refine", ann, "POST", f"{made}/refine", {"refinementPrompt": "x"})


async def _queue(ch: Chapter, model: Model, ann: Person) -> None:
    """Queue turns behind a running one until no more are accepted."""
    project = await ch.project(ann, title="Queue")
    base = f"/api/projects/{project}"
    gate = Gate()
    running = await _begin(ch, ann, project, model.script("queue", decide(gate)))
    await gate.reached.wait()
    body = {"prompt": "Behind", "model": "nothing"}
    waiting = await ch.call("queued", ann, "POST", f"{base}/runs", body)
    stream = await ch.follow("queued.run", ann, f"/api/runs/{waiting['data']['run']['id']}/events")
    await ch.call("queued.cancel", ann, "POST", f"/api/runs/{waiting['data']['run']['id']}/cancel")
    await stream.blocks.ended()
    ch.events("queued.run.events", stream)
    await asyncio.gather(*(_begin(ch, ann, project, "nothing") for _ in range(20)))
    await ch.call("queue.full", ann, "POST", f"{base}/runs", body)
    follower = await ch.follow(
        "running.run-events", ann, f"/api/runs/{running['run']['id']}/events"
    )
    await follower.until("run.started")
    wait = [("prefer", "wait=1")]
    path = f"/api/runs/{running['run']['id']}/cancel"
    project_again = await ch.project(ann, title="Slow")
    slow = Gate()
    name = model.script("slow", decide(slow))
    body = {"prompt": "Slow", "model": name}
    await ch.call("slow", ann, "POST", f"/api/projects/{project_again}/runs", body, headers=wait)
    await ch.data(ann, "DELETE", f"/api/projects/{project_again}")
    key = [("idempotency-key", "cancel")]
    await ch.data(ann, "DELETE", base)
    await ch.call("cancel.deleted", ann, "POST", path, headers=key)
    await follower.blocks.ended()
    ch.events("running.run-events.rest", follower)


async def _interrupting(ch: Chapter, model: Model, ann: Person) -> None:
    project = await ch.project(ann, title="Interrupt")
    stream = await _followed(ch, "interrupt", ann, project)
    gate = Gate()
    begun = await _begin(ch, ann, project, model.script("stuck", decide(), halting("Half", gate)))
    await gate.reached.wait()
    await stream.until("code.delta")
    path = f"/api/runs/{begun['run']['id']}/cancel"
    key = [("idempotency-key", "cancel")]
    await ch.call("cancel", ann, "POST", path, headers=key)
    await ch.call("cancel.again", ann, "POST", path, headers=key)
    await stream.until("run.finished")
    ch.events("cancel.events", stream)
    gate = Gate()
    await _begin(ch, ann, project, model.script("interrupted", decide(gate)))
    await gate.reached.wait()
    stream.blocks.take()
    name = model.script("urgent", decide(), write("Urgent"))
    body = {"prompt": "Now", "model": name, "onBusy": "interrupt"}
    wait = [("prefer", "wait=30")]
    await ch.call("interrupt.now", ann, "POST", f"/api/projects/{project}/runs", body, headers=wait)
    await stream.until("run.finished", '"status": "succeeded"')
    ch.events("interrupt.events", stream)
    await stream.close()


async def _workflow(ch: Chapter, model: Model, ann: Person) -> None:
    """Try to go back over a turn whose first step is done and whose second is being written."""
    project = await ch.project(ann, title="Workflow")
    stream = await _followed(ch, "workflow", ann, project)
    gate = Gate()
    step = {"toolName": "addScene", "context": "A title"}
    decision = decide(toolName=None, workflow=[step, step])
    name = model.script("workflow", decision, write("First"), halting("Second", gate))
    begun = await _begin(ch, ann, project, name)
    await gate.reached.wait()
    message = begun["assistantMessage"]["id"]
    path = f"/api/messages/{message}/revert"
    await ch.call("workflow.revert", ann, "POST", path, {"target": "before"})
    await ch.call("workflow.undo", ann, "POST", f"/api/projects/{project}/undo")
    gate.open()
    await stream.until("run.finished")
    ch.events("workflow.events", stream)
    await stream.close()


async def _stale(ch: Chapter, model: Model, ann: Person) -> None:
    """Change the scene that a turn writes once, twice, or delete it."""
    for step, changes in {"once": 1, "twice": 2, "deleted": 0}.items():
        project = await ch.project(ann, title=f"Stale {step}")
        scene = (await ch.scene(ann, project, name="One", tsxCode=component("One")))["id"]
        stream = await _followed(ch, f"stale.{step}", ann, project)
        first, second = Gate(), Gate()
        edit = decide(toolName="editScene", targetSceneId=scene)
        answers = [halting("New", first), halting("New", second)]
        name = model.script(f"stale-{step}", edit, *answers)
        await _begin(ch, ann, project, name)
        for number, gate in enumerate((first, second)):
            if number and not changes:
                break
            await gate.reached.wait()
            await stream.find("code.delta", '"offset":0')
            if not number:
                stream.blocks.take()  # up to here it is as in every turn
            if number < changes:
                body = {"name": f"By hand {number}"}
                await ch.data(ann, "PATCH", f"/api/scenes/{scene}", body)
            elif not changes:
                await ch.data(ann, "DELETE", f"/api/scenes/{scene}")
            gate.open()
        await stream.until("run.finished")
        ch.events(f"stale.{step}.events", stream)
        await stream.close()


async def _rights(ch: Chapter, model: Model, ann: Person) -> None:
    """Remove the role of the user who began a turn before its decision."""
    for step in ("lowered", "removed"):
        project = await ch.project(ann, title=step)
        guest = await ch.person(step)
        await ch.member(ann, project, guest, "editor")
        gate = Gate()
        begun = await _begin(ch, guest, project, model.script(f"rights-{step}", decide(gate)))
        await gate.reached.wait()
        path = f"/api/projects/{project}/members/{guest.id}"
        if step == "lowered":
            await ch.data(ann, "PUT", path, {"role": "viewer"})
        else:
            await ch.data(ann, "DELETE", path)
        socket = await ch.connect(f"rights.{step}", ann, path_of(project), JSON)
        await socket.send(HELLO)
        await socket.until("sync.ready")
        gate.open()
        await socket.until("run.finished")
        await socket.close()
        await ch.call(f"rights.{step}.run", ann, "GET", f"/api/runs/{begun['run']['id']}")
