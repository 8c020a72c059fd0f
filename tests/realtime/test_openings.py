"""Openings: what a new subscriber receives first is reused for the next, if their role allows."""

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import pytest

from app.realtime import log
from tests.harness.database import DB
from tests.harness.events import Received
from tests.harness.in_process import Delivery
from tests.harness.metrics import metric
from tests.harness.waiting import eventually
from tests.realtime.clients import events, socket
from tests.realtime.hub_server import Process, Project
from tests.realtime.test_rights import GUEST, member

SUBSCRIBERS = 8  # that join after the first one


def reused() -> float:
    """The count of joins that were served the opening of an earlier one."""
    return metric("reelroom_joins_total", source="opening")


async def join(
    stack: AsyncExitStack, kind: str, here: Process, project: Project, **query: Any
) -> Received:
    """Join with a role that was read at the head, unless the query says `seen`."""
    query.setdefault("seen", project.cursor(await project.head()))
    if kind == "sse":
        received: Received = await stack.enter_async_context(events(here, project, **query))
    else:
        received, _ = await stack.enter_async_context(
            socket(here, project, packed=kind == "msgpack", **query)
        )
    return received


@pytest.mark.parametrize("kind", ["sse", "json", "msgpack"])
@pytest.mark.parametrize("from_snapshot", [True, False], ids=["snapshot", "cursor"])
async def test_concurrent_subscribers_share_an_opening(
    here: Process, project: Project, kind: str, from_snapshot: bool, delivery: Delivery
) -> None:
    await project.note(size=5)
    query = {} if from_snapshot else {"after": project.cursor(1)}
    before = reused()
    async with AsyncExitStack() as stack:
        subscribers = []
        for _ in range(SUBSCRIBERS):  # in sequence: presence may be published in between
            subscribers.append(await join(stack, kind, here, project, **query))
            await subscribers[-1].ready()
        if delivery == "uvicorn":
            assert reused() > before
        last = await project.note(size=3)
        for received in subscribers:
            await received.revision(last)
            first = 6 if from_snapshot else 2
            assert received.revisions == list(range(first, last + 1))
            assert received.types.count("sync.ready") == 1
            assert received.types.count("project.snapshot") == from_snapshot


async def test_an_opening_is_not_reused_after_a_commit(here: Process, project: Project) -> None:
    after = project.cursor(await project.note())
    async with AsyncExitStack() as stack:
        for number in range(12):
            last = await project.note(str(number))
            for _ in range(2):
                received = await join(stack, "sse", here, project, after=after)
                await received.revision(last)
                assert received.revisions == list(range(2, last + 1))
                await received.ready()


@pytest.mark.parametrize("kind", ["sse", "json"])
async def test_an_opening_is_not_reused_for_a_removed_member(
    here: Process, project: Project, kind: str
) -> None:
    seen = project.cursor(await project.note())
    async with AsyncExitStack() as stack:
        first = await join(stack, kind, here, project, after=seen)
        await first.ready()
        lost = await project.commit(member(None))
        last = await project.note("secret")
        await first.revision(last)
        for _ in range(SUBSCRIBERS):
            other = await join(stack, kind, here, project, after=seen)
            await other.ready()
            guest = await join(
                stack, kind, here, project, after=seen, seen=seen, user=GUEST, role="editor"
            )
            await guest.over()
            assert all(revision < lost for revision, _ in guest.logged)
            assert "sync.ready" not in guest.types


async def test_a_reset_is_not_reused(here: Process, project: Project) -> None:
    """A cursor of a process that is ahead is valid once this process has caught up."""
    ahead = project.cursor(await project.note() + 1)
    async with AsyncExitStack() as stack:
        early = await join(stack, "sse", here, project, after=ahead)
        await early.ready()
        assert early.types[:2] == ["sync.reset", "project.snapshot"]
        last = await project.note(size=3)
        await early.revision(last)
        for _ in range(2):
            late = await join(stack, "sse", here, project, after=ahead)
            await late.ready()
            assert "sync.reset" not in late.types
            assert late.revisions == [last - 1, last]


async def test_an_opening_is_not_reused_after_a_restore(here: Process, project: Project) -> None:
    async with AsyncExitStack() as stack:
        subscribers = [await join(stack, "sse", here, project) for _ in range(3)]
        for received in subscribers:
            await received.ready()
        before, project.epoch = project.epoch, log.new_epoch()
        async with DB.transaction() as tx:
            await tx.execute(
                "update project set epoch = $2 where id = $1", project.id, project.epoch
            )
        here.lose_messages()
        await subscribers[0].until(lambda received: "sync.reset" in received.types)
        for _ in range(3):
            new = await join(stack, "sse", here, project)
            await new.ready()
            assert new.types[0] == "project.snapshot"
            assert new.of("sync.ready") == [{"cursor": project.cursor(await project.head())}]
            assert before not in str(new.events)


@pytest.mark.parametrize("kind", ["sse", "json"])
async def test_an_opening_is_completed_after_its_first_subscriber_left(
    here: Process, project: Project, kind: str, delivery: Delivery, monkeypatch: pytest.MonkeyPatch
) -> None:
    last = await project.note(size=5)
    after = project.cursor(1)
    hub = here.hub(project.id)
    page, requested, answered = hub.page, asyncio.Event(), asyncio.Event()

    async def slow(revision: int) -> Any:
        requested.set()
        await answered.wait()
        return await page(revision)

    monkeypatch.setattr(hub, "page", slow)
    async with AsyncExitStack() as stack, AsyncExitStack() as left:
        await join(left, kind, here, project, after=after)
        await requested.wait()
        subscribers = [
            await join(stack, kind, here, project, after=after) for _ in range(SUBSCRIBERS)
        ]
        await eventually(lambda: hub.subscribers == SUBSCRIBERS + 1)
        await left.aclose()
        before = reused()
        answered.set()
        for received in subscribers:
            await received.ready()
            assert received.revisions == list(range(2, last + 1))
        if delivery == "uvicorn":
            assert reused() > before
