"""The inputs and outputs of the brain, and the interface of a model."""

from collections.abc import AsyncIterator
from typing import Annotated, Literal, Protocol

import msgspec

from app.projects.model import Format
from app.scenes.model import MAX_DURATION_FRAMES, Complexity

ToolName = Literal["addScene", "editScene", "deleteScene", "trimScene"]


class ContextScene(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """A live scene as the brain sees it; `number` counts from 1 in the order of the video."""

    id: str
    number: int
    name: str
    tsx_code: str
    duration: int  # frames
    newest: bool = False


class ContextMessage(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """An earlier chat message."""

    role: Literal["user", "assistant", "system"]
    content: str


class Context(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """The whole input of the decision about one prompt."""

    prompt: str
    format: Format = "landscape"
    fps: int = 30
    scenes: list[ContextScene] = []
    messages: list[ContextMessage] = []  # oldest first, without the prompt itself
    selected_scene_id: str | None = None
    image_urls: list[str] = []


class Step(msgspec.Struct, rename="camel", frozen=True, kw_only=True, omit_defaults=False):
    """One step of a workflow.

    `context` is the part of the prompt for this step, `target_duration` is in frames.
    """

    tool_name: ToolName
    context: str
    target_scene_id: str | None = None
    target_duration: Annotated[int, msgspec.Meta(ge=1, le=MAX_DURATION_FRAMES)] | None = None


class Decision(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """The decision about a prompt.

    Exactly one of `tool_name`, `needs_clarification` and `workflow` is set once
    `app.brain.decide.check_decision` has accepted it. `target_duration` is in frames.
    """

    tool_name: ToolName | None
    reasoning: str
    user_feedback: str
    target_scene_id: str | None = None
    target_duration: Annotated[int, msgspec.Meta(ge=1, le=MAX_DURATION_FRAMES)] | None = None
    referenced_scene_ids: list[str] = []
    edit_complexity: Complexity | None = None
    needs_clarification: bool = False
    clarification_question: str | None = None
    workflow: list[Step] | None = None


class WriteJob(msgspec.Struct, frozen=True, kw_only=True):
    """A request for scene code: a new scene when `scene` is None, else an edit of `scene`.

    `variation` is the index, from 0, among the `variations` different answers to one prompt.
    """

    instruction: str
    context: Context
    scene: ContextScene | None = None
    duration: int | None = None  # frames, when the decision fixed them
    complexity: Complexity | None = None
    references: list[ContextScene] = []
    variation: int = 0
    variations: int = 1


class TokenUsage(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """Tokens of one model call, as counted by the provider or estimated from the texts."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    source: Literal["provider", "estimated"] = "estimated"


class Text(msgspec.Struct, frozen=True):
    """A piece of the model's output; the pieces concatenate to the whole output."""

    text: str


class End(msgspec.Struct, frozen=True):
    """The regular end of a model's output; output without it is incomplete.

    `note` is a sentence for the chat about what the model could not do; it is not output.
    """

    usage: TokenUsage
    note: str | None = None


Piece = Text | End


class Provider(Protocol):
    """A model. Both calls stream pieces and end with exactly one `End`, or raise `AiError`.

    `complaint` describes the fault of the previous answer to the same question. Closing the
    iterator early stops the model. A provider retries a call only before its first piece.
    """

    name: Literal["offline", "openai"]
    model: str

    def decide(
        self, context: Context, *, complaint: str | None = None, model: str | None = None
    ) -> AsyncIterator[Piece]:
        """Stream one JSON object with the fields of `Decision`, in camelCase."""
        ...

    def write(
        self, job: WriteJob, *, complaint: str | None = None, model: str | None = None
    ) -> AsyncIterator[Piece]:
        """Stream the whole TSX of the scene, with nothing before or after it."""
        ...

    async def close(self) -> None: ...


def answering_model(provider: Provider, requested: str | None) -> str:
    """Return the name of the model to be used; the offline provider has only one."""
    return provider.model if requested is None or provider.name == "offline" else requested
