"""One row for each call of a model: opened before it, closed whatever happens."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.brain.model import Provider, TokenUsage
from app.chat.leases import Held
from app.generations.leases import Taken
from app.problems import LeaseLost
from app.store.concurrency import run_to_completion
from app.store.engine import transaction
from app.store.ids import new_id


class Call:
    """A call under way; `usage` is set by whoever makes it."""

    def __init__(self) -> None:
        self.usage: TokenUsage | None = None
        self.began = time.perf_counter()
        self.first_token: float | None = None

    async def saw_text(self, text: str) -> None:
        """Note when the model began to speak."""
        if text and self.first_token is None:
            self.first_token = time.perf_counter()

    def milliseconds(self) -> int:
        return round((time.perf_counter() - self.began) * 1000)


@asynccontextmanager
async def calling(
    held: Held, stage: str, provider: Provider, model: str, generation_id: str | None = None
) -> AsyncIterator[Call]:
    """`stage` is `decide` or `write`. A row that outlives a crash is closed by the takeover.

    Raises `LeaseLost`.
    """
    row_id = new_id()
    async with transaction() as tx:
        opened = await tx.execute(
            "insert into model_call (id, run_id, project_id, attempt, stage, provider, model,"
            " status, request_id, generation_id)"
            " select $1, id, $3, $4, $5, $6, $7, 'open', $8, $10 from run"
            " where id = $2 and status = 'running' and lease_epoch = $9 for share",
            row_id,
            held.run.id,
            held.run.project_id,
            held.run.attempt,
            stage,
            provider.name,
            model,
            held.request_id,
            held.lease_epoch,
            generation_id,
        )
    if not opened:
        raise LeaseLost
    async with _closing(row_id) as call:
        yield call


@asynccontextmanager
async def calling_for(taken: Taken, provider: Provider, model: str) -> AsyncIterator[Call]:
    """`calling` for a variation, which belongs to no run. Raises `LeaseLost`."""
    row_id = new_id()
    async with transaction() as tx:
        opened = await tx.execute(
            "insert into model_call (id, generation_id, project_id, attempt, stage, provider,"
            " model, status, request_id)"
            " select $1, id, project_id, attempt, 'write', $3, $4, 'open', request_id"
            " from generation where id = $2 and status = 'pending' and lease_epoch = $5 for share",
            row_id,
            taken.generation.id,
            provider.name,
            model,
            taken.lease_epoch,
        )
    if not opened:
        raise LeaseLost
    async with _closing(row_id) as call:
        yield call


@asynccontextmanager
async def _closing(row_id: str) -> AsyncIterator[Call]:
    call, status, error = Call(), "succeeded", None
    try:
        yield call
    except asyncio.CancelledError:
        status = "cancelled"
        raise
    except Exception as failure:
        status, error = "failed", f"{type(failure).__name__}: {failure}"[:500]
        raise
    finally:
        await run_to_completion(_close(row_id, call, status, error))


async def _close(row_id: str, call: Call, status: str, error: str | None) -> None:
    usage = call.usage or TokenUsage()
    first = call.first_token
    async with transaction() as tx:
        await tx.execute(
            "update model_call set status = $2, input_tokens = $3, output_tokens = $4,"
            " cached_tokens = $5, usage_source = $6, first_token_ms = $7, duration_ms = $8,"
            " error = $9, closed_at = clock_timestamp() where id = $1 and status = 'open'",
            row_id,
            status,
            usage.input_tokens,
            usage.output_tokens,
            usage.cached_tokens,
            usage.source,
            None if first is None else round((first - call.began) * 1000),
            call.milliseconds(),
            error,
        )
