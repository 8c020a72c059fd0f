"""The Python client passes the cases of tests/conformance, which apply to every client."""

import json
from typing import Any

import pytest

from app.client.wire import (
    SseReader,
    closing_of_code,
    closing_of_status,
    decode_event,
    events_of_poll,
    parse_cursor,
)
from tests.client.simulation import FOLDER, Simulation, hash_of, readable

CASES = [
    pytest.param(case, id=f"{path.stem}: {case['name']}")
    for path in sorted(FOLDER.glob("*.json"))
    for case in json.loads(path.read_text())
]
WIRE = json.loads((FOLDER / "shared" / "wire.json").read_text())


@pytest.mark.parametrize("case", CASES)
def test_case(case: Any) -> None:
    simulation = Simulation(case)
    simulation.play()
    protocol = simulation.protocol
    assert protocol.state
    shows = readable(protocol.state)
    found = {
        "connects": simulation.made,
        "seen": simulation.seen,
        "resets": protocol.resets,
        "connection": protocol.connection,
        "transport": protocol.fallback.transport,
        "looping": protocol.slowed,
        "shows": {name: shows[name] for name in case["expect"].get("shows", {})},
        "hash": hash_of(protocol.state),
    }
    assert found == {"looping": False, "shows": {}, **case["expect"]}


def test_there_are_cases() -> None:
    assert len(CASES) >= 60


@pytest.mark.parametrize("case", WIRE["sse"], ids=lambda case: case["name"])
def test_sse(case: Any) -> None:
    reader = SseReader()
    assert [data for chunk in case["chunks"] for data in reader.feed(chunk)] == case["data"]
    assert reader.retry_milliseconds == case["hint"]


def test_frames_cursors_and_ends() -> None:
    for case in WIRE["frames"]:
        assert (decode_event(case["text"]) is not None) == case["reads"], case
    for case in WIRE["cursors"]:
        found = parse_cursor(case["text"])
        assert (found and [*found]) == case["reads"], case
    for case in WIRE["closings"]:
        assert closing_of_code(case["code"]).kind == case["kind"], case
    for case in WIRE["refusals"]:
        assert closing_of_status(case["status"], case["retryAfter"]).kind == case["kind"], case


def test_polls() -> None:
    for case in WIRE["polls"]:
        events = events_of_poll("p1", case["answer"], first=case["first"])
        pairs = [event and [event["type"], event["data"].get("cursor")] for event in events]
        assert [" ".join(filter(None, pair)) if pair else None for pair in pairs] == case["told"]
