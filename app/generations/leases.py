"""Leases of variations: claim, renewal, release and end.

The end is fenced by the lease: a worker that lost it writes nothing, so that it does not change a
generation that has failed or was deleted.
"""

from contextlib import AbstractAsyncContextManager

import msgspec
from asyncpg import Record

from app.generations.model import Generation
from app.generations.model_calls import close_calls_of_generation
from app.generations.reads import GENERATION, generation_of
from app.generations.records import WORKER_LOST_MESSAGE, GeneratedCode, fail, succeed
from app.problems import Forbidden, LeaseLost
from app.realtime.log import Change, changing
from app.runs.leased_worker import LEASE_SECONDS
from app.store.database import Database, Tx
from app.store.query import column_list, named

MAX_ATTEMPTS = 3  # of one variation, the takeovers included
ABANDON_BATCH_SIZE = 20  # generations failed in one poll

IS_CLAIMABLE = """
    status = 'pending' and run_id is null
    and (lease_expires_at is null or lease_expires_at < clock_timestamp())
"""
CLAIM_GENERATION = named(f"""
    update generation set
        attempt = attempt + 1, lease_owner = :worker, lease_epoch = lease_epoch + 1,
        lease_expires_at = clock_timestamp() + interval '{LEASE_SECONDS} seconds'
    where id = (
        select id from generation
        where {IS_CLAIMABLE} and attempt < {MAX_ATTEMPTS}
            and exists (select from project where id = project_id and deleted_at is null)
        order by created_at limit 1
        for no key update skip locked
    )
    returning {column_list(GENERATION)}, lease_epoch, base_code, wanted_model, request_id
""")
LIST_ABANDONED = named(f"""
    select id, project_id, actor_id, request_id from generation
    where {IS_CLAIMABLE} and (
        attempt >= {MAX_ATTEMPTS}
        or exists (select from project where id = project_id and deleted_at is not null)
    )
    order by created_at limit :limit
""")
LOCK_CLAIMABLE = named(f"""
    select id from generation where id = :id and {IS_CLAIMABLE} for no key update
""")
RENEW_LEASE = named(f"""
    update generation set
        lease_expires_at = clock_timestamp() + interval '{LEASE_SECONDS} seconds'
    where id = :id and status = 'pending' and lease_epoch = :lease_epoch
        and exists (select from project where id = project_id and deleted_at is null)
""")
RELEASE_LEASE = named("""
    update generation set lease_expires_at = clock_timestamp()
    where id = :id and status = 'pending' and lease_epoch = :lease_epoch
""")
LOCK_LEASED = named("""
    select id from generation
    where id = :id and status = 'pending' and lease_epoch = :lease_epoch
    for no key update
""")
FIND_ROLE = named("""
    select role from project_member m join project p on p.id = m.project_id
    where p.id = :project_id and m.user_id = :user_id and p.deleted_at is null
""")


class LeasedGeneration(msgspec.Struct, frozen=True, kw_only=True):
    """A variation on which this worker holds a lease; `model` is the requested one."""

    database: Database
    generation: Generation
    lease_epoch: int
    base_code: str | None
    model: str | None
    request_id: str


async def claim(database: Database, worker: str) -> LeasedGeneration | None:
    """Claim the oldest pending variation without a valid lease; None if there is none."""
    async with database.transaction() as tx:
        row = await tx.fetchrow(*CLAIM_GENERATION(worker=worker))
        if row is None:
            return None
        values = dict(row)
        lease_epoch, base_code, model, request_id = (
            values.pop(name) for name in ("lease_epoch", "base_code", "wanted_model", "request_id")
        )
        await close_calls_of_generation(tx, row["id"], "abandoned")
        return LeasedGeneration(
            database=database,
            generation=generation_of(values),
            lease_epoch=lease_epoch,
            base_code=base_code,
            model=model,
            request_id=request_id,
        )


async def fail_abandoned(database: Database) -> int:
    """Fail variations after `MAX_ATTEMPTS` or of a deleted project; return their number."""
    count = 0
    for row in await database.fetch(*LIST_ABANDONED(limit=ABANDON_BATCH_SIZE)):
        async with database.transaction() as tx, _changing(tx, row) as change:
            if await tx.fetchval(*LOCK_CLAIMABLE(id=row["id"])):
                await close_calls_of_generation(tx, row["id"], "abandoned")
                failed = await fail(change, row["id"], "WORKER_LOST", WORKER_LOST_MESSAGE)
                count += failed is not None
    return count


async def renew(leased: LeasedGeneration) -> None:
    """Prolong the lease.

    Raises `LeaseLost`, also when the generation or its project was deleted.
    """
    async with leased.database.transaction() as tx:
        renewed = await tx.execute(
            *RENEW_LEASE(id=leased.generation.id, lease_epoch=leased.lease_epoch)
        )
    if not renewed:
        raise LeaseLost


async def release(leased: LeasedGeneration) -> None:
    """Expire the lease, so that any worker can claim it; no effect if the lease is lost."""
    async with leased.database.transaction() as tx:
        await tx.execute(*RELEASE_LEASE(id=leased.generation.id, lease_epoch=leased.lease_epoch))


async def end_with_code(leased: LeasedGeneration, generated: GeneratedCode) -> Generation:
    """End a variation with its code.

    Raises `LeaseLost`, and `Forbidden` when its user may no longer change the project.
    """
    async with leased.database.transaction() as tx, _changing_leased(tx, leased) as change:
        await _fence(tx, leased)
        generation = leased.generation
        role = await tx.fetchval(
            *FIND_ROLE(project_id=generation.project_id, user_id=generation.actor_id)
        )
        if role not in ("editor", "owner"):
            raise Forbidden("You may not change this project any more.")
        ended = await succeed(change, generation.id, generated)
        assert ended is not None, "the fence holds the row"
        return ended


async def end_with_error(
    leased: LeasedGeneration, code: str, message: str, model: str
) -> Generation:
    """End a variation with an error. Raises `LeaseLost`."""
    async with leased.database.transaction() as tx, _changing_leased(tx, leased) as change:
        await _fence(tx, leased)
        ended = await fail(change, leased.generation.id, code, message, model=model)
        assert ended is not None, "the fence holds the row"
        return ended


async def _fence(tx: Tx, leased: LeasedGeneration) -> None:
    """Lock the variation's row. Raises `LeaseLost` unless this worker holds its lease."""
    statement = LOCK_LEASED(id=leased.generation.id, lease_epoch=leased.lease_epoch)
    if not await tx.fetchval(*statement):
        raise LeaseLost


def _changing_leased(tx: Tx, leased: LeasedGeneration) -> AbstractAsyncContextManager[Change]:
    """Lock the project for a change on behalf of the user who requested the variation."""
    generation = leased.generation
    return changing(
        tx, generation.project_id, actor_id=generation.actor_id, request_id=leased.request_id
    )


def _changing(tx: Tx, row: Record) -> AbstractAsyncContextManager[Change]:
    return changing(tx, row["project_id"], actor_id=row["actor_id"], request_id=row["request_id"])
