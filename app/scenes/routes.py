"""Changes of scenes and their order over HTTP."""

from typing import Annotated, Any
from uuid import UUID

from litestar import Response, Router, delete, patch, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, HeaderParameter, JSONBody

from app.auth.model import Caller
from app.http.envelope import Envelope, Page, declare
from app.http.idempotency import Action, change, key_of
from app.http.openapi import CHANGES
from app.http.request import AnyRequest
from app.scenes import scenes
from app.scenes.model import Scene
from app.scenes.read_routes import ROUTES
from app.scenes.requests import Based, NewScene, SceneOrder, ScenePatch, Split, Trim, base_of
from app.store.engine import DB

Asking = NamedDependency[Caller]
ProjectId = FromPath[UUID]
SceneId = FromPath[UUID]
IfMatch = Annotated[
    str | None,
    HeaderParameter(
        name="If-Match", max_length=100, description='The scene\'s revision, such as `"7"`.'
    ),
]
ONE = {"status_code": 200, **CHANGES}  # a change that makes nothing new


@post("/projects/{project_id:uuid}/scenes", **declare("scene.create", "editor", **CHANGES))
async def add_scene(
    request: AnyRequest, caller: Asking, project_id: ProjectId, data: JSONBody[NewScene]
) -> Response[Envelope[Scene]]:
    """A scene at the end; without code a blank one."""
    key = str(project_id)
    outcome = await change(
        request,
        caller.user_id,
        lambda tx: scenes.add_scene(tx, caller, key, data),
        scope=key,
        status=201,
    )
    return outcome.response()


@put("/projects/{project_id:uuid}/scene-order", **declare("scene.reorder", "editor", **ONE))
async def reorder_scenes(
    request: AnyRequest, caller: Asking, project_id: ProjectId, data: JSONBody[SceneOrder]
) -> Response[Envelope[Page[Scene]]]:
    """A new order; it must name each live scene once."""
    key = str(project_id)
    outcome = await change(
        request,
        caller.user_id,
        lambda tx: scenes.reorder_scenes(tx, caller, key, data),
        scope=key,
    )
    return outcome.response()


@patch("/scenes/{scene_id:uuid}", **declare("scene.update", "editor", **ONE))
async def change_scene(
    request: AnyRequest,
    caller: Asking,
    scene_id: SceneId,
    data: JSONBody[ScenePatch],
    if_match: IfMatch = None,
) -> Response[Envelope[Scene]]:
    """New content: any of name, code, duration, props and layout."""
    key, base = str(scene_id), base_of(data, if_match)
    return await _change(
        request, caller, key, lambda tx: scenes.change_scene(tx, caller, key, data, base)
    )


@delete("/scenes/{scene_id:uuid}", **declare("scene.delete", "editor", **ONE))
async def delete_scene(
    request: AnyRequest, caller: Asking, scene_id: SceneId, if_match: IfMatch = None
) -> Response[Envelope[Scene]]:
    """Take a scene out of the video; `restore` brings it back."""
    key, base = str(scene_id), base_of(None, if_match)
    return await _change(
        request, caller, key, lambda tx: scenes.delete_scene(tx, caller, key, base)
    )


@post("/scenes/{scene_id:uuid}/restore", **declare("scene.restore", "editor", **ONE))
async def restore_scene(
    request: AnyRequest,
    caller: Asking,
    scene_id: SceneId,
    data: JSONBody[Based | None] = None,
    if_match: IfMatch = None,
) -> Response[Envelope[Scene]]:
    """Bring a deleted scene back under its id, where it was as far as that still exists."""
    key, base = str(scene_id), base_of(data, if_match)
    return await _change(
        request, caller, key, lambda tx: scenes.restore_scene(tx, caller, key, base)
    )


@post("/scenes/{scene_id:uuid}/duplicate", **declare("scene.duplicate", "editor", **CHANGES))
async def duplicate_scene(
    request: AnyRequest,
    caller: Asking,
    scene_id: SceneId,
    data: JSONBody[Based | None] = None,
    if_match: IfMatch = None,
) -> Response[Envelope[Scene]]:
    """A copy right behind the original."""
    key, base = str(scene_id), base_of(data, if_match)
    return await _change(
        request,
        caller,
        key,
        lambda tx: scenes.duplicate_scene(tx, caller, key, base),
        status=201,
    )


@post("/scenes/{scene_id:uuid}/split", **declare("scene.split", "editor", **ONE))
async def split_scene(
    request: AnyRequest,
    caller: Asking,
    scene_id: SceneId,
    data: JSONBody[Split],
    if_match: IfMatch = None,
) -> Response[Envelope[Page[Scene]]]:
    """Two scenes instead of one; the second starts at `props.startFrom` of the same code."""
    key, base = str(scene_id), base_of(data, if_match)
    return await _change(
        request,
        caller,
        key,
        lambda tx: scenes.split_scene(tx, caller, key, data.at_frame, base),
    )


@post("/scenes/{scene_id:uuid}/trim", **declare("scene.trim", "editor", **ONE))
async def trim_scene(
    request: AnyRequest,
    caller: Asking,
    scene_id: SceneId,
    data: JSONBody[Trim],
    if_match: IfMatch = None,
) -> Response[Envelope[Scene]]:
    """A new duration in frames; the code stays."""
    key, base = str(scene_id), base_of(data, if_match)
    return await _change(
        request,
        caller,
        key,
        lambda tx: scenes.trim_scene(tx, caller, key, data.duration, base),
    )


async def _change(
    request: AnyRequest, caller: Caller, scene_id: str, action: Action[Any], status: int = 200
) -> Response[Any]:
    """Idempotency keys are scoped to the project, which a scene's address does not name."""
    scope = None
    if key_of(request) is not None:
        scope = await DB.fetchval("select project_id from scene where id = $1", scene_id)
    outcome = await change(request, caller.user_id, action, scope=scope or scene_id, status=status)
    return outcome.response()


router = Router(
    "/api",
    route_handlers=[
        *ROUTES,
        add_scene,
        reorder_scenes,
        change_scene,
        delete_scene,
        restore_scene,
        duplicate_scene,
        split_scene,
        trim_scene,
    ],
    tags=["scenes"],
)
