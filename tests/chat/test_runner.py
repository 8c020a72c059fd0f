"""Interruptions of a worker: cancelled before it begins, locked out, or without its database."""

import asyncio
import sys
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest

from app.realtime.events import LiveEvent
from app.realtime.live import Admission, GrowingText, LiveRun, LiveRuns
from app.realtime.publisher import LivePublisher
from app.store.concurrency import run_to_completion
from tests.chat.client import begin, iterations_of, run_now, scenes_of, until_over
from tests.chat.test_crash_points import new_project
from tests.harness.database import DB
from tests.harness.deployment import Deployment
from tests.harness.events import receive_turn
from tests.harness.model_server import CODE, code, decide


async def test_run_to_completion_completes_however_often_its_task_is_cancelled() -> None:
    done: list[int] = []

    async def ending() -> None:
        await asyncio.sleep(0.05)
        done.append(1)

    task = asyncio.create_task(run_to_completion(ending()))
    for _ in range(3):
        await asyncio.sleep(0.01)
        task.cancel("why")
    with pytest.raises(asyncio.CancelledError, match="why"):
        await task
    assert done == [1]


@pytest.mark.usefixtures("server")
async def test_callbacks_run_after_a_commit_whose_task_was_cancelled() -> None:
    """Repeated, so that some cancellations arrive during the commit itself."""
    committed = called = 0
    await DB.fetch("create table if not exists ending (n int)")
    for n in range(200):
        calls: list[int] = []

        async def change(n: int = n, calls: list[int] = calls) -> None:
            async with DB.transaction() as tx:
                await tx.execute("insert into ending values ($1)", n)
                tx.after_commit.append(lambda: calls.append(n))

        task = asyncio.create_task(change())
        await asyncio.sleep(n * 0.00002)
        task.cancel()
        await asyncio.wait([task])
        committed += bool(await DB.fetch("select 1 from ending where n = $1", n))
        called += len(calls)
        assert committed == called
    await DB.fetch("drop table ending")


async def test_a_run_cancelled_before_its_first_step_frees_its_slot(
    deployment: Deployment,
) -> None:
    project = await new_project(deployment)
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.chat.stopped", deployment.database, project,
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, _ = await child.communicate()
    assert out.decode().split() == ["cancelled", "0"]


async def locked(deployment: Deployment, project: str) -> asyncpg.Connection:
    """A connection that holds the project's row."""
    connection = await asyncpg.connect(deployment.database)
    await connection.execute("begin")
    await connection.fetch("select 1 from project where id = $1 for update", project)
    return connection


@pytest.mark.parametrize(("seconds", "attempts"), [(4.5, 1), (11.5, 2)])
async def test_a_long_lock_of_the_project_fails_no_run(
    deployment: Deployment, seconds: float, attempts: int
) -> None:
    ann = deployment.person(await deployment.start())
    project = await ann.project()
    deployment.model.script(decide(), code(pieces=8, delay=0.1))
    begun = await begin(ann, project, "Add a title")
    async with ann.stream_events(f"/api/runs/{begun['run']['id']}/events") as events:
        await receive_turn(events, until="code.delta")
    holder = await locked(deployment, project)
    await asyncio.sleep(seconds)
    await holder.close()
    run = await until_over(ann, begun["run"]["id"])
    assert (run["status"], run["attempt"]) == ("succeeded", attempts)
    [iteration] = await iterations_of(ann, project, run["assistantMessageId"])
    assert iteration["codeAfter"] == CODE
    assert len(await scenes_of(ann, project)) == 1


async def test_a_lost_database_connection_fails_no_run(deployment: Deployment) -> None:
    ann = deployment.person(await deployment.start())
    project = await ann.project()
    deployment.model.script(decide(), code(pieces=20, delay=0.1))
    begun = await begin(ann, project, "Add a title")
    async with ann.stream_events(f"/api/runs/{begun['run']['id']}/events") as events:
        await receive_turn(events, until="code.delta")
    async with asyncio.timeout(60):
        while (await deployment.fetch("select ended_at from run"))[0]["ended_at"] is None:
            await deployment.fetch(
                "select pg_terminate_backend(pid) from pg_stat_activity where pid <>"
                " pg_backend_pid() and datname = current_database() and random() < 0.5"
            )
            await asyncio.sleep(0.2)
    run = await run_now(ann, begun["run"]["id"])
    assert run["status"] == "succeeded"
    assert len(await iterations_of(ann, project, run["assistantMessageId"])) == 1


def event(kind: str, data: Any, draft: int = 0) -> LiveEvent:
    return LiveEvent(
        type=kind,
        project_id="p",
        run_id="r",
        request_id="q",
        actor_id="a",
        at=datetime.now(UTC),
        data=data,
        attempt=1,
        draft=draft,
        after=1,
    )


def delta(offset: int, text: str, draft: int = 0) -> LiveEvent:
    return event("message.delta", {"messageId": "m", "offset": offset, "text": text}, draft)


def corrected(text: str, draft: int) -> LiveEvent:
    message = {"messageId": "m", "text": text, "offset": len(text)}
    return event("run.snapshot", {"calls": [], "message": message}, draft)


def live_run() -> LiveRun:
    return LiveRun(run_id="r", request_id="q", actor_id="a", attempt=1, run={}, message_id="m")


def test_a_new_draft_replaces_a_longer_text_and_the_old_one_is_dropped() -> None:
    runs = LiveRuns("p")
    runs.seed([live_run()])
    assert runs.admit(delta(0, "a long text")).cause is None
    assert runs.admit(corrected("ab", 1)).cause is None
    assert runs.runs["r"].message.text == "ab"
    assert runs.admit(delta(11, " and more", 0)) == Admission("draft")
    assert runs.admit(delta(2, "c", 1)).cause is None
    assert runs.runs["r"].message.text == "abc"


def test_a_delta_of_a_missed_draft_needs_a_snapshot() -> None:
    runs = LiveRuns("p")
    runs.seed([live_run()])
    runs.admit(delta(0, "a long text"))
    assert runs.admit(delta(2, "c", 1)).incomplete
    assert runs.runs["r"].message.text == "a long text"
    runs.admit(corrected("abc", 1))
    assert runs.runs["r"].message.text == "abc"


async def test_the_snapshot_of_the_worker_has_the_newest_draft() -> None:
    delivered: list[LiveEvent] = []
    publisher, run = LivePublisher(delivered.append), live_run()
    for message, published in (
        ("a long text", delta(0, "a long text")),
        ("ab", corrected("ab", 1)),
        ("ab", delta(11, " and more", 0)),
        ("abc", delta(2, "c", 1)),
    ):
        run.message = GrowingText(message)
        publisher.publish(published, run)
    whole = publisher.snapshot_of("r")
    assert whole is not None
    assert (whole.draft, whole.data["message"]["text"]) == (1, "abc")
    assert [each.data.get("text") for each in delivered] == ["a long text", None, "c"]
