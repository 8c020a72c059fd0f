"""Who comes to the same place as somebody just now is told the same, if it may be told."""

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import pytest

from app.realtime import log
from tests.harness.database import DB
from tests.harness.events import Received
from tests.harness.metrics import metric
from tests.harness.server import Delivery
from tests.harness.waiting import eventually
from tests.realtime.clients import events, socket
from tests.realtime.hub_server import Process, Project
from tests.realtime.test_rights import GUEST, member

HERD = 8


def opened() -> float:
    """How many were told what others had been told."""
    return metric("reelroom_joins_total", source="opening")


async def come(
    stack: AsyncExitStack, kind: str, here: Process, project: Project, **query: Any
) -> Received:
    """Somebody whose role was seen just now, unless the query says when."""
    query.setdefault("seen", project.cursor(await project.head()))
    if kind == "sse":
        received: Received = await stack.enter_async_context(events(here, project, **query))
    else:
        received, _ = await stack.enter_async_context(
            socket(here, project, packed=kind == "msgpack", **query)
        )
    return received


@pytest.mark.parametrize("kind", ["sse", "json", "msgpack"])
@pytest.mark.parametrize("anew", [True, False], ids=["snapshot", "cursor"])
async def test_a_herd_is_told_the_same(
    here: Process, project: Project, kind: str, anew: bool, delivery: Delivery
) -> None:
    await project.note(size=5)
    query = {} if anew else {"after": project.cursor(1)}
    before = opened()
    async with AsyncExitStack() as stack:
        herd = []
        for _ in range(HERD):  # one after the other: presence is told in between, now and then
            herd.append(await come(stack, kind, here, project, **query))
            await herd[-1].ready()
        if delivery == "uvicorn":
            assert opened() > before
        last = await project.note(size=3)
        for received in herd:
            await received.revision(last)
            first = 6 if anew else 2
            assert received.revisions == list(range(first, last + 1))
            assert received.types.count("sync.ready") == 1
            assert received.types.count("project.snapshot") == anew


async def test_what_was_told_before_a_change_is_not_told_after_it(
    here: Process, project: Project
) -> None:
    after = project.cursor(await project.note())
    async with AsyncExitStack() as stack:
        for number in range(12):
            last = await project.note(str(number))
            for _ in range(2):
                received = await come(stack, "sse", here, project, after=after)
                await received.revision(last)
                assert received.revisions == list(range(2, last + 1))
                await received.ready()


@pytest.mark.parametrize("kind", ["sse", "json"])
async def test_what_others_were_told_is_not_told_to_somebody_who_was_removed(
    here: Process, project: Project, kind: str
) -> None:
    seen = project.cursor(await project.note())
    async with AsyncExitStack() as stack:
        first = await come(stack, kind, here, project, after=seen)
        await first.ready()
        lost = await project.commit(member(None))
        last = await project.note("secret")
        await first.revision(last)
        for _ in range(HERD):
            other = await come(stack, kind, here, project, after=seen)
            await other.ready()
            guest = await come(
                stack, kind, here, project, after=seen, seen=seen, user=GUEST, role="editor"
            )
            await guest.over()
            assert all(revision < lost for revision, _ in guest.logged)
            assert "sync.ready" not in guest.types


async def test_a_reset_is_told_to_nobody_else(here: Process, project: Project) -> None:
    """The cursor of somebody whom another process has told more is none from the future soon."""
    ahead = project.cursor(await project.note() + 1)
    async with AsyncExitStack() as stack:
        early = await come(stack, "sse", here, project, after=ahead)
        await early.ready()
        assert early.types[:2] == ["sync.reset", "project.snapshot"]
        last = await project.note(size=3)
        await early.revision(last)
        for _ in range(2):
            late = await come(stack, "sse", here, project, after=ahead)
            await late.ready()
            assert "sync.reset" not in late.types
            assert late.revisions == [last - 1, last]


async def test_what_was_told_before_a_restore_is_not_told_after_it(
    here: Process, project: Project
) -> None:
    async with AsyncExitStack() as stack:
        herd = [await come(stack, "sse", here, project) for _ in range(3)]
        for received in herd:
            await received.ready()
        before, project.epoch = project.epoch, log.new_epoch()
        async with DB.transaction() as tx:
            await tx.execute(
                "update project set epoch = $2 where id = $1", project.id, project.epoch
            )
        here.lose_messages()
        await herd[0].until(lambda received: "sync.reset" in received.types)
        for _ in range(3):
            new = await come(stack, "sse", here, project)
            await new.ready()
            assert new.types[0] == "project.snapshot"
            assert new.of("sync.ready") == [{"cursor": project.cursor(await project.head())}]
            assert before not in str(new.events)


@pytest.mark.parametrize("kind", ["sse", "json"])
async def test_a_herd_waits_for_its_first_and_not_for_one_who_left(
    here: Process, project: Project, kind: str, delivery: Delivery, monkeypatch: pytest.MonkeyPatch
) -> None:
    last = await project.note(size=5)
    after = project.cursor(1)
    hub = here.hub(project.id)
    page, asked, answer = hub.page, asyncio.Event(), asyncio.Event()

    async def slow(revision: int) -> Any:
        asked.set()
        await answer.wait()
        return await page(revision)

    monkeypatch.setattr(hub, "page", slow)
    async with AsyncExitStack() as stack, AsyncExitStack() as left:
        await come(left, kind, here, project, after=after)
        await asked.wait()
        herd = [await come(stack, kind, here, project, after=after) for _ in range(HERD)]
        await eventually(lambda: hub.subscribers == HERD + 1)
        await left.aclose()
        before = opened()
        answer.set()
        for received in herd:
            await received.ready()
            assert received.revisions == list(range(2, last + 1))
        if delivery == "uvicorn":
            assert opened() > before
