"""The end of a server, and the takeover of its turn by another one."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import NamedTuple

from tests.recordings.chapter import JSON, MSGPACK, Chapter
from tests.recordings.chapters.sockets import HELLO, path_of
from tests.recordings.client import Address
from tests.recordings.model import Gate, Model, decide, halting, write
from tests.recordings.people import Person
from tests.recordings.server import Server

NewServer = Callable[[], AbstractAsyncContextManager[Server]]


class Unfinished(NamedTuple):
    """Names a turn that the server was working on when it ended."""

    who: Person
    project: str
    cursor: str
    run: str


async def leaving(ch: Chapter, model: Model, server: Server, left: list[Unfinished]) -> None:
    """End a server with open streams, WebSockets and a running turn."""
    ann = await ch.person("ann")
    project = await ch.project(ann, title="Restart")
    base = f"/api/projects/{project}"
    idle = await ch.project(ann, title="Idle")
    gate = Gate()
    answers = [decide(), halting("Lost", gate), write("Kept")]
    body = {"prompt": "A title", "model": model.script("restart", *answers)}
    begun = await ch.call("begin", ann, "POST", f"{base}/runs", body)
    run = f"/api/runs/{begun['data']['run']['id']}"
    await gate.reached.wait()
    stream = await ch.follow("stream", ann, f"{base}/events")
    await stream.until("sync.ready")
    follower = await ch.follow("run", ann, f"{run}/events")
    await follower.until("run.snapshot")
    socket = await ch.connect("socket", ann, path_of(project), JSON)
    await socket.send(HELLO)
    packed = await ch.connect("socket.msgpack", ann, path_of(idle), MSGPACK)
    await packed.send(HELLO, packed=True)
    for one in (socket, packed):
        await one.until("sync.ready")
    silent = await ch.connect("socket.silent", ann, path_of(idle), JSON)
    for arriving in (stream.blocks, follower.blocks, socket.frames, packed.frames, silent.frames):
        arriving.take()
    cursor = (await ch.data(ann, "GET", f"{base}/snapshot"))["cursor"]
    server.leave()
    for events in (stream, follower):
        await events.blocks.ended()
    for one in (socket, packed):
        await one.closed()
    ch.events("stream.end", stream)
    ch.events("run.end", follower)
    ch.frames("socket.end", socket)
    ch.frames("socket.msgpack.end", packed)
    await silent.close()
    left.append(Unfinished(ann, project, cursor, run))


async def going_on(ch: Chapter, left: list[Unfinished], another: NewServer) -> None:
    """Follow the turn on another server, which takes it over."""
    who, project, cursor, run = left.pop()
    async with another() as successor:
        ch.server = Address(successor.port, ch.server.source)
        base = f"/api/projects/{project}"
        await ch.data(who, "GET", f"{base}/snapshot")  # it names the cursor's epoch
        stream = await ch.follow("events", who, f"{base}/events?after={cursor}")
        await stream.until("run.finished")
        ch.events("durable", stream, live=False)  # of the others, when we came decides
        await ch.call("run", who, "GET", run)
