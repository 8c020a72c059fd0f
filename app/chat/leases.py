"""Who works on which run: claims, leases and takeovers.

Every write of a worker is fenced by its lease: `UPDATE … WHERE status = 'running' AND lease_epoch =
mine`. Whoever lost the lease writes nothing.
"""

import logging
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Any

import msgspec

from app.brain.model import Decision
from app.chat.endings import Ending, break_off, close_calls
from app.generations.records import LOST, fail_of_run
from app.problems import Forbidden, LeaseLost, ServiceUnavailable
from app.projects.access import require_role
from app.realtime.log import Change, changing
from app.runs.model import RUN, Run, run_of
from app.store.database import Database, Tx

LEASE = "12 seconds"  # how long a worker may be silent before another takes over
ATTEMPTS_MOST = 4  # of one run, the takeovers included

log = logging.getLogger(__name__)


class RunCancelled(Exception):
    """Somebody asked for this run to stop."""


class LeasedRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run that this worker holds a lease on, and what earlier attempts left behind."""

    database: Database
    run: Run
    lease_epoch: int
    image_urls: list[str]
    revision: int  # of the project after the claim
    request_id: str
    decision: Decision | None
    started: frozenset[str]  # call ids announced by an earlier attempt
    finished: dict[str, str]  # call id -> summary of the steps that are done


async def claim(database: Database, worker: str) -> LeasedRun | None:
    """Take the next waiting run of a project in which none is running; None when there is none."""
    async with database.transaction() as tx:
        candidate = await tx.fetchrow(
            "select r.id, r.project_id, r.actor_id, r.request_id from run r"
            " join project p on p.id = r.project_id"
            " where r.status = 'queued' and not exists (select from run b"
            " where b.project_id = r.project_id and b.status = 'running')"
            " order by r.priority desc, r.queued_at limit 1"
            " for no key update of p skip locked",
        )
        if candidate is None:
            return None
        async with _changing(tx, candidate) as change:
            row = await tx.fetchrow(
                "update run set status = 'running', attempt = attempt + 1, lease_owner = $2,"
                " lease_epoch = lease_epoch + 1, started_at = clock_timestamp(),"
                f" lease_expires_at = clock_timestamp() + interval '{LEASE}'"
                " where id = (select id from run where project_id = $1 and status = 'queued'"
                " and not exists (select from run b where b.project_id = $1"
                " and b.status = 'running') order by priority desc, sequence limit 1)"
                f" returning {RUN}, lease_epoch, image_urls, request_id",
                change.project_id,
                worker,
            )
            if row is None:
                return None
            change.actor_id, change.request_id = row["actor_id"], row["request_id"]
            return await _leased_run(database, change, row, "run.started")


async def take_over(database: Database, worker: str) -> LeasedRun | None:
    """Take a run whose worker is gone; ends those that were cancelled or tried too often."""
    async with database.transaction() as tx:
        dead = await tx.fetchrow(
            "select r.id, r.project_id, r.actor_id, r.request_id from run r"
            " join project p on p.id = r.project_id"
            " where r.status = 'running' and r.lease_expires_at < clock_timestamp()"
            " order by r.lease_expires_at limit 1 for no key update of p skip locked"
        )
        if dead is None:
            return None
        async with _changing(tx, dead) as change:
            row = await tx.fetchrow(
                "update run set attempt = attempt + 1, lease_owner = $2,"
                " lease_epoch = lease_epoch + 1,"
                f" lease_expires_at = clock_timestamp() + interval '{LEASE}'"
                " where id = $1 and status = 'running' and lease_expires_at < clock_timestamp()"
                f" returning {RUN}, lease_epoch, image_urls, request_id",
                dead["id"],
                worker,
            )
            if row is None:
                return None
            if row["cancel_requested_at"] is not None:
                await break_off(change, dead["id"], Ending(status="cancelled", content=""))
                return None
            if row["attempt"] > ATTEMPTS_MOST:
                lost = ServiceUnavailable("The worker was lost too often; please send it again.")
                ending = Ending(
                    status="failed", content=lost.message, problem=lost, code="WORKER_LOST"
                )
                await break_off(change, dead["id"], ending)
                return None
            await close_calls(tx, dead["id"], "abandoned")
            return await _leased_run(database, change, row, "run.retrying")


async def _leased_run(database: Database, change: Change, row: Any, kind: str) -> LeasedRun:
    values = dict(row)
    lease_epoch, images = values.pop("lease_epoch"), values.pop("image_urls")
    request_id = values.pop("request_id")
    run = run_of(values)
    calls = await change.tx.fetch(
        "select type, payload from project_event where run_id = $1"
        " and type in ('tool.started', 'tool.finished') order by revision",
        run.id,
    )
    finished = {
        row["payload"]["callId"]: row["payload"].get("summary", "")
        for row in calls
        if row["type"] == "tool.finished"
    }
    change.emit(kind, {"run": run}, run_id=run.id)
    if kind == "run.retrying":
        await fail_of_run(change, run.id, "WORKER_LOST", LOST)
    return LeasedRun(
        database=database,
        run=run,
        lease_epoch=lease_epoch,
        image_urls=images,
        revision=change.revision,
        request_id=request_id,
        decision=_decision_of(run),
        started=frozenset(row["payload"]["callId"] for row in calls),
        finished=finished,
    )


def _decision_of(run: Run) -> Decision | None:
    """What an earlier attempt decided; asked anew when another version wrote it."""
    try:
        return msgspec.convert(run.decision, Decision) if run.decision else None
    except msgspec.ValidationError:
        log.warning("the decision of run %s can't be read", run.id, exc_info=True)
        return None


async def renew(leased: LeasedRun) -> datetime | None:
    """Prolong the lease; return when a cancel was asked for, if it was. Raises `LeaseLost`.

    Whoever deletes a project cancels its runs.
    """
    async with leased.database.transaction() as tx:
        row = await tx.fetchrow(
            "update run set lease_expires_at = clock_timestamp()"
            f" + interval '{LEASE}' where id = $1 and status = 'running' and lease_epoch = $2"
            " returning coalesce(cancel_requested_at,"
            " (select deleted_at from project where id = project_id)) as unwanted_since",
            leased.run.id,
            leased.lease_epoch,
        )
    if row is None:
        raise LeaseLost
    cancel: datetime | None = row["unwanted_since"]
    return cancel


async def release(leased: LeasedRun) -> None:
    """Give the run to whoever comes next, now: this worker is shutting down."""
    async with leased.database.transaction() as tx:
        await tx.execute(
            "update run set lease_expires_at = clock_timestamp()"
            " where id = $1 and status = 'running' and lease_epoch = $2",
            leased.run.id,
            leased.lease_epoch,
        )


def holding(tx: Tx, leased: LeasedRun) -> AbstractAsyncContextManager[Change]:
    """The project's lock, in the name of whoever asked for the run."""
    return _changing(tx, leased)


def _changing(tx: Tx, of: Any) -> AbstractAsyncContextManager[Change]:
    if isinstance(of, LeasedRun):
        project_id, actor_id, request_id = of.run.project_id, of.run.actor_id, of.request_id
    else:
        project_id, actor_id, request_id = of["project_id"], of["actor_id"], of["request_id"]
    return changing(tx, project_id, actor_id=actor_id, request_id=request_id)


async def fence(tx: Tx, leased: LeasedRun, *, ends: bool = False) -> None:
    """Raise `LeaseLost` unless this worker holds the run.

    Unless it only `ends`: `RunCancelled` if nobody wants it or its project was deleted, and
    `Forbidden` if whoever asked for it may not do so any more.
    """
    row = await tx.fetchrow(
        "select coalesce(r.cancel_requested_at, p.deleted_at) as unwanted_since, m.role"
        " from run r join project p on p.id = r.project_id"
        " left join project_member m on m.project_id = r.project_id and m.user_id = r.actor_id"
        " where r.id = $1 and r.status = 'running' and r.lease_epoch = $2"
        " for no key update of r",
        leased.run.id,
        leased.lease_epoch,
    )
    if row is None:
        raise LeaseLost
    if ends:
        return
    if row["unwanted_since"] is not None:
        raise RunCancelled
    if row["role"] is None:
        raise Forbidden("You are not a member of this project any more.")
    require_role(row["role"], "editor")
