"""Following a project: its log over Server-Sent Events, a WebSocket, and long polls."""

import re
from typing import Annotated, Any, cast

from litestar import Response, Router, WebSocket, get, websocket
from litestar.params import QueryParameter

from app.auth.credentials import credentials_of
from app.auth.model import Caller
from app.http.envelope import ActionResult, Envelope, answer, declare
from app.http.openapi import READS, STREAM
from app.http.request import AnyRequest
from app.http.shortcut import RawConnection, Shortcut
from app.problems import Forbidden, NotFound, Problem
from app.projects.access import Access, AccessLookups
from app.projects.parameters import CurrentCaller, Id
from app.realtime.events import Cursor
from app.realtime.hubs import Hubs
from app.realtime.log import PAGE_EVENTS
from app.realtime.subscription import Subscriber
from app.realtime.transports.long_poll import MAX_WAIT_SECONDS, Changes, changes
from app.realtime.transports.sse import EventStream, last_event_id, stream_project
from app.realtime.transports.websocket import RESTARTING, Socket, refuse, serve_socket

MAX_CURSOR_CHARACTERS = 100
AFTER_QUERY = re.compile(rb"(?:after=(?P<after>[\w.-]{1,%d}))?" % MAX_CURSOR_CHARACTERS)

After = Annotated[
    str | None, QueryParameter(max_length=MAX_CURSOR_CHARACTERS, description="A cursor.")
]
Limit = Annotated[int, QueryParameter(ge=1, le=PAGE_EVENTS, description="About how many events.")]
Wait = Annotated[float, QueryParameter(ge=0, le=MAX_WAIT_SECONDS, description="Seconds to wait.")]


async def follow_events(connection: RawConnection, project_id: str, after: str | None) -> None:
    """Stream events as the handler `events` does, without Litestar's parameter binding."""
    caller = await credentials_of(connection.scope).provide_caller(connection.scope)
    stream = await _stream(connection.scope, caller, project_id, after)
    await stream(*connection)


async def follow_socket(connection: RawConnection, project_id: str) -> None:
    """Serve a WebSocket as the handler `socket` does, without Litestar's parameter binding."""
    caller = await credentials_of(connection.scope).provide_caller(connection.scope)
    await _serve(connection, caller, project_id)


async def _stream(scope: Any, caller: Caller, project_id: str, after: str | None) -> EventStream:
    access = await accesses_of(scope).access_project(caller, project_id, "viewer")
    cursor = last_event_id(scope, after)
    hubs = hubs_of(scope)
    return await stream_project(
        hubs, access.project_id, subscriber_of(scope, caller, access), after=cursor
    )


async def _serve(socket: Socket, caller: Caller, project_id: str) -> None:
    try:
        access = await accesses_of(socket.scope).access_project(caller, project_id, "viewer")
    except (NotFound, Forbidden):
        await refuse(socket)
    except Problem:
        await refuse(socket, RESTARTING)
    else:
        subscriber = subscriber_of(socket.scope, caller, access)
        await serve_socket(hubs_of(socket.scope), socket, access.project_id, subscriber)


@get(
    "/api/projects/{project_id:uuid}/events",
    **declare("project.follow", "viewer", responses=READS["responses"] | STREAM),
    shortcut=Shortcut(follow_events, AFTER_QUERY),
)
async def events(
    request: AnyRequest,
    project_id: Id,
    caller: CurrentCaller,
    after: After = None,
) -> EventStream:
    """Stream every event of the project as it happens; `Last-Event-ID` wins over `after`."""
    return await _stream(request.scope, caller, str(project_id), after)


@websocket(
    "/api/projects/{project_id:uuid}/socket",
    **declare("project.socket", "viewer"),
    shortcut=Shortcut(follow_socket),
)
async def socket(
    socket: WebSocket[Any, Any, Any],
    project_id: Id,
    caller: CurrentCaller,
) -> None:
    """Serve the same over a WebSocket; an absent and a foreign project look alike."""
    await _serve(socket, caller, str(project_id))


@get("/api/projects/{project_id:uuid}/changes", **declare("project.changes", "viewer", **READS))
async def read_changes(
    request: AnyRequest,
    project_id: Id,
    caller: CurrentCaller,
    after: After = None,
    limit: Limit = PAGE_EVENTS,
    wait: Wait = 0,
) -> Response[Envelope[Changes]]:
    """List the events after a cursor; with `wait` the answer may take that long to have one."""
    access = await accesses_of(request.scope).access_project(caller, str(project_id), "viewer")
    found = await changes(
        hubs_of(request.scope),
        access.project_id,
        subscriber_of(request.scope, caller, access),
        after=after,
        limit=limit,
        wait=wait,
    )
    revision = Cursor.parse(found.cursor).revision
    return answer(request.scope, ActionResult(data=found, revision=revision))


# These are no dependencies of the handlers: Litestar would open a task group per connection.


def accesses_of(scope: Any) -> AccessLookups:
    """Return the look-ups of the app that serves this connection."""
    return cast(AccessLookups, scope["litestar_app"].state.accesses)


def hubs_of(scope: Any) -> Hubs:
    """Return the hubs of the app that serves this connection."""
    return cast(Hubs, scope["litestar_app"].state.hubs)


def subscriber_of(scope: Any, caller: Caller, access: Access) -> Subscriber:
    """Return the caller as a subscriber, whose access is checked again while the stream is open."""
    credentials, accesses = credentials_of(scope), accesses_of(scope)

    async def recheck() -> bool:
        await accesses.access_project(caller, access.project_id, access.role)
        return await credentials.is_valid(caller)

    seen = Cursor(access.epoch, access.revision)
    return Subscriber(user_id=caller.user_id, role=access.role, seen=seen, recheck=recheck)


router = Router("", route_handlers=[events, socket, read_changes])
