"""One row for each call of a model: opened before it, closed whatever happens."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.brain.model import TokenUsage
from app.problems import LeaseLost
from app.store.concurrency import run_to_completion
from app.store.database import Database
from app.store.ids import new_id
from app.store.query import Statement, named

MAX_ERROR_CHARACTERS = 500

CLOSE = named("""
    update model_call set
        status = :status, input_tokens = :input_tokens, output_tokens = :output_tokens,
        cached_tokens = :cached_tokens, usage_source = :usage_source,
        first_token_ms = :first_token_ms, duration_ms = :duration_ms, error = :error,
        closed_at = clock_timestamp()
    where id = :id and status = 'open'
""")


class ModelCall:
    """A call under way; `usage` is set by whoever makes it."""

    def __init__(self) -> None:
        self.usage: TokenUsage | None = None
        self.began = time.perf_counter()
        self.first_token: float | None = None

    async def saw_text(self, text: str) -> None:
        """Note when the model began to answer."""
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

    `open_call` inserts its row, with `:id` and these values, if the lease of the work that it
    belongs to still holds; raises `LeaseLost` if not. A row that outlives a crash is closed by
    the takeover.
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
            *CLOSE(
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
