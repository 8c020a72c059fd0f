"""Variations, refinements and chains of generations by the offline model."""

from typing import Any

from tests.recordings.chapter import ABSENT, Chapter
from tests.recordings.chapters.history import PROMPT
from tests.recordings.chapters.turns import WAIT
from tests.recordings.people import Person


async def record(ch: Chapter) -> None:
    ann = await ch.person("ann")
    project = await ch.project(ann, title="Generations")
    first = await _making(ch, ann, project)
    child = await _refining(ch, ann, first)
    await _applying(ch, ann, project, first, child)
    await _reading(ch, ann, project, first, child)
    await _deleting(ch, ann, project, first, child)


async def _making(ch: Chapter, ann: Person, project: str) -> Any:
    path = f"/api/projects/{project}/generations"
    begun = await ch.call("begin", ann, "POST", path, {"prompt": PROMPT})
    first = begun["data"]["items"][0]
    epoch = (await ch.data(ann, "GET", f"/api/projects/{project}/snapshot"))["epoch"]
    changes = f"/api/projects/{project}/changes?wait=30&after={epoch}"
    await ch.call("changes", ann, "GET", f"{changes}.2")
    await ch.call("changes.wait", ann, "GET", f"{changes}.3")
    key = [("idempotency-key", "two"), *WAIT]
    body = {"prompt": PROMPT, "count": 2, "duration": 60, "model": "a-model"}
    await ch.call("wait", ann, "POST", path, body, headers=key)
    await ch.call("wait.again", ann, "POST", path, body, headers=key)
    for step, wrong in {
        "none": {"prompt": "x", "count": 0},
        "many": {"prompt": "x", "count": 5},
        "blank": {"prompt": ""},
        "absent-scene": {"prompt": "x", "sceneId": ABSENT},
        "frames": {"prompt": "x", "duration": 18_001},
        "unknown": {"prompt": "x", "parentId": ABSENT},
    }.items():
        await ch.call(f"refused.{step}", ann, "POST", path, wrong)
    await ch.call("prefer.odd", ann, "POST", path, {"prompt": "x"}, headers=[("prefer", "wait=x")])
    absent = f"/api/projects/{ABSENT}/generations"
    await ch.call("refused.absent", ann, "POST", absent, {"prompt": "x"})
    return first


async def _refining(ch: Chapter, ann: Person, first: Any) -> Any:
    path = f"/api/generations/{first['id']}/refine"
    body = {"refinementPrompt": 'Change the text to "Refined"'}
    done = await ch.call("refine", ann, "POST", path, body, headers=WAIT)
    unchanged = {"refinementPrompt": "Do something", "count": 1}
    await ch.call("refine.unclear", ann, "POST", path, unchanged, headers=WAIT)
    await ch.call("refine.none", ann, "POST", path, {})
    absent = f"/api/generations/{ABSENT}/refine"
    await ch.call("refine.absent", ann, "POST", absent, body)
    return done["data"]["items"][0]


async def _applying(ch: Chapter, ann: Person, project: str, first: Any, child: Any) -> None:
    path = f"/api/generations/{first['id']}/apply"
    made = await ch.call("apply", ann, "POST", path)
    scene = made["data"]["id"]
    on_it = {"sceneId": scene}
    await ch.call("apply.same", ann, "POST", path, on_it)
    other = f"/api/generations/{child['id']}/apply"
    await ch.call("apply.onto", ann, "POST", other, {**on_it, "baseRevision": 1})
    await ch.call("apply.stale", ann, "POST", path, {**on_it, "baseRevision": 1})
    stale = [("if-match", '"1"')]
    await ch.call("apply.if-match", ann, "POST", path, on_it, headers=stale)
    await ch.call("apply.absent-scene", ann, "POST", path, {"sceneId": ABSENT})
    await ch.call("apply.absent", ann, "POST", f"/api/generations/{ABSENT}/apply")
    await ch.call("apply.unknown", ann, "POST", path, {"force": True})
    key = [("idempotency-key", "apply")]
    await ch.call("apply.keyed", ann, "POST", path, {}, headers=key)
    await ch.call("apply.keyed-again", ann, "POST", path, {}, headers=key)
    body = {"prompt": "Make it blue", "sceneId": scene}
    path = f"/api/projects/{project}/generations"
    await ch.call("of-a-scene", ann, "POST", path, body, headers=WAIT)
    foreign = await ch.project(ann, title="Foreign")
    elsewhere = (await ch.scene(ann, foreign))["id"]
    await ch.call("of-a-foreign-scene", ann, "POST", path, {**body, "sceneId": elsewhere})


async def _reading(ch: Chapter, ann: Person, project: str, first: Any, child: Any) -> None:
    path = "/api/generations"
    await ch.call("read", ann, "GET", f"{path}/{child['id']}")
    await ch.call("read.absent", ann, "GET", f"{path}/{ABSENT}")
    await ch.call("chain", ann, "GET", f"{path}/{child['id']}/chain")
    await ch.call("chain.absent", ann, "GET", f"{path}/{ABSENT}/chain")
    page = await ch.call("list", ann, "GET", f"{path}?projectId={project}&limit=2")
    after = page["data"]["nextCursor"]
    await ch.call("list.next", ann, "GET", f"{path}?projectId={project}&limit=1&after={after}")
    await ch.call("list.children", ann, "GET", f"{path}?parentId={first['id']}&limit=1")
    both = f"{path}?parentId={first['id']}&projectId="
    await ch.call("list.both", ann, "GET", f"{both}{project}&limit=1")
    await ch.call("list.elsewhere", ann, "GET", f"{both}{ABSENT}")
    await ch.call("list.all", ann, "GET", path)
    await ch.call("list.odd", ann, "GET", f"{path}?projectId=7")
    await ch.call("list.absent", ann, "GET", f"{path}?projectId={ABSENT}")
    eve = await ch.person("eve")
    await ch.call("read.foreign", eve, "GET", f"{path}/{child['id']}")
    await ch.member(ann, project, eve, "viewer")
    await ch.call(
        "refine.viewer", eve, "POST", f"{path}/{child['id']}/refine", {"refinementPrompt": "x"}
    )
    await ch.call("delete.viewer", eve, "DELETE", f"{path}/{child['id']}")


async def _deleting(ch: Chapter, ann: Person, project: str, first: Any, child: Any) -> None:
    path = f"/api/generations/{child['id']}"
    await ch.call("delete.shown", ann, "DELETE", f"/api/generations/{first['id']}")
    spare = await ch.data(
        ann, "POST", f"/api/projects/{project}/generations", {"prompt": PROMPT}, headers=WAIT
    )
    path = f"/api/generations/{spare['items'][0]['id']}"
    await ch.call("delete", ann, "DELETE", path)
    await ch.call("delete.again", ann, "DELETE", path)
    await ch.call("read.deleted", ann, "GET", path)
    await ch.call("apply.deleted", ann, "POST", f"{path}/apply")
    await ch.call("refine.deleted", ann, "POST", f"{path}/refine", {"refinementPrompt": "x"})
    await ch.call("delete.absent", ann, "DELETE", f"/api/generations/{ABSENT}")
