"""Going back, undo and redo, the timeline, branches and differences, over HTTP."""

from typing import Any
from uuid import UUID

from litestar import Request, Response, Router, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from app.auth.model import Caller
from app.http.envelope import Envelope, declare
from app.http.idempotency import Action, change, key_of
from app.http.openapi import CHANGES
from app.scenes import going_back
from app.scenes.going_back import GoBack, WentBack
from app.store.engine import DB

Asked = Request[Any, Any, Any]
Asking = NamedDependency[Caller]
ONE = {"status_code": 200, **CHANGES}


@post("/iterations/{iteration_id:uuid}/revert", **declare("iteration.revert", "editor", **ONE))
async def revert_iteration(
    request: Asked, caller: Asking, iteration_id: FromPath[UUID], data: JSONBody[GoBack]
) -> Response[Envelope[WentBack]]:
    """A scene, or the order, as it was before or after one change of it.

    CONFLICT with `details.later` when it was changed again since, unless `force`.
    """
    key = str(iteration_id)
    return await _change(
        request,
        caller,
        ("scene_iteration", key),
        lambda tx: going_back.revert_iteration(tx, caller, key, data),
    )


@post("/messages/{message_id:uuid}/revert", **declare("message.revert", "editor", **ONE))
async def revert_message(
    request: Asked, caller: Asking, message_id: FromPath[UUID], data: JSONBody[GoBack]
) -> Response[Envelope[WentBack]]:
    """All that a message changed, as it was before or after it, in one step.

    CONFLICT with `details.later` when some of it was changed again since, unless `force`.
    """
    key = str(message_id)
    return await _change(
        request,
        caller,
        ("message", key),
        lambda tx: going_back.revert_message(tx, caller, key, data),
    )


async def _change(
    request: Asked, caller: Caller, row: tuple[str, str], action: Action[Any]
) -> Response[Any]:
    """Idempotency keys are scoped to the project, which the row's address does not name."""
    table, key = row
    scope = None
    if key_of(request) is not None:
        scope = await DB.fetchval(f"select project_id from {table} where id = $1", key)
    return await change(request, caller.user_id, action, scope=scope or key)


router = Router("/api", route_handlers=[revert_iteration, revert_message], tags=["history"])
