"""What remains of variations when their process is killed, stopped or terminated."""

import asyncio
import signal
from typing import Any

from tests.chat.client import until_over
from tests.chat.test_processes import begin_streaming as begin_turn
from tests.harness.deployment import Deployment
from tests.harness.model_server import CODE, code
from tests.harness.person import Person

PENDING = "select 1 from generation where status = 'pending'"


async def begin_streaming(
    deployment: Deployment, person: Person, project: str, count: int = 1
) -> list[Any]:
    """Variations whose code is being streamed."""
    deployment.model.script(*[code(pieces=60, delay=0.25) for _ in range(count)])
    page = await person.do(
        "POST",
        f"/api/projects/{project}/generations",
        {"prompt": "A title", "count": count},
        status=202,
    )
    async with asyncio.timeout(20):
        while deployment.model.open_streams < count:
            await asyncio.sleep(0.05)
    items: list[Any] = page["items"]
    return items


async def until_ended(deployment: Deployment, seconds: float = 60) -> list[dict[str, Any]]:
    """Wait until no variation is pending; return all of them."""
    async with asyncio.timeout(seconds):
        while await deployment.fetch(PENDING):
            await asyncio.sleep(0.05)
    return await deployment.fetch("select * from generation order by revision")


async def count_ended(deployment: Deployment) -> int:
    return len(
        await deployment.fetch("select 1 from project_event where type = 'generation.updated'")
    )


async def test_variations_of_a_killed_server_are_made_once_by_another(
    deployment: Deployment,
) -> None:
    first = await deployment.start()
    ann = deployment.person(first)
    project = await ann.project()
    await begin_streaming(deployment, ann, project, count=2)
    first.kill()
    assert len(await deployment.fetch(PENDING)) == 2
    await deployment.start()
    rows = await until_ended(deployment)
    assert [(row["status"], row["attempt"]) for row in rows] == [("success", 2)] * 2
    assert {row["tsx_code"] for row in rows} == {CODE}
    assert await count_ended(deployment) == 2
    calls = await deployment.fetch("select status from model_call order by created_at")
    assert sorted(call["status"] for call in calls) == ["abandoned"] * 2 + ["succeeded"] * 2
    await deployment.check()


async def test_a_worker_stopped_past_its_lease_writes_nothing(deployment: Deployment) -> None:
    first = await deployment.start()
    ann = deployment.person(first)
    project = await ann.project()
    [one] = await begin_streaming(deployment, ann, project)
    first.send_signal(signal.SIGSTOP)
    second = await deployment.start()
    [row] = await until_ended(deployment)
    assert (row["status"], row["attempt"]) == ("success", 2)
    first.send_signal(signal.SIGCONT)
    async with asyncio.timeout(30):
        while "lease is lost" not in first.err and deployment.model.open_streams:
            await asyncio.sleep(0.1)
    [after] = await deployment.fetch("select * from generation")
    assert after == row
    assert await count_ended(deployment) == 1
    bob = deployment.person(second)
    assert (await bob.do("GET", f"/api/generations/{one['id']}"))["tsxCode"] == CODE


async def test_a_variation_that_kills_its_workers_fails(deployment: Deployment) -> None:
    first = await deployment.start()
    ann = deployment.person(first)
    project = await ann.project()
    [one] = await begin_streaming(deployment, ann, project)
    first.kill()
    await deployment.fetch(
        "update generation set attempt = 3, lease_expires_at = clock_timestamp() returning 1"
    )
    await deployment.start()
    [row] = await until_ended(deployment, 15)
    assert (row["status"], row["error_code"]) == ("failed", "WORKER_LOST")
    assert row["id"] == one["id"]
    assert row["error_message"]
    assert await count_ended(deployment) == 1
    calls = await deployment.fetch("select status from model_call")
    assert [call["status"] for call in calls] == ["abandoned"]


async def test_a_terminated_server_hands_its_variations_over(deployment: Deployment) -> None:
    first = await deployment.start()
    ann = deployment.person(first)
    project = await ann.project()
    await begin_streaming(deployment, ann, project)
    await deployment.start()
    first.send_signal(signal.SIGTERM)
    async with asyncio.timeout(20):
        assert await asyncio.to_thread(first.process.wait) in (0, -signal.SIGTERM)
    [row] = await until_ended(deployment, 10)  # before the lease expires
    assert (row["status"], row["attempt"]) == ("success", 2)


async def test_the_takeover_of_a_run_keeps_the_lost_attempt_in_the_history(
    deployment: Deployment,
) -> None:
    first = await deployment.start()
    ann = deployment.person(first)
    project = await ann.project()
    begun = await begin_turn(deployment, ann, project)
    first.kill()
    ann = deployment.person(await deployment.start())
    await until_over(ann, begun["run"]["id"])
    lost, made = await deployment.fetch("select * from generation order by revision")
    assert (lost["status"], lost["error_code"]) == ("failed", "WORKER_LOST")
    assert (made["status"], made["tsx_code"]) == ("success", CODE)
    [scene] = await deployment.fetch("select generation_id from scene")
    assert scene["generation_id"] == made["id"]


async def test_each_variation_is_made_by_one_of_many_workers(deployment: Deployment) -> None:
    people = [deployment.person(await deployment.start(offline=True)) for _ in range(2)]
    projects = [await people[0].project() for _ in range(3)]
    answers = await asyncio.gather(
        *(
            people[number % 2].post(
                f"/api/projects/{project}/generations",
                json={"prompt": f"Title {number}", "count": 4},
                headers={"prefer": "wait=40"},
            )
            for number in range(4)
            for project in projects
        )
    )
    assert {answer.status_code for answer in answers} == {200}
    rows = await until_ended(deployment)
    assert len(rows) == 48
    assert {(row["status"], row["attempt"]) for row in rows} == {("success", 1)}
    calls = await deployment.fetch(
        "select generation_id from model_call group by 1 having count(*) > 1"
    )
    assert calls == []
