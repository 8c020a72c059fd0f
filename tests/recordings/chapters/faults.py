"""Faults of models, and what a client gets to know of them."""

from tests.recordings.chapter import ABSENT, Chapter
from tests.recordings.chapters.turns import WAIT
from tests.recordings.model import Answer, Model, component, decide, error, write
from tests.recordings.people import Person

HALF = component("Half")[:40]
BROKEN = Answer(HALF + "\n}")

Scripts = dict[str, list[Answer]]


async def record(ch: Chapter, model: Model) -> None:
    ann = await ch.person("ann")
    project = await ch.project(ann, title="Faults")
    path = f"/api/projects/{project}/runs"
    good = model.script("good", decide(), write("Good"))
    body = {"prompt": "A title", "model": good}
    made = await ch.call("good", ann, "POST", path, body, headers=WAIT)
    scene = made["data"][0]["id"]
    for step, answers in {**_codes(scene), **_decisions(scene)}.items():
        name = model.script(f"faults-{step}", *answers)
        body = {"prompt": f"Try {step}", "model": name}
        await ch.call(step, ann, "POST", path, body, headers=WAIT)
    await _streamed(ch, model, ann, project)
    await _generation(ch, model, ann, project)


def _decisions(scene: str) -> Scripts:
    trim = {"toolName": "trimScene", "targetSceneId": scene}
    absent = decide(toolName="editScene", targetSceneId=ABSENT)
    question = {"needsClarification": True, "clarificationQuestion": "Which one?"}
    steps = [
        {"toolName": "addScene", "context": "A second one"},
        {**trim, "context": "x", "targetDuration": 33},
        {"toolName": "deleteScene", "context": "x", "targetSceneId": scene},
    ]
    return {
        "unavailable": [error(503, times=3)],
        "busy": [error(429, times=3)],
        "used-up": [error(429, code="insufficient_quota")],
        "credentials": [error(401)],
        "no-model": [error(404)],
        "rejected": [error(400, times=6)],
        "no-json": [Answer("let me think", tool=True, times=2)],
        "two-objects": [Answer('{"toolName": null} {}', tool=True, times=2)],
        "unknown-tool": [decide(toolName="flyAway"), decide(toolName="flyAway")],
        "no-scene": [absent, absent],
        "no-target": [decide(toolName="editScene"), decide(toolName="editScene")],
        "no-frames": [decide(**trim), decide(**trim)],
        "no-choice": [decide(toolName=None), decide(toolName=None)],
        "wrong-type": [decide(reasoning=7), decide(reasoning=7)],
        "repaired": [decide(toolName="flyAway"), decide(), write("Repaired")],
        "question": [decide(toolName=None, **question)],
        "workflow": [decide(toolName=None, workflow=steps), write("Second")],
    }


def _codes(scene: str) -> Scripts:
    return {
        "cut-off": [decide(), write("X", cut_at=40, times=2)],
        "too-long": [decide(), Answer(HALF, finish="length")],
        "filtered": [decide(), Answer(HALF, finish="content_filter")],
        "odd-end": [decide(), Answer(HALF, finish="tired"), Answer(HALF, finish="tired")],
        "unplayable": [decide(), BROKEN, BROKEN],
        "no-code": [decide(), Answer("I cannot do that.", times=2)],
        "written-anew": [decide(), BROKEN, write("Anew")],
        "unchanged": [decide(toolName="editScene", targetSceneId=scene), write("Good")],
    }


async def _streamed(ch: Chapter, model: Model, ann: Person, project: str) -> None:
    """Follow a turn that fails, and read what it left."""
    name = model.script("faults-stream", decide(), write("X", cut_at=40, times=2))
    body = {"prompt": "A title", "model": name}
    path = f"/api/projects/{project}/runs"
    stream = await ch.follow("stream", ann, path, method="POST", body=body)
    await stream.blocks.ended()
    ch.events("stream.events", stream)
    await ch.call("messages", ann, "GET", f"/api/projects/{project}/messages?limit=2")


async def _generation(ch: Chapter, model: Model, ann: Person, project: str) -> None:
    name = model.script("faults-generation", error(401))
    body = {"prompt": "A title", "model": name}
    path = f"/api/projects/{project}/generations"
    failed = await ch.call("generation", ann, "POST", path, body, headers=WAIT)
    one = f"/api/generations/{failed['data']['items'][0]['id']}"
    await ch.call("generation.apply", ann, "POST", f"{one}/apply")
    await ch.call("generation.refine", ann, "POST", f"{one}/refine", {"refinementPrompt": "x"})
    await ch.call("generation.delete", ann, "DELETE", one)
