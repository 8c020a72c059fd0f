"""Snapshots: of the head, of a revision, and together with the events after them."""

import asyncio
from typing import Any

import msgspec
import pytest
from asyncpg import Record

from app.problems import NotFound
from app.projects.replay import State, replay, snapshot_parts
from app.realtime.events import Event
from app.scenes.snapshot import read_snapshot, snapshot_now
from app.store.database import Tx
from app.store.ids import new_id
from tests.harness.database import DB
from tests.harness.replaying import assert_parts, state_of
from tests.harness.studio import Studio, events_of, snapshot_of
from tests.harness.turns import begin_turn, end_turn, say

PARTS = ["cursor", "epoch", "revision", "project", "members", "scenes", "messages", "runs"]


async def test_a_snapshot_has_all_its_parts(studio: Studio) -> None:
    ann = await studio.person("ann")
    project_id = await ann.project()
    scene = await ann.scene(project_id)
    answer = await ann.ask("GET", f"/api/projects/{project_id}/snapshot")
    snapshot = answer.json()["data"]
    assert list(snapshot) == PARTS
    assert snapshot["cursor"] == f"{snapshot['epoch']}.{snapshot['revision']}"
    assert answer.json()["meta"]["revision"] == snapshot["revision"] == 5
    assert answer.headers["etag"] == f'"{snapshot["cursor"]}"'
    assert snapshot["scenes"] == [scene]
    assert [member["userId"] for member in snapshot["members"]] == [ann.user_id]
    assert (snapshot["messages"], snapshot["runs"]) == ([], [])
    assert snapshot == await snapshot_of(project_id)


async def test_an_unchanged_snapshot_is_not_sent_again(studio: Studio) -> None:
    ann = await studio.person("ann")
    project_id = await ann.project()
    path = f"/api/projects/{project_id}/snapshot"
    etag = (await ann.ask("GET", path)).headers["etag"]
    for given in (etag, f"W/{etag}", f'"x", {etag}', "*"):
        again = await ann.ask("GET", path, headers={"if-none-match": given})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == etag
    await ann.scene(project_id)
    changed = await ann.ask("GET", path, headers={"if-none-match": etag})
    assert changed.status_code == 200
    assert changed.headers["etag"] != etag


async def test_a_snapshot_of_each_revision(studio: Studio) -> None:
    ann = await studio.person("ann")
    project_id = await ann.project()
    path = f"/api/projects/{project_id}/snapshot"
    seen = [(await ann.ask("GET", path)).json()["data"]]
    first = await ann.scene(project_id, name="One")
    seen.append(await snapshot_of(project_id))
    second = await ann.scene(project_id, name="Two")
    seen.append(await snapshot_of(project_id))
    order = {"sceneIds": [second["id"], first["id"]]}
    await ann.do("PUT", f"/api/projects/{project_id}/scene-order", order)
    seen.append(await snapshot_of(project_id))
    await ann.do("DELETE", f"/api/scenes/{second['id']}")
    seen.append(await snapshot_of(project_id))
    await ann.do("POST", f"/api/scenes/{second['id']}/restore")
    seen.append(await snapshot_of(project_id))
    await studio.member(ann, project_id, "bob", "viewer")
    seen.append(await snapshot_of(project_id))
    for then in seen:
        assert await ann.do("GET", f"{path}?at={then['revision']}") == then
    head = seen[-1]["revision"]
    assert await ann.refused("GET", f"{path}?at={head + 1}") == (400, "INVALID_INPUT")
    for wrong in ("0", "-1", "x", "9" * 30):
        assert (await ann.refused("GET", f"{path}?at={wrong}"))[0] in (400, 422)


async def test_any_snapshot_and_the_events_after_it_give_the_latest(studio: Studio) -> None:
    ann = await studio.person("ann")
    project_id = await ann.project()
    for number in range(4):
        await ann.scene(project_id, name=f"Scene {number}")
    ids = await ann.order(project_id)
    await ann.do("POST", f"/api/scenes/{ids[1]}/split", {"atFrame": 50})
    await ann.do("DELETE", f"/api/scenes/{ids[0]}")
    now, events = await snapshot_of(project_id), await events_of(project_id)
    for event in events:
        then = await ann.do("GET", f"/api/projects/{project_id}/snapshot?at={event.revision}")
        state = state_of(then)
        for later in events[event.revision or 0 :]:
            state = replay(state, later)
        assert_parts(snapshot_parts(state), now)


async def test_a_snapshot_is_consistent_during_concurrent_writes(studio: Studio) -> None:
    ann = await studio.person("ann")
    project_id = await ann.project()
    over = asyncio.Event()

    async def watch() -> list[dict[str, Any]]:
        seen = []
        while not over.is_set():
            seen.append(await snapshot_of(project_id))
        return seen

    watcher = asyncio.create_task(watch())
    for _ in range(10):
        await ann.scene(project_id)
    over.set()
    seen, events = await watcher, await events_of(project_id)
    assert len({one["revision"] for one in seen}) > 1, "no snapshot was read between the writes"
    for one in seen:
        state = State()
        for event in events[: one["revision"]]:
            state = replay(state, event)
        assert_parts(snapshot_parts(state), one)


class Counting:
    """A reader that counts the statements that it runs."""

    def __init__(self, reader: Tx) -> None:
        self.reader, self.queries = reader, 0

    async def fetch(self, sql: str, *values: Any) -> list[Record]:
        self.queries += 1
        return await self.reader.fetch(sql, *values)

    async def fetchrow(self, sql: str, *values: Any) -> Record | None:
        self.queries += 1
        return await self.reader.fetchrow(sql, *values)

    async def fetchval(self, sql: str, *values: Any) -> Any:
        self.queries += 1
        return await self.reader.fetchval(sql, *values)


async def queries_of(project_id: str) -> int:
    async with DB.reading(snapshot=True) as reader:
        counting = Counting(reader)
        await snapshot_now(counting, project_id)
    return counting.queries


async def test_the_number_of_queries_does_not_grow(studio: Studio) -> None:
    ann = await studio.person("ann")
    project_id = await ann.project()
    few = await queries_of(project_id)
    for _ in range(5):
        await ann.scene(project_id)
    await studio.member(ann, project_id, "bob", "viewer")
    for number in range(5):
        await say(ann.user_id, project_id, f"message {number}")
    assert await queries_of(project_id) == few <= 6


async def test_a_snapshot_has_the_last_hundred_messages_and_the_open_runs(
    studio: Studio,
) -> None:
    ann = await studio.person("ann")
    project_id = await ann.project()
    turn = await begin_turn(ann.user_id, project_id)
    for number in range(105):
        await say(ann.user_id, project_id, f"message {number}")
    snapshot = await snapshot_of(project_id)
    assert [message["content"] for message in snapshot["messages"]] == [
        f"message {number}" for number in range(5, 105)
    ]
    assert [run["id"] for run in snapshot["runs"]] == [turn.id]
    assert snapshot["runs"][0]["error"] is None
    await end_turn(project_id, turn)
    assert (await snapshot_of(project_id))["runs"] == []


async def test_a_deleted_project_has_no_snapshot(studio: Studio) -> None:
    ann = await studio.person("ann")
    project_id = await ann.project()
    await ann.do("DELETE", f"/api/projects/{project_id}")
    for missing in (project_id, new_id()):
        with pytest.raises(NotFound):
            await read_snapshot(DB, missing)


def test_replay_does_not_change_its_input() -> None:
    scene = {"id": "a", "name": "One"}
    before = State(project={"id": "p"}, scenes={"a": scene})
    event = msgspec.convert(
        {
            "type": "scene.deleted",
            "projectId": "p",
            "requestId": "r",
            "actorId": "u",
            "at": "2026-01-01T00:00:00Z",
            "data": {"scene": scene, "sceneIds": []},
        },
        Event,
    )
    assert replay(before, event).scenes == {}
    assert before.scenes == {"a": scene}
