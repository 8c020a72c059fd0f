"""Reverts, undo and redo, the timeline and branches over HTTP."""

import asyncio

from litestar import Response, Router, get, post
from litestar.params import JSONBody

from app.http.envelope import ActionResult, Envelope, Page, answer, declare
from app.http.openapi import CHANGES, READS, UPDATES
from app.http.request import AnyRequest
from app.problems import Forbidden
from app.projects.access import access_project
from app.projects.changes import change_in_project, change_row
from app.projects.model import MyProject
from app.projects.parameters import AtRevision, CurrentCaller, Db, Id, PageBefore, PageLimit
from app.scenes import revert, undo
from app.scenes.branching import branch_project
from app.scenes.diff import Difference, difference
from app.scenes.reads import access_iteration
from app.scenes.revert import RevertRequest, RevertResult
from app.scenes.tables import SceneIteration
from app.scenes.timeline import TimelineEntry, read_timeline
from app.scenes.undo import UndoRequest
from app.store.query import Param, built, named

PROJECT_OF_ITERATION = built(
    SceneIteration.select(SceneIteration.project_id).where(SceneIteration.id == Param("id"))
)
PROJECT_OF_MESSAGE = named("select project_id from message where id = :id")


@get(
    "/iterations/{iteration_id:uuid}/diff/{other_id:uuid}",
    **declare("iteration.diff", "viewer", **READS),
)
async def read_difference(
    request: AnyRequest, caller: CurrentCaller, db: Db, iteration_id: Id, other_id: Id
) -> Response[Envelope[Difference]]:
    """What differs between the states that two iterations of one project left."""
    async with db.reading() as reader:
        one = await access_iteration(reader, caller, str(iteration_id), "viewer")
        other = await access_iteration(reader, caller, str(other_id), "viewer")
    if one.project_id != other.project_id:
        raise Forbidden("These iterations belong to two projects.")
    found = await asyncio.to_thread(difference, one, other)
    return answer(request.scope, ActionResult(data=found))


@post("/iterations/{iteration_id:uuid}/revert", **declare("iteration.revert", "editor", **UPDATES))
async def revert_iteration(
    request: AnyRequest, caller: CurrentCaller, iteration_id: Id, data: JSONBody[RevertRequest]
) -> Response[Envelope[RevertResult]]:
    """Give a scene, or the order, the state before or after one change of it.

    CONFLICT with `details.later` when it was changed again since, unless `force`.
    """
    return await change_row(
        request, caller, PROJECT_OF_ITERATION, iteration_id, revert.revert_iteration, data
    )


@post("/messages/{message_id:uuid}/revert", **declare("message.revert", "editor", **UPDATES))
async def revert_message(
    request: AnyRequest, caller: CurrentCaller, message_id: Id, data: JSONBody[RevertRequest]
) -> Response[Envelope[RevertResult]]:
    """Give all that a message changed the state before or after it, in one step.

    CONFLICT with `details.later` when some of it was changed again since, unless `force`.
    """
    return await change_row(
        request, caller, PROJECT_OF_MESSAGE, message_id, revert.revert_message, data
    )


@post("/projects/{project_id:uuid}/undo", **declare("project.undo", "editor", **UPDATES))
async def undo_last(
    request: AnyRequest,
    caller: CurrentCaller,
    project_id: Id,
    data: JSONBody[UndoRequest | None] = None,
) -> Response[Envelope[RevertResult]]:
    """Undo the caller's last message or direct change, or with `project` anybody's.

    CONFLICT when there is none, or with `details.later` when others changed it again since.
    """
    return await change_in_project(request, caller, project_id, undo.undo, data or UndoRequest())


@post("/projects/{project_id:uuid}/redo", **declare("project.redo", "editor", **UPDATES))
async def redo_last(
    request: AnyRequest,
    caller: CurrentCaller,
    project_id: Id,
    data: JSONBody[UndoRequest | None] = None,
) -> Response[Envelope[RevertResult]]:
    """Do what was undone last again; a new change leaves nothing to redo.

    CONFLICT when there is nothing, or with `details.later` when others changed it since.
    """
    return await change_in_project(request, caller, project_id, undo.redo, data or UndoRequest())


@get("/projects/{project_id:uuid}/timeline", **declare("project.timeline", "viewer", **READS))
async def list_timeline(
    request: AnyRequest,
    caller: CurrentCaller,
    db: Db,
    project_id: Id,
    before: PageBefore = None,
    limit: PageLimit = 50,
) -> Response[Envelope[Page[TimelineEntry]]]:
    """List the messages and direct changes that changed scenes, newest first."""
    key = str(project_id)
    async with db.reading(snapshot=True) as reader:
        access = await access_project(reader, caller, key, "viewer")
        page = await read_timeline(reader, key, before=before, limit=limit)
    return answer(request.scope, ActionResult(data=page, revision=access.revision))


@post("/projects/{project_id:uuid}/branch", **declare("project.branch", "viewer", **CHANGES))
async def branch(
    request: AnyRequest, caller: CurrentCaller, project_id: Id, at: AtRevision = None
) -> Response[Envelope[MyProject]]:
    """Make a project of the caller's own, with the scenes as they were at a revision, or are."""
    return await change_in_project(request, caller, project_id, branch_project, at, status=201)


router = Router(
    "/api",
    route_handlers=[
        read_difference,
        revert_iteration,
        revert_message,
        undo_last,
        redo_last,
        list_timeline,
        branch,
    ],
    tags=["history"],
)
