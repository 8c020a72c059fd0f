"""Many prompts to one project, repeated prompts, and cancelled prompts."""

import asyncio
import random
from typing import Any

import httpx
import pytest

from tests.chat.client import begin, message_of, run_now, scenes_of, stream_turn, until_over
from tests.harness.database import DB
from tests.harness.events import SseParser, receive_turn
from tests.harness.person import Person

TITLE = 'Add a title "Hello"'


async def prompt_until_accepted(person: Person, project: str, prompt: str) -> Any:
    """Send a prompt, and again after each `Retry-After`, as a client should."""
    while True:
        answer = await person.post(f"/api/projects/{project}/runs", json={"prompt": prompt})
        if answer.status_code == 202:
            return answer.json()["data"]
        assert answer.status_code in (429, 503), answer.text
        assert answer.json()["error"]["retryable"] is True
        await asyncio.sleep(int(answer.headers["retry-after"]) * random.uniform(1, 1.5))


async def test_prompts_are_answered_in_order_each_on_the_result_before_it(
    person: Person,
) -> None:
    project = await person.project()
    begun = [await begin(person, project, f'Add a title "{n}"') for n in range(5)]
    for each in begun:
        assert (await until_over(person, each["run"]["id"]))["status"] == "succeeded"
    scenes = await scenes_of(person, project)
    assert [f'"{n}"' in scene["tsxCode"] for n, scene in enumerate(scenes)] == [True] * 5
    events = await person.changes(project, (await person.snapshot(project))["epoch"] + ".0")
    for kind in ("run.started", "run.finished"):
        ids = [event["runId"] for event in events if event["type"] == kind]
        assert ids == [each["run"]["id"] for each in begun]


async def test_a_busy_project_rejects_on_request(person: Person) -> None:
    project = await person.project()
    first = await begin(person, project, TITLE)
    answer = await person.post(
        f"/api/projects/{project}/runs", json={"prompt": TITLE, "onBusy": "reject"}
    )
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "CONFLICT")
    assert answer.json()["error"]["details"]["run"]["id"] == first["run"]["id"]
    await until_over(person, first["run"]["id"])
    second = await begin(person, project, TITLE, onBusy="reject")
    await until_over(person, second["run"]["id"])


async def test_an_interruption_cancels_the_run_and_precedes_the_queue(
    person: Person,
) -> None:
    project = await person.project()
    path = f"/api/projects/{project}/runs"
    async with person.stream_events(path, method="POST", json={"prompt": TITLE}) as events:
        running = await receive_turn(events, until="code.delta")
        waiting = await begin(person, project, 'Add a title "waiting"')
        urgent = await begin(person, project, 'Add a title "urgent"', onBusy="interrupt")
        async for event in events:
            running.add(event)
    assert running.run["status"] == "cancelled"
    for each in (waiting, urgent):
        assert (await until_over(person, each["run"]["id"]))["status"] == "succeeded"
    codes = [scene["tsxCode"] for scene in await scenes_of(person, project)]
    assert ["urgent" in code for code in codes] == [True, False]


async def test_the_twenty_first_queued_prompt_is_refused_with_retry_after(
    person: Person,
) -> None:
    project = await person.project()
    path = f"/api/projects/{project}/runs"
    answers = await asyncio.gather(
        *(person.post(path, json={"prompt": f'Add a title "{n}"'}) for n in range(30))
    )
    refused = [answer for answer in answers if answer.status_code != 202]
    assert refused
    for answer in refused:
        assert (answer.status_code, answer.json()["error"]["code"]) == (429, "RATE_LIMITED")
        assert int(answer.headers["retry-after"]) >= 1
    most = await DB.fetchval(
        "select max(n) from (select count(*) as n from run where project_id = $1"
        " and status = 'queued') counted",
        project,
    )
    assert most <= 20
    accepted = [a.json()["data"]["run"]["id"] for a in answers if a.status_code == 202]
    ended = await asyncio.gather(
        *(person.do("POST", f"/api/runs/{run}/cancel", {}, status=200) for run in accepted)
    )
    assert {run["status"] for run in ended} <= {"cancelled", "succeeded"}
    again = await begin(person, project, TITLE)  # there is room now
    assert (await until_over(person, again["run"]["id"]))["status"] == "succeeded"


async def test_fifty_prompts_at_once_are_each_answered_once(person: Person) -> None:
    project = await person.project()
    async with person.replaying(project):
        begun = await asyncio.gather(
            *(prompt_until_accepted(person, project, f'Add a title "t{n}"') for n in range(50))
        )
        for each in begun:
            await until_over(person, each["run"]["id"], 90)
    rows = await DB.fetch(
        "select sequence, role, status, content, run_id from message where project_id = $1"
        " order by sequence",
        project,
    )
    assert len(rows) == 100
    pairs = list(zip(rows[::2], rows[1::2], strict=True))
    for asked, answered in pairs:
        assert (asked["role"], answered["role"]) == ("user", "assistant")
        assert asked["run_id"] == answered["run_id"]
        assert (answered["status"], answered["sequence"]) == ("success", asked["sequence"] + 1)
    assert len({row["run_id"] for row in rows}) == 50
    events = await DB.fetch(
        "select revision, type, run_id from project_event where project_id = $1 order by 1",
        project,
    )
    assert [event["revision"] for event in events] == list(range(1, len(events) + 1))
    order = [event["run_id"] for event in events if event["type"] == "run.queued"]
    for kind in ("run.started", "run.finished"):
        assert [event["run_id"] for event in events if event["type"] == kind] == order
    assert len(await scenes_of(person, project)) == 50


@pytest.mark.parametrize("kind", ["accepted", "waited for", "streamed"])
async def test_ten_equal_prompts_with_one_key_are_one_run(person: Person, kind: str) -> None:
    project = await person.project()
    headers = {"idempotency-key": "the key"} | {
        "accepted": {},
        "waited for": {"prefer": "wait=30"},
        "streamed": {"accept": "text/event-stream"},
    }[kind]
    path = f"/api/projects/{project}/runs"
    answers = await asyncio.gather(
        *(person.post(path, json={"prompt": TITLE}, headers=headers) for _ in range(10))
    )
    again = await person.post(path, json={"prompt": TITLE}, headers=headers)
    answers = [*answers, again]
    assert {answer.status_code for answer in answers} == {202 if kind == "accepted" else 200}
    if kind == "streamed":
        streams = [[e for e in parsed(a) if "revision" in e] for a in answers]
        assert all(events == streams[0] for events in streams)
        assert streams[0][-1]["type"] == "run.finished"
    else:
        assert len({answer.content for answer in answers}) == 1
    assert await DB.fetchval("select count(*) from run where project_id = $1", project) == 1
    [run] = await DB.fetch("select id from run where project_id = $1", project)
    await until_over(person, run["id"])
    assert len(await scenes_of(person, project)) == 1


def parsed(answer: httpx.Response) -> list[Any]:
    return [event for event, _ in SseParser().feed(answer.content)]


async def test_a_key_belongs_to_one_request_of_one_account(person: Person, new_person: Any) -> None:
    project = await person.project()
    path = f"/api/projects/{project}/runs"
    key = {"idempotency-key": "mine"}
    first = await person.post(path, json={"prompt": TITLE}, headers=key)
    other = await person.post(path, json={"prompt": "Add a list"}, headers=key)
    assert (other.status_code, other.json()["error"]["code"]) == (409, "CONFLICT")
    friend = await new_person()
    await person.invite(friend, project, "editor")
    hers = await friend.post(path, json={"prompt": TITLE}, headers=key)
    assert hers.status_code == 202
    runs = [answer.json()["data"]["run"]["id"] for answer in (first, hers)]
    assert runs[0] != runs[1]
    for run in runs:
        await until_over(person, run)


async def test_the_key_of_a_failed_request_repeats_its_error(person: Person) -> None:
    project = await person.project()
    path = f"/api/projects/{project}/runs"
    key = {"idempotency-key": "k"}
    missing = {"prompt": "x", "selectedSceneId": "00000000-0000-7000-8000-000000000000"}
    answers = [await person.post(path, json=missing, headers=key) for _ in range(2)]
    assert {answer.status_code for answer in answers} == {404}
    assert answers[0].content == answers[1].content
    unreadable = [
        await person.post(path, json={"prompt": 1}, headers={"idempotency-key": "broken"})
        for _ in range(2)
    ]
    assert {answer.status_code for answer in unreadable} == {400}
    valid = await person.post(path, json={"prompt": TITLE}, headers={"idempotency-key": "broken"})
    assert valid.status_code == 202
    await until_over(person, valid.json()["data"]["run"]["id"])


async def test_a_queued_prompt_is_cancelled_at_once(person: Person) -> None:
    project = await person.project()
    first = await begin(person, project, TITLE)
    second = await begin(person, project, TITLE)
    async with person.replaying(project):
        run = await person.do("POST", f"/api/runs/{second['run']['id']}/cancel", {}, status=200)
    assert run["status"] == "cancelled"
    message = await message_of(person, project, second["assistantMessage"]["id"])
    assert (message["status"], message["content"]) == ("cancelled", "")
    again = await person.do("POST", f"/api/runs/{second['run']['id']}/cancel", {}, status=200)
    assert again == run
    assert (await until_over(person, first["run"]["id"]))["status"] == "succeeded"
    assert len(await scenes_of(person, project)) == 1


async def test_a_cancelled_run_keeps_its_text_and_no_scene(person: Person) -> None:
    project = await person.project()
    path = f"/api/projects/{project}/runs"
    async with person.stream_events(path, method="POST", json={"prompt": TITLE}) as events:
        seen = await receive_turn(events, until="code.delta")
        run = await person.do("POST", f"/api/runs/{seen.run['id']}/cancel", {}, status=200)
        async for event in events:
            seen.add(event)
    assert run["status"] == seen.run["status"] == "cancelled"
    message = await message_of(person, project, run["assistantMessageId"])
    assert message["status"] == "cancelled"
    assert seen.messages[message["id"]] == message["content"] != ""
    assert [call["success"] for call in seen.of("tool.finished")] == [False]
    assert await scenes_of(person, project) == []


async def test_cancelling_an_ended_run_changes_nothing(person: Person) -> None:
    project = await person.project()
    seen = await stream_turn(person, project, TITLE)
    before = await person.snapshot(project)
    run = await person.do("POST", f"/api/runs/{seen.run['id']}/cancel", {}, status=200)
    assert run == await run_now(person, run["id"])
    assert run["status"] == "succeeded"
    assert await person.snapshot(project) == before


async def test_a_cancellation_at_any_time_wins_or_loses_completely(person: Person) -> None:
    """Cancel at random times, from before the claim until after the commit."""
    outcomes: set[str] = set()

    async def one(delay: float, times: int) -> None:
        project = await person.project()
        prompt = 'Add a title "One" and add a title "Two"' if times > 1 else TITLE
        begun = await begin(person, project, prompt)
        run_id = begun["run"]["id"]
        await asyncio.sleep(delay)
        answers = await asyncio.gather(
            *(person.do("POST", f"/api/runs/{run_id}/cancel", {}, status=200) for _ in range(times))
        )
        states = {answer["status"] for answer in answers}
        assert len(states) == 1, states
        state = states.pop()
        run = await run_now(person, run_id)
        assert run["status"] == state
        outcomes.add(state)
        scenes = await scenes_of(person, project)
        message = await message_of(person, project, run["assistantMessageId"])
        if state == "succeeded":
            assert len(scenes) == times
        else:
            assert state == "cancelled"
            assert message["status"] == "cancelled"
            assert len(scenes) < times
        events = await person.changes(project, (await person.snapshot(project))["epoch"] + ".0")
        calls = [e["data"]["callId"] for e in events if e["type"] == "tool.finished"]
        assert len(calls) == len(set(calls))
        assert sorted(calls) == sorted(
            e["data"]["callId"] for e in events if e["type"] == "tool.started"
        )
        done = [e for e in events if e["type"] == "tool.finished" and e["data"]["success"]]
        assert len(done) == len(scenes)
        for event in done:  # the message names exactly the completed steps
            assert event["data"]["summary"] in message["content"]

    longest = 0.7  # seconds; adapted to the load of the machine
    for round_ in range(12):
        before = set(outcomes)
        outcomes.clear()
        await asyncio.gather(*(one(random.uniform(0, longest), 1 + n % 2) for n in range(6)))
        if outcomes == {"cancelled"}:
            longest *= 1.7
        elif outcomes == {"succeeded"}:
            longest /= 1.7
        outcomes |= before
        if round_ >= 3 and outcomes == {"succeeded", "cancelled"}:
            break
    assert outcomes == {"succeeded", "cancelled"}
