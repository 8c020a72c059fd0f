"""A user who loses a role receives no later event, on any transport."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from app.realtime.bus.local import LocalBus
from app.realtime.limits import Limits
from tests.harness.waiting import eventually
from tests.realtime.clients import events, poll, socket
from tests.realtime.hub_server import NewProcess, Process, Project

GUEST = "guest"


def member(role: str | None, user: str = GUEST) -> tuple[str, object]:
    return "member.updated", {"member": {"userId": user, "name": "G", "role": role}}


@asynccontextmanager
async def writing(project: Project, writers: int = 3) -> AsyncIterator[None]:
    """Commit events continuously until the block ends."""
    stop = asyncio.Event()

    async def write() -> None:
        while not stop.is_set():
            await project.note("secret", size=2)

    tasks = [asyncio.create_task(write()) for _ in range(writers)]
    try:
        yield
    finally:
        stop.set()
        await asyncio.gather(*tasks)


@pytest.mark.parametrize(
    ("held", "becomes", "reason"),
    [("editor", None, "removed"), ("editor", "viewer", "role"), ("owner", "editor", "role")],
)
async def test_revoke_race(
    here: Process, project: Project, held: str, becomes: str | None, reason: str
) -> None:
    guest: dict[str, Any] = {"user": GUEST, "role": held}
    async with (
        writing(project),
        events(here, project, **guest) as over_sse,
        socket(here, project, **guest) as (over_json, _),
        socket(here, project, packed=True, **guest) as (over_msgpack, _),
        events(here, project) as owner,
    ):
        for received in (over_sse, over_json, over_msgpack, owner):
            await received.ready()
        lost = await project.commit(("scene.updated", {}), member(becomes), ("scene.updated", {}))
        for received in (over_sse, over_json, over_msgpack):
            await received.over(within=2)
            assert received.logged[-1][0] < lost - 2
        assert over_sse.types[-1] == "sync.revoked"
        assert over_sse.of("sync.revoked") == [{"reason": reason}]
        assert over_json.code == over_msgpack.code == 4403
        await owner.revision(lost + 20)
        late = await poll(
            here, project, project.cursor(lost - 3), **guest, seen=project.cursor(lost - 3)
        )
        assert max((e["revision"] for e in late["events"]), default=0) < lost - 2


async def test_a_higher_role_or_that_of_another_user_ends_no_stream(
    here: Process, project: Project
) -> None:
    async with events(here, project, user=GUEST, role="viewer") as received:
        await received.ready()
        await project.commit(member("editor"))
        await project.commit(member(None, user="someone else"))
        await received.revision(await project.note())
        assert not received.ended.is_set()


async def test_revoke_race_of_a_long_poll_in_flight(here: Process, project: Project) -> None:
    await project.note()
    waiting = asyncio.create_task(
        poll(here, project, project.cursor(1), wait=20, user=GUEST, role="editor")
    )
    await eventually(lambda: here.waiting_polls)
    await project.commit(member(None), ("scene.updated", {"secret": 1}))
    async with asyncio.timeout(2):
        assert (await waiting)["events"] == []


async def test_a_role_lost_before_the_join_ends_the_stream(here: Process, project: Project) -> None:
    """The role was read at revision 1, before the hub existed: it is rechecked."""
    await project.note()
    seen = project.cursor(1)
    await project.commit(member(None), ("scene.updated", {"secret": 1}))
    here.valid = False
    for query in ({}, {"after": seen}):
        async with events(here, project, user=GUEST, role="editor", seen=seen, **query) as received:
            await received.over(within=2)
        assert received.types == ["sync.revoked"]


async def test_a_replayed_removal_ends_no_stream(here: Process, project: Project) -> None:
    await project.commit(member(None))
    await project.commit(member("editor"))
    seen = project.cursor(2)
    async with events(
        here, project, user=GUEST, role="editor", seen=seen, after=project.cursor(0)
    ) as received:
        await received.ready()
        await received.revision(await project.note())
    assert received.revisions == [1, 2, 3]


async def test_deleting_the_project_ends_all_streams(here: Process, project: Project) -> None:
    async with (
        events(here, project) as over_sse,
        socket(here, project) as (over_socket, _),
    ):
        await over_sse.ready()
        await over_socket.ready()
        deleted = {"project": {"id": project.id, "deletedAt": "2026-01-01T00:00:00Z"}}
        await project.commit(("project.updated", deleted))
        await over_sse.over(within=2)
        await over_socket.over(within=2)
    assert over_sse.of("sync.revoked") == [{"reason": "deleted"}]
    assert over_socket.code == 4404


async def test_token_expiry_mid_stream(process: NewProcess, project: Project) -> None:
    async with process(LocalBus(), Limits(heartbeat=0.2)) as here:
        async with (
            events(here, project) as over_sse,
            socket(here, project) as (over_socket, _),
        ):
            await over_sse.until(lambda received: "sync.heartbeat" in received.types)
            here.valid = False
            await over_sse.over(within=2)
            await over_socket.over(within=2)
    assert over_sse.of("sync.revoked") == [{"reason": "session"}]
    assert over_socket.code == 4401
