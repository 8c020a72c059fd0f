"""Leases decide, not age: what is worked on is safe, and what was given up stays given up."""

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


async def taken_by_us(person: Person, *, attempt: int = 1) -> LeasedGeneration:
    """A pending variation that no worker of the server can claim: the lease is ours at once."""
    project = await person.project()
    async with DB.transaction() as tx:
        async with changing(tx, project, actor_id=person.user_id, request_id="ours") as change:
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
        request_id="ours",
    )


async def expire(taken: LeasedGeneration) -> None:
    await DB.fetch(
        "update generation set lease_expires_at = clock_timestamp() where id = $1",
        taken.generation.id,
    )


async def test_a_live_lease_is_safe_however_old_its_row(person: Person) -> None:
    taken = await taken_by_us(person, attempt=3)
    assert await leases.claim(DB, "another") is None
    assert await leases.fail_abandoned(DB) == 0
    await leases.renew(taken)
    kept = await leases.end_with_code(taken, MADE)
    assert (kept.status, kept.tsx_code) == ("success", BLANK)


async def test_what_was_given_up_stays_given_up(person: Person) -> None:
    taken = await taken_by_us(person, attempt=3)
    await expire(taken)
    await leases.fail_abandoned(DB)  # or the server's worker did
    before = await find_generation(DB, taken.generation.id)
    assert before is not None
    assert (before.status, before.error_code) == ("failed", "WORKER_LOST")
    with pytest.raises(LeaseLost):
        await leases.renew(taken)
    with pytest.raises(LeaseLost):
        await leases.end_with_code(taken, MADE)
    with pytest.raises(LeaseLost):
        await leases.end_with_error(taken, "AI_ERROR", "Late", "tests")
    assert await find_generation(DB, taken.generation.id) == before


async def test_who_lost_the_lease_to_another_writes_nothing(person: Person) -> None:
    taken = await taken_by_us(person)
    await DB.fetch("update generation set lease_epoch = 8 where id = $1", taken.generation.id)
    with pytest.raises(LeaseLost):
        await leases.end_with_code(taken, MADE)
    await leases.release(taken)
    now = await find_generation(DB, taken.generation.id)
    assert now == taken.generation or (now is not None and now.status == "pending")
    assert await leases.claim(DB, "another") is None  # the release of a lost lease frees nothing
    await DB.fetch("update generation set lease_epoch = 7 where id = $1", taken.generation.id)
    await leases.end_with_code(taken, MADE)


async def test_an_end_is_kept_once(person: Person) -> None:
    taken = await taken_by_us(person)
    await leases.end_with_error(taken, "AI_ERROR", "It broke.", "tests")
    with pytest.raises(LeaseLost):
        await leases.end_with_code(taken, MADE)
    ended = await find_generation(DB, taken.generation.id)
    assert ended is not None
    assert (ended.status, ended.error_message, ended.model) == ("failed", "It broke.", "tests")
