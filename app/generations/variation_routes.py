"""Ask for variations of a prompt, or refine a generation: work that does not live in the reply."""

from typing import Any
from uuid import UUID

from litestar import Response, Router, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, JSONBody

from app.auth.model import Caller
from app.generations import variations
from app.generations.model import Generation, GenerationQueued, NewGenerations, Refinement
from app.generations.reads import batch_of
from app.generations.routes import change_of
from app.http.envelope import ActionResult, Envelope, Page, declare
from app.http.idempotency import Outcome, change
from app.http.openapi import CHANGES
from app.http.request import AnyRequest
from app.projects.access import access_project
from app.runs.waiting import Waiting, wait_of
from app.store.database import Database, Tx

Asking = NamedDependency[Caller]
Answer = Response[Envelope[Page[Generation]]]
ENDED = ResponseSpec(
    Envelope[Page[Generation]],
    description="With `Prefer: wait=n`: all of them are over, each a success or failed.",
    generate_examples=False,
)
LATER: dict[str, Any] = {"status_code": 202, "responses": CHANGES["responses"] | {200: ENDED}}


@post("/projects/{project_id:uuid}/generations", **declare("generation.create", "editor", **LATER))
async def create_generations(
    request: AnyRequest,
    caller: Asking,
    project_id: FromPath[UUID],
    data: JSONBody[NewGenerations],
    db: NamedDependency[Database],
    waiting: NamedDependency[Waiting],
) -> Answer:
    """Begin 1 to 4 variations of a prompt; `Prefer: wait=n` answers 200 once all are over."""
    key = str(project_id)
    wait = wait_of(request)

    async def begin(tx: Tx) -> ActionResult[Page[Generation]]:
        begun = await variations.ask_variations(tx, caller, key, data)
        tx.send_after_commit(GenerationQueued())
        return begun

    begun = await change(
        request, caller.user_id, begin, scope=key, status=202, result_type=Page[Generation]
    )
    return await _answer(request, caller, begun, wait, db, waiting)


@post("/generations/{generation_id:uuid}/refine", **declare("generation.refine", "editor", **LATER))
async def refine_generation(
    request: AnyRequest,
    caller: Asking,
    generation_id: FromPath[UUID],
    data: JSONBody[Refinement],
    db: NamedDependency[Database],
    waiting: NamedDependency[Waiting],
) -> Answer:
    """Begin children that start from its code; `Prefer: wait=n` answers 200 once all are over."""
    key = str(generation_id)
    wait = wait_of(request)

    async def begin(tx: Tx) -> ActionResult[Page[Generation]]:
        begun = await variations.refine(tx, caller, key, data)
        tx.send_after_commit(GenerationQueued())
        return begun

    begun = await change_of(request, caller, key, begin, status=202, result_type=Page[Generation])
    return await _answer(request, caller, begun, wait, db, waiting)


async def _answer(
    request: AnyRequest,
    caller: Caller,
    begun: Outcome[Page[Generation]],
    wait: int,
    db: Database,
    waiting: Waiting,
) -> Answer:
    """What was begun, or with time enough what became of it."""
    if not wait:
        return begun.response()
    first = begun.result.data.items[0]
    batch_id = first.batch_id
    assert batch_id is not None

    async def over() -> bool:
        return all(one.status != "pending" for one in await batch_of(db, batch_id))

    if not await waiting.until(first.project_id, over, wait):
        return begun.response()

    async def read(tx: Tx) -> ActionResult[Page[Generation]]:
        access = await access_project(tx, caller, first.project_id, "viewer")  # still
        items = await batch_of(tx, batch_id)
        affected = [item.id for item in items]
        return ActionResult(data=Page(items=items), affected=affected, revision=access.revision)

    ended = await change(request, caller.user_id, read, scope=f"{first.project_id} generated")
    return ended.response()


router = Router(
    "/api", route_handlers=[create_generations, refine_generation], tags=["generations"]
)
