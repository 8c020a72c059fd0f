"""The bodies of requests about scenes, with the limits of their fields."""

import re
from collections.abc import Iterable
from typing import Annotated, Any
from uuid import UUID

import msgspec

from app.problems import Conflict, InvalidInput, PayloadTooLarge, ValidationFailed
from app.scenes.model import MAX_SCENES, Frames, Scene, SceneName, SceneState, TsxCode

MAX_LAYOUT_CHARACTERS = 100_000
MAX_PROPS_BYTES = 100_000  # of JSON
MAX_PROPS_DEPTH = 100  # levels of nested objects and lists

Props = Annotated[
    dict[str, Any],
    msgspec.Meta(
        description="Values for the scene's component, at most 100 kB of JSON. `startFrom` is"
        " ours: the frame of the code that a split-off scene begins with.",
        examples=[{"title": "Hello"}],
    ),
]
Layout = Annotated[str, msgspec.Meta(max_length=MAX_LAYOUT_CHARACTERS)]
Base = Annotated[
    int,
    msgspec.Meta(ge=1, le=2**31 - 1, description="The scene's revision that the client saw."),
]
_ETAG = re.compile(r'"([1-9][0-9]{0,9})"')


class WithBaseRevision(msgspec.Struct, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """A change that is refused with CONFLICT when the scene is not at `baseRevision` any more."""

    base_revision: Base | None = None


class NewScene(msgspec.Struct, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """Without code it is the blank scene; without a name it is called `Scene n`."""

    name: SceneName | None = None
    tsx_code: TsxCode | None = None
    duration: Frames | None = None
    props: Props | None = None
    layout_json: Layout | None = None


class ScenePatch(WithBaseRevision, kw_only=True, forbid_unknown_fields=True):
    """What is absent stays as it is."""

    name: SceneName | msgspec.UnsetType = msgspec.UNSET
    tsx_code: TsxCode | msgspec.UnsetType = msgspec.UNSET
    duration: Frames | msgspec.UnsetType = msgspec.UNSET
    props: Props | msgspec.UnsetType = msgspec.UNSET
    layout_json: Layout | msgspec.UnsetType | None = msgspec.UNSET

    def applied(self, state: SceneState) -> SceneState:
        """Return the state with the fields that the patch has."""
        values = {
            name: value
            for name in ("name", "tsx_code", "duration", "props", "layout_json")
            if (value := getattr(self, name)) is not msgspec.UNSET
        }
        return msgspec.structs.replace(state, **values)


class Split(WithBaseRevision, kw_only=True, forbid_unknown_fields=True):
    """Where a scene is split."""

    at_frame: Annotated[Frames, msgspec.Meta(description="First frame of the second scene.")]


class Trim(WithBaseRevision, kw_only=True, forbid_unknown_fields=True):
    """The duration that a scene is to have."""

    duration: Frames


class SceneOrder(msgspec.Struct, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """`baseRevision` is the project's: CONFLICT when the order was changed after it."""

    scene_ids: Annotated[list[UUID], msgspec.Meta(max_length=MAX_SCENES)]
    base_revision: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] | None = None


def base_of(body: WithBaseRevision | None, if_match: str | None) -> int | None:
    """Return the revision that the client saw, from the body or from `If-Match: "7"`, if any.

    Raises `InvalidInput` for another form of `If-Match`, and when both are given and differ.
    """
    of_body = body.base_revision if body is not None else None
    if if_match is None:
        return of_body
    found = _ETAG.fullmatch(if_match.strip())
    if found is None:
        raise InvalidInput('If-Match must be one strong revision such as "7".')
    revision = int(found.group(1))
    if of_body is not None and of_body != revision:
        raise InvalidInput("If-Match and baseRevision differ.")
    return revision


def check_base(scene: Scene, base: int | None) -> None:
    """Raise `Conflict` with the current scene if `base` is another revision of it."""
    if base is not None and base != scene.revision:
        raise Conflict(
            f"The scene is at revision {scene.revision}, not {base}.", details={"scene": scene}
        )


def check_props(props: dict[str, Any]) -> dict[str, Any]:
    """Return the props; raise `PayloadTooLarge` or `ValidationFailed` if too large or too deep.

    Reading and writing nested values is recursive, so without a limit of depth a value that one
    call could store might exceed the stack in another.
    """
    level: list[Any] = [props]
    for _ in range(MAX_PROPS_DEPTH):
        level = [inner for outer in level for inner in _inside(outer)]
        if not level:
            break
    else:
        raise ValidationFailed.at(
            "props", "maxDepth", f"props may be {MAX_PROPS_DEPTH} levels deep."
        )
    if len(msgspec.json.encode(props)) > MAX_PROPS_BYTES:
        raise PayloadTooLarge(f"props may hold {MAX_PROPS_BYTES} bytes of JSON.")
    return props


def _inside(value: Any) -> Iterable[Any]:
    """Return the lists and objects directly inside a list or an object."""
    members = value.values() if isinstance(value, dict) else value
    return [member for member in members if isinstance(member, (dict, list))]
