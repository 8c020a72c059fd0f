"""Ask for variations of a prompt, or refine a generation: work that does not live in the reply."""

from typing import Any, cast
from uuid import UUID

import msgspec
from litestar import Request, Response, Router, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, JSONBody

from app.auth.model import Caller
from app.chat.signals import SIGNALS
from app.chat.waiting import WAITING, wait_of
from app.generations import variations
from app.generations.model import Generation, NewGenerations, Refinement
from app.generations.reads import batch_of
from app.generations.routes import change_of
from app.http.envelope import Done, Envelope, Page, declare
from app.http.idempotency import change, once
from app.http.openapi import CHANGES
from app.store.engine import DB, Tx

Asked = Request[Any, Any, Any]
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
    request: Asked, caller: Asking, project_id: FromPath[UUID], data: JSONBody[NewGenerations]
) -> Answer:
    """Begin 1 to 4 variations of a prompt; `Prefer: wait=n` answers 200 once all are over."""
    key = str(project_id)
    wait = wait_of(request)

    async def begin(tx: Tx) -> Done[Page[Generation]]:
        begun = await variations.ask_variations(tx, caller, key, data)
        tx.after_commit.append(SIGNALS.wake)
        return begun

    begun = await change(request, caller.user_id, begin, scope=key, status=202)
    return await _answer(request, caller, begun, wait)


@post("/generations/{generation_id:uuid}/refine", **declare("generation.refine", "editor", **LATER))
async def refine_generation(
    request: Asked, caller: Asking, generation_id: FromPath[UUID], data: JSONBody[Refinement]
) -> Answer:
    """Begin children that start from its code; `Prefer: wait=n` answers 200 once all are over."""
    key = str(generation_id)
    wait = wait_of(request)

    async def begin(tx: Tx) -> Done[Page[Generation]]:
        begun = await variations.refine(tx, caller, key, data)
        tx.after_commit.append(SIGNALS.wake)
        return begun

    begun = await change_of(request, caller, key, begin, status=202)
    return await _answer(request, caller, begun, wait)


async def _answer(request: Asked, caller: Caller, begun: Answer, wait: int) -> Answer:
    """What was begun, or with time enough what became of it."""
    if begun.status_code != 202 or not wait:
        return begun
    kept = msgspec.json.decode(cast(bytes, begun.content), type=Envelope[Page[Generation]]).data
    assert kept is not None
    first = kept.items[0]
    batch_id = first.batch_id
    assert batch_id is not None

    async def over() -> bool:
        return all(one.status != "pending" for one in await batch_of(DB, batch_id))

    if not await WAITING.until(first.project_id, over, wait):
        return begun

    async def read(tx: Tx) -> Done[Page[Generation]]:
        items = await batch_of(tx, batch_id)
        revision = await tx.fetchval("select revision from project where id = $1", first.project_id)
        return Done(data=Page(items=items), affected=[item.id for item in items], revision=revision)

    return await once(request, caller.user_id, read, scope=f"{first.project_id} generated")


router = Router(
    "/api", route_handlers=[create_generations, refine_generation], tags=["generations"]
)
