"""Going back, undo and redo, the timeline, branches and differences, over HTTP."""

import asyncio
from typing import Annotated, Any
from uuid import UUID

from litestar import Response, Router, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter

from app.auth.model import Caller
from app.http.envelope import ActionResult, Envelope, Page, answer, declare
from app.http.idempotency import Action, change, key_of
from app.http.openapi import CHANGES, READS
from app.http.request import AnyRequest
from app.problems import Forbidden
from app.projects.access import access_project
from app.projects.model import MyProject
from app.realtime.events import MAX_REVISION
from app.scenes import going_back, undo
from app.scenes.branching import branch_project
from app.scenes.diff import Difference, difference
from app.scenes.going_back import GoBack, WentBack, access_iteration
from app.scenes.timeline import TimelineEntry, read_timeline
from app.scenes.undo import Walk
from app.store.engine import DB, reading

Asking = NamedDependency[Caller]
ProjectId = FromPath[UUID]
At = Annotated[
    int | None,
    QueryParameter(ge=1, le=MAX_REVISION, description="The project as it was at this revision."),
]
Before = Annotated[
    int | None,
    QueryParameter(ge=1, le=MAX_REVISION, description="`nextCursor` of the last page."),
]
Limit = Annotated[int, QueryParameter(ge=1, le=100, description="Items on a page.")]
ONE = {"status_code": 200, **CHANGES}  # a change that makes nothing new


@post("/iterations/{iteration_id:uuid}/revert", **declare("iteration.revert", "editor", **ONE))
async def revert_iteration(
    request: AnyRequest, caller: Asking, iteration_id: FromPath[UUID], data: JSONBody[GoBack]
) -> Response[Envelope[WentBack]]:
    """A scene, or the order, as it was before or after one change of it.

    CONFLICT with `details.later` when it was changed again since, unless `force`.
    """
    key = str(iteration_id)
    return await _change(
        request,
        caller,
        ("scene_iteration", key),
        lambda tx: going_back.revert_iteration(tx, caller, key, data),
    )


@post("/messages/{message_id:uuid}/revert", **declare("message.revert", "editor", **ONE))
async def revert_message(
    request: AnyRequest, caller: Asking, message_id: FromPath[UUID], data: JSONBody[GoBack]
) -> Response[Envelope[WentBack]]:
    """All that a message changed, as it was before or after it, in one step.

    CONFLICT with `details.later` when some of it was changed again since, unless `force`.
    """
    key = str(message_id)
    return await _change(
        request,
        caller,
        ("message", key),
        lambda tx: going_back.revert_message(tx, caller, key, data),
    )


async def _change(
    request: AnyRequest, caller: Caller, row: tuple[str, str], action: Action[Any]
) -> Response[Any]:
    """Idempotency keys are scoped to the project, which the row's address does not name."""
    table, key = row
    scope = None
    if key_of(request) is not None:
        scope = await DB.fetchval(f"select project_id from {table} where id = $1", key)
    outcome = await change(request, caller.user_id, action, scope=scope or key)
    return outcome.response()


@post("/projects/{project_id:uuid}/undo", **declare("project.undo", "editor", **ONE))
async def undo_last(
    request: AnyRequest, caller: Asking, project_id: ProjectId, data: JSONBody[Walk | None] = None
) -> Response[Envelope[WentBack]]:
    """Take back the caller's last message or direct change, or with `project` anybody's.

    CONFLICT when there is none, or with `details.later` when others changed it again since.
    """
    key, walk = str(project_id), data or Walk()
    outcome = await change(
        request, caller.user_id, lambda tx: undo.undo(tx, caller, key, walk), scope=key
    )
    return outcome.response()


@post("/projects/{project_id:uuid}/redo", **declare("project.redo", "editor", **ONE))
async def redo_last(
    request: AnyRequest, caller: Asking, project_id: ProjectId, data: JSONBody[Walk | None] = None
) -> Response[Envelope[WentBack]]:
    """Do what was undone last again; a new change leaves nothing to redo.

    CONFLICT when there is nothing, or with `details.later` when others changed it since.
    """
    key, walk = str(project_id), data or Walk()
    outcome = await change(
        request, caller.user_id, lambda tx: undo.redo(tx, caller, key, walk), scope=key
    )
    return outcome.response()


@get("/projects/{project_id:uuid}/timeline", **declare("project.timeline", "viewer", **READS))
async def list_timeline(
    request: AnyRequest,
    caller: Asking,
    project_id: ProjectId,
    before: Before = None,
    limit: Limit = 50,
) -> Response[Envelope[Page[TimelineEntry]]]:
    """One entry for each message or direct change that changed scenes, newest first."""
    key = str(project_id)
    async with reading(snapshot=True) as reader:
        access = await access_project(reader, caller, key, "viewer")
        page = await read_timeline(reader, key, before=before, limit=limit)
    return answer(request.scope, ActionResult(data=page, revision=access.revision))


@post("/projects/{project_id:uuid}/branch", **declare("project.branch", "viewer", **CHANGES))
async def branch(
    request: AnyRequest, caller: Asking, project_id: ProjectId, at: At = None
) -> Response[Envelope[MyProject]]:
    """A project of the caller's own, with the scenes as they were at a revision, or are now."""
    key = str(project_id)
    outcome = await change(
        request,
        caller.user_id,
        lambda tx: branch_project(tx, caller, key, at),
        scope=key,
        status=201,
    )
    return outcome.response()


@get(
    "/iterations/{iteration_id:uuid}/diff/{other_id:uuid}",
    **declare("iteration.diff", "viewer", **READS),
)
async def read_difference(
    request: AnyRequest, caller: Asking, iteration_id: FromPath[UUID], other_id: FromPath[UUID]
) -> Response[Envelope[Difference]]:
    """What differs between the states that two iterations of one project left."""
    async with reading() as reader:
        one = await access_iteration(reader, caller, str(iteration_id), "viewer")
        other = await access_iteration(reader, caller, str(other_id), "viewer")
    if one.project_id != other.project_id:
        raise Forbidden("These iterations belong to two projects.")
    found = await asyncio.to_thread(difference, one, other)
    return answer(request.scope, ActionResult(data=found))


router = Router(
    "/api",
    route_handlers=[
        revert_iteration,
        revert_message,
        undo_last,
        redo_last,
        list_timeline,
        branch,
        read_difference,
    ],
    tags=["history"],
)
