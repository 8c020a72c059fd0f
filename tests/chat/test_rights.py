"""The right to prompt, cancel and read is checked under the project's lock, not before."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import httpx

from app.auth.model import Caller
from app.projects.members import set_role
from tests.chat.client import run_now, until_over
from tests.conftest import NewPerson
from tests.harness.database import DB
from tests.harness.person import Person
from tests.harness.turns import begin_turn, end_turn
from tests.projects.test_members import until_blocked

TITLE = 'Add a title "Hello"'
SendRequest = Callable[[], Coroutine[Any, Any, httpx.Response]]


@asynccontextmanager
async def lowered_while_waiting(
    owner: Person, guest: Person, project: str, send: SendRequest
) -> AsyncIterator[asyncio.Task[httpx.Response]]:
    """The guest sends a request; while it waits for the project's lock they become a viewer."""
    caller = Caller(user_id=owner.user_id, name=owner.user_id, request_id="lowers")
    async with DB.transaction() as tx:
        await tx.execute("select 1 from project where id = $1 for update", project)
        waiting = asyncio.create_task(send())
        await until_blocked()
        await set_role(tx, caller, project, guest.user_id, "viewer")
    yield waiting


async def test_a_role_lost_while_waiting_for_the_lock_begins_no_run(
    person: Person, new_person: NewPerson
) -> None:
    project, guest = await person.project(), await new_person()
    await person.invite(guest, project, "editor")
    path = f"/api/projects/{project}/runs"

    async def send() -> httpx.Response:
        return await guest.post(path, json={"prompt": TITLE})

    async with lowered_while_waiting(person, guest, project, send) as waiting:
        assert (await waiting).status_code == 403
    assert (await person.snapshot(project))["messages"] == []


async def test_a_role_lost_while_waiting_for_the_lock_cancels_no_run(
    person: Person, new_person: NewPerson
) -> None:
    project, guest = await person.project(), await new_person()
    await person.invite(guest, project, "editor")
    run = await begin_turn(person.user_id, project)

    async def send() -> httpx.Response:
        return await guest.post(f"/api/runs/{run.id}/cancel", json={})

    async with lowered_while_waiting(person, guest, project, send) as waiting:
        assert (await waiting).status_code == 403
    assert (await run_now(person, run.id))["cancelRequestedAt"] is None
    await end_turn(project, run)


async def test_a_former_member_does_not_get_the_result_of_their_run(
    person: Person, new_person: NewPerson
) -> None:
    project, guest = await person.project(), await new_person()
    await person.invite(guest, project, "editor")
    path, key = f"/api/projects/{project}/runs", {"idempotency-key": "the-turn"}
    begun = await guest.do("POST", path, {"prompt": TITLE}, status=202, headers=key)
    await until_over(person, begun["run"]["id"])
    await person.do("DELETE", f"/api/projects/{project}/members/{guest.user_id}", status=200)
    answer = await guest.post(path, json={"prompt": TITLE}, headers={**key, "prefer": "wait=1"})
    assert answer.status_code == 404, answer.text


async def test_a_former_member_does_not_get_the_result_of_their_variations(
    person: Person, new_person: NewPerson
) -> None:
    project, guest = await person.project(), await new_person()
    await person.invite(guest, project, "editor")
    path, key = f"/api/projects/{project}/generations", {"idempotency-key": "variations"}
    await guest.do("POST", path, {"prompt": TITLE}, status=202, headers=key)
    await person.do("DELETE", f"/api/projects/{project}/members/{guest.user_id}", status=200)
    answer = await guest.post(path, json={"prompt": TITLE}, headers={**key, "prefer": "wait=20"})
    assert answer.status_code == 404, answer.text


async def test_numbers_out_of_range_are_refused(person: Person) -> None:
    project = await person.project()
    path = f"/api/projects/{project}"
    for wait in ("9" * 5000, "0", "-1", "1.5", "٣"):
        answer = await person.post(
            f"{path}/runs", json={"prompt": TITLE}, headers={b"prefer": f"wait={wait}".encode()}
        )
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "INVALID_INPUT")
    for before in (2**63, 10**30):
        answer = await person.get(f"{path}/messages", params={"before": before})
        assert (answer.status_code, answer.json()["error"]["code"]) == (422, "VALIDATION_FAILED")
    await person.do("GET", f"{path}/messages", params={"before": 2**63 - 1})
    assert (await person.snapshot(project))["messages"] == []
