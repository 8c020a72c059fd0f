"""Send a prompt, follow a run, stop it; read the chat."""

from typing import Annotated, Any, Literal, cast
from uuid import UUID

import msgspec
from litestar import Response, Router, get, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, JSONBody, QueryParameter

from app.auth.model import Caller
from app.chat import runs
from app.chat.answers import answer_of
from app.chat.messages import PAGE, PAGE_MOST, list_messages
from app.chat.runs import Begun, Turn
from app.http.envelope import ActionResult, Envelope, Page, answer, declare
from app.http.idempotency import change
from app.http.openapi import CHANGES, READS, STREAM
from app.http.request import AnyRequest
from app.projects.access import access_project
from app.projects.following import subscriber_of
from app.realtime.events import MAX_REVISION
from app.realtime.hubs import Hubs
from app.realtime.subscription import Subscriber
from app.realtime.transports.sse import EventStream, last_event_id, stream_run
from app.runs.model import OVER, Message, Run
from app.runs.waiting import Waiting, wait_of
from app.scenes.model import Scene
from app.scenes.reads import scene_in_project
from app.store.database import Database, Tx

CANCEL_PATIENCE = 3.0  # seconds that a worker gets to stop by itself
IMAGES_MOST = 8

ImageUrl = Annotated[str, msgspec.Meta(max_length=2000, pattern=r"^https?://\S+\Z")]

Begins = Response[Envelope[Begun]]  # `RUN` tells of 200 and of the stream
Before = Annotated[int | None, QueryParameter(ge=0, le=MAX_REVISION, description="A sequence.")]
Limit = Annotated[int, QueryParameter(ge=1, le=PAGE_MOST, description="Messages on a page.")]


RUN: dict[str, Any] = {
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
    """A chat turn; what the person wants, in words."""

    prompt: Annotated[
        str,
        msgspec.Meta(
            min_length=1,
            max_length=12_000,
            pattern=r"\S",
            examples=['Add a neon title "Hello" for 3 seconds, then a bar chart of 10, 20, 35'],
        ),
    ]
    image_urls: Annotated[list[ImageUrl], msgspec.Meta(max_length=IMAGES_MOST)] = []
    selected_scene_id: UUID | None = None
    on_busy: Literal["enqueue", "reject", "interrupt"] = "enqueue"
    model: Annotated[str, msgspec.Meta(min_length=1, max_length=100)] | None = None


@post(
    "/api/projects/{project_id:uuid}/runs",
    **declare("run.create", "editor", status_code=202, **RUN),
)
async def create_run(
    request: AnyRequest,
    project_id: FromPath[UUID],
    data: JSONBody[NewRun],
    caller: NamedDependency[Caller],
    hubs: NamedDependency[Hubs],
    db: NamedDependency[Database],
    waiting: NamedDependency[Waiting],
) -> Begins:
    """Start a turn. `Accept: text/event-stream` follows it, `Prefer: wait=n` waits for its end."""
    project = str(project_id)
    wait = wait_of(request)
    streamed = "text/event-stream" in request.headers.get("accept", "")
    watcher: Subscriber | None = None
    if streamed:  # the reader's place is held before there is anything to miss
        watcher = subscriber_of(
            request.scope, caller, await access_project(db, caller, project, "editor")
        )
        await hubs.ensure_ready(project)

    async def begin(tx: Tx) -> ActionResult[Begun]:
        await access_project(tx, caller, project, "editor")
        if data.selected_scene_id is not None:
            await scene_in_project(tx, caller, project, str(data.selected_scene_id))
        turn = Turn(
            prompt=data.prompt,
            image_urls=data.image_urls,
            selected_scene_id=str(data.selected_scene_id) if data.selected_scene_id else None,
            on_busy=data.on_busy,
            model=data.model,
        )
        begun, revision = await runs.begin(tx, caller, project, turn)
        return ActionResult(
            data=begun,
            affected=[begun.run.id],
            revision=revision,
            assistant_message_id=begun.assistant_message.id,
        )

    begun = await change(
        request, caller.user_id, begin, scope=project, status=202, result_type=Begun
    )
    if not (streamed or wait):
        return begun.response()
    run, revision = begun.result.data.run, begun.result.revision
    if watcher:
        after = last_event_id(request.scope, None)
        stream = await stream_run(hubs, project, run.id, watcher, after=after, begun=revision)
        return cast(Begins, stream)
    over = await waiting.until_over(run, wait)
    if over.status not in OVER:
        return begun.response()

    async def tell(tx: Tx) -> ActionResult[list[Scene]]:
        await access_project(tx, caller, project, "viewer")  # it may be long since they asked
        return await answer_of(tx, over)

    ended = await change(request, caller.user_id, tell, scope=f"{project} ended")
    return cast(Begins, ended.response())


@get("/api/runs/{run_id:uuid}", **declare("run.read", "viewer", **READS))
async def read_run(
    request: AnyRequest,
    run_id: FromPath[UUID],
    caller: NamedDependency[Caller],
    db: NamedDependency[Database],
) -> Response[Envelope[Run]]:
    """One turn as it is now."""
    run, revision = await runs.access_run(db, caller, str(run_id), "viewer")
    return answer(request.scope, ActionResult(data=run, revision=revision))


@get(
    "/api/runs/{run_id:uuid}/events",
    **declare("run.follow", "viewer", responses=READS["responses"] | STREAM),
)
async def follow_run(
    request: AnyRequest,
    run_id: FromPath[UUID],
    caller: NamedDependency[Caller],
    hubs: NamedDependency[Hubs],
    db: NamedDependency[Database],
) -> EventStream:
    """The run's events from its first to its last as Server-Sent Events; then the stream ends."""
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
    run_id: FromPath[UUID],
    caller: NamedDependency[Caller],
    db: NamedDependency[Database],
    waiting: NamedDependency[Waiting],
) -> Response[Envelope[Run]]:
    """Stop a turn, waiting or running; answers with the state that won."""

    async def ask(tx: Tx) -> ActionResult[Run]:
        return ActionResult(data=await runs.request_cancel(tx, caller, str(run_id)))

    await change(request, caller.user_id, ask, scope=f"{run_id} cancel")
    run, _ = await runs.access_run(db, caller, str(run_id), "viewer")
    if run.status not in OVER:
        run = await waiting.until_over(run, CANCEL_PATIENCE)
    if run.status not in OVER:
        run = await runs.force_cancel(db, run.id, caller)

    async def tell(tx: Tx) -> ActionResult[Run]:
        now, revision = await runs.access_run(tx, caller, str(run_id), "viewer")
        return ActionResult(data=now, affected=[now.id], revision=revision)

    cancelled = await change(request, caller.user_id, tell, scope=f"{run_id} cancelled")
    return cancelled.response()


@get("/api/projects/{project_id:uuid}/messages", **declare("message.list", "viewer", **READS))
async def read_messages(
    request: AnyRequest,
    project_id: FromPath[UUID],
    caller: NamedDependency[Caller],
    db: NamedDependency[Database],
    before: Before = None,
    limit: Limit = PAGE,
) -> Response[Envelope[Page[Message]]]:
    """The chat, oldest first; `before` is the `nextCursor` of the page that follows."""
    access = await access_project(db, caller, str(project_id), "viewer")
    page = await list_messages(db, access.project_id, before=before, limit=limit)
    return answer(request.scope, ActionResult(data=page, revision=access.revision))


router = Router(
    "",
    route_handlers=[create_run, read_run, follow_run, cancel_run, read_messages],
)
