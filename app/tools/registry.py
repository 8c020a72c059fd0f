"""The tools that a decision can choose, and the function that runs them."""

from collections.abc import Callable
from typing import Any

import msgspec

from app.problems import ValidationFailed
from app.scenes.model import SceneState
from app.tools.model import AddScene, Arguments, DeleteScene, EditScene, SceneChange, TrimScene
from app.tools.scene_tools import add_scene, delete_scene, edit_scene, trim_scene


class Tool(msgspec.Struct, frozen=True, kw_only=True):
    """A tool and its description for models.

    With `writes_code` a model writes the argument `code`; with `needs_target` the tool changes an
    existing scene.
    """

    name: str
    description: str
    arguments: type[Arguments]
    apply: Callable[[SceneState | None, Any], SceneChange]
    writes_code: bool
    needs_target: bool


TOOLS: dict[str, Tool] = {
    tool.name: tool
    for tool in (
        Tool(
            name="addScene",
            description="Add a new scene at the end of the video. Use it for everything that is "
            "new; 'add' and 'new scene' always mean this tool.",
            arguments=AddScene,
            apply=add_scene,
            writes_code=True,
            needs_target=False,
        ),
        Tool(
            name="editScene",
            description="Change what an existing scene shows or how it moves: texts, colours, "
            "sizes, layout, animation, tempo ('speed up', 'slow down'), or fix it.",
            arguments=EditScene,
            apply=edit_scene,
            writes_code=True,
            needs_target=True,
        ),
        Tool(
            name="deleteScene",
            description="Take an existing scene out of the video. Only when one scene is meant "
            "without doubt; ask otherwise.",
            arguments=DeleteScene,
            apply=delete_scene,
            writes_code=False,
            needs_target=True,
        ),
        Tool(
            name="trimScene",
            description="Change only how long an existing scene lasts (cut, shorten, extend), in "
            "frames given as targetDuration. The code stays as it is.",
            arguments=TrimScene,
            apply=trim_scene,
            writes_code=False,
            needs_target=True,
        ),
    )
}


def run_tool(name: str, state: SceneState | None, arguments: Arguments) -> SceneChange:
    """Return the change that the tool proposes for a scene; `state` is None for a new one.

    Raises `ValidationFailed` for an unknown tool and for arguments or a scene that do not fit.
    """
    tool = TOOLS.get(name)
    if tool is None:
        known = ", ".join(TOOLS)
        raise ValidationFailed.at("toolName", "unknown", f"There is no {name!r}, only {known}.")
    if not isinstance(arguments, tool.arguments):
        message = f"{name} does not take {type(arguments).__name__}."
        raise ValidationFailed.at("arguments", "type", message)
    return tool.apply(state, arguments)
