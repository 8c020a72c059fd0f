"""Leases of runs: claim, takeover, renewal, release, and the fence of every write.

A worker writes only while `status = 'running'` and `lease_epoch` is the one of its claim. A
takeover and the end of a run raise the epoch, so a worker that lost its lease writes nothing.
"""

import logging
from contextlib import AbstractAsyncContextManager

import msgspec
from asyncpg import Record

from app.brain.model import Decision
from app.chat.endings import Ending, break_off
from app.generations.model_calls import close_calls_of_run
from app.generations.records import WORKER_LOST_MESSAGE, fail_generations_of_run
from app.problems import Forbidden, LeaseLost, ServiceUnavailable
from app.projects.access import require_role
from app.realtime.log import Change, changing
from app.runs.leased_worker import LEASE_SECONDS
from app.runs.model import Run
from app.runs.reads import LIST_CALLS, RUN, run_of
from app.store.database import Database, Tx
from app.store.query import column_list, named

MAX_ATTEMPTS = 4  # of one run, the takeovers included

LEASED_RUN_COLUMNS = f"{column_list(RUN)}, lease_epoch, image_urls, request_id"

# The project's row is locked first, as by every change. A locked project is skipped until a later
# poll.
FIND_QUEUED_RUN = named("""
    select r.id, r.project_id, r.actor_id, r.request_id
    from run r join project p on p.id = r.project_id
    where r.status = 'queued' and not exists (
        select from run b where b.project_id = r.project_id and b.status = 'running'
    )
    order by r.priority desc, r.queued_at limit 1
    for no key update of p skip locked
""")
# The next run of the project may have changed before the project's row was locked.
CLAIM_RUN = named(f"""
    update run set
        status = 'running', attempt = attempt + 1, lease_owner = :worker,
        lease_epoch = lease_epoch + 1, started_at = clock_timestamp(),
        lease_expires_at = clock_timestamp() + interval '{LEASE_SECONDS} seconds'
    where id = (
        select id from run
        where project_id = :project_id and status = 'queued' and not exists (
            select from run b where b.project_id = :project_id and b.status = 'running'
        )
        order by priority desc, sequence limit 1
    )
    returning {LEASED_RUN_COLUMNS}
""")
FIND_EXPIRED_RUN = named("""
    select r.id, r.project_id, r.actor_id, r.request_id
    from run r join project p on p.id = r.project_id
    where r.status = 'running' and r.lease_expires_at < clock_timestamp()
    order by r.lease_expires_at limit 1
    for no key update of p skip locked
""")
TAKE_OVER_RUN = named(f"""
    update run set
        attempt = attempt + 1, lease_owner = :worker, lease_epoch = lease_epoch + 1,
        lease_expires_at = clock_timestamp() + interval '{LEASE_SECONDS} seconds'
    where id = :id and status = 'running' and lease_expires_at < clock_timestamp()
    returning {LEASED_RUN_COLUMNS}
""")
# Deleting a project cancels its runs.
RENEW_LEASE = named(f"""
    update run set lease_expires_at = clock_timestamp() + interval '{LEASE_SECONDS} seconds'
    where id = :id and status = 'running' and lease_epoch = :lease_epoch
    returning coalesce(
        cancel_requested_at, (select deleted_at from project where id = project_id)
    ) as unwanted_since
""")
RELEASE_LEASE = named("""
    update run set lease_expires_at = clock_timestamp()
    where id = :id and status = 'running' and lease_epoch = :lease_epoch
""")
LOCK_LEASED_RUN = named("""
    select coalesce(r.cancel_requested_at, p.deleted_at) as unwanted_since, m.role
    from run r
        join project p on p.id = r.project_id
        left join project_member m on m.project_id = r.project_id and m.user_id = r.actor_id
    where r.id = :id and r.status = 'running' and r.lease_epoch = :lease_epoch
    for no key update of r
""")

logger = logging.getLogger(__name__)


class RunCancelled(Exception):
    """The run must be cancelled: a user requested it, or its project was deleted."""


class LeasedRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run on which this worker holds a lease, with the committed results of earlier attempts.

    `revision` is the project's after the claim. `started` are the ids of the tool calls that have
    started; `finished` maps the ids of finished ones to their summaries.
    """

    database: Database
    run: Run
    lease_epoch: int
    image_urls: list[str]
    revision: int
    request_id: str
    decision: Decision | None
    started: frozenset[str]
    finished: dict[str, str]


async def claim(database: Database, worker: str) -> LeasedRun | None:
    """Claim the next queued run of a project in which none is running; None if there is none."""
    async with database.transaction() as tx:
        candidate = await tx.fetchrow(*FIND_QUEUED_RUN())
        if candidate is None:
            return None
        async with _changing(tx, candidate) as change:
            row = await tx.fetchrow(*CLAIM_RUN(project_id=change.project_id, worker=worker))
            if row is None:
                return None
            change.actor_id, change.request_id = row["actor_id"], row["request_id"]
            return await _leased_run(database, change, row, "run.started")


async def take_over(database: Database, worker: str) -> LeasedRun | None:
    """Claim a run whose lease has expired; None if there is none.

    A run that was cancelled, or that has had `MAX_ATTEMPTS`, is ended instead.
    """
    async with database.transaction() as tx:
        expired = await tx.fetchrow(*FIND_EXPIRED_RUN())
        if expired is None:
            return None
        async with _changing(tx, expired) as change:
            row = await tx.fetchrow(*TAKE_OVER_RUN(id=expired["id"], worker=worker))
            if row is None:
                return None
            if row["cancel_requested_at"] is not None:
                await break_off(change, row["id"], Ending(status="cancelled", content=""))
                return None
            if row["attempt"] > MAX_ATTEMPTS:
                await _give_up(change, row["id"])
                return None
            await close_calls_of_run(tx, row["id"], "abandoned")
            return await _leased_run(database, change, row, "run.retrying")


async def _give_up(change: Change, run_id: str) -> None:
    problem = ServiceUnavailable("The worker was lost too often; please send it again.")
    ending = Ending(status="failed", content=problem.message, problem=problem, code="WORKER_LOST")
    await break_off(change, run_id, ending)


async def _leased_run(database: Database, change: Change, row: Record, kind: str) -> LeasedRun:
    values = dict(row)
    lease_epoch, image_urls, request_id = (
        values.pop(name) for name in ("lease_epoch", "image_urls", "request_id")
    )
    run = run_of(values)
    calls = await change.tx.fetch(*LIST_CALLS(run_id=run.id))
    change.emit(kind, {"run": run}, run_id=run.id)
    if kind == "run.retrying":
        await fail_generations_of_run(change, run.id, "WORKER_LOST", WORKER_LOST_MESSAGE)
    return LeasedRun(
        database=database,
        run=run,
        lease_epoch=lease_epoch,
        image_urls=image_urls,
        revision=change.revision,
        request_id=request_id,
        decision=_decision_of(run),
        started=frozenset(call["payload"]["callId"] for call in calls),
        finished={
            call["payload"]["callId"]: call["payload"].get("summary", "")
            for call in calls
            if call["type"] == "tool.finished"
        },
    )


def _decision_of(run: Run) -> Decision | None:
    """Return the decision of an earlier attempt; None if it has another release's format."""
    try:
        return msgspec.convert(run.decision, Decision) if run.decision else None
    except msgspec.ValidationError:
        logger.warning("the decision of run %s cannot be read", run.id, exc_info=True)
        return None


async def renew(leased: LeasedRun) -> bool:
    """Prolong the lease and return whether the run is still wanted. Raises `LeaseLost`."""
    async with leased.database.transaction() as tx:
        row = await tx.fetchrow(*RENEW_LEASE(id=leased.run.id, lease_epoch=leased.lease_epoch))
    if row is None:
        raise LeaseLost
    return row["unwanted_since"] is None


async def release(leased: LeasedRun) -> None:
    """Expire the lease, so that another worker takes over; no effect if the lease is lost."""
    async with leased.database.transaction() as tx:
        await tx.execute(*RELEASE_LEASE(id=leased.run.id, lease_epoch=leased.lease_epoch))


def changing_run(tx: Tx, leased: LeasedRun) -> AbstractAsyncContextManager[Change]:
    """Lock the run's project for a change on behalf of the user who sent the prompt."""
    run = leased.run
    return changing(tx, run.project_id, actor_id=run.actor_id, request_id=leased.request_id)


def _changing(tx: Tx, row: Record) -> AbstractAsyncContextManager[Change]:
    return changing(tx, row["project_id"], actor_id=row["actor_id"], request_id=row["request_id"])


async def fence(tx: Tx, leased: LeasedRun, *, ends: bool = False) -> None:
    """Lock the run's row. Raises `LeaseLost` unless this worker holds the run.

    Unless the transaction only `ends` the run, raises `RunCancelled` when it is no longer wanted,
    and `Forbidden` when its user may no longer change the project.
    """
    row = await tx.fetchrow(*LOCK_LEASED_RUN(id=leased.run.id, lease_epoch=leased.lease_epoch))
    if row is None:
        raise LeaseLost
    if ends:
        return
    if row["unwanted_since"] is not None:
        raise RunCancelled
    if row["role"] is None:
        raise Forbidden("You are not a member of this project any more.")
    require_role(row["role"], "editor")
