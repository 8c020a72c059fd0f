"""Scenes, their order and iterations, and the project's snapshot over HTTP."""

from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Response, Router, delete, get, patch, post, put
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import HeaderParameter, JSONBody, QueryParameter

from app.http.envelope import ActionResult, Envelope, Page, answer, declare
from app.http.openapi import CHANGES, READS, UPDATES
from app.http.request import AnyRequest
from app.problems import InvalidInput
from app.projects.access import access_project
from app.projects.changes import change_in_project, change_row
from app.projects.parameters import (
    AtRevision,
    CurrentCaller,
    Db,
    Id,
    IfMatch,
    PageBefore,
    PageLimit,
)
from app.realtime.events import Cursor
from app.scenes import scenes
from app.scenes.model import Iteration, Scene
from app.scenes.reads import (
    MAX_BATCH_MESSAGES,
    access_scene,
    iterations_of_messages,
    iterations_of_scene,
    live_scenes,
)
from app.scenes.requests import (
    NewScene,
    SceneOrder,
    ScenePatch,
    Split,
    Trim,
    WithBaseRevision,
    base_of,
)
from app.scenes.snapshot import ProjectSnapshot, snapshot_at, snapshot_now
from app.scenes.tables import SceneRow
from app.store.query import Param, built

IfNoneMatch = Annotated[str | None, HeaderParameter(name="If-None-Match", max_length=1000)]
PROJECT_OF_SCENE = built(SceneRow.select(SceneRow.project_id).where(SceneRow.id == Param("id")))
MessageIds = Annotated[
    str,
    QueryParameter(
        name="messageIds",
        max_length=MAX_BATCH_MESSAGES * 37,
        description="Message ids, comma separated.",
    ),
]
NOT_MODIFIED = {304: ResponseSpec(None, description="Unchanged since that ETag.")}


@get(
    "/projects/{project_id:uuid}/snapshot",
    **declare("project.snapshot", "viewer", responses=READS["responses"] | NOT_MODIFIED),
)
async def read_snapshot(
    request: AnyRequest,
    caller: CurrentCaller,
    db: Db,
    project_id: Id,
    at: AtRevision = None,
    if_none_match: IfNoneMatch = None,
) -> Response[Envelope[ProjectSnapshot]]:
    """Everything that a client needs, at one moment. The ETag is its cursor: 304 if unchanged."""
    key = str(project_id)
    async with db.reading(snapshot=True) as reader:
        access = await access_project(reader, caller, key, "viewer")
        etag = f'"{Cursor(access.epoch, access.revision if at is None else at)}"'
        if _matches(if_none_match, etag) and (at is None or at <= access.revision):
            return Response(None, status_code=304, headers={"etag": etag})  # type: ignore[arg-type]
        snapshot = await (snapshot_now(reader, key) if at is None else snapshot_at(reader, key, at))
    done: ActionResult[Any] = ActionResult(
        data=msgspec.Raw(snapshot.body), revision=snapshot.revision
    )
    found = answer(request.scope, done)
    found.headers["etag"] = etag
    return found


def _matches(if_none_match: str | None, etag: str) -> bool:
    etags = [one.strip().removeprefix("W/") for one in (if_none_match or "").split(",")]
    return etag in etags or etags == ["*"]


@get("/projects/{project_id:uuid}/scenes", **declare("scene.list", "viewer", **READS))
async def list_scenes(
    request: AnyRequest, caller: CurrentCaller, db: Db, project_id: Id
) -> Response[Envelope[Page[Scene]]]:
    """List the live scenes in the video's order."""
    key = str(project_id)
    async with db.reading(snapshot=True) as reader:
        access = await access_project(reader, caller, key, "viewer")
        page = Page(items=await live_scenes(reader, key))
    return answer(request.scope, ActionResult(data=page, revision=access.revision))


@post("/projects/{project_id:uuid}/scenes", **declare("scene.create", "editor", **CHANGES))
async def add_scene(
    request: AnyRequest, caller: CurrentCaller, project_id: Id, data: JSONBody[NewScene]
) -> Response[Envelope[Scene]]:
    """Add a scene at the end; without code a blank one."""
    return await change_in_project(request, caller, project_id, scenes.add_scene, data, status=201)


@put("/projects/{project_id:uuid}/scene-order", **declare("scene.reorder", "editor", **UPDATES))
async def reorder_scenes(
    request: AnyRequest, caller: CurrentCaller, project_id: Id, data: JSONBody[SceneOrder]
) -> Response[Envelope[Page[Scene]]]:
    """Put the scenes in another order; it must name each live scene once."""
    return await change_in_project(request, caller, project_id, scenes.reorder_scenes, data)


@get("/scenes/{scene_id:uuid}", **declare("scene.read", "viewer", **READS))
async def read_scene(
    request: AnyRequest, caller: CurrentCaller, db: Db, scene_id: Id
) -> Response[Envelope[Scene]]:
    """Read one live scene; its ETag is its revision."""
    async with db.reading() as reader:
        scene, _ = await access_scene(reader, caller, str(scene_id), "viewer")
    found = answer(request.scope, ActionResult(data=scene))
    found.headers["etag"] = f'"{scene.revision}"'
    return found


@patch("/scenes/{scene_id:uuid}", **declare("scene.update", "editor", **UPDATES))
async def change_scene(
    request: AnyRequest,
    caller: CurrentCaller,
    scene_id: Id,
    data: JSONBody[ScenePatch],
    if_match: IfMatch = None,
) -> Response[Envelope[Scene]]:
    """Change any of name, code, duration, props and layout."""
    base = base_of(data, if_match)
    return await change_row(
        request, caller, PROJECT_OF_SCENE, scene_id, scenes.change_scene, data, base
    )


@delete("/scenes/{scene_id:uuid}", **declare("scene.delete", "editor", **UPDATES))
async def delete_scene(
    request: AnyRequest, caller: CurrentCaller, scene_id: Id, if_match: IfMatch = None
) -> Response[Envelope[Scene]]:
    """Take a scene out of the video; `restore` brings it back."""
    base = base_of(None, if_match)
    return await change_row(request, caller, PROJECT_OF_SCENE, scene_id, scenes.delete_scene, base)


@post("/scenes/{scene_id:uuid}/restore", **declare("scene.restore", "editor", **UPDATES))
async def restore_scene(
    request: AnyRequest,
    caller: CurrentCaller,
    scene_id: Id,
    data: JSONBody[WithBaseRevision | None] = None,
    if_match: IfMatch = None,
) -> Response[Envelope[Scene]]:
    """Bring a deleted scene back under its id, where it was as far as that still exists."""
    base = base_of(data, if_match)
    return await change_row(request, caller, PROJECT_OF_SCENE, scene_id, scenes.restore_scene, base)


@post("/scenes/{scene_id:uuid}/duplicate", **declare("scene.duplicate", "editor", **CHANGES))
async def duplicate_scene(
    request: AnyRequest,
    caller: CurrentCaller,
    scene_id: Id,
    data: JSONBody[WithBaseRevision | None] = None,
    if_match: IfMatch = None,
) -> Response[Envelope[Scene]]:
    """Add a copy right behind the original."""
    base = base_of(data, if_match)
    return await change_row(
        request, caller, PROJECT_OF_SCENE, scene_id, scenes.duplicate_scene, base, status=201
    )


@post("/scenes/{scene_id:uuid}/split", **declare("scene.split", "editor", **UPDATES))
async def split_scene(
    request: AnyRequest,
    caller: CurrentCaller,
    scene_id: Id,
    data: JSONBody[Split],
    if_match: IfMatch = None,
) -> Response[Envelope[Page[Scene]]]:
    """Make two scenes of one; the second starts at `props.startFrom` of the same code."""
    base = base_of(data, if_match)
    return await change_row(
        request, caller, PROJECT_OF_SCENE, scene_id, scenes.split_scene, data.at_frame, base
    )


@post("/scenes/{scene_id:uuid}/trim", **declare("scene.trim", "editor", **UPDATES))
async def trim_scene(
    request: AnyRequest,
    caller: CurrentCaller,
    scene_id: Id,
    data: JSONBody[Trim],
    if_match: IfMatch = None,
) -> Response[Envelope[Scene]]:
    """Give a scene another duration in frames; the code stays."""
    base = base_of(data, if_match)
    return await change_row(
        request, caller, PROJECT_OF_SCENE, scene_id, scenes.trim_scene, data.duration, base
    )


@get("/scenes/{scene_id:uuid}/iterations", **declare("iteration.list", "viewer", **READS))
async def list_iterations(
    request: AnyRequest,
    caller: CurrentCaller,
    db: Db,
    scene_id: Id,
    before: PageBefore = None,
    limit: PageLimit = 50,
) -> Response[Envelope[Page[Iteration]]]:
    """List a scene's history, newest first; also of a deleted scene."""
    key = str(scene_id)
    async with db.reading() as reader:
        await access_scene(reader, caller, key, "viewer", deleted=True)
        page = await iterations_of_scene(reader, key, before=before, limit=limit)
    return answer(request.scope, ActionResult(data=page))


@get("/projects/{project_id:uuid}/iterations", **declare("iteration.batch", "viewer", **READS))
async def batch_iterations(
    request: AnyRequest, caller: CurrentCaller, db: Db, project_id: Id, message_ids: MessageIds
) -> Response[Envelope[Page[Iteration]]]:
    """List what many messages changed, oldest first; ids of other projects give nothing."""
    key, ids = str(project_id), _ids_of(message_ids)
    async with db.reading() as reader:
        await access_project(reader, caller, key, "viewer")
        page = Page(items=await iterations_of_messages(reader, key, ids))
    return answer(request.scope, ActionResult(data=page))


def _ids_of(text: str) -> list[str]:
    try:
        return [str(UUID(one.strip())) for one in text.split(",") if one.strip()]
    except ValueError as error:
        raise InvalidInput("messageIds must be message ids, comma separated.") from error


router = Router(
    "/api",
    route_handlers=[
        read_snapshot,
        list_scenes,
        add_scene,
        reorder_scenes,
        read_scene,
        change_scene,
        delete_scene,
        restore_scene,
        duplicate_scene,
        split_scene,
        trim_scene,
        list_iterations,
        batch_iterations,
    ],
    tags=["scenes"],
)
