"""Every answer and every event on the wire is as it was recorded.

The recordings in `data` prove that a change inside the server is none for its clients. When the
API is changed on purpose, `python -m tests.recordings.record .` writes them again, and the diff of
the data shows the change.
"""

import asyncio
import difflib
import json
import re
import shutil
from collections.abc import AsyncIterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import NewDatabase
from tests.recordings.record import DATA
from tests.recordings.scenario import Recording, Scenario
from tests.recordings.server import Delivery

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
DELIVERIES: tuple[Delivery, ...] = ("accelerated", "unaccelerated", "plain")
SHOWN_LINES = 60  # of what differs in one chapter
EVENTS = [
    "message.created",
    "message.updated",
    "run.queued",
    "run.started",
    "run.retrying",
    "run.finished",
    "brain.decision",
    "tool.started",
    "tool.finished",
    "scene.created",
    "scene.updated",
    "scene.deleted",
    "scene.restored",
    "scenes.reordered",
    "iteration.created",
    "project.updated",
    "member.updated",
    "generation.created",
    "generation.updated",
    "run.progress",
    "message.delta",
    "code.delta",
    "run.snapshot",
    "presence.updated",
    "sync.ready",
    "sync.heartbeat",
    "sync.reset",
    "sync.revoked",
    "project.snapshot",
]
# All but INTERNAL_ERROR and STORAGE_ERROR, which no client can cause, TIMEOUT and
# WORKER_LOST, which take minutes, and SERVICE_UNAVAILABLE, which takes a race.
ERRORS = [
    "INVALID_INPUT",
    "UNAUTHORIZED",
    "FORBIDDEN",
    "NOT_FOUND",
    "METHOD_NOT_ALLOWED",
    "ALREADY_EXISTS",
    "CONFLICT",
    "PAYLOAD_TOO_LARGE",
    "UNSUPPORTED_MEDIA_TYPE",
    "VALIDATION_FAILED",
    "RATE_LIMITED",
    "AI_ERROR",
    "DATABASE_ERROR",
    "STALE_BASE",
]
CLOSE_CODES = {1000, 1009, 1012, 4400, 4401, 4403, 4404, 4408, 4503}  # 4409 takes a slow reader


def unaccelerated(folder: Path) -> Path:
    """Copy what is served, without the accelerated delivery: deleting it leaves a whole server."""
    ignored = shutil.ignore_patterns("accelerated", "node_modules", "__pycache__", "src")
    shutil.copytree(ROOT / "app", folder / "app", ignore=ignored)
    shutil.copytree(ROOT / "migrations", folder / "migrations")
    return folder


Playing = dict[Delivery, asyncio.Task[Recording]]


@pytest.fixture(scope="module")
async def playing(
    new_database: NewDatabase, redis_url: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Playing]:
    """Play the scenario through all deliveries at once: each of them mostly waits."""
    found: Playing = {}
    for delivery in DELIVERIES:
        databases = await new_database(), await new_database()
        folder = tmp_path_factory.mktemp(delivery)
        checkout = ROOT if delivery != "unaccelerated" else unaccelerated(folder / "checkout")
        scenario = Scenario(checkout, delivery, folder, databases, redis_url)
        found[delivery] = asyncio.create_task(scenario.play())
    yield found
    for task in found.values():
        task.cancel()
    await asyncio.gather(*found.values(), return_exceptions=True)


@pytest.mark.parametrize("delivery", DELIVERIES)
async def test_every_answer_and_event_is_as_it_was_recorded(
    delivery: Delivery, playing: Playing
) -> None:
    differences: list[str] = []
    for name, text in sorted((await playing[delivery]).items()):
        known = (DATA / f"{name}.json").read_text().splitlines()
        names = f"recorded/{name}", f"now/{name}"
        found = difflib.unified_diff(known, text.splitlines(), *names, n=6, lineterm="")
        differences += islice(found, SHOWN_LINES)
    assert not differences, "\n".join(differences)


def test_the_recordings_hold_every_route() -> None:
    found = entries()
    described = next(entry["body"] for entry in found if entry["step"] == "openapi")
    sent = {entry["sent"].partition("?")[0] for entry in found if "sent" in entry}
    routes = {
        f"{method.upper()} {path}": re.sub(r"\\{\w+\\}", "[^/]+", re.escape(path))
        for path, methods in described["paths"].items()
        for method in methods
    }
    assert len(routes) > 40
    missing = [
        route
        for route, path in routes.items()
        if not any(re.fullmatch(f"{route.partition(' ')[0]} {path}", one) for one in sent)
    ]
    assert missing == []


def test_the_recordings_hold_every_kind_of_event_error_and_close() -> None:
    text = "\n".join(path.read_text() for path in DATA.glob("*.json"))
    events = [one for one in EVENTS if not re.search(rf'"(?:sse|text|msgpack)": "{one},', text)]
    errors = [one for one in ERRORS if f'"code": "{one}"' not in text]
    closes = {int(code) for code in re.findall(r'"close": \[(\d+),', text)}
    assert (events, errors, closes) == ([], [], CLOSE_CODES)


def entries() -> list[Any]:
    """Return the entries of all chapters, with the objects that they refer to."""
    found = []
    for path in sorted(DATA.glob("*.json")):
        chapter = json.loads(path.read_text())
        found += [_whole(entry, chapter["objects"]) for entry in chapter["entries"]]
    return found


def _whole(value: Any, objects: dict[str, Any]) -> Any:
    if isinstance(value, str) and value in objects:
        return _whole(objects[value], objects)
    if isinstance(value, dict):
        return {key: _whole(one, objects) for key, one in value.items()}
    return [_whole(one, objects) for one in value] if isinstance(value, list) else value
