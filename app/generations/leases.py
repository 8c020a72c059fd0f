"""Who makes which variation: claims, leases, takeovers, and its one end.

Every end is fenced by the lease: whoever lost it writes nothing, so that a generation that was
given up stays given up.
"""

from contextlib import AbstractAsyncContextManager
from typing import Any

import msgspec

from app.generations.model import GENERATION, Generation, generation_of
from app.generations.records import LOST, GeneratedCode, fail, succeed
from app.problems import Forbidden, LeaseLost
from app.realtime.log import Change, changing
from app.store.database import Database, Tx

LEASE = "12 seconds"  # how long a worker may be silent before another takes over
ATTEMPTS_MOST = 3  # of one variation, the takeovers included

FREE = (
    "status = 'pending' and run_id is null"
    " and (lease_expires_at is null or lease_expires_at < clock_timestamp())"
)


class LeasedGeneration(msgspec.Struct, frozen=True, kw_only=True):
    """A variation that this worker holds a lease on; `model` as it was asked for."""

    database: Database
    generation: Generation
    lease_epoch: int
    base_code: str | None
    model: str | None
    request_id: str


async def claim(database: Database, worker: str) -> LeasedGeneration | None:
    """Take the next variation that waits, or whose worker is gone; None when there is none."""
    async with database.transaction() as tx:
        row = await tx.fetchrow(
            "update generation set attempt = attempt + 1, lease_owner = $1,"
            " lease_epoch = lease_epoch + 1,"
            f" lease_expires_at = clock_timestamp() + interval '{LEASE}' where id = ("
            f" select id from generation where {FREE} and attempt < {ATTEMPTS_MOST}"
            " and exists (select from project where id = project_id and deleted_at is null)"
            " order by created_at limit 1 for no key update skip locked)"
            f" returning {GENERATION}, lease_epoch, base_code, wanted_model, request_id",
            worker,
        )
        if row is None:
            return None
        values: dict[str, Any] = dict(row)
        rest = {name: values.pop(name) for name in ("lease_epoch", "base_code", "request_id")}
        model = values.pop("wanted_model")
        leased = LeasedGeneration(
            database=database, generation=generation_of(values), model=model, **rest
        )
        await tx.execute(
            "update model_call set status = 'abandoned', closed_at = clock_timestamp()"
            " where generation_id = $1 and status = 'open'",
            leased.generation.id,
        )
        return leased


async def give_up(database: Database, most: int = 20) -> int:
    """Fail what was tried too often, or whose project was deleted; return how many."""
    given = 0
    async with database.transaction() as tx:
        rows = await tx.fetch(
            f"select id, project_id, actor_id, request_id from generation where {FREE}"
            f" and (attempt >= {ATTEMPTS_MOST} or exists (select from project"
            " where id = project_id and deleted_at is not null)) order by created_at limit $1",
            most,
        )
    for row in rows:
        async with database.transaction() as tx, _changing(tx, row) as change:
            if await tx.fetchval(
                f"select id from generation where id = $1 and {FREE} for no key update", row["id"]
            ):
                await close_calls(tx, row["id"], "abandoned")
                given += await fail(change, row["id"], "WORKER_LOST", LOST) is not None
    return given


async def renew(leased: LeasedGeneration) -> None:
    """Prolong the lease. Raises `LeaseLost`, also when nobody wants the result any more."""
    async with leased.database.transaction() as tx:
        held = await tx.execute(
            "update generation set lease_expires_at = clock_timestamp()"
            f" + interval '{LEASE}' where id = $1 and status = 'pending' and lease_epoch = $2"
            " and exists (select from project where id = project_id and deleted_at is null)",
            leased.generation.id,
            leased.lease_epoch,
        )
    if not held:
        raise LeaseLost


async def release(leased: LeasedGeneration) -> None:
    """Give it to whoever comes next, now: this worker is shutting down."""
    async with leased.database.transaction() as tx:
        await tx.execute(
            "update generation set lease_expires_at = clock_timestamp()"
            " where id = $1 and status = 'pending' and lease_epoch = $2",
            leased.generation.id,
            leased.lease_epoch,
        )


async def keep(leased: LeasedGeneration, made: GeneratedCode) -> Generation:
    """End it with its code. Raises `LeaseLost`, and `Forbidden` when whoever asked for it may not
    change the project any more."""
    async with leased.database.transaction() as tx, _changing(tx, _of(leased)) as change:
        await _fence(tx, leased)
        role = await tx.fetchval(
            "select role from project_member m join project p on p.id = m.project_id"
            " where p.id = $1 and m.user_id = $2 and p.deleted_at is null",
            leased.generation.project_id,
            leased.generation.actor_id,
        )
        if role not in ("editor", "owner"):
            raise Forbidden("You may not change this project any more.")
        generation = await succeed(change, leased.generation.id, made)
        assert generation is not None, "the fence holds the row"
        return generation


async def keep_error(leased: LeasedGeneration, code: str, message: str, model: str) -> Generation:
    """End it with an error. Raises `LeaseLost`."""
    async with leased.database.transaction() as tx, _changing(tx, _of(leased)) as change:
        await _fence(tx, leased)
        generation = await fail(change, leased.generation.id, code, message, model=model)
        assert generation is not None, "the fence holds the row"
        return generation


async def close_calls(tx: Tx, generation_id: str, status: str) -> None:
    await tx.execute(
        "update model_call set status = $2, closed_at = clock_timestamp()"
        " where generation_id = $1 and status = 'open'",
        generation_id,
        status,
    )


async def _fence(tx: Tx, leased: LeasedGeneration) -> None:
    if not await tx.fetchval(
        "select id from generation where id = $1 and status = 'pending' and lease_epoch = $2"
        " for no key update",
        leased.generation.id,
        leased.lease_epoch,
    ):
        raise LeaseLost


def _of(leased: LeasedGeneration) -> dict[str, str]:
    generation = leased.generation
    return {
        "project_id": generation.project_id,
        "actor_id": generation.actor_id,
        "request_id": leased.request_id,
    }


def _changing(tx: Tx, of: Any) -> AbstractAsyncContextManager[Change]:
    return changing(tx, of["project_id"], actor_id=of["actor_id"], request_id=of["request_id"])
