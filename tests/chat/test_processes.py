"""What remains of a run when its process is killed, stopped or terminated."""

import asyncio
import signal
from typing import Any

import pytest

from tests.chat.client import begin, iterations_of, message_of, run_now, scenes_of, until_over
from tests.harness.deployment import Deployment
from tests.harness.events import ReceivedTurn, receive_turn
from tests.harness.model_server import CODE, code, decide, never_answer
from tests.harness.person import Person


async def begin_streaming(deployment: Deployment, person: Person, project: str) -> Any:
    """A run whose code is being streamed."""
    deployment.model.script(decide(), code(pieces=60, delay=0.25))  # fifteen seconds
    begun = await begin(person, project, "Add a title")
    async with person.stream_events(f"/api/runs/{begun['run']['id']}/events") as events:
        await receive_turn(events, until="code.delta")
    return begun


async def check_once(deployment: Deployment, person: Person, project: str, begun: Any) -> None:
    """Assert that the run succeeded once, with one scene and one iteration."""
    run = await run_now(person, begun["run"]["id"])
    assert (run["status"], run["error"]) == ("succeeded", None)
    [scene] = await scenes_of(person, project)
    assert scene["tsxCode"] == CODE
    [iteration] = await iterations_of(person, project, begun["assistantMessage"]["id"])
    assert iteration["codeAfter"] == CODE
    message = await message_of(person, project, begun["assistantMessage"]["id"])
    assert message["status"] == "success"
    finished = "select 1 from project_event where type = 'run.finished'"
    assert len(await deployment.fetch(finished)) == 1
    await deployment.check()


async def test_a_run_of_a_killed_server_is_finished_once_by_another(
    deployment: Deployment,
) -> None:
    first = await deployment.start()
    ann = deployment.person(first)
    project = await ann.project()
    begun = await begin_streaming(deployment, ann, project)
    cursor = (await ann.snapshot(project))["cursor"]
    first.kill()
    assert await deployment.fetch("select 1 from scene") == []

    second = await deployment.start()
    ann = deployment.person(second)
    async with ann.stream_events(
        f"/api/projects/{project}/events", headers={"last-event-id": cursor}
    ) as events:
        seen = await receive_turn(events, until="run.finished")
    assert "sync.reset" not in seen.types
    known = int(cursor.rpartition(".")[2])
    revisions = [event["revision"] for event in seen.durable]
    assert revisions == list(range(known + 1, known + 1 + len(revisions)))
    assert seen.durable_types[0] == "run.retrying"
    assert seen.durable[0]["data"]["run"]["attempt"] == 2
    assert seen.durable_types.count("brain.decision") == 0  # the model decided once
    assert seen.gaps == []
    await check_once(deployment, ann, project, begun)
    assert list(seen.codes.values()) == [CODE]
    async with ann.replaying(project):
        pass
    calls = await deployment.fetch("select stage, status from model_call order by created_at")
    assert [tuple(call.values()) for call in calls] == [
        ("decide", "succeeded"),
        ("write", "abandoned"),
        ("write", "succeeded"),
    ]


async def test_a_terminated_server_hands_its_run_over(deployment: Deployment) -> None:
    first = await deployment.start()
    ann = deployment.person(first)
    project = await ann.project()
    begun = await begin_streaming(deployment, ann, project)
    second = await deployment.start()
    first.send_signal(signal.SIGTERM)
    async with asyncio.timeout(20):
        assert await asyncio.to_thread(first.process.wait) in (0, -signal.SIGTERM)
    left = "attempt = 2 or status = 'succeeded' or lease_expires_at <= clock_timestamp()"
    assert await deployment.fetch(f"select 1 from run where {left}")  # before the lease expires
    ann = deployment.person(second)
    run = await until_over(ann, begun["run"]["id"], 15)
    assert run["attempt"] == 2
    await check_once(deployment, ann, project, begun)


async def test_a_worker_stopped_past_its_lease_writes_nothing(deployment: Deployment) -> None:
    first = await deployment.start()
    ann = deployment.person(first)
    project = await ann.project()
    begun = await begin_streaming(deployment, ann, project)
    second = await deployment.start()
    bob = deployment.person(second)
    first.send_signal(signal.SIGSTOP)
    run = await until_over(bob, begun["run"]["id"], 60)
    assert (run["status"], run["attempt"]) == ("succeeded", 2)
    before = await bob.snapshot(project)
    first.send_signal(signal.SIGCONT)
    async with asyncio.timeout(30):  # its next write is refused, and it ends the run
        while "lease is lost" not in first.err and deployment.model.open_streams:
            await asyncio.sleep(0.1)
    await begin(ann, project, "Add a title")  # it serves and runs as before
    await deployment.until("select 1 from run where sequence > $1 and status = 'succeeded'",
                      run["sequence"])  # fmt: skip
    assert len(await iterations_of(bob, project, begun["assistantMessage"]["id"])) == 1
    assert before["revision"] < (await bob.snapshot(project))["revision"]
    assert len(await scenes_of(bob, project)) == 2


async def test_a_worker_without_its_lease_commits_nothing(deployment: Deployment) -> None:
    ann = deployment.person(await deployment.start())
    project = await ann.project()
    deployment.model.script(decide(), code(pieces=8, delay=0.1))  # ends before the lease is renewed
    begun = await begin(ann, project, "Add a title")
    async with ann.stream_events(f"/api/runs/{begun['run']['id']}/events") as events:
        await receive_turn(events, until="code.delta")
    await deployment.fetch(
        "update run set lease_epoch = lease_epoch + 1,"
        " lease_expires_at = clock_timestamp() + interval '2 seconds' returning 1"
    )
    run = await until_over(ann, begun["run"]["id"], 30)
    assert run["attempt"] == 2
    await check_once(deployment, ann, project, begun)


async def test_a_run_that_kills_its_workers_fails(deployment: Deployment) -> None:
    first = await deployment.start()
    ann = deployment.person(first)
    project = await ann.project()
    begun = await begin_streaming(deployment, ann, project)
    run_id = begun["run"]["id"]
    first.kill()
    await deployment.fetch(
        "update run set attempt = 4, lease_expires_at = clock_timestamp() where id = $1"
        " returning 1",
        run_id,
    )
    second = await deployment.start()
    ann = deployment.person(second)
    run = await until_over(ann, run_id, 15)
    assert (run["status"], run["error"]["code"]) == ("failed", "WORKER_LOST")
    assert run["error"]["retryable"] is True
    message = await message_of(ann, project, begun["assistantMessage"]["id"])
    assert (message["status"], message["kind"]) == ("error", "error")
    assert message["content"]
    assert await scenes_of(ann, project) == []
    assert (
        len(await deployment.fetch("select 1 from project_event where type = 'tool.finished'")) == 1
    )


async def test_a_cancelled_run_of_a_dead_worker_is_ended(deployment: Deployment) -> None:
    first = await deployment.start()
    ann = deployment.person(first)
    project = await ann.project()
    begun = await begin_streaming(deployment, ann, project)
    run_id = begun["run"]["id"]
    first.kill()
    await deployment.fetch(
        "update run set cancel_requested_at = clock_timestamp(),"
        " lease_expires_at = clock_timestamp() where id = $1 returning 1",
        run_id,
    )
    ann = deployment.person(await deployment.start())
    assert (await until_over(ann, run_id, 15))["status"] == "cancelled"
    finished = await deployment.fetch(
        "select payload from project_event where type = 'tool.finished'"
    )
    assert [row["payload"]["success"] for row in finished] == [False]


async def test_the_next_run_of_a_project_waits_for_the_takeover(deployment: Deployment) -> None:
    first = await deployment.start()
    ann = deployment.person(first)
    project = await ann.project()
    begun = await begin_streaming(deployment, ann, project)
    later = await begin(ann, project, "Add another title")
    first.kill()
    await deployment.fetch("update run set lease_expires_at = clock_timestamp() where attempt = 1")
    ann = deployment.person(await deployment.start())
    await until_over(ann, later["run"]["id"])
    ends = await deployment.fetch(
        "select run_id from project_event where type = 'run.finished' order by revision"
    )
    assert [row["run_id"] for row in ends] == [begun["run"]["id"], later["run"]["id"]]
    assert len(await scenes_of(ann, project)) == 2


@pytest.mark.parametrize("redis", [False, True])
async def test_each_run_is_claimed_by_one_of_many_workers(
    deployment: Deployment, request: pytest.FixtureRequest, redis: bool
) -> None:
    settings = {"REDIS_URL": request.getfixturevalue("redis_url")} if redis else {}
    ann = deployment.person(await deployment.start(offline=True, **settings))
    bob = deployment.person(await deployment.start(offline=True, **settings))
    projects = [await ann.project() for _ in range(4)]
    begun = await asyncio.gather(
        *(
            begin((ann, bob)[number % 2], project, f'Add a title "{number}"')
            for number in range(4)
            for project in projects
        )
    )
    runs = [await until_over(ann, each["run"]["id"]) for each in begun]
    assert {(run["status"], run["attempt"]) for run in runs} == {("succeeded", 1)}
    for project in projects:
        starts = await deployment.fetch(
            "select run_id from project_event where project_id = $1 and type = 'run.started'"
            " order by revision",
            project,
        )
        queue = await deployment.fetch(
            "select run_id from project_event where project_id = $1 and type = 'run.queued'"
            " order by revision",
            project,
        )
        assert starts == queue
    calls = await deployment.fetch("select run_id, count(*) as n from model_call group by 1")
    assert {call["n"] for call in calls} == {2}


async def test_a_cancellation_reaches_the_working_process(
    deployment: Deployment, redis_url: str
) -> None:
    first = await deployment.start(REDIS_URL=redis_url)
    ann = deployment.person(first)
    project = await ann.project()
    begun = await begin_streaming(deployment, ann, project)
    bob = deployment.person(await deployment.start(REDIS_URL=redis_url))
    cancelled = await bob.do("POST", f"/api/runs/{begun['run']['id']}/cancel", {}, status=200)
    assert cancelled["status"] == "cancelled"
    message = await message_of(bob, project, begun["assistantMessage"]["id"])
    assert message["content"] == "I am adding a scene."
    async with asyncio.timeout(2):
        while deployment.model.open_streams:
            await asyncio.sleep(0.01)


async def test_a_cancellation_without_a_message_to_the_worker_wins(deployment: Deployment) -> None:
    """Two processes without a bus: only the database connects them."""
    ann = deployment.person(await deployment.start())
    bob = deployment.person(await deployment.start())
    project = await ann.project()
    deployment.model.script(never_answer())
    begun = await begin(ann, project, "Add a title")
    await deployment.until("select 1 from model_call")
    for person in (ann, bob):
        run = await person.do("POST", f"/api/runs/{begun['run']['id']}/cancel", {}, status=200)
        assert run["status"] == "cancelled"
    async with asyncio.timeout(10):
        while deployment.model.open_streams:
            await asyncio.sleep(0.05)


def test_received_turn_records_a_gap() -> None:
    seen = ReceivedTurn()
    data = {"messageId": "m", "offset": 1, "text": "x"}
    seen.add({"type": "message.delta", "data": data})
    assert seen.gaps
