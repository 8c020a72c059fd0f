"""What the history says of the models' work: how often it was edited again, how long it took."""

from datetime import datetime

import msgspec

from app.scenes.model import Complexity, Operation
from app.store.engine import Reader

AGAIN = """
    select edit_complexity as complexity, model_used as model, count(*) as changes,
        count(*) filter (where user_edited_again) as edited_again,
        (count(*) filter (where user_edited_again))::float8 / count(*) as rate
    from scene_iteration
    where change_source = 'llm' and created_at >= $1 and created_at < $2
        and operation_type <> 'delete'
    group by edit_complexity, model_used
    order by edit_complexity nulls last, model_used nulls last
"""
TIMES = """
    select operation_type as operation, model_used as model, count(*) as changes,
        avg(generation_time_ms)::float8 as mean_ms,
        percentile_cont(0.5) within group (order by generation_time_ms) as median_ms,
        percentile_cont(0.95) within group (order by generation_time_ms) as p95_ms
    from scene_iteration
    where generation_time_ms is not null and created_at >= $1 and created_at < $2
    group by operation_type, model_used order by operation_type, model_used nulls last
"""


class EditedAgain(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """Of the changes that a model made: the share that was edited within five minutes."""

    complexity: Complexity | None
    model: str | None
    changes: int
    edited_again: int
    rate: float  # 0 to 1


class OperationTime(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """How long changes of one kind took, in milliseconds."""

    operation: Operation
    model: str | None
    changes: int
    mean_ms: float
    median_ms: float
    p95_ms: float


async def edited_again(reader: Reader, since: datetime, until: datetime) -> list[EditedAgain]:
    """By complexity and model; a deletion can't be edited again and is left out."""
    return [EditedAgain(**row) for row in await reader.fetch(AGAIN, since, until)]


async def operation_times(reader: Reader, since: datetime, until: datetime) -> list[OperationTime]:
    """By operation and model, of the changes whose time is known."""
    return [OperationTime(**row) for row in await reader.fetch(TIMES, since, until)]
