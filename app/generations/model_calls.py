"""Records of model calls: inserted before each call, and closed after it in any case."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.brain.model import TokenUsage
from app.problems import LeaseLost
from app.runs.tables import ModelCallRow
from app.store.columns import NOW
from app.store.concurrency import run_to_completion
from app.store.database import Database, Tx
from app.store.ids import new_id
from app.store.query import Param, Statement, built, named

MAX_ERROR_CHARACTERS = 500

CLOSE_CALL = built(
    ModelCallRow.update(
        {
            ModelCallRow.status: Param("status"),
            ModelCallRow.input_tokens: Param("input_tokens"),
            ModelCallRow.output_tokens: Param("output_tokens"),
            ModelCallRow.cached_tokens: Param("cached_tokens"),
            ModelCallRow.usage_source: Param("usage_source"),
            ModelCallRow.first_token_ms: Param("first_token_ms"),
            ModelCallRow.duration_ms: Param("duration_ms"),
            ModelCallRow.error: Param("error"),
            ModelCallRow.closed_at: NOW,
        }
    ).where(ModelCallRow.id == Param("id"), ModelCallRow.status == "open")
)
CLOSE_CALLS_OF_RUN = named("""
    update model_call set status = :status, closed_at = clock_timestamp()
    where run_id = :run_id and status = 'open'
""")
CLOSE_CALLS_OF_GENERATION = named("""
    update model_call set status = :status, closed_at = clock_timestamp()
    where generation_id = :generation_id and status = 'open'
""")


class ModelCall:
    """A call in progress; the caller sets `usage` once the model has reported it."""

    def __init__(self) -> None:
        self.usage: TokenUsage | None = None
        self.began = time.perf_counter()
        self.first_token: float | None = None

    async def record_text(self, text: str) -> None:
        """Record the time of the first text."""
        if text and self.first_token is None:
            self.first_token = time.perf_counter()

    def milliseconds(self) -> int:
        """Return how long the call has taken so far."""
        return round((time.perf_counter() - self.began) * 1000)


@asynccontextmanager
async def recorded_call(
    database: Database, open_call: Statement, **values: object
) -> AsyncIterator[ModelCall]:
    """Record a call of a model.

    `open_call` inserts its row, with `:id` and these values, unless the lease of the job is lost,
    which raises `LeaseLost`. A row left open by a crash is closed by the takeover.
    """
    row_id = new_id()
    async with database.transaction() as tx:
        opened = await tx.execute(*open_call(id=row_id, **values))
    if not opened:
        raise LeaseLost
    call, status, error = ModelCall(), "succeeded", None
    try:
        yield call
    except asyncio.CancelledError:
        status = "cancelled"
        raise
    except Exception as failure:
        status = "failed"
        error = f"{type(failure).__name__}: {failure}"[:MAX_ERROR_CHARACTERS]
        raise
    finally:
        await run_to_completion(_close(database, row_id, call, status, error))


async def _close(
    database: Database, row_id: str, call: ModelCall, status: str, error: str | None
) -> None:
    usage = call.usage or TokenUsage()
    first = call.first_token
    async with database.transaction() as tx:
        await tx.execute(
            *CLOSE_CALL(
                id=row_id,
                status=status,
                input_tokens=usage.input_tokens,
                output_tokens=usage.output_tokens,
                cached_tokens=usage.cached_tokens,
                usage_source=usage.source,
                first_token_ms=None if first is None else round((first - call.began) * 1000),
                duration_ms=call.milliseconds(),
                error=error,
            )
        )


async def close_calls_of_run(tx: Tx, run_id: str, status: str) -> None:
    """Close the calls of a run that are still open."""
    await tx.execute(*CLOSE_CALLS_OF_RUN(run_id=run_id, status=status))


async def close_calls_of_generation(tx: Tx, generation_id: str, status: str) -> None:
    """Close the calls for a generation that are still open."""
    await tx.execute(*CLOSE_CALLS_OF_GENERATION(generation_id=generation_id, status=status))
