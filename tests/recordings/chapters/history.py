"""History: reverts, undo and redo, the timeline, earlier snapshots, and branches."""

from typing import Any

from tests.recordings.chapter import ABSENT, Chapter
from tests.recordings.people import Person

PROMPT = "Add a title Hello"


async def record(ch: Chapter) -> None:
    ann, bob = await ch.person("ann"), await ch.person("bob")
    project = await ch.project(ann, title="History")
    await ch.member(ann, project, bob, "editor")
    base = f"/api/projects/{project}"
    for verb in ("undo", "redo"):
        await ch.call(f"{verb}.nothing", ann, "POST", f"{base}/{verb}")
    await ch.call("timeline.empty", ann, "GET", f"{base}/timeline")
    scene, iterations = await _iterations(ch, ann, bob, project)
    await _differences(ch, ann, project, iterations)
    await _undo(ch, ann, bob, base, scene)
    await _messages(ch, ann, project)
    await _timeline(ch, ann, base)
    await _past(ch, ann, base)


async def _iterations(ch: Chapter, ann: Person, bob: Person, project: str) -> tuple[str, list[str]]:
    """Go back to iterations of a scene; return its id and theirs, the newest first."""
    scene = (await ch.scene(ann, project, name="One", tsxCode="one"))["id"]
    second = (await ch.scene(ann, project, name="Two", tsxCode="two"))["id"]
    path = f"/api/scenes/{scene}"
    await ch.data(ann, "PATCH", path, {"name": "Uno", "tsxCode": "one\nmore"})
    await ch.data(ann, "PATCH", path, {"duration": 30})
    order = {"sceneIds": [second, scene]}
    await ch.data(ann, "PUT", f"/api/projects/{project}/scene-order", order)
    items = (await ch.data(ann, "GET", f"{path}/iterations"))["items"]
    trimmed, edited, created = (one["id"] for one in items)
    revert = "/api/iterations/{}/revert"
    back = {"target": "before"}
    await ch.call("revert", ann, "POST", revert.format(trimmed), back)
    await ch.call("revert.again", ann, "POST", revert.format(trimmed), back)
    await ch.call("revert.later", ann, "POST", revert.format(created), {"target": "after"})
    forced = {"target": "after", "force": True}
    await ch.call("revert.forced", ann, "POST", revert.format(created), forced)
    await ch.call("revert.creation", ann, "POST", revert.format(created), {**back, "force": True})
    await ch.call("revert.edit", ann, "POST", revert.format(edited), forced)
    await ch.call("revert.absent", ann, "POST", revert.format(ABSENT), back)
    await ch.call("revert.odd", ann, "POST", revert.format(edited), {"target": "now"})
    await ch.call("revert.none", ann, "POST", revert.format(edited), {})
    eve = await ch.person("eve")
    await ch.call("revert.foreign", eve, "POST", revert.format(edited), back)
    keyed = [("idempotency-key", "back")]
    await ch.call("revert.keyed", bob, "POST", revert.format(trimmed), forced, headers=keyed)
    await ch.call("revert.keyed-again", bob, "POST", revert.format(trimmed), forced, headers=keyed)
    return str(scene), [trimmed, edited, created]


async def _differences(ch: Chapter, ann: Person, project: str, iterations: list[str]) -> None:
    """Compare iterations with each other and with that of an order."""
    _, edited, created = iterations
    eve = await ch.person("eva")
    diff = "/api/iterations/{}/diff/{}"
    await ch.call("diff", ann, "GET", diff.format(created, edited))
    await ch.call("diff.same", ann, "GET", diff.format(edited, edited))
    await ch.call("diff.absent", ann, "GET", diff.format(created, ABSENT))
    await ch.call("diff.foreign", eve, "GET", diff.format(created, edited))
    other = await ch.project(ann, title="Other")
    foreign = (await ch.scene(ann, other))["id"]
    of_other = (await ch.data(ann, "GET", f"/api/scenes/{foreign}/iterations"))["items"][0]["id"]
    await ch.call("diff.other-project", ann, "GET", diff.format(created, of_other))
    page = await ch.data(ann, "GET", f"/api/projects/{project}/timeline")
    order_entry = next(
        change
        for entry in page["items"]
        for change in entry["changes"]
        if change["operationType"] == "reorder"
    )
    await ch.call("diff.order", ann, "GET", diff.format(created, order_entry["iterationId"]))
    path = f"/api/iterations/{order_entry['iterationId']}/revert"
    await ch.call("revert.order", ann, "POST", path, {"target": "before"})


async def _undo(ch: Chapter, ann: Person, bob: Person, base: str, scene: str) -> None:
    path = f"/api/scenes/{scene}"
    await ch.data(ann, "PATCH", path, {"name": "By Ann"})
    await ch.call("undo", ann, "POST", f"{base}/undo")
    await ch.call("redo", ann, "POST", f"{base}/redo", {})
    await ch.call("redo.again", ann, "POST", f"{base}/redo")
    await ch.data(bob, "PATCH", path, {"name": "By Bob"})
    await ch.call("undo.later", ann, "POST", f"{base}/undo", {"scope": "mine"})
    await ch.call("undo.project", ann, "POST", f"{base}/undo", {"scope": "project"})
    await ch.call("redo.mine", ann, "POST", f"{base}/redo")
    await ch.call("redo.project", ann, "POST", f"{base}/redo", {"scope": "project"})
    await ch.call("undo.odd", ann, "POST", f"{base}/undo", {"scope": "theirs"})
    await ch.call("undo.unknown", ann, "POST", f"{base}/undo", {"force": True})
    await ch.data(ann, "DELETE", path)
    await ch.call("undo.delete", ann, "POST", f"{base}/undo")
    eve = await ch.person("eda")
    await ch.call("undo.foreign", eve, "POST", f"{base}/undo")
    headers = [("idempotency-key", "undo")]
    await ch.data(bob, "PATCH", path, {"duration": 77})
    await ch.call("undo.keyed", bob, "POST", f"{base}/undo", headers=headers)
    await ch.call("undo.keyed-again", bob, "POST", f"{base}/undo", headers=headers)


async def _messages(ch: Chapter, ann: Person, project: str) -> None:
    base = f"/api/projects/{project}"
    turn = await _turn(ch, ann, project)
    messages = (await ch.data(ann, "GET", f"{base}/messages"))["items"]
    answer = turn["assistantMessageId"]
    prompt = next(one["id"] for one in messages if one["content"] == PROMPT)
    status = next(one["id"] for one in messages if one["role"] == "system")
    revert = "/api/messages/{}/revert"
    await ch.call("batch", ann, "GET", f"{base}/iterations?messageIds={answer},{prompt}")
    await ch.call("message", ann, "POST", revert.format(answer), {"target": "before"})
    await ch.call("message.prompt", ann, "POST", revert.format(prompt), {"target": "after"})
    await ch.call("message.same", ann, "POST", revert.format(answer), {"target": "after"})
    await ch.call("message.later", ann, "POST", revert.format(status), {"target": "before"})
    question = await _turn(ch, ann, project, "Do something")
    nothing = question["assistantMessageId"]
    await ch.call("message.nothing", ann, "POST", revert.format(nothing), {"target": "before"})
    await ch.call("message.absent", ann, "POST", revert.format(ABSENT), {"target": "before"})
    await ch.call("message.undo", ann, "POST", f"{base}/undo")
    page = await ch.call("messages", ann, "GET", f"{base}/messages?limit=2")
    before = page["data"]["nextCursor"]
    await ch.call("messages.next", ann, "GET", f"{base}/messages?limit=2&before={before}")
    await ch.call("messages.none", ann, "GET", f"{base}/messages?before=0")
    await ch.call("messages.many", ann, "GET", f"{base}/messages?limit=201")
    await ch.call("messages.negative", ann, "GET", f"{base}/messages?before=-1")
    await ch.call("messages.absent", ann, "GET", f"/api/projects/{ABSENT}/messages")


async def _timeline(ch: Chapter, ann: Person, base: str) -> None:
    page = await ch.call("timeline", ann, "GET", f"{base}/timeline?limit=9")
    before = page["data"]["nextCursor"]
    await ch.call("timeline.next", ann, "GET", f"{base}/timeline?limit=4&before={before}")
    await ch.call("timeline.zero", ann, "GET", f"{base}/timeline?limit=0")


async def _past(ch: Chapter, ann: Person, base: str) -> None:
    for step, at in {
        "first": "1",
        "early": "8",
        "zero": "0",
        "future": "99999",
        "odd": "x",
    }.items():
        await ch.call(f"at.{step}", ann, "GET", f"{base}/snapshot?at={at}")
    etag = (await ch.exchange("etag", ann, "GET", f"{base}/snapshot?at=8")).header("etag") or ""
    headers = [("if-none-match", etag)]
    await ch.call("at.unchanged", ann, "GET", f"{base}/snapshot?at=8", headers=headers)
    branch = f"{base}/branch"
    made = await ch.call("branch", ann, "POST", branch)
    await ch.call("branch.second", ann, "POST", branch)
    early = await ch.call("branch.early", ann, "POST", f"{branch}?at=8")
    await ch.call("branch.future", ann, "POST", f"{branch}?at=99999")
    await ch.call("branch.zero", ann, "POST", f"{branch}?at=0")
    copy = f"/api/projects/{made['data']['id']}"
    await ch.call("branch.timeline", ann, "GET", f"{copy}/timeline")
    early_id = early["data"]["id"]
    await ch.call("branch.snapshot", ann, "GET", f"/api/projects/{early_id}/snapshot")
    epoch = early["data"]["epoch"]
    await ch.call(
        "branch.changes", ann, "GET", f"/api/projects/{early_id}/changes?limit=8&after={epoch}.0"
    )


async def _turn(ch: Chapter, who: Person, project: str, prompt: str = PROMPT) -> Any:
    headers = [("prefer", "wait=30")]
    body = {"prompt": prompt}
    path = f"/api/projects/{project}/runs"
    return (await ch.exchange("turn", who, "POST", path, body, headers=headers)).data
