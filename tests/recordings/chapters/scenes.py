"""Scenes, their order, and direct changes of both."""

from tests.recordings.chapter import ABSENT, Chapter
from tests.recordings.people import Person

CODE = "export default () => null; // “é” 🎬 \u2028\n"


def nested(depth: int) -> dict[str, object]:
    inner: dict[str, object] = {}
    for _ in range(depth - 1):
        inner = {"in": inner}
    return inner


async def record(ch: Chapter) -> None:
    ann = await ch.person("ann")
    project = await ch.project(ann, title="Scenes")
    first = await _making(ch, ann, project)
    await _changing(ch, ann, first)
    await _operations(ch, ann, project, first)
    await _order(ch, ann, project)
    await _reading(ch, ann, project, first)


async def _making(ch: Chapter, ann: Person, project: str) -> str:
    path = f"/api/projects/{project}/scenes"
    made = await ch.call("create.blank", ann, "POST", path, {})
    whole = {
        "name": "Opening “title”",
        "tsxCode": CODE,
        "duration": 90,
        "props": {"title": "Hé🎬", "n": 1.5, "big": 12345678901234567890, "list": [True, None]},
        "layoutJson": '{"a": 1}',
    }
    await ch.call("create.whole", ann, "POST", path, whole)
    for step, body in {
        "empty-code": {"tsxCode": "", "name": "Empty"},
        "long-code": {"tsxCode": "x" * 200_001},
        "long-name": {"name": "x" * 201},
        "empty-name": {"name": ""},
        "no-frames": {"duration": 0},
        "many-frames": {"duration": 18_001},
        "half-a-frame": {"duration": 1.5},
        "props-list": {"props": []},
        "deep-props": {"props": nested(101)},
        "large-props": {"props": {"text": "x" * 100_000}},
        "long-layout": {"layoutJson": "x" * 100_001},
        "unknown": {"position": 0},
    }.items():
        await ch.call(f"create.{step}", ann, "POST", path, body)
    absent = f"/api/projects/{ABSENT}/scenes"
    await ch.call("create.absent-project", ann, "POST", absent, {})
    await ch.call("create.nobody", None, "POST", path, {})
    return str(made["data"]["id"])


async def _changing(ch: Chapter, ann: Person, scene: str) -> None:
    path = f"/api/scenes/{scene}"
    for step, body in {
        "name": {"name": "Renamed"},
        "code": {"tsxCode": CODE, "baseRevision": 2},
        "props": {"props": {"b": 1, "a": {"x": []}}},
        "several": {"name": "Again", "duration": 60, "layoutJson": "{}"},
        "no-layout": {"layoutJson": None},
        "same": {"name": "Again"},
        "nothing": {},
        "stale": {"name": "Stale", "baseRevision": 1},
        "base-zero": {"name": "X", "baseRevision": 0},
        "null-name": {"name": None},
        "deep-props": {"props": nested(101)},
        "unknown": {"id": ABSENT},
    }.items():
        await ch.call(f"change.{step}", ann, "PATCH", path, body)
    for step, value, body in (
        ("match", '"6"', {"name": "Matched"}),
        ("weak", 'W/"7"', {"name": "X"}),
        ("star", "*", {"name": "X"}),
        ("odd", "7", {"name": "X"}),
        ("stale", '"1"', {"name": "X"}),
        ("differs", '"7"', {"name": "X", "baseRevision": 6}),
        ("long", '"' + "7" * 100 + '"', {"name": "X"}),
    ):
        headers = [("if-match", value)]
        await ch.call(f"if-match.{step}", ann, "PATCH", path, body, headers=headers)
    await ch.call("change.absent", ann, "PATCH", f"/api/scenes/{ABSENT}", {"name": "X"})
    await ch.call("change.no-body", ann, "PATCH", path)
    bob = await ch.person("bob")
    await ch.call("change.foreign", bob, "PATCH", path, {"name": "X"})
    await ch.call("read.foreign", bob, "GET", path)


async def _operations(ch: Chapter, ann: Person, project: str, scene: str) -> None:
    path = f"/api/scenes/{scene}"
    await ch.call("duplicate", ann, "POST", f"{path}/duplicate")
    await ch.call("duplicate.based", ann, "POST", f"{path}/duplicate", {"baseRevision": 7})
    await ch.call("duplicate.stale", ann, "POST", f"{path}/duplicate", {"baseRevision": 1})
    await ch.call("split", ann, "POST", f"{path}/split", {"atFrame": 20})
    await ch.call("split.end", ann, "POST", f"{path}/split", {"atFrame": 20})
    await ch.call("split.zero", ann, "POST", f"{path}/split", {"atFrame": 0})
    await ch.call("split.none", ann, "POST", f"{path}/split", {})
    await ch.call("trim", ann, "POST", f"{path}/trim", {"duration": 45})
    await ch.call("trim.same", ann, "POST", f"{path}/trim", {"duration": 45})
    await ch.call("trim.too-long", ann, "POST", f"{path}/trim", {"duration": 18_001})
    await ch.call("restore.live", ann, "POST", f"{path}/restore")
    await ch.call("delete.stale", ann, "DELETE", path, headers=[("if-match", '"1"')])
    await ch.call("delete", ann, "DELETE", path)
    await ch.call("delete.again", ann, "DELETE", path)
    await ch.call("read.deleted", ann, "GET", path)
    for verb, body in (("duplicate", {}), ("split", {"atFrame": 3}), ("trim", {"duration": 3})):
        await ch.call(f"{verb}.deleted", ann, "POST", f"{path}/{verb}", body)
    await ch.call("restore.stale", ann, "POST", f"{path}/restore", {"baseRevision": 1})
    await ch.call("restore", ann, "POST", f"{path}/restore")
    await ch.call("restore.absent", ann, "POST", f"/api/scenes/{ABSENT}/restore")
    await ch.call("list", ann, "GET", f"/api/projects/{project}/scenes")
    await ch.call("list.absent", ann, "GET", f"/api/projects/{ABSENT}/scenes")


async def _order(ch: Chapter, ann: Person, project: str) -> None:
    path = f"/api/projects/{project}/scene-order"
    ids = [
        one["id"] for one in (await ch.data(ann, "GET", f"/api/projects/{project}/scenes"))["items"]
    ]
    other = await ch.project(ann, title="Other")
    foreign = (await ch.scene(ann, other))["id"]
    head = (await ch.data(ann, "GET", f"/api/projects/{project}"))["revision"]
    for step, body in {
        "reversed": {"sceneIds": ids[::-1]},
        "same": {"sceneIds": ids[::-1]},
        "based": {"sceneIds": ids, "baseRevision": head + 2},
        "stale": {"sceneIds": ids[::-1], "baseRevision": head},
        "missing": {"sceneIds": ids[1:]},
        "twice": {"sceneIds": [*ids, ids[0]]},
        "absent": {"sceneIds": [*ids, ABSENT]},
        "foreign": {"sceneIds": [*ids, foreign]},
        "odd": {"sceneIds": ["7"]},
        "no-list": {"sceneIds": None},
    }.items():
        await ch.call(f"order.{step}", ann, "PUT", path, body)


async def _reading(ch: Chapter, ann: Person, project: str, scene: str) -> None:
    path = f"/api/scenes/{scene}/iterations"
    await ch.call("read", ann, "GET", f"/api/scenes/{scene}")
    await ch.call("read.absent", ann, "GET", f"/api/scenes/{ABSENT}")
    page = await ch.call("iterations", ann, "GET", f"{path}?limit=2")
    before = page["data"]["nextCursor"]
    await ch.call("iterations.next", ann, "GET", f"{path}?limit=1&before={before}")
    await ch.call("iterations.none", ann, "GET", f"{path}?before=1")
    await ch.call("iterations.zero", ann, "GET", f"{path}?before=0")
    await ch.call("iterations.huge", ann, "GET", f"{path}?before=9223372036854775808")
    await ch.call("iterations.absent", ann, "GET", f"/api/scenes/{ABSENT}/iterations")
    batch = f"/api/projects/{project}/iterations"
    await ch.call("batch.odd", ann, "GET", f"{batch}?messageIds=a,b")
    await ch.call("batch.none", ann, "GET", batch)
    await ch.call("batch.empty", ann, "GET", f"{batch}?messageIds=")
    await ch.call("batch.absent", ann, "GET", f"{batch}?messageIds={ABSENT}")
    many = ",".join([ABSENT.replace("-", "")] * 201)
    await ch.call("batch.many", ann, "GET", f"{batch}?messageIds={many}")
    await ch.call("batch.long", ann, "GET", f"{batch}?messageIds={'x' * 7401}")
    snapshot = await ch.exchange("etag", ann, "GET", f"/api/projects/{project}/snapshot")
    etag = snapshot.header("etag") or ""
    for step, value in {
        "same": etag,
        "weak": f'"x", W/{etag}',
        "star": "*",
        "other": '"x"',
    }.items():
        headers = [("if-none-match", value)]
        keep = step == "other"
        path = f"/api/projects/{project}/snapshot"
        await ch.call(f"snapshot.{step}", ann, "GET", path, headers=headers, keep_body=keep)
    epoch = snapshot.data["data"]["epoch"]
    await ch.call(
        "changes", ann, "GET", f"/api/projects/{project}/changes?after={epoch}.0&limit=14"
    )
