"""Generates the code of a step, with a generation and a recorded model call."""

import time
from typing import Any

import msgspec

from app.brain.decide import write_code
from app.brain.model import Decision, Provider, Step, WriteJob, answering_model
from app.chat import steps
from app.chat.context import GatheredContext
from app.chat.leases import LeasedRun
from app.chat.live import LiveTurn
from app.chat.model_calls import recorded_call_of_run
from app.generations.reads import find_generation
from app.generations.records import GeneratedCode, NewGeneration, generated_code
from app.scenes.model import Scene


class Writing(msgspec.Struct, frozen=True, kw_only=True):
    """Generated code, whose generation is pending until its scene is committed."""

    generation_id: str
    generated: GeneratedCode


def job_of(
    decision: Decision, step: Step, base: Scene | None, gathered: GatheredContext
) -> WriteJob:
    """Return the job for the model."""
    scenes = {scene.id: scene for scene in gathered.context.scenes}
    return WriteJob(
        instruction=step.context,
        context=gathered.context,
        scene=scenes[base.id] if base else None,
        duration=step.target_duration,
        complexity=decision.edit_complexity,
        references=[scenes[id_] for id_ in decision.referenced_scene_ids if id_ in scenes],
    )


async def write(
    leased: LeasedRun,
    live: LiveTurn,
    provider: Provider,
    job: WriteJob,
    call: dict[str, Any],
    base: Scene | None,
) -> Writing:
    """Begin a generation and publish its code while the model writes it.

    After an exception the generation is still pending; the end of the step or of the run ends it.
    """
    model = answering_model(provider, leased.run.model)
    new = await _new_generation(leased, job, call, base)
    generation, live.after = await steps.begin_writing(leased, new)
    began = time.perf_counter()
    async with recorded_call_of_run(leased, "write", provider, model, generation.id) as model_call:

        async def on_delta(text: str) -> None:
            await model_call.record_text(text)
            live.write(call["callId"], text)

        async def on_restart() -> None:
            live.restart_code(call["callId"])

        written = await write_code(
            provider, job, model=leased.run.model, on_delta=on_delta, on_restart=on_restart
        )
        model_call.usage = written.usage
    return Writing(generation_id=generation.id, generated=generated_code(written, model, began))


async def _new_generation(
    leased: LeasedRun, job: WriteJob, call: dict[str, Any], base: Scene | None
) -> NewGeneration:
    """Return the generation to begin.

    An edit refines the generation of its scene, even if the code was changed since.
    """
    parent = None
    if base is not None and base.generation_id is not None:
        parent = await find_generation(leased.database, base.generation_id)
    return NewGeneration(
        prompt=parent.prompt if parent else job.instruction,
        refinement_prompt=job.instruction if parent else None,
        parent=parent,
        scene_id=base.id if base else None,
        format=job.context.format,
        duration=job.duration,
        model=leased.run.model,
        run_id=leased.run.id,
        call_id=call["callId"],
    )
