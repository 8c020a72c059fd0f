"""What remains of variations when their process dies, sleeps or is told to leave."""

import asyncio
import signal
from typing import Any

from tests.chat.conftest import House
from tests.chat.test_processes import begin_slowly as begin_turn
from tests.chat.watching import until_over
from tests.model_server import CODE, code
from tests.people import Person

PENDING = "select 1 from generation where status = 'pending'"


async def begin_slowly(house: House, person: Person, project: str, count: int = 1) -> list[Any]:
    """Variations whose code is being streamed now."""
    house.model.script(*[code(pieces=60, delay=0.25) for _ in range(count)])
    page = await person.ok(
        "POST",
        f"/api/projects/{project}/generations",
        202,
        json={"prompt": "A title", "count": count},
    )
    async with asyncio.timeout(20):
        while house.model.open_streams < count:
            await asyncio.sleep(0.05)
    items: list[Any] = page["items"]
    return items


async def over(house: House, seconds: float = 60) -> list[dict[str, Any]]:
    """All variations, once none is pending."""
    async with asyncio.timeout(seconds):
        while await house.fetch(PENDING):
            await asyncio.sleep(0.05)
    return await house.fetch("select * from generation order by revision")


async def endings(house: House) -> int:
    return len(await house.fetch("select 1 from project_event where type = 'generation.updated'"))


async def test_what_a_killed_server_was_making_is_made_by_another_once(house: House) -> None:
    first = await house.start()
    ann = await house.person(first)
    project = await ann.project()
    await begin_slowly(house, ann, project, count=2)
    await first.kill()
    assert len(await house.fetch(PENDING)) == 2
    await house.start()
    rows = await over(house)
    assert [(row["status"], row["attempt"]) for row in rows] == [("success", 2)] * 2
    assert {row["tsx_code"] for row in rows} == {CODE}
    assert await endings(house) == 2
    calls = await house.fetch("select status from model_call order by created_at")
    assert sorted(call["status"] for call in calls) == ["abandoned"] * 2 + ["succeeded"] * 2
    await house.check()


async def test_a_worker_that_slept_over_its_lease_writes_nothing(house: House) -> None:
    first = await house.start()
    ann = await house.person(first)
    project = await ann.project()
    [one] = await begin_slowly(house, ann, project)
    first.signal(signal.SIGSTOP)
    second = await house.start()
    [row] = await over(house)
    assert (row["status"], row["attempt"]) == ("success", 2)
    first.signal(signal.SIGCONT)
    async with asyncio.timeout(30):
        while "someone else" not in first.log.read_text() and house.model.open_streams:
            await asyncio.sleep(0.1)
    [after] = await house.fetch("select * from generation")
    assert after == row
    assert await endings(house) == 1
    bob = await house.person(second)
    assert (await bob.ok("GET", f"/api/generations/{one['id']}"))["tsxCode"] == CODE


async def test_what_kills_its_workers_is_given_up(house: House) -> None:
    first = await house.start()
    ann = await house.person(first)
    project = await ann.project()
    [one] = await begin_slowly(house, ann, project)
    await first.kill()
    await house.fetch(
        "update generation set attempt = 3, lease_expires_at = clock_timestamp() returning 1"
    )
    await house.start()
    [row] = await over(house, 15)
    assert (row["status"], row["error_code"]) == ("failed", "WORKER_LOST")
    assert row["id"] == one["id"]
    assert row["error_message"]
    assert await endings(house) == 1
    calls = await house.fetch("select status from model_call")
    assert [call["status"] for call in calls] == ["abandoned"]


async def test_a_server_that_is_told_to_leave_hands_over(house: House) -> None:
    first = await house.start()
    ann = await house.person(first)
    project = await ann.project()
    await begin_slowly(house, ann, project)
    await house.start()
    first.signal(signal.SIGTERM)
    async with asyncio.timeout(20):
        assert await first.process.wait() in (0, -signal.SIGTERM)
    [row] = await over(house, 10)  # not the whole lease
    assert (row["status"], row["attempt"]) == ("success", 2)


async def test_a_turn_s_takeover_leaves_the_lost_attempt_in_the_history(house: House) -> None:
    first = await house.start()
    ann = await house.person(first)
    project = await ann.project()
    begun = await begin_turn(house, ann, project)
    await first.kill()
    ann = await house.person(await house.start())
    await until_over(ann, begun["run"]["id"])
    lost, made = await house.fetch("select * from generation order by revision")
    assert (lost["status"], lost["error_code"]) == ("failed", "WORKER_LOST")
    assert (made["status"], made["tsx_code"]) == ("success", CODE)
    [scene] = await house.fetch("select generation_id from scene")
    assert scene["generation_id"] == made["id"]


async def test_of_many_workers_one_makes_each(house: House) -> None:
    people = [await house.person(await house.start(offline=True)) for _ in range(2)]
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
    rows = await over(house)
    assert len(rows) == 48
    assert {(row["status"], row["attempt"]) for row in rows} == {("success", 1)}
    calls = await house.fetch("select generation_id from model_call group by 1 having count(*) > 1")
    assert calls == []
