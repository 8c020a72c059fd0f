"""How a generation comes to be and ends: each in the caller's transaction, with its event."""

import time

import msgspec

from app.brain.decide import WrittenCode
from app.brain.model import TokenUsage
from app.generations.model import GENERATION, Generation, generation_of, told
from app.projects.model import Format
from app.realtime.log import Change
from app.store.ids import new_id

LOST = "The worker was lost while it wrote this code."


class NewGeneration(msgspec.Struct, frozen=True, kw_only=True):
    """A generation to be made. `base_code` is what it starts from."""

    prompt: str
    format: Format
    refinement_prompt: str | None = None
    scene_id: str | None = None
    parent: Generation | None = None
    base_code: str | None = None
    duration: int | None = None
    batch_id: str | None = None
    variation_index: int | None = None
    variation_count: int | None = None
    model: str | None = None  # as asked for
    run_id: str | None = None
    call_id: str | None = None


class GeneratedCode(msgspec.Struct, frozen=True, kw_only=True):
    """Code that came out, and what it took."""

    code: str
    model: str
    usage: TokenUsage
    milliseconds: int
    note: str | None = None


def generated_code(written: WrittenCode, model: str, began: float) -> GeneratedCode:
    """Return what a model wrote as a generation keeps it; `began` is of `time.perf_counter`."""
    return GeneratedCode(
        code=written.code,
        model=model,
        usage=written.usage,
        milliseconds=round((time.perf_counter() - began) * 1000),
        note=written.note,
    )


async def begin(change: Change, wanted: NewGeneration) -> Generation:
    """A pending generation. One of a run is worked on at once, under the run's lease."""
    parent_id = wanted.parent.id if wanted.parent else None
    row = await change.tx.fetchrow(
        "insert into generation (id, project_id, scene_id, parent_generation_id,"
        " root_generation_id, prompt, refinement_prompt, status, base_code, format, duration,"
        " batch_id, variation_index, variation_count, wanted_model, run_id, call_id, attempt,"
        " actor_id, request_id, revision) values ($1, $2, $3, $4,"
        " (select coalesce(root_generation_id, id) from generation where id = $4),"
        " $5, $6, 'pending', $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)"
        f" returning {GENERATION}",
        new_id(),
        change.project_id,
        wanted.scene_id,
        parent_id,
        wanted.prompt,
        wanted.refinement_prompt,
        wanted.base_code,
        wanted.format,
        wanted.duration,
        wanted.batch_id,
        wanted.variation_index,
        wanted.variation_count,
        wanted.model,
        wanted.run_id,
        wanted.call_id,
        1 if wanted.run_id else 0,
        change.actor_id,
        change.request_id,
        change.next_revision,
    )
    assert row is not None
    generation = generation_of(row)
    change.emit("generation.created", {"generation": told(generation)}, run_id=wanted.run_id)
    return generation


async def succeed(
    change: Change, generation_id: str, made: GeneratedCode, *, scene_id: str | None = None
) -> Generation | None:
    """Keep the code; None when it is not pending any more: what is over stays as it is."""
    row = await change.tx.fetchrow(
        "update generation set status = 'success', tsx_code = $2, note = $3, model = $4,"
        " input_tokens = $5, output_tokens = $6, cached_tokens = $7, usage_source = $8,"
        " duration_ms = $9, scene_id = coalesce(scene_id, $10), base_code = null,"
        " lease_expires_at = null, ended_at = clock_timestamp()"
        f" where id = $1 and status = 'pending' returning {GENERATION}",
        generation_id,
        made.code,
        made.note,
        made.model,
        made.usage.input_tokens,
        made.usage.output_tokens,
        made.usage.cached_tokens,
        made.usage.source,
        made.milliseconds,
        scene_id,
    )
    return tell(change, generation_of(row)) if row else None


async def fail(
    change: Change, generation_id: str, code: str, message: str, *, model: str | None = None
) -> Generation | None:
    """Keep the error; None when it is not pending any more."""
    row = await change.tx.fetchrow(
        "update generation set status = 'failed', error_code = $2, error_message = $3,"
        " model = coalesce($4, model), base_code = null, lease_expires_at = null,"
        " ended_at = clock_timestamp()"
        f" where id = $1 and status = 'pending' returning {GENERATION}",
        generation_id,
        code,
        message,
        model,
    )
    return tell(change, generation_of(row)) if row else None


async def fail_of_run(change: Change, run_id: str, code: str, message: str) -> None:
    """End what a run was writing when that came to another end than code on a scene."""
    rows = await change.tx.fetch(
        "select id from generation where run_id = $1 and status = 'pending' order by revision",
        run_id,
    )
    for row in rows:
        await fail(change, row["id"], code, message)


def tell(change: Change, generation: Generation) -> Generation:
    data = {"generation": told(generation)}
    change.emit("generation.updated", data, run_id=generation.run_id)
    return generation
