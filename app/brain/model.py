"""What the brain is told, what it decides, and how a model speaks; pure values."""

from collections.abc import AsyncIterator
from typing import Annotated, Literal, Protocol

import msgspec

from app.scenes.model import DURATION_MOST, Complexity

ToolName = Literal["addScene", "editScene", "deleteScene", "trimScene"]
Format = Literal["landscape", "portrait", "square"]
SIZES: dict[Format, tuple[int, int]] = {
    "landscape": (1920, 1080),
    "portrait": (1080, 1920),
    "square": (1080, 1080),
}  # pixels, width and height


class ContextScene(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """A live scene as the brain sees it; `number` counts from 1 in the video's order."""

    id: str
    number: int
    name: str
    tsx_code: str
    duration: int
    newest: bool = False


class ContextMessage(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    role: Literal["user", "assistant", "system"]
    content: str


class Context(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """The packet of one turn: everything that may influence the decision, and nothing else."""

    prompt: str
    format: Format = "landscape"
    fps: int = 30
    scenes: list[ContextScene] = []
    messages: list[ContextMessage] = []  # oldest first, without this turn's prompt
    selected_scene_id: str | None = None
    image_urls: list[str] = []


class Step(msgspec.Struct, rename="camel", frozen=True, kw_only=True, omit_defaults=False):
    """One step of a workflow; `context` is the part of the prompt that this step is about."""

    tool_name: ToolName
    context: str
    target_scene_id: str | None = None
    target_duration: Annotated[int, msgspec.Meta(ge=1, le=DURATION_MOST)] | None = None


class Decision(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """Exactly one of tool, clarification and workflow holds; durations are frames."""

    tool_name: ToolName | None
    reasoning: str
    user_feedback: str
    target_scene_id: str | None = None
    target_duration: Annotated[int, msgspec.Meta(ge=1, le=DURATION_MOST)] | None = None
    referenced_scene_ids: list[str] = []
    edit_complexity: Complexity | None = None
    needs_clarification: bool = False
    clarification_question: str | None = None
    workflow: list[Step] | None = None


class WriteJob(msgspec.Struct, frozen=True, kw_only=True):
    """Code to be written by a model: a new scene (`scene` None) or an edit of one.

    `variation` counts from 0 when one prompt is to have `variations` different answers.
    """

    instruction: str
    context: Context
    scene: ContextScene | None = None
    duration: int | None = None  # frames, when the decision fixed them
    complexity: Complexity | None = None
    references: list[ContextScene] = []
    variation: int = 0
    variations: int = 1


class Usage(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """Tokens of one model call; `source` says whether the provider counted or we estimated."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    source: Literal["provider", "estimated"] = "estimated"


class Text(msgspec.Struct, frozen=True):
    """A piece of what the model writes; pieces concatenate to the whole."""

    text: str


class End(msgspec.Struct, frozen=True):
    """The model came to a regular end. A stream that stops without it was cut off.

    `note` is a sentence for the chat that is not part of the text (what could not be done).
    """

    usage: Usage
    note: str | None = None


Piece = Text | End


class Provider(Protocol):
    """A model. Both calls stream pieces and end with exactly one `End`, or raise `AiError`.

    `complaint` says what was wrong with the previous answer to the very same question.
    Closing the iterator early stops the model. Neither call retries on its own account after
    the first piece was given.
    """

    name: Literal["offline", "openai"]
    model: str

    def decide(
        self, context: Context, *, complaint: str | None = None, model: str | None = None
    ) -> AsyncIterator[Piece]:
        """The text is one JSON object with the fields of `Decision`, in camelCase."""
        ...

    def write(
        self, job: WriteJob, *, complaint: str | None = None, model: str | None = None
    ) -> AsyncIterator[Piece]:
        """The text is the whole TSX of the scene, nothing before or after it."""
        ...

    async def close(self) -> None: ...
