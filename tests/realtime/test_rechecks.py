"""Rechecks of sessions and roles go on, whatever one of them meets."""

import pytest

from app.realtime.bus.local import LocalBus
from app.realtime.limits import Limits
from tests.realtime.clients import events
from tests.realtime.hub_server import NewProcess, Process, Project


@pytest.mark.one_delivery
async def test_a_recheck_that_fails_unexpectedly_stops_no_later_one(
    process: NewProcess, project: Project
) -> None:
    async with process(LocalBus(), Limits(heartbeat=0.2)) as here:
        async with events(here, project) as first, events(here, project) as second:
            for received in (first, second):
                await received.ready()
            here.recheck_error = RuntimeError("a column is missing")
            seen = len(first.of("sync.heartbeat"))
            await first.until(lambda received: len(received.of("sync.heartbeat")) > seen + 2)
            here.recheck_error = None
            here.valid = False
            for received in (first, second):
                await received.over(within=3)
                assert received.of("sync.revoked") == [{"reason": "session"}]


async def test_a_subscriber_whose_role_cannot_be_checked_receives_nothing(
    here: Process, project: Project
) -> None:
    await project.note("secret")
    here.recheck_error = RuntimeError("a column is missing")
    async with events(here, project) as received:
        await received.over()
    assert received.types == []
