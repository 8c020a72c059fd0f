"""What a generation is: one attempt at a scene's code, and what may be asked of it; pure."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from asyncpg import Record

from app.brain.model import TokenUsage
from app.projects.model import Format
from app.scenes.model import Frames
from app.scenes.requests import WithBaseRevision

VARIATIONS_MOST = 4  # of one prompt at once
PROMPT_MOST = 12_000  # characters
CHAIN_MOST = 50  # generations that a chain shows

Status = Literal["pending", "success", "failed"]
Prompt = Annotated[
    str, msgspec.Meta(min_length=1, max_length=PROMPT_MOST, examples=["A title in neon colours"])
]
Count = Annotated[
    int, msgspec.Meta(ge=1, le=VARIATIONS_MOST, description="How many variations to make at once.")
]
ModelName = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]

GENERATION = (
    "id, project_id, scene_id, parent_generation_id, prompt, refinement_prompt, status, tsx_code,"
    " note, error_code, error_message, format, duration, batch_id, variation_index,"
    " variation_count, model, input_tokens, output_tokens, cached_tokens, usage_source,"
    " duration_ms, run_id, call_id, attempt, actor_id, revision, created_at, ended_at, deleted_at"
)


class GenerationQueued(msgspec.Struct, frozen=True):
    """A signal: there may be a generation to make."""


class Generation(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """One attempt at a scene's code, as clients see it.

    `duration` (frames) is what was asked for, null when that was left to the code. A deleted one
    keeps its row, so that what refined it still has a parent, and has no code.
    """

    id: str
    project_id: str
    scene_id: str | None
    parent_generation_id: str | None
    prompt: str
    refinement_prompt: str | None
    status: Status
    tsx_code: str | None
    note: str | None
    error_code: str | None
    error_message: str | None
    format: Format
    duration: int | None
    batch_id: str | None
    variation_index: int | None
    variation_count: int | None
    model: str | None
    usage: TokenUsage | None
    duration_ms: int | None
    run_id: str | None
    call_id: str | None
    attempt: int
    actor_id: str
    revision: int
    created_at: datetime
    ended_at: datetime | None
    deleted_at: datetime | None

    @property
    def instruction(self) -> str:
        """What this attempt itself was asked for."""
        return self.refinement_prompt or self.prompt


class Chain(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """A generation and what it refined, root first: at most the newest 50.

    `truncated` when older ones were left out; `rootId` is the first of all in any case.
    """

    items: list[Generation]
    root_id: str
    truncated: bool


class NewGenerations(msgspec.Struct, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """With `sceneId` they are variations of that scene's code, else of a new scene."""

    prompt: Prompt
    count: Count = 1
    scene_id: UUID | None = None
    duration: Frames | None = None
    model: ModelName | None = None


class Refinement(msgspec.Struct, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """What is to be different from the parent's code."""

    refinement_prompt: Prompt
    count: Count = 1
    model: ModelName | None = None


class Apply(WithBaseRevision, kw_only=True, forbid_unknown_fields=True):
    """Without `sceneId` the code becomes a new scene at the end."""

    scene_id: UUID | None = None


def generation_of(row: Record | dict[str, Any]) -> Generation:
    """From a row with the columns `GENERATION`."""
    values = dict(row)
    read, written, cached, source = (
        values.pop(name)
        for name in ("input_tokens", "output_tokens", "cached_tokens", "usage_source")
    )
    usage = None
    if source is not None:
        usage = TokenUsage(
            input_tokens=read or 0,
            output_tokens=written or 0,
            cached_tokens=cached or 0,
            source=source,
        )
    return Generation(**values, usage=usage)


def told(generation: Generation) -> dict[str, Any]:
    """What events tell of it: all but the code, so that a deleted one's code is gone for good."""
    plain: dict[str, Any] = msgspec.to_builtins(generation)
    del plain["tsxCode"]
    return plain
