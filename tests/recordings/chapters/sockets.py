"""Following a project over a WebSocket."""

from tests.recordings.chapter import ABSENT, JSON, MSGPACK, Chapter
from tests.recordings.client import Socket
from tests.recordings.people import Person

HELLO = {"type": "hello"}


async def record(ch: Chapter) -> None:
    ann = await ch.person("ann")
    project = await ch.project(ann, title="Sockets")
    await _following(ch, ann, project)
    await _resuming(ch, ann, project)
    await _bad_frames(ch, ann, project)
    await _handshakes(ch, ann, project)
    await _endings(ch, ann)


def path_of(project: str) -> str:
    return f"/api/projects/{project}/socket"


async def _joined(ch: Chapter, step: str, who: Person, project: str, protocol: str) -> Socket:
    socket = await ch.connect(step, who, path_of(project), protocol)
    await socket.send(HELLO, packed=protocol == MSGPACK)
    await socket.until("sync.ready")
    return socket


async def _following(ch: Chapter, ann: Person, project: str) -> None:
    socket = await _joined(ch, "join.json", ann, project, JSON)
    packed = await _joined(ch, "join.msgpack", ann, project, MSGPACK)
    ch.frames("join.json.frames", socket)
    ch.frames("join.msgpack.frames", packed)
    await ch.event("presence.two", socket, "presence.updated", '"connections": 2')
    scene = await ch.scene(ann, project, name="One", tsxCode="one", props={"n": 1.5, "a": "é🎬"})
    await ch.data(ann, "PATCH", f"/api/scenes/{scene['id']}", {"duration": 40})
    for one in (socket, packed):
        await one.until("iteration.created", '"operationType": "trim"')
    ch.frames("changes.json", socket)
    ch.frames("changes.msgpack", packed)
    await socket.send({"type": "ping"})
    await socket.until("pong")
    ch.frames("pong.json", socket)
    await packed.send({"type": "ping"}, packed=True)
    await packed.until("pong")
    ch.frames("pong.msgpack", packed)
    await socket.send({"type": "presence", "sceneId": scene["id"]})
    await ch.event("presence.scene", packed, "presence.updated", scene["id"])
    await socket.send({"type": "presence", "sceneId": None})
    await packed.send({"type": "presence", "sceneId": "anything"}, packed=True)
    await ch.event("presence.none", packed, "presence.updated", "anything")
    await packed.send_frame(8, b"\x03\xe8bye")
    await packed.closed()
    ch.frames("closed.by-us", packed)
    await ch.event("presence.left", socket, "presence.updated", '"connections": 1}]')
    await socket.close()


async def _resuming(ch: Chapter, ann: Person, project: str) -> None:
    snapshot = await ch.data(ann, "GET", f"/api/projects/{project}/snapshot")
    epoch, head = snapshot["epoch"], snapshot["revision"]
    for step, after in {
        "last": f"{epoch}.{head - 1}",
        "head": f"{epoch}.{head}",
        "null": None,
        "malformed": "odd",
        "other-epoch": "00000000.3",
        "future": f"{epoch}.{head + 1}",
    }.items():
        socket = await ch.connect(f"resume.{step}", ann, path_of(project), JSON)
        await socket.send({**HELLO, "after": after})
        await socket.until("sync.ready")
        ch.frames(f"resume.{step}.frames", socket)
        await socket.close()


async def _bad_frames(ch: Chapter, ann: Person, project: str) -> None:
    for step, frame in {
        "not-json": "{",
        "empty": "",
        "array": "[]",
        "no-type": "{}",
        "unknown-type": '{"type":"goodbye"}',
        "unknown-field": '{"type":"hello","since":1}',
        "wrong-type": '{"type":"hello","after":1}',
        "ping-first": '{"type":"ping"}',
        "presence-first": '{"type":"presence","sceneId":1}',
        "binary": b"\x81\xa4type\xa5hello",
        "long": '{"type":"hello","after":"' + "x" * 65_536 + '"}',
        "deep": "[" * 2000 + "]" * 2000,
    }.items():
        socket = await ch.connect(f"bad.{step}", ann, path_of(project), JSON)
        await socket.send(frame, packed=isinstance(frame, bytes))
        await socket.closed()
        ch.frames(f"bad.{step}.frames", socket)
    for step, frame in {"odd": b"\xc1", "no-type": b"\x80"}.items():
        socket = await ch.connect(f"bad.packed-{step}", ann, path_of(project), MSGPACK)
        await socket.send(frame, packed=True)
        await socket.closed()
        ch.frames(f"bad.packed-{step}.frames", socket)
    socket = await ch.connect("bad.packed-text", ann, path_of(project), MSGPACK)
    await socket.send(HELLO)
    await socket.closed()
    ch.frames("bad.packed-text.frames", socket)
    for step, later in {
        "hello-twice": '{"type":"hello"}',
        "later": "{",
        "long-scene": '{"type":"presence","sceneId":"' + "x" * 65 + '"}',
    }.items():
        socket = await _joined(ch, f"bad.{step}", ann, project, JSON)
        socket.frames.take()
        await socket.send(later)
        await socket.closed()
        ch.frames(f"bad.{step}.frames", socket)


async def _handshakes(ch: Chapter, ann: Person, project: str) -> None:
    path = path_of(project)
    eve = await ch.person("eve")
    for step, who, target, protocols in (
        ("nobody", None, path, [JSON]),
        ("foreign", eve, path, [JSON]),
        ("absent", ann, path_of(ABSENT), [MSGPACK]),
        ("absent-bare", ann, path_of(ABSENT), []),
    ):
        socket = await ch.connect(f"refused.{step}", who, target, *protocols)
        await socket.closed()
        ch.frames(f"refused.{step}.frames", socket)
    for step, protocols in {
        "none": [],
        "unknown": ["chat"],
        "second": ["chat", MSGPACK],
        "both": [JSON, MSGPACK],
    }.items():
        socket = await ch.connect(f"protocol.{step}", ann, path, *protocols)
        await socket.send(HELLO, packed=step == "second")
        await socket.until("sync.ready")
        socket.frames.items.clear()
        await socket.close()
    bad = ("origin", "https://other.test")
    for step, headers in {
        "bad-origin": [bad],
        "null-origin": [("origin", "null")],
        "cross-site": [("sec-fetch-site", "cross-site")],
        "other-host": [("host", "other.test")],
    }.items():
        # A bearer token needs no origin; the cookie of a session does.
        await ch.handshake(f"origin.{step}", None, path, JSON, headers=headers)
    socket = await ch.connect("origin.bad-with-token", ann, path, JSON, headers=[bad])
    await socket.close()
    for step, target in {"no-route": "/api/nothing", "odd": "/api/projects/7/socket"}.items():
        await ch.handshake(f"address.{step}", ann, target, JSON)


async def _endings(ch: Chapter, ann: Person) -> None:
    for step, protocol in (
        ("lowered", JSON),
        ("removed", MSGPACK),
        ("deleted", JSON),
        ("session", JSON),
    ):
        project = await ch.project(ann, title=step)
        base = f"/api/projects/{project}"
        guest = await ch.person(step)
        await ch.member(ann, project, guest, "editor")
        socket = await _joined(ch, f"end.{step}", guest, project, protocol)
        socket.frames.take()
        if step == "lowered":
            await ch.data(ann, "PUT", f"{base}/members/{guest.id}", {"role": "viewer"})
        elif step == "removed":
            await ch.data(ann, "DELETE", f"{base}/members/{guest.id}")
        elif step == "deleted":
            await ch.data(ann, "DELETE", base)
        else:
            token = (await ch.data(guest, "GET", "/api/auth/tokens"))["items"][0]["id"]
            await ch.data(guest, "DELETE", f"/api/auth/tokens/{token}")
        await socket.closed()
        ch.frames(f"end.{step}.frames", socket)
