"""What may be seen of generations over HTTP, and what a person does with one."""

from typing import Annotated, TypeVar
from uuid import UUID

from litestar import Response, Router, delete, get, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, JSONBody, QueryParameter

from app.auth.model import Caller
from app.generations import changes
from app.generations.model import Apply, Chain, Generation
from app.generations.reads import access_generation, chain_of, list_generations
from app.http.envelope import ActionResult, Envelope, Page, answer, declare
from app.http.idempotency import Action, Outcome, change, key_of
from app.http.openapi import CHANGES, READS, UPDATES
from app.http.request import AnyRequest
from app.problems import InvalidInput, NotFound
from app.projects.access import access_project
from app.projects.parameters import IfMatch
from app.realtime.events import MAX_REVISION
from app.scenes.model import Scene
from app.scenes.requests import base_of

Asking = NamedDependency[Caller]
T = TypeVar("T")
GenerationId = FromPath[UUID]
ProjectOf = Annotated[
    UUID | None, QueryParameter(name="projectId", description="All generations of a project.")
]
ParentOf = Annotated[
    UUID | None, QueryParameter(name="parentId", description="Only what refined this one.")
]
After = Annotated[
    int | None,
    QueryParameter(ge=1, le=MAX_REVISION, description="`nextCursor` of the last page."),
]
CHANGED = ResponseSpec(
    Envelope[Scene], description="The scene that has its code now.", generate_examples=False
)
PROJECT_OF = "select project_id from generation where id = $1"
Limit = Annotated[int, QueryParameter(ge=1, le=100, description="Items on a page.")]


@get("/generations", **declare("generation.list", "viewer", **READS))
async def read_generations(
    request: AnyRequest,
    caller: Asking,
    project_id: ProjectOf = None,
    parent_id: ParentOf = None,
    after: After = None,
    limit: Limit = 50,
) -> Response[Envelope[Page[Generation]]]:
    """Oldest first: what refined `parentId`, or all of `projectId`."""
    if project_id is None and parent_id is None:
        raise InvalidInput("Give parentId or projectId.")
    async with request.app.state.db.reading() as reader:
        parent = str(parent_id) if parent_id else None
        if parent is not None:
            found, access = await access_generation(reader, caller, parent, "viewer")
            if project_id is not None and found.project_id != str(project_id):
                raise NotFound("There is no such generation in this project.")
        else:
            access = await access_project(reader, caller, str(project_id), "viewer")
        page = await list_generations(reader, access.project_id, parent, after=after, limit=limit)
    return answer(request.scope, ActionResult(data=page, revision=access.revision))


@get("/generations/{generation_id:uuid}", **declare("generation.read", "viewer", **READS))
async def read_generation(
    request: AnyRequest, caller: Asking, generation_id: GenerationId
) -> Response[Envelope[Generation]]:
    """One generation; of a deleted one what is left, with `deletedAt`."""
    async with request.app.state.db.reading() as reader:
        found, access = await access_generation(reader, caller, str(generation_id), "viewer")
    return answer(request.scope, ActionResult(data=found, revision=access.revision))


@get("/generations/{generation_id:uuid}/chain", **declare("generation.chain", "viewer", **READS))
async def read_chain(
    request: AnyRequest, caller: Asking, generation_id: GenerationId
) -> Response[Envelope[Chain]]:
    """What led to it, root first: at most the newest 50, `truncated` when there were more."""
    async with request.app.state.db.reading() as reader:
        _, access = await access_generation(reader, caller, str(generation_id), "viewer")
        chain = await chain_of(reader, str(generation_id))
    return answer(request.scope, ActionResult(data=chain, revision=access.revision))


@post(
    "/generations/{generation_id:uuid}/apply",
    **declare("generation.apply", "editor", responses=CHANGES["responses"] | {200: CHANGED}),
)
async def apply_generation(
    request: AnyRequest,
    caller: Asking,
    generation_id: GenerationId,
    data: JSONBody[Apply | None] = None,
    if_match: IfMatch = None,
) -> Response[Envelope[Scene]]:
    """Put its code on a scene (200), or without `sceneId` make a new scene of it (201)."""
    asked, base = data or Apply(), base_of(data, if_match)
    key = str(generation_id)
    outcome = await change_of(
        request, caller, key, lambda tx: changes.apply(tx, caller, key, asked, base)
    )
    return outcome.response()


@delete("/generations/{generation_id:uuid}", **declare("generation.delete", "editor", **UPDATES))
async def delete_generation(
    request: AnyRequest, caller: Asking, generation_id: GenerationId
) -> Response[Envelope[Generation]]:
    """Its code goes, its row stays for what refined it; CONFLICT while a scene shows it."""
    key = str(generation_id)
    outcome = await change_of(
        request, caller, key, lambda tx: changes.delete_generation(tx, caller, key)
    )
    return outcome.response()


async def change_of(
    request: AnyRequest,
    caller: Caller,
    generation_id: str,
    action: Action[T],
    status: int = 200,
    result_type: type[T] | None = None,
) -> Outcome[T]:
    """Idempotency keys are scoped to the project, which a generation's address does not name."""
    scope = None
    if key_of(request) is not None:
        scope = await request.app.state.db.fetchval(PROJECT_OF, generation_id)
    return await change(
        request,
        caller.user_id,
        action,
        scope=scope or generation_id,
        status=status,
        result_type=result_type,
    )


router = Router(
    "/api",
    route_handlers=[
        read_generations,
        read_generation,
        read_chain,
        apply_generation,
        delete_generation,
    ],
    tags=["generations"],
)
