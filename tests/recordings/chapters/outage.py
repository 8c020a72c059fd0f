"""Answers without Redis, and without the database."""

import asyncio

from tests.harness.proxies import FaultProxy
from tests.recordings.chapter import JSON, NOTHING, Chapter
from tests.recordings.chapters.sockets import path_of
from tests.recordings.client import PATIENCE_SECONDS


async def record(ch: Chapter, database: FaultProxy, redis: FaultProxy) -> None:
    ann = await ch.person("ann")
    project = await ch.project(ann, title="Outage")
    await ch.call("ready", None, "GET", "/health/ready")
    _cut(redis)
    await ch.call("ready.no-redis", None, "GET", "/health/ready")
    await ch.call("no-redis.scene", ann, "POST", f"/api/projects/{project}/scenes", {"name": "A"})
    _cut(database)
    await ch.call("ready.nothing", None, "GET", "/health/ready")
    await ch.call("live", None, "GET", "/health/live")
    for step, method, path in (
        ("me", "GET", "/api/auth/me"),
        ("projects", "GET", "/api/projects"),
        ("create", "POST", "/api/projects"),
        ("scene", "POST", f"/api/projects/{project}/scenes"),
        ("changes", "GET", f"/api/projects/{project}/changes?after=00000000.1"),
        ("events", "GET", f"/api/projects/{project}/events"),
    ):
        body = {} if method == "POST" else NOTHING
        await ch.call(f"no-database.{step}", ann, method, path, body)
    login = {"email": "nobody@outage.test", "password": "correct horse"}
    await ch.call("no-database.login", None, "POST", "/api/auth/login", login)
    socket = await ch.connect("no-database.socket", ann, path_of(project), JSON)
    await socket.closed()
    ch.frames("no-database.socket.frames", socket)
    database.refuse = redis.refuse = False
    async with asyncio.timeout(PATIENCE_SECONDS):
        while b'"ok"' not in (await ch.exchange("x", None, "GET", "/health/ready")).body:
            await asyncio.sleep(0.05)
    await ch.call("ready.again", None, "GET", "/health/ready")


def _cut(proxy: FaultProxy) -> None:
    proxy.refuse = True
    proxy.reset()
