"""Generations, the bodies of requests about them, and the signal about them."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec

from app.brain.model import TokenUsage
from app.projects.model import Format
from app.scenes.model import Frames
from app.scenes.requests import WithBaseRevision

MAX_VARIATIONS = 4  # of one request
MAX_PROMPT_CHARACTERS = 12_000
MAX_CHAIN_GENERATIONS = 50  # in the answer with a chain

Status = Literal["pending", "success", "failed"]
Prompt = Annotated[
    str,
    msgspec.Meta(
        min_length=1, max_length=MAX_PROMPT_CHARACTERS, examples=["A title in neon colours"]
    ),
]
Count = Annotated[
    int, msgspec.Meta(ge=1, le=MAX_VARIATIONS, description="How many variations to make at once.")
]
ModelName = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]


class GenerationQueued(msgspec.Struct, frozen=True):
    """A signal: there may be a generation to make."""


class Generation(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """One attempt at a scene's code, as clients see it.

    `duration` is in frames, null when it is left to the code. A deleted generation has no code; its
    row stays as the parent of those that refined it.
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
        """The instruction of this generation itself."""
        return self.refinement_prompt or self.prompt


class Chain(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """A generation and those it goes back to, root first: at most the newest 50.

    `truncated` says that older ones were left out; `rootId` is the first of all in any case.
    """

    items: list[Generation]
    root_id: str
    truncated: bool


class NewGenerations(msgspec.Struct, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """Variations to make: of the code of `sceneId`, or without it of a new scene."""

    prompt: Prompt
    count: Count = 1
    scene_id: UUID | None = None
    duration: Frames | None = None
    model: ModelName | None = None


class Refinement(msgspec.Struct, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """Children to make, which start from the code of their parent."""

    refinement_prompt: Prompt
    count: Count = 1
    model: ModelName | None = None


class Apply(WithBaseRevision, kw_only=True, forbid_unknown_fields=True):
    """Where to put the code: without `sceneId` it becomes a new scene at the end."""

    scene_id: UUID | None = None


def event_payload(generation: Generation) -> dict[str, Any]:
    """Return a generation for an event, without its code: the log would keep deleted code."""
    plain: dict[str, Any] = msgspec.to_builtins(generation)
    del plain["tsxCode"]
    return plain
