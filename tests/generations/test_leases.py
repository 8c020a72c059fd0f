"""Leases, not age, decide: a leased generation is not claimed, and a failed one stays failed."""

import pytest

from app.brain.model import TokenUsage
from app.generations import leases
from app.generations.leases import LeasedGeneration
from app.generations.reads import find_generation
from app.generations.records import GeneratedCode, NewGeneration, begin
from app.problems import LeaseLost
from app.realtime.log import changing
from app.scenes.blank import BLANK
from tests.harness.database import DB
from tests.harness.person import Person

MADE = GeneratedCode(code=BLANK, model="tests", usage=TokenUsage(), milliseconds=1)


async def leased_by_test(person: Person, *, attempt: int = 1) -> LeasedGeneration:
    """A pending variation whose lease the test holds, so that no worker can claim it."""
    project = await person.project()
    async with DB.transaction() as tx:
        async with changing(tx, project, actor_id=person.user_id, request_id="test") as change:
            generation = await begin(change, NewGeneration(prompt="x", format="square"))
            await tx.execute(
                "update generation set attempt = $2, lease_owner = 'tests', lease_epoch = 7,"
                " created_at = clock_timestamp() - interval '1 hour',"
                " lease_expires_at = clock_timestamp() + interval '1 hour' where id = $1",
                generation.id,
                attempt,
            )
    return LeasedGeneration(
        database=DB,
        generation=generation,
        lease_epoch=7,
        base_code=None,
        model=None,
        request_id="test",
    )


async def expire(lease: LeasedGeneration) -> None:
    await DB.fetch(
        "update generation set lease_expires_at = clock_timestamp() where id = $1",
        lease.generation.id,
    )


async def test_a_valid_lease_holds_however_old_its_row_is(person: Person) -> None:
    lease = await leased_by_test(person, attempt=3)
    assert await leases.claim(DB, "another") is None
    assert await leases.fail_abandoned(DB) == 0
    await leases.renew(lease)
    kept = await leases.end_with_code(lease, MADE)
    assert (kept.status, kept.tsx_code) == ("success", BLANK)


async def test_a_generation_that_was_given_up_stays_failed(person: Person) -> None:
    lease = await leased_by_test(person, attempt=3)
    await expire(lease)
    await leases.fail_abandoned(DB)  # unless the server's worker has done so
    before = await find_generation(DB, lease.generation.id)
    assert before is not None
    assert (before.status, before.error_code) == ("failed", "WORKER_LOST")
    with pytest.raises(LeaseLost):
        await leases.renew(lease)
    with pytest.raises(LeaseLost):
        await leases.end_with_code(lease, MADE)
    with pytest.raises(LeaseLost):
        await leases.end_with_error(lease, "AI_ERROR", "Late", "tests")
    assert await find_generation(DB, lease.generation.id) == before


async def test_a_worker_without_its_lease_writes_nothing(person: Person) -> None:
    lease = await leased_by_test(person)
    await DB.fetch("update generation set lease_epoch = 8 where id = $1", lease.generation.id)
    with pytest.raises(LeaseLost):
        await leases.end_with_code(lease, MADE)
    await leases.release(lease)
    now = await find_generation(DB, lease.generation.id)
    assert now == lease.generation or (now is not None and now.status == "pending")
    assert await leases.claim(DB, "another") is None  # releasing a lost lease changes nothing
    await DB.fetch("update generation set lease_epoch = 7 where id = $1", lease.generation.id)
    await leases.end_with_code(lease, MADE)


async def test_a_generation_ends_once(person: Person) -> None:
    lease = await leased_by_test(person)
    await leases.end_with_error(lease, "AI_ERROR", "It broke.", "tests")
    with pytest.raises(LeaseLost):
        await leases.end_with_code(lease, MADE)
    ended = await find_generation(DB, lease.generation.id)
    assert ended is not None
    assert (ended.status, ended.error_message, ended.model) == ("failed", "It broke.", "tests")
