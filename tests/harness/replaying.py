"""Assertions that an old snapshot and the events after it give the new snapshot."""

from collections.abc import Iterable
from typing import Any

import msgspec

from app.lifecycle.check import comparable
from app.projects.replay import State, replay, snapshot_parts
from app.realtime.events import Event

Json = dict[str, Any]


def state_of(snapshot: Json) -> State:
    """The state that a snapshot shows, so that later events can be replayed on it."""
    return State(
        project=snapshot["project"],
        members={member["userId"]: member for member in snapshot["members"]},
        scenes={scene["id"]: scene for scene in snapshot["scenes"]},
        messages={message["id"]: message for message in snapshot["messages"]},
        runs={run["id"]: run for run in snapshot["runs"]},
    )


def replayed(state: State, events: Iterable[Json]) -> State:
    """The state after durable events in the form that clients get."""
    for event in events:
        state = replay(state, msgspec.convert(event, Event))
    return state


def assert_parts(parts: Json, snapshot: Json) -> None:
    """Assert that a snapshot has these parts, whatever else it has."""
    for part, value in parts.items():
        assert comparable(part, value) == comparable(part, snapshot[part]), part


def assert_shows(state: State, snapshot: Json) -> None:
    """Assert that a snapshot shows this state."""
    assert_parts(snapshot_parts(state), snapshot)


def assert_follows(before: Json, events: list[Json], after: Json) -> None:
    """Assert that the events are all that happened between two snapshots of a project."""
    assert [event["revision"] for event in events] == list(
        range(before["revision"] + 1, after["revision"] + 1)
    )
    assert_shows(replayed(state_of(before), events), after)
