"""What may be read of scenes over HTTP: the snapshot, the scenes, their history."""

from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Response, get
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, HeaderParameter, QueryParameter

from app.auth.model import Caller
from app.http.envelope import ActionResult, Envelope, Page, answer, declare
from app.http.openapi import READS
from app.http.request import AnyRequest
from app.problems import InvalidInput
from app.projects.access import access_project
from app.realtime.events import MAX_REVISION, Cursor
from app.scenes.model import Iteration, Scene
from app.scenes.reads import (
    BATCH_MOST,
    access_scene,
    iterations_of_messages,
    iterations_of_scene,
    live_scenes,
)
from app.scenes.snapshot import ProjectSnapshot, snapshot_at, snapshot_now
from app.store.engine import reading

Asking = NamedDependency[Caller]
ProjectId = FromPath[UUID]
SceneId = FromPath[UUID]
IfNoneMatch = Annotated[str | None, HeaderParameter(name="If-None-Match", max_length=1000)]
At = Annotated[
    int | None,
    QueryParameter(ge=1, le=MAX_REVISION, description="The project as it was at this revision."),
]
Before = Annotated[
    int | None,
    QueryParameter(ge=1, le=MAX_REVISION, description="`nextCursor` of the last page."),
]
Limit = Annotated[int, QueryParameter(ge=1, le=100, description="Items on a page.")]
MessageIds = Annotated[
    str,
    QueryParameter(
        name="messageIds", max_length=BATCH_MOST * 37, description="Message ids, comma separated."
    ),
]
UNCHANGED = {304: ResponseSpec(None, description="Unchanged since that ETag.")}


@get(
    "/projects/{project_id:uuid}/snapshot",
    **declare("project.snapshot", "viewer", responses=READS["responses"] | UNCHANGED),
)
async def read_snapshot(
    request: AnyRequest,
    caller: Asking,
    project_id: ProjectId,
    at: At = None,
    if_none_match: IfNoneMatch = None,
) -> Response[Envelope[ProjectSnapshot]]:
    """Everything that a client needs, at one moment. The ETag is its cursor: 304 if unchanged."""
    key = str(project_id)
    async with reading(snapshot=True) as reader:
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
    given = [one.strip().removeprefix("W/") for one in (if_none_match or "").split(",")]
    return etag in given or given == ["*"]


@get("/projects/{project_id:uuid}/scenes", **declare("scene.list", "viewer", **READS))
async def list_scenes(
    request: AnyRequest, caller: Asking, project_id: ProjectId
) -> Response[Envelope[Page[Scene]]]:
    """The live scenes in the video's order."""
    key = str(project_id)
    async with reading(snapshot=True) as reader:
        access = await access_project(reader, caller, key, "viewer")
        page = Page(items=await live_scenes(reader, key))
    return answer(request.scope, ActionResult(data=page, revision=access.revision))


@get("/scenes/{scene_id:uuid}", **declare("scene.read", "viewer", **READS))
async def read_scene(
    request: AnyRequest, caller: Asking, scene_id: SceneId
) -> Response[Envelope[Scene]]:
    """One live scene; its ETag is its revision."""
    async with reading() as reader:
        scene, _ = await access_scene(reader, caller, str(scene_id), "viewer")
    found = answer(request.scope, ActionResult(data=scene))
    found.headers["etag"] = f'"{scene.revision}"'
    return found


@get("/scenes/{scene_id:uuid}/iterations", **declare("iteration.list", "viewer", **READS))
async def list_iterations(
    request: AnyRequest, caller: Asking, scene_id: SceneId, before: Before = None, limit: Limit = 50
) -> Response[Envelope[Page[Iteration]]]:
    """A scene's history, newest first; also of a deleted scene."""
    key = str(scene_id)
    async with reading() as reader:
        await access_scene(reader, caller, key, "viewer", deleted=True)
        page = await iterations_of_scene(reader, key, before=before, limit=limit)
    return answer(request.scope, ActionResult(data=page))


@get("/projects/{project_id:uuid}/iterations", **declare("iteration.batch", "viewer", **READS))
async def batch_iterations(
    request: AnyRequest, caller: Asking, project_id: ProjectId, message_ids: MessageIds
) -> Response[Envelope[Page[Iteration]]]:
    """What many messages changed, oldest first; ids of other projects give nothing."""
    key, ids = str(project_id), _ids_of(message_ids)
    async with reading() as reader:
        await access_project(reader, caller, key, "viewer")
        page = Page(items=await iterations_of_messages(reader, key, ids))
    return answer(request.scope, ActionResult(data=page))


def _ids_of(text: str) -> list[str]:
    try:
        return [str(UUID(one.strip())) for one in text.split(",") if one.strip()]
    except ValueError as error:
        raise InvalidInput("messageIds must be message ids, comma separated.") from error


ROUTES = [read_snapshot, list_scenes, read_scene, list_iterations, batch_iterations]
