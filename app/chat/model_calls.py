"""Records of the model calls of runs."""

from contextlib import AbstractAsyncContextManager

from app.brain.model import Provider
from app.chat.leases import LeasedRun
from app.generations.model_calls import ModelCall, recorded_call
from app.store.query import named

# Inserts nothing when the lease is lost; the lock delays a takeover until the row is inserted.
OPEN_CALL = named("""
    insert into model_call (
        id, run_id, project_id, attempt, stage, provider, model, status, request_id, generation_id
    )
    select :id, id, :project_id, :attempt, :stage, :provider, :model, 'open', :request_id,
        :generation_id
    from run where id = :run_id and status = 'running' and lease_epoch = :lease_epoch for share
""")


def recorded_call_of_run(
    leased: LeasedRun, stage: str, provider: Provider, model: str, generation_id: str | None = None
) -> AbstractAsyncContextManager[ModelCall]:
    """Record a call of a model in a `stage`, `decide` or `write`. Raises `LeaseLost`."""
    return recorded_call(
        leased.database,
        OPEN_CALL,
        run_id=leased.run.id,
        project_id=leased.run.project_id,
        attempt=leased.run.attempt,
        stage=stage,
        provider=provider.name,
        model=model,
        request_id=leased.request_id,
        generation_id=generation_id,
        lease_epoch=leased.lease_epoch,
    )
