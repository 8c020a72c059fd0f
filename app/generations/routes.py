"""Generations over HTTP: begin, refine, list, read, apply and delete them."""

from typing import Annotated, Any
from uuid import UUID

from litestar import Response, Router, delete, get, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import JSONBody, QueryParameter

from app.auth.model import Caller
from app.generations import changes, variations
from app.generations.model import Apply, Chain, Generation, NewGenerations, Refinement
from app.generations.reads import access_generation, batch_of, chain_of, list_generations
from app.generations.tables import GenerationRow
from app.http.envelope import ActionResult, Envelope, Page, answer, declare
from app.http.idempotency import Outcome, change
from app.http.openapi import CHANGES, READS, UPDATES
from app.http.request import AnyRequest
from app.problems import InvalidInput, NotFound
from app.projects.access import access_project
from app.projects.changes import change_row, scope_of
from app.projects.parameters import CurrentCaller, Db, Id, IfMatch, PageLimit
from app.realtime.events import MAX_REVISION
from app.runs.waiting import Waiting, wait_of
from app.scenes.model import Scene
from app.scenes.requests import base_of
from app.store.database import Database, Tx
from app.store.query import Param, built

Waits = NamedDependency[Waiting]  # of the parameter `waiting`
BatchResponse = Response[Envelope[Page[Generation]]]
ProjectOf = Annotated[
    UUID | None, QueryParameter(name="projectId", description="All generations of a project.")
]
ParentOf = Annotated[
    UUID | None, QueryParameter(name="parentId", description="Only the children of this one.")
]
After = Annotated[
    int | None,
    QueryParameter(ge=1, le=MAX_REVISION, description="`nextCursor` of the last page."),
]
PROJECT_OF_GENERATION = built(
    GenerationRow.select(GenerationRow.project_id).where(GenerationRow.id == Param("id"))
)
APPLIED = ResponseSpec(
    Envelope[Scene], description="The scene that has its code now.", generate_examples=False
)
ENDED = ResponseSpec(
    Envelope[Page[Generation]],
    description="With `Prefer: wait=n`: all of them are over, each a success or failed.",
    generate_examples=False,
)
BEGIN: dict[str, Any] = {"status_code": 202, "responses": CHANGES["responses"] | {200: ENDED}}


@post("/projects/{project_id:uuid}/generations", **declare("generation.create", "editor", **BEGIN))
async def create_generations(
    request: AnyRequest,
    caller: CurrentCaller,
    project_id: Id,
    data: JSONBody[NewGenerations],
    db: Db,
    waiting: Waits,
) -> BatchResponse:
    """Begin 1 to 4 variations of a prompt; `Prefer: wait=n` answers 200 once all have ended."""
    key = str(project_id)
    wait = wait_of(request)
    begun = await change(
        request,
        caller.user_id,
        lambda tx: variations.begin_variations(tx, caller, key, data),
        scope=key,
        status=202,
        result_type=Page[Generation],
    )
    return await _answer(request, caller, begun, wait, db, waiting)


@post("/generations/{generation_id:uuid}/refine", **declare("generation.refine", "editor", **BEGIN))
async def refine_generation(
    request: AnyRequest,
    caller: CurrentCaller,
    generation_id: Id,
    data: JSONBody[Refinement],
    db: Db,
    waiting: Waits,
) -> BatchResponse:
    """Begin children that start from its code; `Prefer: wait=n` answers 200 once all have ended."""
    key = str(generation_id)
    wait = wait_of(request)
    begun = await change(
        request,
        caller.user_id,
        lambda tx: variations.refine(tx, caller, key, data),
        scope=await scope_of(request, PROJECT_OF_GENERATION, key),
        status=202,
        result_type=Page[Generation],
    )
    return await _answer(request, caller, begun, wait, db, waiting)


async def _answer(
    request: AnyRequest,
    caller: Caller,
    begun: Outcome[Page[Generation]],
    wait: int,
    db: Database,
    waiting: Waiting,
) -> BatchResponse:
    """Answer with what was begun, or with what became of it within `wait` seconds."""
    if not wait:
        return begun.response()
    first = begun.result.data.items[0]
    batch_id = first.batch_id
    assert batch_id is not None

    async def has_ended() -> bool:
        return all(one.status != "pending" for one in await batch_of(db, batch_id))

    if not await waiting.until(first.project_id, has_ended, wait):
        return begun.response()

    async def read(tx: Tx) -> ActionResult[Page[Generation]]:
        access = await access_project(tx, caller, first.project_id, "viewer")  # still
        items = await batch_of(tx, batch_id)
        affected = [item.id for item in items]
        return ActionResult(data=Page(items=items), affected=affected, revision=access.revision)

    ended = await change(request, caller.user_id, read, scope=f"{first.project_id} generated")
    return ended.response()


@get("/generations", **declare("generation.list", "viewer", **READS))
async def read_generations(
    request: AnyRequest,
    caller: CurrentCaller,
    db: Db,
    project_id: ProjectOf = None,
    parent_id: ParentOf = None,
    after: After = None,
    limit: PageLimit = 50,
) -> Response[Envelope[Page[Generation]]]:
    """List the generations of `projectId`, or the children of `parentId`, oldest first."""
    if project_id is None and parent_id is None:
        raise InvalidInput("Give parentId or projectId.")
    async with db.reading() as reader:
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
    request: AnyRequest, caller: CurrentCaller, db: Db, generation_id: Id
) -> Response[Envelope[Generation]]:
    """Return one generation; a deleted one has `deletedAt` and no code."""
    async with db.reading() as reader:
        found, access = await access_generation(reader, caller, str(generation_id), "viewer")
    return answer(request.scope, ActionResult(data=found, revision=access.revision))


@get("/generations/{generation_id:uuid}/chain", **declare("generation.chain", "viewer", **READS))
async def read_chain(
    request: AnyRequest, caller: CurrentCaller, db: Db, generation_id: Id
) -> Response[Envelope[Chain]]:
    """Return what led to it, root first: the newest 50, `truncated` when there are more."""
    async with db.reading() as reader:
        _, access = await access_generation(reader, caller, str(generation_id), "viewer")
        chain = await chain_of(reader, str(generation_id))
    return answer(request.scope, ActionResult(data=chain, revision=access.revision))


@post(
    "/generations/{generation_id:uuid}/apply",
    **declare("generation.apply", "editor", responses=CHANGES["responses"] | {200: APPLIED}),
)
async def apply_generation(
    request: AnyRequest,
    caller: CurrentCaller,
    generation_id: Id,
    data: JSONBody[Apply | None] = None,
    if_match: IfMatch = None,
) -> Response[Envelope[Scene]]:
    """Put its code on a scene (200), or without `sceneId` make a new scene of it (201)."""
    base = base_of(data, if_match)
    return await change_row(
        request,
        caller,
        PROJECT_OF_GENERATION,
        generation_id,
        changes.apply,
        data or Apply(),
        base,
    )


@delete("/generations/{generation_id:uuid}", **declare("generation.delete", "editor", **UPDATES))
async def delete_generation(
    request: AnyRequest, caller: CurrentCaller, generation_id: Id
) -> Response[Envelope[Generation]]:
    """Delete its code; its row stays for its children. CONFLICT while a scene shows it."""
    return await change_row(
        request, caller, PROJECT_OF_GENERATION, generation_id, changes.delete_generation
    )


router = Router(
    "/api",
    route_handlers=[
        create_generations,
        refine_generation,
        read_generations,
        read_generation,
        read_chain,
        apply_generation,
        delete_generation,
    ],
    tags=["generations"],
)
