"""Turns of the offline model: begun, awaited, streamed, resumed and refused."""

from tests.recordings.chapter import ABSENT, Chapter
from tests.recordings.chapters.history import PROMPT
from tests.recordings.people import Person

WAIT = [("prefer", "wait=30")]


async def record(ch: Chapter) -> None:
    ann = await ch.person("ann")
    project = await ch.project(ann, title="Turns")
    await _asking(ch, ann, project)
    await _answers(ch, ann, project)
    await _streams(ch, ann, project)
    await _refusals(ch, ann, project)
    await _access(ch, ann, project)


async def _asking(ch: Chapter, ann: Person, project: str) -> None:
    path = f"/api/projects/{project}/runs"
    key = [("idempotency-key", "turn")]
    begun = await ch.call("begin", ann, "POST", path, {"prompt": PROMPT}, headers=key)
    run = f"/api/runs/{begun['data']['run']['id']}"
    stream = await ch.follow("begin.follow", ann, f"{run}/events")
    await stream.blocks.ended()  # of what it streams, texts depend on when it came
    await ch.call("begin.again", ann, "POST", path, {"prompt": PROMPT}, headers=key)
    waiting = [*key, *WAIT]
    await ch.call("begin.wait", ann, "POST", path, {"prompt": PROMPT}, headers=waiting)
    await ch.call("begin.wait-again", ann, "POST", path, {"prompt": PROMPT}, headers=waiting)
    await ch.call("run", ann, "GET", run)
    await ch.call("cancel.over", ann, "POST", f"{run}/cancel")
    cursor = (await ch.data(ann, "GET", f"/api/projects/{project}/snapshot"))["epoch"] + ".0"
    again = await ch.follow("replay", ann, f"{run}/events", headers=[("last-event-id", cursor)])
    await again.blocks.ended()
    ch.events("replay.events", again)
    late = f"{cursor.partition('.')[0]}.9"
    again = await ch.follow("resume", ann, f"{run}/events", headers=[("last-event-id", late)])
    await again.blocks.ended()
    ch.events("resume.events", again)


async def _answers(ch: Chapter, ann: Person, project: str) -> None:
    path = f"/api/projects/{project}/runs"
    for step, prompt in {
        "edit": 'Change the text to "Hello 🎬"',
        "trim": "Make it 3 seconds",
        "trim-same": "Make it 3 seconds",
        "question": "Do something",
        "unclear": "Delete it all and the other one",
        "two": 'Add a countdown from 3, then a quote "Yes"',
        "delete": "Delete scene 3",
        "german": "Füge einen Titel hinzu",
    }.items():
        await ch.call(f"answer.{step}", ann, "POST", path, {"prompt": prompt}, headers=WAIT)
    selected = (await ch.data(ann, "GET", f"/api/projects/{project}/scenes"))["items"][0]["id"]
    body = {
        "prompt": "Make it blue",
        "selectedSceneId": selected,
        "imageUrls": ["https://images.test/a.png"],
        "model": "a-model",
    }
    await ch.call("answer.all-fields", ann, "POST", path, body, headers=WAIT)


async def _streams(ch: Chapter, ann: Person, project: str) -> None:
    path = f"/api/projects/{project}/runs"
    for step, prompt in {"add": PROMPT, "question": "Do something"}.items():
        body = {"prompt": prompt}
        stream = await ch.follow(f"stream.{step}", ann, path, method="POST", body=body)
        await stream.blocks.ended()
        ch.events(f"stream.{step}.events", stream)
    key = [("idempotency-key", "streamed")]
    body = {"prompt": "Do something"}
    stream = await ch.follow("stream.keyed", ann, path, method="POST", body=body, headers=key)
    await stream.blocks.ended()
    stream = await ch.follow("stream.keyed-again", ann, path, method="POST", body=body, headers=key)
    await stream.blocks.ended()
    ch.events("stream.keyed-again.events", stream)


async def _refusals(ch: Chapter, ann: Person, project: str) -> None:
    path = f"/api/projects/{project}/runs"
    for step, body in {
        "empty": {"prompt": ""},
        "blank": {"prompt": " \n"},
        "long": {"prompt": "x" * 12_001},
        "none": {},
        "busy": {"prompt": "x", "onBusy": "wait"},
        "scene": {"prompt": "x", "selectedSceneId": "7"},
        "absent-scene": {"prompt": "x", "selectedSceneId": ABSENT},
        "images": {"prompt": "x", "imageUrls": ["https://a.test/"] * 9},
        "image": {"prompt": "x", "imageUrls": ["file:///etc/passwd"]},
        "image-type": {"prompt": "x", "imageUrls": [1]},
        "model": {"prompt": "x", "model": ""},
        "unknown": {"prompt": "x", "system": "y"},
    }.items():
        await ch.call(f"refused.{step}", ann, "POST", path, body)
    for step, value in {"zero": "wait=0", "odd": "wait=soon", "huge": "wait=" + "9" * 30}.items():
        headers = [("prefer", value)]
        await ch.call(f"prefer.{step}", ann, "POST", path, {"prompt": "x"}, headers=headers)
    other = await ch.project(ann, title="Other")
    foreign = (await ch.scene(ann, other))["id"]
    body = {"prompt": "x", "selectedSceneId": foreign}
    await ch.call("refused.foreign-scene", ann, "POST", path, body)
    await ch.call("refused.absent", ann, "POST", f"/api/projects/{ABSENT}/runs", {"prompt": "x"})
    streamed = [("accept", "text/event-stream")]
    absent = f"/api/projects/{ABSENT}/runs"
    await ch.call("stream.absent", ann, "POST", absent, {"prompt": "x"}, headers=streamed)
    await ch.call("stream.blank", ann, "POST", path, {"prompt": " "}, headers=streamed)


async def _access(ch: Chapter, ann: Person, project: str) -> None:
    await ch.call("run.absent", ann, "GET", f"/api/runs/{ABSENT}")
    await ch.call("run.odd", ann, "GET", "/api/runs/7")
    await ch.call("events.absent", ann, "GET", f"/api/runs/{ABSENT}/events")
    await ch.call("cancel.absent", ann, "POST", f"/api/runs/{ABSENT}/cancel")
    eve = await ch.person("eve")
    path = f"/api/projects/{project}/runs"
    await ch.data(ann, "POST", path, {"prompt": "Do something"}, headers=WAIT)
    messages = await ch.data(ann, "GET", f"/api/projects/{project}/messages?limit=1")
    run = messages["items"][0]["runId"]
    await ch.call("run.foreign", eve, "GET", f"/api/runs/{run}")
    await ch.call("events.foreign", eve, "GET", f"/api/runs/{run}/events")
    await ch.member(ann, project, eve, "viewer")
    await ch.call("cancel.viewer", eve, "POST", f"/api/runs/{run}/cancel")
    await ch.call("run.viewer", eve, "GET", f"/api/runs/{run}")
