"""Send a prompt, follow and cancel its run, and read the chat, over HTTP."""

from typing import Annotated, Any, Literal, cast
from uuid import UUID

import msgspec
from litestar import Response, Router, get, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import JSONBody, QueryParameter

from app.auth.model import Caller
from app.chat import runs
from app.chat.answers import answer_of
from app.chat.runs import Begun, Turn
from app.http.envelope import ActionResult, Envelope, Page, answer, declare
from app.http.idempotency import change
from app.http.openapi import CHANGES, READS, STREAM
from app.http.request import AnyRequest
from app.projects.access import access_project
from app.projects.following import subscriber_of
from app.projects.parameters import CurrentCaller, Db, Id
from app.realtime.events import MAX_REVISION
from app.realtime.hubs import Hubs
from app.realtime.subscription import Subscriber
from app.realtime.transports.sse import EventStream, last_event_id, stream_run
from app.runs.model import TERMINAL_STATUSES, Message, Run
from app.runs.reads import list_messages
from app.runs.waiting import Waiting, wait_of
from app.scenes.model import Scene
from app.scenes.reads import scene_in_project
from app.store.database import Tx

CANCEL_GRACE_SECONDS = 3.0  # for the worker to end the run, before the request does it
MAX_IMAGES = 8  # of one prompt
DEFAULT_PAGE_MESSAGES = 50
MAX_PAGE_MESSAGES = 200

ImageUrl = Annotated[str, msgspec.Meta(max_length=2000, pattern=r"^https?://\S+\Z")]

BegunResponse = Response[Envelope[Begun]]  # `CREATE_RUN` describes the others
Waits = NamedDependency[Waiting]  # of the parameter `waiting`
Before = Annotated[int | None, QueryParameter(ge=0, le=MAX_REVISION, description="A sequence.")]
Limit = Annotated[
    int, QueryParameter(ge=1, le=MAX_PAGE_MESSAGES, description="Messages on a page.")
]

CREATE_RUN: dict[str, Any] = {
    "responses": CHANGES["responses"]
    | {
        200: ResponseSpec(
            Envelope[list[Scene]],
            description="With `Prefer: wait=n`: the run ended; `data` are the scenes it changed."
            " With `Accept: text/event-stream`: the run's events, until its last.",
            generate_examples=False,
        ),
        502: ResponseSpec(
            Envelope[None],
            description="AI_ERROR: the model failed, with `Prefer: wait=n`.",
            generate_examples=False,
        ),
    }
}


class NewRun(msgspec.Struct, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """A prompt, and what it is about."""

    prompt: Annotated[
        str,
        msgspec.Meta(
            min_length=1,
            max_length=12_000,
            pattern=r"\S",
            examples=['Add a neon title "Hello" for 3 seconds, then a bar chart of 10, 20, 35'],
        ),
    ]
    image_urls: Annotated[list[ImageUrl], msgspec.Meta(max_length=MAX_IMAGES)] = []
    selected_scene_id: UUID | None = None
    on_busy: Literal["enqueue", "reject", "interrupt"] = "enqueue"
    model: Annotated[str, msgspec.Meta(min_length=1, max_length=100)] | None = None


@post(
    "/api/projects/{project_id:uuid}/runs",
    **declare("run.create", "editor", status_code=202, **CREATE_RUN),
)
async def create_run(
    request: AnyRequest,
    project_id: Id,
    data: JSONBody[NewRun],
    caller: CurrentCaller,
    hubs: NamedDependency[Hubs],
    db: Db,
    waiting: Waits,
) -> BegunResponse:
    """Begin a turn. `Accept: text/event-stream` follows it, `Prefer: wait=n` waits for its end."""
    project = str(project_id)
    wait = wait_of(request)
    subscriber: Subscriber | None = None
    if "text/event-stream" in request.headers.get("accept", ""):
        access = await access_project(db, caller, project, "editor")
        subscriber = subscriber_of(request.scope, caller, access)
        await hubs.ensure_ready(project)  # before the first event, so that the stream misses none
    begun = await change(
        request,
        caller.user_id,
        lambda tx: _begin_run(tx, caller, project, data),
        scope=project,
        status=202,
        result_type=Begun,
    )
    run, revision = begun.result.data.run, begun.result.revision
    if subscriber is not None:
        after = last_event_id(request.scope, None)
        stream = await stream_run(hubs, project, run.id, subscriber, after=after, begun=revision)
        return cast(BegunResponse, stream)
    if wait:
        run = await waiting.until_over(run, wait)
        if run.status in TERMINAL_STATUSES:
            return cast(BegunResponse, await _answer(request, caller, run))
    return begun.response()


async def _begin_run(tx: Tx, caller: Caller, project_id: str, data: NewRun) -> ActionResult[Begun]:
    await access_project(tx, caller, project_id, "editor")
    scene_id = str(data.selected_scene_id) if data.selected_scene_id else None
    if scene_id is not None:
        await scene_in_project(tx, caller, project_id, scene_id)
    turn = Turn(
        prompt=data.prompt,
        image_urls=data.image_urls,
        selected_scene_id=scene_id,
        on_busy=data.on_busy,
        model=data.model,
    )
    begun, revision = await runs.begin(tx, caller, project_id, turn)
    return ActionResult(
        data=begun,
        affected=[begun.run.id],
        revision=revision,
        assistant_message_id=begun.assistant_message.id,
    )


async def _answer(request: AnyRequest, caller: Caller, run: Run) -> Response[Envelope[list[Scene]]]:
    """Answer with what a run that has ended changed; the idempotency key replays this too."""

    async def read(tx: Tx) -> ActionResult[list[Scene]]:
        await access_project(tx, caller, run.project_id, "viewer")  # still
        return await answer_of(tx, run)

    answered = await change(request, caller.user_id, read, scope=f"{run.project_id} ended")
    return answered.response()


@get("/api/runs/{run_id:uuid}", **declare("run.read", "viewer", **READS))
async def read_run(
    request: AnyRequest,
    run_id: Id,
    caller: CurrentCaller,
    db: Db,
) -> Response[Envelope[Run]]:
    """Return one turn as it is now."""
    run, revision = await runs.access_run(db, caller, str(run_id), "viewer")
    return answer(request.scope, ActionResult(data=run, revision=revision))


@get(
    "/api/runs/{run_id:uuid}/events",
    **declare("run.follow", "viewer", responses=READS["responses"] | STREAM),
)
async def follow_run(
    request: AnyRequest,
    run_id: Id,
    caller: CurrentCaller,
    hubs: NamedDependency[Hubs],
    db: Db,
) -> EventStream:
    """Stream the run's events, from the first to the last, as Server-Sent Events."""
    run, _ = await runs.access_run(db, caller, str(run_id), "viewer")
    access = await access_project(db, caller, run.project_id, "viewer")
    return await stream_run(
        hubs,
        run.project_id,
        run.id,
        subscriber_of(request.scope, caller, access),
        after=last_event_id(request.scope, None),
    )


@post(
    "/api/runs/{run_id:uuid}/cancel", **declare("run.cancel", "editor", status_code=200, **CHANGES)
)
async def cancel_run(
    request: AnyRequest,
    run_id: Id,
    caller: CurrentCaller,
    db: Db,
    waiting: Waits,
) -> Response[Envelope[Run]]:
    """Cancel a turn, queued or running; answers with the state that it ended in."""

    async def request_cancel(tx: Tx) -> ActionResult[Run]:
        return ActionResult(data=await runs.request_cancel(tx, caller, str(run_id)))

    await change(request, caller.user_id, request_cancel, scope=f"{run_id} cancel")
    run, _ = await runs.access_run(db, caller, str(run_id), "viewer")
    if run.status not in TERMINAL_STATUSES:
        run = await waiting.until_over(run, CANCEL_GRACE_SECONDS)
    if run.status not in TERMINAL_STATUSES:
        run = await runs.force_cancel(db, run.id, caller)

    async def read(tx: Tx) -> ActionResult[Run]:
        now, revision = await runs.access_run(tx, caller, str(run_id), "viewer")
        return ActionResult(data=now, affected=[now.id], revision=revision)

    cancelled = await change(request, caller.user_id, read, scope=f"{run_id} cancelled")
    return cancelled.response()


@get("/api/projects/{project_id:uuid}/messages", **declare("message.list", "viewer", **READS))
async def read_messages(
    request: AnyRequest,
    project_id: Id,
    caller: CurrentCaller,
    db: Db,
    before: Before = None,
    limit: Limit = DEFAULT_PAGE_MESSAGES,
) -> Response[Envelope[Page[Message]]]:
    """List the chat, oldest first; `before` is the `nextCursor` of the newer page."""
    access = await access_project(db, caller, str(project_id), "viewer")
    page = await list_messages(db, access.project_id, before=before, limit=limit)
    return answer(request.scope, ActionResult(data=page, revision=access.revision))


router = Router(
    "",
    route_handlers=[create_run, read_run, follow_run, cancel_run, read_messages],
)
