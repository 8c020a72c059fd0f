"""What a tool gets and what it gives; pure values."""

from typing import Annotated, Literal

import msgspec

from app.scenes.model import DURATION_MOST, Complexity, SceneState

Frames = Annotated[int, msgspec.Meta(ge=1, le=DURATION_MOST)]


class AddScene(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """The finished code of a new scene; name and duration default to what the code says."""

    code: str
    name: str | None = None
    duration: Frames | None = None


class EditScene(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """The whole new code of a scene that exists."""

    code: str
    duration: Frames | None = None
    complexity: Complexity | None = None


class DeleteScene(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """Take a scene out of the video; undo brings it back."""


class TrimScene(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """A new duration in frames; the code stays as it is."""

    duration: Frames


Arguments = AddScene | EditScene | DeleteScene | TrimScene


class SceneChange(msgspec.Struct, frozen=True, kw_only=True):
    """What a tool wants to have happen. It has not happened: only a transaction makes it so.

    `summary` is a sentence for the chat, `reasoning` one for the history, `changes` names what
    differs between before and after, computed and not claimed.
    """

    operation: Literal["create", "edit", "delete", "trim"]
    before: SceneState | None
    after: SceneState
    changes: list[str]
    summary: str
    reasoning: str
    complexity: Complexity | None = None
