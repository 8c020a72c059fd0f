"""Changes of a project and its parts over HTTP; the project is the scope of idempotency keys."""

from collections.abc import Awaitable, Callable
from typing import TypeVar, TypeVarTuple
from uuid import UUID

from litestar import Response

from app.auth.model import Caller
from app.http.envelope import ActionResult, Envelope
from app.http.idempotency import change, key_of
from app.http.request import AnyRequest
from app.store.database import Database, Tx
from app.store.query import Statement

T = TypeVar("T")
Arguments = TypeVarTuple("Arguments")


async def change_in_project(
    request: AnyRequest,
    caller: Caller,
    project_id: UUID,
    action: Callable[[Tx, Caller, str, *Arguments], Awaitable[ActionResult[T]]],
    *arguments: *Arguments,
    status: int = 200,
) -> Response[Envelope[T]]:
    """Run `action(tx, caller, project_id, *arguments)` in a transaction; answer with its result."""
    key = str(project_id)
    outcome = await change(
        request,
        caller.user_id,
        lambda tx: action(tx, caller, key, *arguments),
        scope=key,
        status=status,
    )
    return outcome.response()


async def change_row(
    request: AnyRequest,
    caller: Caller,
    find_project: Statement,
    row_id: UUID,
    action: Callable[[Tx, Caller, str, *Arguments], Awaitable[ActionResult[T]]],
    *arguments: *Arguments,
    status: int = 200,
) -> Response[Envelope[T]]:
    """Run `action(tx, caller, row_id, *arguments)` in a transaction; answer with its result.

    `find_project` selects the project of the row with this `id`, which the path does not contain.
    """
    key = str(row_id)
    outcome = await change(
        request,
        caller.user_id,
        lambda tx: action(tx, caller, key, *arguments),
        scope=await scope_of(request, find_project, key),
        status=status,
    )
    return outcome.response()


async def scope_of(request: AnyRequest, find_project: Statement, row_id: str) -> str:
    """Return the scope of the request's idempotency key: the project of a row.

    It is the row's own id for an unknown row, and for a request without a key, which needs none.
    """
    if key_of(request) is None:
        return row_id
    db: Database = request.app.state.db
    return await db.fetchval(*find_project(id=row_id)) or row_id
