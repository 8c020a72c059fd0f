"""Following a project as Server-Sent Events."""

from tests.recordings.chapter import ABSENT, Chapter
from tests.recordings.chapters.history import PROMPT
from tests.recordings.people import Person


async def record(ch: Chapter) -> None:
    ann = await ch.person("ann")
    project = await ch.project(ann, title="Streams")
    await _following(ch, ann, project)
    await _resuming(ch, ann, project)
    await _turn(ch, ann)
    await _endings(ch, ann)
    await _refusals(ch, ann, project)


async def _following(ch: Chapter, ann: Person, project: str) -> None:
    bob = await ch.person("bob")
    base = f"/api/projects/{project}"
    stream = await ch.follow("join", ann, f"{base}/events")
    await stream.until("sync.ready")
    ch.events("join.events", stream)
    await ch.event("presence.alone", stream, "presence.updated", '"connections":1')
    scene = await ch.scene(ann, project, name="One", tsxCode="one")
    second = await ch.scene(ann, project, name="Two")
    path = f"/api/scenes/{scene['id']}"
    await ch.data(ann, "PATCH", path, {"name": "Uno", "props": {"a": "é🎬 "}})
    order = {"sceneIds": [second["id"], scene["id"]]}
    await ch.data(ann, "PUT", f"{base}/scene-order", order)
    await ch.data(ann, "DELETE", path)
    await ch.data(ann, "POST", f"{path}/restore")
    await ch.data(ann, "POST", f"{path}/split", {"atFrame": 30})
    await ch.data(ann, "POST", f"{base}/undo")
    await ch.member(ann, project, bob, "viewer")
    await ch.data(ann, "PATCH", base, {"title": "Renamed", "fps": 24})
    await stream.until("project.updated", '"fps": 24')
    ch.events("changes.events", stream)
    other = await ch.follow("join.viewer", bob, f"{base}/events")
    await ch.event("presence.two", stream, "presence.updated", '"userId":"streams-bob"')
    await other.until("sync.ready")
    ch.events("join.viewer.events", other)


async def _resuming(ch: Chapter, ann: Person, project: str) -> None:
    path = f"/api/projects/{project}/events"
    snapshot = await ch.data(ann, "GET", f"/api/projects/{project}/snapshot")
    epoch, head = snapshot["epoch"], snapshot["revision"]
    last = f"{epoch}.{head - 1}"
    for step, query, cursor in (
        ("header", "", last),
        ("query", f"?after={last}", None),
        ("both", f"?after={epoch}.0", last),
        ("head", f"?after={epoch}.{head}", None),
        ("start", f"?after={epoch}.{head - 4}", None),
        ("empty", "?after=", None),
        ("empty-header", f"?after={last}", ""),
        ("malformed", "?after=odd", None),
        ("malformed-header", "", "odd"),
        ("huge", f"?after={epoch}.{10**19}", None),
        ("other-epoch", "?after=00000000.3", None),
        ("future", f"?after={epoch}.{head + 9}", None),
    ):
        headers = [] if cursor is None else [("last-event-id", cursor)]
        stream = await ch.follow(f"resume.{step}", ann, path + query, headers=headers)
        await stream.until("sync.ready")
        blocks = stream.blocks
        if step not in ("malformed", "both", "start", "query"):
            blocks.items[:] = [one for one in blocks.items if "event: project.snapshot" not in one]
        ch.events(f"resume.{step}.events", stream)
        await stream.close()


async def _turn(ch: Chapter, ann: Person) -> None:
    project = await ch.project(ann, title="A turn")
    stream = await ch.follow("turn", ann, f"/api/projects/{project}/events")
    await stream.until("sync.ready")
    await ch.data(ann, "POST", f"/api/projects/{project}/runs", {"prompt": PROMPT})
    await stream.until("run.finished")
    ch.events("turn.events", stream)


async def _endings(ch: Chapter, ann: Person) -> None:
    for step, role in (("lowered", "editor"), ("removed", "viewer"), ("deleted", "editor")):
        project = await ch.project(ann, title=step)
        base = f"/api/projects/{project}"
        guest = await ch.person(step)
        await ch.member(ann, project, guest, role)
        stream = await ch.follow(f"end.{step}", guest, f"{base}/events")
        await stream.until("sync.ready")
        stream.blocks.take()
        if step == "lowered":
            await ch.data(ann, "PUT", f"{base}/members/{guest.id}", {"role": "viewer"})
        elif step == "removed":
            await ch.data(ann, "DELETE", f"{base}/members/{guest.id}")
        else:
            await ch.data(ann, "DELETE", base)
        await stream.blocks.ended()
        ch.events(f"end.{step}.events", stream)
    leaver = await ch.person("leaver")
    project = await ch.project(leaver)
    stream = await ch.follow("end.session", leaver, f"/api/projects/{project}/events")
    await stream.until("sync.ready")
    stream.blocks.take()
    tokens = (await ch.data(leaver, "GET", "/api/auth/tokens"))["items"]
    await ch.data(leaver, "DELETE", f"/api/auth/tokens/{tokens[0]['id']}")
    await stream.blocks.ended()
    ch.events("end.session.events", stream)


async def _refusals(ch: Chapter, ann: Person, project: str) -> None:
    path = f"/api/projects/{project}/events"
    eve = await ch.person("eve")
    for step, who, target in (
        ("nobody", None, path),
        ("foreign", eve, path),
        ("absent", ann, f"/api/projects/{ABSENT}/events"),
        ("odd", ann, "/api/projects/7/events"),
        ("long", ann, f"{path}?after={'x' * 101}"),
    ):
        headers = [("accept", "text/event-stream")]
        await ch.call(f"refused.{step}", who, "GET", target, headers=headers)
    await ch.call("refused.post", ann, "POST", path)
