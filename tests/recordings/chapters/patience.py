"""Heartbeats, and the ends of connections on which a client sends too little."""

from tests.recordings.chapter import JSON, MSGPACK, Chapter
from tests.recordings.chapters.sockets import HELLO, path_of
from tests.recordings.client import Connection


async def record(ch: Chapter) -> None:
    ann = await ch.person("ann")
    project = await ch.project(ann, title="Patience")
    stream = await ch.follow("stream", ann, f"/api/projects/{project}/events")
    packed = await ch.connect("socket.msgpack", ann, path_of(project), MSGPACK)
    await packed.send(HELLO, packed=True)
    socket = await ch.connect("socket", ann, path_of(project), JSON)
    await socket.send(HELLO)
    silent = await ch.connect("silent", ann, path_of(project), JSON)
    head = (
        f"POST /api/projects HTTP/1.1\r\nhost: {ch.server.host}\r\n"
        f"x-request-id: {ch.request_id('half-a-body')}\r\nauthorization: Bearer {ann.token}\r\n"
        "content-type: application/json\r\ncontent-length: 9\r\n\r\n{"
    )
    async with await Connection.open(ch.server) as half:
        await half.send(head.encode())
        reply = await half.reply()
    entry = {"step": "half-a-body", "sent": "POST /api/projects"}
    ch.transcript.entries.append(entry | ch.transcript.reply(reply, ch.request_id("half-a-body")))
    await silent.closed()
    ch.frames("silent.frames", silent)
    await ch.event("stream.heartbeat", stream, "sync.heartbeat", "")
    await ch.event("socket.heartbeat", socket, "sync.heartbeat", "")
    await ch.event("socket.msgpack.heartbeat", packed, "sync.heartbeat", "")
