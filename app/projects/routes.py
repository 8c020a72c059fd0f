"""Projects, their members and invites over HTTP."""

from typing import Annotated
from uuid import UUID

from litestar import Response, Router, delete, get, patch, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter

from app.auth.model import Caller
from app.http.envelope import ActionResult, Envelope, Page, answer, declare
from app.http.idempotency import change
from app.http.openapi import CHANGES, READS
from app.http.request import AnyRequest
from app.projects import members, projects
from app.projects.access import access_project
from app.projects.model import (
    Invite,
    Member,
    MyProject,
    NewInvite,
    NewProject,
    NewRole,
    Nothing,
    Project,
    ProjectPatch,
)
from app.store.engine import reading

Limit = Annotated[int, QueryParameter(ge=1, le=100, description="Items on a page.")]
After = Annotated[str | None, QueryParameter(max_length=100, description="`nextCursor` before.")]


@get("/projects", **declare("project.list", "account", **READS))
async def list_projects(
    request: AnyRequest, caller: NamedDependency[Caller], cursor: After = None, limit: Limit = 50
) -> Response[Envelope[Page[MyProject]]]:
    """The projects that the caller is a member of, newest first."""
    async with reading() as reader:
        page = await projects.list_projects(reader, caller, cursor=cursor, limit=limit)
    return answer(request.scope, ActionResult(data=page))


@post("/projects", **declare("project.create", "account", **CHANGES))
async def create_project(
    request: AnyRequest, caller: NamedDependency[Caller], data: JSONBody[NewProject]
) -> Response[Envelope[MyProject]]:
    """A new project, which the caller owns."""
    outcome = await change(
        request,
        caller.user_id,
        lambda tx: projects.create_project(tx, caller, data),
        status=201,
    )
    return outcome.response()


@get("/projects/{project_id:uuid}", **declare("project.read", "viewer", **READS))
async def read_project(
    request: AnyRequest, caller: NamedDependency[Caller], project_id: FromPath[UUID]
) -> Response[Envelope[MyProject]]:
    """One project, with the caller's role in it."""
    async with reading() as reader:
        project = await projects.get_my_project(reader, caller, str(project_id))
    return answer(request.scope, ActionResult(data=project, revision=project.revision))


@patch("/projects/{project_id:uuid}", **declare("project.update", "editor", **CHANGES))
async def change_project(
    request: AnyRequest,
    caller: NamedDependency[Caller],
    project_id: FromPath[UUID],
    data: JSONBody[ProjectPatch],
) -> Response[Envelope[MyProject]]:
    """A new title (owner only), format or frame rate."""
    key = str(project_id)
    outcome = await change(
        request,
        caller.user_id,
        lambda tx: projects.change_project(tx, caller, key, data),
        scope=key,
    )
    return outcome.response()


@delete(
    "/projects/{project_id:uuid}",
    **declare("project.delete", "owner", status_code=200, **CHANGES),
)
async def delete_project(
    request: AnyRequest, caller: NamedDependency[Caller], project_id: FromPath[UUID]
) -> Response[Envelope[Project]]:
    """Delete the project for all its members; its open streams end."""
    key = str(project_id)
    outcome = await change(
        request, caller.user_id, lambda tx: projects.delete_project(tx, caller, key), scope=key
    )
    return outcome.response()


@get("/projects/{project_id:uuid}/members", **declare("member.list", "viewer", **READS))
async def list_members(
    request: AnyRequest, caller: NamedDependency[Caller], project_id: FromPath[UUID]
) -> Response[Envelope[Page[Member]]]:
    """Everybody in the project."""
    key = str(project_id)
    async with reading(snapshot=True) as reader:
        access = await access_project(reader, caller, key, "viewer")
        page = Page(items=await members.list_members(reader, key))
    return answer(request.scope, ActionResult(data=page, revision=access.revision))


@put(
    "/projects/{project_id:uuid}/members/{user_id:str}",
    **declare("member.update", "owner", **CHANGES),
)
async def set_role(
    request: AnyRequest,
    caller: NamedDependency[Caller],
    project_id: FromPath[UUID],
    user_id: FromPath[str],
    data: JSONBody[NewRole],
) -> Response[Envelope[Member]]:
    """A new role for a member, effective at once."""
    key = str(project_id)
    outcome = await change(
        request,
        caller.user_id,
        lambda tx: members.set_role(tx, caller, key, user_id, data.role),
        scope=key,
    )
    return outcome.response()


@delete(
    "/projects/{project_id:uuid}/members/{user_id:str}",
    **declare("member.delete", "viewer", status_code=200, **CHANGES),
)
async def remove_member(
    request: AnyRequest,
    caller: NamedDependency[Caller],
    project_id: FromPath[UUID],
    user_id: FromPath[str],
) -> Response[Envelope[Member]]:
    """Remove a member (owner only), or leave."""
    key = str(project_id)
    outcome = await change(
        request,
        caller.user_id,
        lambda tx: members.remove_member(tx, caller, key, user_id),
        scope=key,
    )
    return outcome.response()


@post("/projects/{project_id:uuid}/invites", **declare("invite.create", "owner", **CHANGES))
async def invite(
    request: AnyRequest,
    caller: NamedDependency[Caller],
    project_id: FromPath[UUID],
    data: JSONBody[NewInvite],
) -> Response[Envelope[Invite]]:
    """A link that makes one person a member; shown this once."""
    key = str(project_id)
    outcome = await change(
        request,
        caller.user_id,
        lambda tx: members.invite(tx, caller, key, data, str(request.base_url)),
        scope=key,
        status=201,
    )
    return outcome.response()


@post(
    "/invites/{token:str}/accept",
    **declare("invite.accept", "account", status_code=200, **CHANGES),
)
async def accept_invite(
    request: AnyRequest,
    caller: NamedDependency[Caller],
    token: FromPath[str],
    data: JSONBody[Nothing | None] = None,
) -> Response[Envelope[Member]]:
    """Become a member of the project that the invite is for."""
    outcome = await change(
        request, caller.user_id, lambda tx: members.accept_invite(tx, caller, token)
    )
    return outcome.response()


router = Router(
    "/api",
    route_handlers=[
        list_projects,
        create_project,
        read_project,
        change_project,
        delete_project,
        list_members,
        set_role,
        remove_member,
        invite,
        accept_invite,
    ],
    tags=["projects"],
)
