"""Scenes, their states and iterations, and the limits of their fields."""

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec

DEFAULT_DURATION_FRAMES = 150  # of a new scene that is given no duration
MAX_DURATION_FRAMES = 18_000  # ten minutes at 30 frames a second
MAX_CODE_CHARACTERS = 200_000
MAX_NAME_CHARACTERS = 200
MAX_SCENES = 500  # live ones in one project

EXAMPLE = """\
import { AbsoluteFill, useCurrentFrame } from "remotion";

export default function Scene() {
  return <AbsoluteFill style={{ opacity: useCurrentFrame() / 30 }}>Hello</AbsoluteFill>;
}
"""

Frames = Annotated[
    int, msgspec.Meta(ge=1, le=MAX_DURATION_FRAMES, description="Whole frames.", examples=[90])
]
SceneName = Annotated[
    str, msgspec.Meta(min_length=1, max_length=MAX_NAME_CHARACTERS, examples=["Opening title"])
]
TsxCode = Annotated[
    str,
    msgspec.Meta(
        max_length=MAX_CODE_CHARACTERS, description="Remotion-style TSX.", examples=[EXAMPLE]
    ),
]

Operation = Literal[
    "create",
    "edit",
    "delete",
    "trim",
    "rename",
    "reorder",
    "restore",
    "duplicate",
    "split",
    "props",
]
ChangeSource = Literal["llm", "user", "revert"]
Complexity = Literal["surgical", "creative", "structural"]
EntryKind = Literal["change", "revert", "undo", "redo", "branch"]


class SceneState(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """The whole state of a scene, which an iteration keeps of before and after."""

    name: str
    tsx_code: str
    duration: int = DEFAULT_DURATION_FRAMES
    props: dict[str, Any] = {}
    layout_json: str | None = None
    deleted: bool = False
    position: int | None = None


class Scene(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """A scene as clients see it. `revision` counts this scene's own changes from 1."""

    id: str
    project_id: str
    position: int | None
    name: str
    tsx_code: str
    duration: int
    props: dict[str, Any]
    layout_json: str | None
    revision: int
    generation_id: str | None
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None

    @property
    def state(self) -> SceneState:
        """The scene's state, as an iteration keeps it."""
        return SceneState(
            name=self.name,
            tsx_code=self.tsx_code,
            duration=self.duration,
            props=self.props,
            layout_json=self.layout_json,
            deleted=self.deleted_at is not None,
            position=self.position,
        )


class Iteration(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """One change of one scene (or of the order: `sceneId` null), tied to what caused it."""

    id: str
    project_id: str
    scene_id: str | None
    operation_type: Operation
    change_source: ChangeSource
    edit_complexity: Complexity | None
    user_prompt: str
    brain_reasoning: str | None
    tool_reasoning: str | None
    before: Any
    after: Any
    code_before: str | None
    code_after: str | None
    changes_applied: list[str]
    generation_time_ms: int | None
    model_used: str | None
    tokens_used: int | None
    message_id: str | None
    run_id: str | None
    call_id: str | None
    generation_id: str | None
    reverts_iteration_id: str | None
    user_edited_again: bool
    request_id: str
    revision: int
    created_at: datetime
