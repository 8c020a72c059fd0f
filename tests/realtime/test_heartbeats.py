"""Heartbeats: subscriptions of a project send them together, in groups that are spread."""

from collections import Counter

import pytest

from app.realtime.hub import HEARTBEAT_GROUP
from app.realtime.subscription import next_heartbeat
from tests.realtime.clients import events
from tests.realtime.hub_server import Process, Project

INTERVAL = 14.0
JOINED_AT = (20.0, 22.1, 23.7, 26.0, 27.9)  # within one interval


@pytest.mark.parametrize("phase", [0.0, 0.1, 3.3, 6.9])
@pytest.mark.parametrize("late", [0.001, 0.5, 3.0, 6.9])
def test_heartbeats_of_a_phase_coincide_one_interval_apart(phase: float, late: float) -> None:
    due = [next_heartbeat(now, phase, INTERVAL) for now in JOINED_AT]
    for now, first in zip(JOINED_AT, due, strict=True):
        assert INTERVAL / 2 <= first - now <= INTERVAL
        assert next_heartbeat(first + late, phase, INTERVAL) == pytest.approx(first + INTERVAL)
    assert len({round(first, 6) for first in due}) <= 3


async def test_groups_of_subscriptions_share_a_phase_and_are_spread(
    here: Process, project: Project
) -> None:
    async with events(here, project) as received:
        await received.ready()
        hub = here.hub(project.id)
        phases = []
        for number in range(20 * HEARTBEAT_GROUP):
            hub.subscribers = number
            phases.append(hub.heartbeat_phase())
        hub.subscribers = 1
    assert len(set(phases[:HEARTBEAT_GROUP])) == 1
    assert len(set(phases)) == 20
    tenths = Counter(int(phase / here.hubs.limits.heartbeat * 20) for phase in phases)
    assert max(tenths.values()) <= 4 * HEARTBEAT_GROUP
