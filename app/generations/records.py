"""The beginning and end of generations, with their events, in the caller's transaction."""

import time

import msgspec
from piccolo.querystring import QueryString

from app.brain.decide import WrittenCode
from app.brain.model import TokenUsage
from app.generations.model import Generation, event_payload
from app.generations.reads import GENERATION, generation_of
from app.generations.tables import GenerationRow
from app.projects.model import Format
from app.realtime.log import Change
from app.store.columns import NOW
from app.store.ids import new_id
from app.store.query import Param, built, column_list, named

WORKER_LOST_MESSAGE = "The worker was lost while it wrote this code."

INSERT_GENERATION = named(f"""
    insert into generation (id, project_id, scene_id, parent_generation_id, root_generation_id,
        prompt, refinement_prompt, status, base_code, format, duration, batch_id, variation_index,
        variation_count, wanted_model, run_id, call_id, attempt, actor_id, request_id, revision)
    values (:id, :project_id, :scene_id, :parent_id,
        (select coalesce(root_generation_id, id) from generation where id = :parent_id),
        :prompt, :refinement_prompt, 'pending', :base_code, :format, :duration, :batch_id,
        :variation_index, :variation_count, :wanted_model, :run_id, :call_id, :attempt, :actor_id,
        :request_id, :revision)
    returning {column_list(GENERATION)}
""")
IS_PENDING = (GenerationRow.id == Param("id")) & (GenerationRow.status == "pending")
STORE_CODE = built(
    GenerationRow.update(
        {
            GenerationRow.status: "success",
            GenerationRow.tsx_code: Param("tsx_code"),
            GenerationRow.note: Param("note"),
            GenerationRow.model: Param("model"),
            GenerationRow.input_tokens: Param("input_tokens"),
            GenerationRow.output_tokens: Param("output_tokens"),
            GenerationRow.cached_tokens: Param("cached_tokens"),
            GenerationRow.usage_source: Param("usage_source"),
            GenerationRow.duration_ms: Param("duration_ms"),
            GenerationRow.scene_id: QueryString("coalesce(scene_id, {})", Param("scene_id")),
            GenerationRow.base_code: None,
            GenerationRow.lease_expires_at: None,
            GenerationRow.ended_at: NOW,
        }
    )
    .where(IS_PENDING)
    .returning(*GENERATION)
)
STORE_ERROR = built(
    GenerationRow.update(
        {
            GenerationRow.status: "failed",
            GenerationRow.error_code: Param("error_code"),
            GenerationRow.error_message: Param("error_message"),
            GenerationRow.model: QueryString("coalesce({}, model)", Param("model")),
            GenerationRow.base_code: None,
            GenerationRow.lease_expires_at: None,
            GenerationRow.ended_at: NOW,
        }
    )
    .where(IS_PENDING)
    .returning(*GENERATION)
)
LIST_PENDING_OF_RUN = built(
    GenerationRow.select(GenerationRow.id)
    .where(GenerationRow.run_id == Param("run_id"), GenerationRow.status == "pending")
    .order_by(GenerationRow.revision)
)


class NewGeneration(msgspec.Struct, frozen=True, kw_only=True):
    """A generation to begin.

    `base_code` is the code to start from, `model` the requested one; `duration` is in frames.
    """

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
    model: str | None = None
    run_id: str | None = None
    call_id: str | None = None


class GeneratedCode(msgspec.Struct, frozen=True, kw_only=True):
    """Code written by a model, with the tokens and the time that it took."""

    code: str
    model: str
    usage: TokenUsage
    milliseconds: int
    note: str | None = None


def generated_code(written: WrittenCode, model: str, began: float) -> GeneratedCode:
    """Return written code with its duration; `began` is a value of `time.perf_counter`."""
    return GeneratedCode(
        code=written.code,
        model=model,
        usage=written.usage,
        milliseconds=round((time.perf_counter() - began) * 1000),
        note=written.note,
    )


async def begin(change: Change, new: NewGeneration) -> Generation:
    """Insert a pending generation and emit its event.

    A generation of a run begins with its first attempt, under the lease of the run.
    """
    row = await change.tx.fetchrow(
        *INSERT_GENERATION(
            id=new_id(),
            project_id=change.project_id,
            scene_id=new.scene_id,
            parent_id=new.parent.id if new.parent else None,
            prompt=new.prompt,
            refinement_prompt=new.refinement_prompt,
            base_code=new.base_code,
            format=new.format,
            duration=new.duration,
            batch_id=new.batch_id,
            variation_index=new.variation_index,
            variation_count=new.variation_count,
            wanted_model=new.model,
            run_id=new.run_id,
            call_id=new.call_id,
            attempt=1 if new.run_id else 0,
            actor_id=change.actor_id,
            request_id=change.request_id,
            revision=change.next_revision,
        )
    )
    assert row is not None
    generation = generation_of(row)
    data = {"generation": event_payload(generation)}
    change.emit("generation.created", data, run_id=new.run_id)
    return generation


async def succeed(
    change: Change, generation_id: str, generated: GeneratedCode, *, scene_id: str | None = None
) -> Generation | None:
    """End a pending generation with its code; return None when it has ended already."""
    row = await change.tx.fetchrow(
        *STORE_CODE(
            id=generation_id,
            tsx_code=generated.code,
            note=generated.note,
            model=generated.model,
            input_tokens=generated.usage.input_tokens,
            output_tokens=generated.usage.output_tokens,
            cached_tokens=generated.usage.cached_tokens,
            usage_source=generated.usage.source,
            duration_ms=generated.milliseconds,
            scene_id=scene_id,
        )
    )
    return emit_updated(change, generation_of(row)) if row else None


async def fail(
    change: Change, generation_id: str, code: str, message: str, *, model: str | None = None
) -> Generation | None:
    """End a pending generation with an error; return None when it has ended already."""
    row = await change.tx.fetchrow(
        *STORE_ERROR(id=generation_id, error_code=code, error_message=message, model=model)
    )
    return emit_updated(change, generation_of(row)) if row else None


async def fail_generations_of_run(change: Change, run_id: str, code: str, message: str) -> None:
    """End the pending generations of a run, whose code is not used, with an error."""
    for row in await change.tx.fetch(*LIST_PENDING_OF_RUN(run_id=run_id)):
        await fail(change, row["id"], code, message)


def emit_updated(change: Change, generation: Generation) -> Generation:
    """Emit an event with the generation, and return it."""
    data = {"generation": event_payload(generation)}
    change.emit("generation.updated", data, run_id=generation.run_id)
    return generation
