"""Who works on which run: claims, leases and takeovers.

Every write of a worker is fenced by its lease: `UPDATE … WHERE status = 'running' AND lease_epoch =
mine`. Whoever lost the lease writes nothing.
"""

from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Any

import msgspec

from app.brain.model import Decision
from app.chat.endings import Ending, close_calls, end
from app.problems import LeaseLost, Problem
from app.projects.chat import RUN, Run, run_of
from app.realtime.log import Change, changing
from app.store.engine import Tx, transaction

LEASE = "12 seconds"  # how long a worker may be silent before another takes over
ATTEMPTS_MOST = 4  # of one run, the takeovers included


class RunCancelled(Exception):
    """Somebody asked for this run to stop."""


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """A run that this worker holds a lease on, and what earlier attempts left behind."""

    run: Run
    lease_epoch: int
    image_urls: list[str]
    revision: int  # of the project after the claim
    request_id: str
    decision: Decision | None
    started: frozenset[str]  # call ids announced by an earlier attempt
    finished: dict[str, str]  # call id -> summary of the steps that are done


async def claim(worker: str) -> Held | None:
    """Take the next waiting run of a project in which none is running; None when there is none."""
    async with transaction() as tx:
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
            return await _held(change, row, "run.started")


async def take_over(worker: str) -> Held | None:
    """Take a run whose worker is gone; ends those that were cancelled or tried too often."""
    async with transaction() as tx:
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
                await end(change, dead["id"], Ending(status="cancelled", content=""))
                return None
            if row["attempt"] > ATTEMPTS_MOST:
                lost = Problem("The worker was lost too often; please send it again.")
                ending = Ending(
                    status="failed", content=lost.message, problem=lost, code="WORKER_LOST"
                )
                await end(change, dead["id"], ending)
                return None
            await close_calls(tx, dead["id"], "abandoned")
            return await _held(change, row, "run.retrying")


async def _held(change: Change, row: Any, kind: str) -> Held:
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
    return Held(
        run=run,
        lease_epoch=lease_epoch,
        image_urls=images,
        revision=change.revision,
        request_id=request_id,
        decision=msgspec.convert(run.decision, Decision) if run.decision else None,
        started=frozenset(row["payload"]["callId"] for row in calls),
        finished=finished,
    )


async def renew(held: Held) -> datetime | None:
    """Prolong the lease; return when a cancel was asked for, if it was. Raises `LeaseLost`."""
    async with transaction() as tx:
        row = await tx.fetchrow(
            "update run set lease_expires_at = clock_timestamp()"
            f" + interval '{LEASE}' where id = $1 and status = 'running' and lease_epoch = $2"
            " returning cancel_requested_at",
            held.run.id,
            held.lease_epoch,
        )
    if row is None:
        raise LeaseLost
    cancel: datetime | None = row["cancel_requested_at"]
    return cancel


async def release(held: Held) -> None:
    """Give the run to whoever comes next, now: this worker is shutting down."""
    async with transaction() as tx:
        await tx.execute(
            "update run set lease_expires_at = clock_timestamp()"
            " where id = $1 and status = 'running' and lease_epoch = $2",
            held.run.id,
            held.lease_epoch,
        )


def holding(tx: Tx, held: Held) -> AbstractAsyncContextManager[Change]:
    """The project's lock, in the name of whoever asked for the run."""
    return _changing(tx, held)


def _changing(tx: Tx, of: Any) -> AbstractAsyncContextManager[Change]:
    if isinstance(of, Held):
        project_id, actor_id, request_id = of.run.project_id, of.run.actor_id, of.request_id
    else:
        project_id, actor_id, request_id = of["project_id"], of["actor_id"], of["request_id"]
    return changing(tx, project_id, actor_id=actor_id, request_id=request_id)


async def fence(tx: Tx, held: Held, *, even_cancelled: bool = False) -> None:
    """Raise `LeaseLost` unless this worker holds the run, `RunCancelled` if nobody wants it."""
    row = await tx.fetchrow(
        "select cancel_requested_at from run"
        " where id = $1 and status = 'running' and lease_epoch = $2 for no key update",
        held.run.id,
        held.lease_epoch,
    )
    if row is None:
        raise LeaseLost
    if row["cancel_requested_at"] is not None and not even_cancelled:
        raise RunCancelled
