"""Projects, their members and invites over HTTP."""

from typing import Annotated

from litestar import Response, Router, delete, get, patch, post, put
from litestar.params import FromPath, JSONBody, QueryParameter

from app.http.envelope import ActionResult, Envelope, Page, answer, declare
from app.http.idempotency import change
from app.http.openapi import CHANGES, READS, UPDATES
from app.http.request import AnyRequest
from app.projects import members, projects
from app.projects.access import access_project
from app.projects.changes import change_in_project
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
from app.projects.parameters import CurrentCaller, Db, Id, PageLimit

PageCursor = Annotated[
    str | None, QueryParameter(max_length=100, description="`nextCursor` before.")
]


@get("/projects", **declare("project.list", "account", **READS))
async def list_projects(
    request: AnyRequest,
    caller: CurrentCaller,
    db: Db,
    cursor: PageCursor = None,
    limit: PageLimit = 50,
) -> Response[Envelope[Page[MyProject]]]:
    """List the projects that the caller is a member of, newest first."""
    page = await projects.list_projects(db, caller, cursor=cursor, limit=limit)
    return answer(request.scope, ActionResult(data=page))


@post("/projects", **declare("project.create", "account", **CHANGES))
async def create_project(
    request: AnyRequest, caller: CurrentCaller, data: JSONBody[NewProject]
) -> Response[Envelope[MyProject]]:
    """Create a project, which the caller owns."""
    outcome = await change(
        request,
        caller.user_id,
        lambda tx: projects.create_project(tx, caller, data),
        status=201,
    )
    return outcome.response()


@get("/projects/{project_id:uuid}", **declare("project.read", "viewer", **READS))
async def read_project(
    request: AnyRequest, caller: CurrentCaller, db: Db, project_id: Id
) -> Response[Envelope[MyProject]]:
    """Read one project, with the caller's role in it."""
    project = await projects.get_my_project(db, caller, str(project_id))
    return answer(request.scope, ActionResult(data=project, revision=project.revision))


@patch("/projects/{project_id:uuid}", **declare("project.update", "editor", **UPDATES))
async def change_project(
    request: AnyRequest, caller: CurrentCaller, project_id: Id, data: JSONBody[ProjectPatch]
) -> Response[Envelope[MyProject]]:
    """Change title (owner only), format or frame rate."""
    return await change_in_project(request, caller, project_id, projects.change_project, data)


@delete("/projects/{project_id:uuid}", **declare("project.delete", "owner", **UPDATES))
async def delete_project(
    request: AnyRequest, caller: CurrentCaller, project_id: Id
) -> Response[Envelope[Project]]:
    """Delete the project for all its members; its open streams end."""
    return await change_in_project(request, caller, project_id, projects.delete_project)


@get("/projects/{project_id:uuid}/members", **declare("member.list", "viewer", **READS))
async def list_members(
    request: AnyRequest, caller: CurrentCaller, db: Db, project_id: Id
) -> Response[Envelope[Page[Member]]]:
    """List everybody in the project."""
    key = str(project_id)
    async with db.reading(snapshot=True) as reader:
        access = await access_project(reader, caller, key, "viewer")
        page = Page(items=await members.list_members(reader, key))
    return answer(request.scope, ActionResult(data=page, revision=access.revision))


@put(
    "/projects/{project_id:uuid}/members/{user_id:str}",
    **declare("member.update", "owner", **UPDATES),
)
async def set_role(
    request: AnyRequest,
    caller: CurrentCaller,
    project_id: Id,
    user_id: FromPath[str],
    data: JSONBody[NewRole],
) -> Response[Envelope[Member]]:
    """Give a member another role, effective at once."""
    return await change_in_project(
        request, caller, project_id, members.set_role, user_id, data.role
    )


@delete(
    "/projects/{project_id:uuid}/members/{user_id:str}",
    **declare("member.delete", "viewer", **UPDATES),
)
async def remove_member(
    request: AnyRequest, caller: CurrentCaller, project_id: Id, user_id: FromPath[str]
) -> Response[Envelope[Member]]:
    """Remove a member (owner only), or leave."""
    return await change_in_project(request, caller, project_id, members.remove_member, user_id)


@post("/projects/{project_id:uuid}/invites", **declare("invite.create", "owner", **CHANGES))
async def invite(
    request: AnyRequest, caller: CurrentCaller, project_id: Id, data: JSONBody[NewInvite]
) -> Response[Envelope[Invite]]:
    """Make a link by which one person becomes a member; it is shown only in this answer."""
    origin = str(request.base_url)
    return await change_in_project(
        request, caller, project_id, members.invite, data, origin, status=201
    )


@post("/invites/{token:str}/accept", **declare("invite.accept", "account", **UPDATES))
async def accept_invite(
    request: AnyRequest,
    caller: CurrentCaller,
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
