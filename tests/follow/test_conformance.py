"""The Python client does what tests/conformance says every client must."""

import json
from typing import Any

import pytest

from tests.follow.stage import FOLDER, Stage, hash_of, readable
from tests.follow.wire import (
    SseReader,
    closing_of,
    read_cursor,
    read_event,
    refusal,
    told_by,
)

CASES = [
    pytest.param(case, id=f"{path.stem}: {case['name']}")
    for path in sorted(FOLDER.glob("*.json"))
    for case in json.loads(path.read_text())
]
WIRE = json.loads((FOLDER / "shared" / "wire.json").read_text())


@pytest.mark.parametrize("case", CASES)
def test_case(case: Any) -> None:
    stage = Stage(case)
    stage.play()
    core = stage.core
    assert core.state
    shows = readable(core.state)
    found = {
        "connects": stage.made,
        "seen": stage.seen,
        "resets": core.resets,
        "connection": core.connection,
        "transport": core.ladder.transport,
        "looping": core.looping,
        "shows": {name: shows[name] for name in case["expect"].get("shows", {})},
        "hash": hash_of(core.state),
    }
    assert found == {"looping": False, "shows": {}, **case["expect"]}


def test_there_are_cases() -> None:
    assert len(CASES) >= 60


@pytest.mark.parametrize("case", WIRE["sse"], ids=lambda case: case["name"])
def test_sse(case: Any) -> None:
    reader = SseReader()
    assert [data for chunk in case["chunks"] for data in reader.feed(chunk)] == case["data"]
    assert reader.hint == case["hint"]


def test_frames_cursors_and_ends() -> None:
    for case in WIRE["frames"]:
        assert (read_event(case["text"]) is not None) == case["reads"], case
    for case in WIRE["cursors"]:
        found = read_cursor(case["text"])
        assert (found and [*found]) == case["reads"], case
    for case in WIRE["closings"]:
        assert closing_of(case["code"]).kind == case["kind"], case
    for case in WIRE["refusals"]:
        assert refusal(case["status"], case["retryAfter"]).kind == case["kind"], case


def test_polls() -> None:
    for case in WIRE["polls"]:
        told = told_by("p1", case["answer"], first=case["first"])
        words = [event and [event["type"], event["data"].get("cursor")] for event in told]
        assert [" ".join(filter(None, pair)) if pair else None for pair in words] == case["told"]
