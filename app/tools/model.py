"""The arguments of the tools and the change that a tool proposes; pure values."""

from typing import Literal

import msgspec

from app.scenes.model import Complexity, Frames, SceneState


class AddScene(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """The code of a new scene; name and duration default to those that the code declares."""

    code: str
    name: str | None = None
    duration: Frames | None = None


class EditScene(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """The whole new code of an existing scene, and its new duration when that changes."""

    code: str
    duration: Frames | None = None
    complexity: Complexity | None = None


class DeleteScene(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """Removes a scene from the video; undo restores it."""


class TrimScene(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """A new duration for a scene; its code does not change."""

    duration: Frames


Arguments = AddScene | EditScene | DeleteScene | TrimScene


class SceneChange(msgspec.Struct, frozen=True, kw_only=True):
    """A change that a tool proposes; a transaction of the caller applies it.

    `changes` names what differs between `before` and `after`, computed from both. `summary` is a
    sentence for the chat, `reasoning` one for the history.
    """

    operation: Literal["create", "edit", "delete", "trim"]
    before: SceneState | None
    after: SceneState
    changes: list[str]
    summary: str
    reasoning: str
    complexity: Complexity | None = None
