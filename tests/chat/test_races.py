"""Races of the whole app: snapshots, links, reads after writes, and killed servers."""

import asyncio
import signal
from pathlib import Path
from typing import Any

import httpx

from app.projects.replay import snapshot_parts
from tests.conftest import NewDatabase
from tests.harness.person import Person
from tests.harness.process import Reelroom, run
from tests.harness.replaying import replayed, state_of


async def test_commit_during_snapshot(person: Person) -> None:
    """Snapshots read while scenes are created and deleted: each is the log up to its revision."""
    project = await person.project(title="read while written")
    start = state_of(first := await person.snapshot(project))
    done = asyncio.Event()
    snapshots: list[Any] = []

    async def read() -> None:
        while not done.is_set():
            snapshots.append(await person.snapshot(project))

    async def write(number: int) -> None:
        for turn in range(5):
            path = f"/api/projects/{project}/scenes"
            scene = await person.do("POST", path, {"name": f"{number} {turn}"}, status=201)
            if turn % 2:
                await person.do("DELETE", f"/api/scenes/{scene['id']}", status=200)

    readers = [asyncio.create_task(read()) for _ in range(2)]
    await asyncio.gather(*(write(number) for number in range(4)))
    done.set()
    await asyncio.gather(*readers)
    events = await person.changes(project, first["cursor"])
    seen = {snapshot["revision"] for snapshot in snapshots}
    assert len(seen) > 5
    for snapshot in snapshots:
        known = [event for event in events if event["revision"] <= snapshot["revision"]]
        assert len(known) == snapshot["revision"] - first["revision"]
        assert not known or known[-1]["commit"] == known[-1]["revision"], "a part of a transaction"
        names = [scene["name"] for scene in snapshot_parts(replayed(start, known))["scenes"]]
        assert names == [scene["name"] for scene in snapshot["scenes"]]


async def test_link_atomicity(person: Person) -> None:
    """An iteration is never seen without its message, nor a scene's change without its iteration.

    At the end of each transaction, as a client applies them.
    """
    project = await person.project(title="linked")
    start = await person.snapshot(project)
    for prompt in ("Add a title", "Make it blue", "Add a bar chart"):
        await person.turn(project, prompt)
    events = await person.changes(project, start["cursor"])
    messages = {message["id"] for message in start["messages"]}
    commits: dict[int, list[Any]] = {}
    for event in events:
        commits.setdefault(event["commit"], []).append(event)
    linked = 0
    for commit in commits.values():
        scenes = {
            event["data"]["scene"]["id"]
            for event in commit
            if event["type"].startswith("scene.") and event["type"] != "scenes.reordered"
        }
        iterations = [e["data"]["iteration"] for e in commit if e["type"] == "iteration.created"]
        messages |= {e["data"]["message"]["id"] for e in commit if e["type"] == "message.created"}
        assert scenes == {iteration["sceneId"] for iteration in iterations}
        for iteration in iterations:
            assert iteration["messageId"] in messages
            linked += 1
            path = f"/api/projects/{project}/iterations"
            found = await person.do("GET", path, params={"messageIds": iteration["messageId"]})
            assert iteration["id"] in [one["id"] for one in found["items"]]
    assert linked >= 3


async def test_read_your_writes(person: Person) -> None:
    """After an answer the next read has the change; a repeated request changes nothing."""
    project = await person.project(title="mine")
    cursor = (await person.snapshot(project))["cursor"]
    for number in range(10):
        path, headers = f"/api/projects/{project}/scenes", {"idempotency-key": f"key {number}"}
        body = {"name": f"scene {number}"}
        first = await person.post(path, json=body, headers=headers)
        again = await person.post(path, json=body, headers=headers)  # its answer was lost
        assert first.status_code == again.status_code == 201
        assert first.content == again.content
        revision = first.json()["meta"]["revision"]
        events = await person.changes(project, cursor)
        assert events[-1]["revision"] == revision
        created = [event for event in events if event["type"] == "scene.created"]
        assert len(created) == 1
        assert created[0]["data"]["scene"]["id"] == first.json()["data"]["id"]
        cursor = f"{cursor.partition('.')[0]}.{revision}"
        assert (await person.snapshot(project))["revision"] == revision


async def test_sigkill_with_n_streams(
    new_database: NewDatabase, redis_url: str, tmp_path: Path
) -> None:
    """A server is killed during changes; its clients resume at another one."""
    settings = {
        "DATABASE_URL": await new_database(),
        "REDIS_URL": redis_url,
        "REELROOM_LOCAL_TOKEN": "local",
    }
    with Reelroom(cwd=tmp_path, **settings) as doomed:
        await asyncio.to_thread(doomed.ready)
        with Reelroom(cwd=tmp_path, **settings) as other:
            await asyncio.to_thread(other.ready)
            await _kill_one(doomed, other)
            status = await asyncio.to_thread(other.end)
            assert status == 0
    checked = await asyncio.to_thread(run, "check", cwd=tmp_path, **settings)
    assert checked.stdout == "all invariants hold\n"


async def _kill_one(doomed: Reelroom, other: Reelroom) -> None:
    headers = {"authorization": "Bearer local"}
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(headers=headers, timeout=30, limits=limits) as client:
        made = await client.post(f"{other.url}/api/projects", json={"title": "survives"})
        project = made.json()["data"]["id"]
        base = f"/api/projects/{project}"
        epoch = (await client.get(f"{other.url}{base}/snapshot")).json()["data"]["epoch"]
        connected, killed = 0, asyncio.Event()
        revisions: list[list[int]] = []

        async def follow() -> None:
            nonlocal connected
            applied: list[int] = []
            revisions.append(applied)
            where = doomed.url
            while not applied or applied[-1] < head:
                last = f"{epoch}.{applied[-1] if applied else 0}"
                try:
                    async with client.stream(
                        "GET", f"{where}{base}/events", headers={"last-event-id": last}
                    ) as answer:
                        connected += where == doomed.url
                        async for line in answer.aiter_lines():
                            if line.startswith("id: "):
                                applied.append(int(line.rpartition(".")[2]))
                            if applied and applied[-1] >= head:
                                break
                except httpx.TransportError:
                    assert killed.is_set()
                where = other.url

        head = 10**9
        subscribers = [asyncio.create_task(follow()) for _ in range(40)]
        async with asyncio.timeout(30):
            while connected < 40:
                await asyncio.sleep(0.02)
        for number in range(20):
            if number == 10:
                killed.set()
                doomed.send_signal(signal.SIGKILL)
            answer = await client.post(f"{other.url}{base}/scenes", json={"name": f"{number}"})
            assert answer.status_code == 201
        head = answer.json()["meta"]["revision"]
        await client.post(f"{other.url}{base}/scenes", json={"name": "after the head"})
        async with asyncio.timeout(15):
            await asyncio.gather(*subscribers)
        for applied in revisions:
            assert applied[:head] == list(range(1, head + 1))


async def test_f01_a_client_that_leaves_in_mid_run_gets_the_rest(person: Person) -> None:
    """The stream that began the run is cut after each of its events; the run goes on."""
    project = await person.project(title="left")
    path, cut = f"/api/projects/{project}/runs", 0
    while True:
        cut += 1
        before: list[Any] = []
        body = {"prompt": f"Add a title {cut}"}
        async with person.stream_events(path, method="POST", json=body) as events:
            async for event in events:
                before += [event] if "revision" in event else []
                if len(before) == cut:
                    break
        run_id = before[0]["runId"]
        last = f"{(await person.snapshot(project))['epoch']}.{before[-1]['revision']}"
        again: list[Any] = []
        events_of = f"/api/runs/{run_id}/events"
        async with asyncio.timeout(60):
            async with person.stream_events(events_of, headers={"last-event-id": last}) as events:
                async for event in events:
                    again += [event] if "revision" in event else []
        whole = await person.changes(project, f"{last.partition('.')[0]}.0")
        assert before + again == [event for event in whole if event.get("runId") == run_id]
        assert whole[-1]["data"]["run"]["status"] == "succeeded"
        if not again:
            return
