"""The envelope of every JSON answer: data, meta, context, error."""

import time
from datetime import UTC, datetime
from typing import Any, Generic, Literal, TypeVar

import msgspec
from litestar import Response
from litestar.enums import MediaType

from app.http.request import info_of
from app.problems import Problem

T = TypeVar("T")


class Meta(msgspec.Struct, rename="camel", kw_only=True, omit_defaults=True):
    request_id: str
    timestamp: int = msgspec.field(default_factory=lambda: time.time_ns() // 1_000_000)
    operation: str
    entity: str
    success: bool
    affected_ids: list[str]
    execution_time_ms: int
    revision: int | None = None


class AnswerContext(msgspec.Struct, rename="camel", kw_only=True, omit_defaults=True):
    """What an AI turn says beside its data."""

    reasoning: str | None = None
    chat_response: str | None = None
    suggestions: list[str] = msgspec.field(default_factory=list)
    needs_clarification: bool | None = None


class ErrorBody(msgspec.Struct, rename="camel", kw_only=True):
    code: str
    message: str
    retryable: bool
    details: Any | msgspec.UnsetType = msgspec.UNSET


class Envelope(msgspec.Struct, Generic[T], rename="camel", kw_only=True):
    """Every answer of every `/api` route, error or not."""

    data: T | None
    meta: Meta
    context: AnswerContext | msgspec.UnsetType = msgspec.UNSET
    error: ErrorBody | msgspec.UnsetType = msgspec.UNSET
    assistant_message_id: str | msgspec.UnsetType = msgspec.UNSET


class Page(msgspec.Struct, Generic[T], rename="camel", kw_only=True):
    """One page of a list; `nextCursor` is null on the last page."""

    items: list[T]
    next_cursor: str | None = None


class ActionResult(msgspec.Struct, Generic[T], kw_only=True):
    """The result of an action: the data of its answer, and what the envelope says of it.

    `status` is the HTTP status when it differs from the route's own.
    """

    data: T
    affected: list[str] = msgspec.field(default_factory=list)
    revision: int | None = None
    context: AnswerContext | None = None
    assistant_message_id: str | None = None
    status: int | None = None
    cookies: list[Any] = msgspec.field(default_factory=list)


def now() -> datetime:
    """Return the current time in UTC."""
    return datetime.now(UTC)


def operation_of(scope: Any) -> str:
    """Return the operation that the request's route declares; `request.read` without a route."""
    handler = scope.get("route_handler")
    operation = handler.opt.get("operation") if handler is not None else None
    return operation or "request.read"


def meta(
    scope: Any, *, success: bool, affected: list[str] | None = None, revision: int | None = None
) -> Meta:
    """Return the `meta` of an answer, with the time since the request began."""
    info, operation = info_of(scope), operation_of(scope)
    return Meta(
        request_id=info.request_id,
        operation=operation,
        entity=operation.partition(".")[0],
        success=success,
        affected_ids=affected or [],
        execution_time_ms=round((time.perf_counter() - info.began) * 1000),
        revision=revision,
    )


def envelope(scope: Any, result: ActionResult[T]) -> Envelope[T]:
    """Return the envelope of a success."""
    return Envelope(
        data=result.data,
        meta=meta(scope, success=True, affected=result.affected, revision=result.revision),
        context=result.context or msgspec.UNSET,
        assistant_message_id=result.assistant_message_id or msgspec.UNSET,
    )


def failure(scope: Any, problem: Problem) -> Envelope[None]:
    """Return the envelope of a problem."""
    return Envelope(
        data=None,
        meta=meta(scope, success=False),
        error=ErrorBody(
            code=problem.code,
            message=problem.message,
            retryable=problem.retryable,
            details=msgspec.UNSET if problem.details is None else problem.details,
        ),
    )


def answer(scope: Any, result: ActionResult[T], status: int = 200) -> Response[Envelope[T]]:
    """Return the response that answers with `result`."""
    return Response(
        envelope(scope, result),
        status_code=result.status or status,
        media_type=MediaType.JSON,
        cookies=result.cookies,
    )


Access = Literal["public", "account", "viewer", "editor", "owner", "admin"]


def declare(operation: str, access: Access, **more: Any) -> dict[str, Any]:
    """Return keyword arguments of a route that declare what it does and who may call it.

    `operation` is `<entity>.<verb>`. `public` routes are open to all; all others need an account;
    the three project roles are checked where the project is loaded. The app refuses to start with
    a route that declares neither. `more` are further keyword arguments of the route.
    """
    return {
        "opt": {"operation": operation, "access": access},
        "operation_id": operation,
        **more,
    }
