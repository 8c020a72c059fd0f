"""Access to routes: declared on each route, verified at startup, checked before each call."""

import re
from collections.abc import Iterator
from typing import Any, Protocol, cast, get_args

import msgspec
from litestar import Litestar
from litestar.connection import ASGIConnection
from litestar.exceptions import WebSocketException
from litestar.handlers import BaseRouteHandler, HTTPRouteHandler
from litestar.params import KwargDefinition
from litestar.routes import HTTPRoute

from app.http.envelope import Access
from app.http.strict import StrictRequest
from app.problems import Forbidden, Problem, Unauthorized

CREDENTIALS_KEY = "credentials"  # in app.state: the `Credentials` that `auth` provides
ACCESSES = frozenset(get_args(Access))
_OPERATION = re.compile(r"[a-z][A-Za-z]*\.[a-z][A-Za-z]*")


class CurrentCaller(Protocol):
    """The attribute of a caller that the access check reads."""

    @property
    def role(self) -> str: ...


class Credentials(Protocol):
    """The interface of `app.auth.credentials.Credentials`, which this slice must not import."""

    async def find_caller(self, scope: Any) -> CurrentCaller | None:
        """Return who makes this request; None without valid credentials."""


class UndeclaredRoute(Exception):
    """A route does not declare what it does or who may call it."""


async def require_access(
    connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler
) -> None:
    """Check a caller before each handler, as a guard of Litestar."""
    await check_access(connection.scope, handler)


async def check_access(scope: Any, handler: BaseRouteHandler) -> None:
    """Raise 401 without an account and 403 without the admin's role on routes that need them.

    A WebSocket is closed with code 4401 or 4403. A route without a declaration is refused.
    """
    access = handler.opt.get("access")
    if access == "public":
        return
    credentials: Credentials = scope["litestar_app"].state[CREDENTIALS_KEY]
    problem: Problem | None = None
    try:
        caller = await credentials.find_caller(scope)
        if caller is None:
            problem = Unauthorized()
        elif access not in ACCESSES or (access == "admin" and caller.role != "admin"):
            problem = Forbidden()
    except Problem as error:
        problem = error
    if problem is not None:
        raise for_connection(scope, problem)


def for_connection(scope: Any, problem: Problem) -> Exception:
    """Return the problem in the form that this kind of connection can carry.

    For a WebSocket that is a close code: 4401 for status 401, and so on.
    """
    if scope["type"] == "websocket":
        return WebSocketException(code=4000 + problem.status, detail=problem.message)
    return problem


def handlers_of(app: Litestar) -> Iterator[tuple[str, BaseRouteHandler]]:
    """Yield every handler with its path, except the OPTIONS handlers that Litestar adds itself."""
    for route in app.routes:
        if not isinstance(route, HTTPRoute):
            yield route.path, cast(BaseRouteHandler, cast(Any, route).route_handler)
            continue
        for handler in route.route_handlers:
            if handler.fn.__qualname__.startswith("HTTPRoute.create_options_handler"):
                continue
            yield route.path, handler


def check_routes(app: Litestar) -> None:
    """Raise `UndeclaredRoute` with all faults unless every route is declared and guarded."""
    faults = [
        f"{path} ({handler}): {fault}"
        for path, handler in handlers_of(app)
        for fault in faults_of(handler)
    ]
    if CREDENTIALS_KEY not in app.state:
        faults.append(f"app.state.{CREDENTIALS_KEY} is not set")
    if faults:
        raise UndeclaredRoute("\n".join(faults))


def faults_of(handler: BaseRouteHandler) -> Iterator[str]:
    """Yield the faults of a handler's declaration."""
    access = handler.opt.get("access")
    if access not in ACCESSES:
        yield f"opt['access'] is {access!r}"
    if not _OPERATION.fullmatch(str(handler.opt.get("operation"))):
        yield f"opt['operation'] is {handler.opt.get('operation')!r}"
    if access != "public" and not any(
        _is_require_access(guard) for guard in handler.resolve_guards()
    ):
        yield "require_access does not guard it"
    if not isinstance(handler, HTTPRouteHandler):
        return
    for name, field in handler.parsed_fn_signature.parameters.items():
        dropped = any(isinstance(part, msgspec.Meta) for part in field.metadata)
        if dropped and isinstance(field.kwarg_definition, KwargDefinition):
            yield f"Litestar ignores the Meta of {name!r}: use QueryParameter(le=…) and the like"
    if "data" in handler.parsed_fn_signature.parameters and not issubclass(
        handler.resolve_request_class(), StrictRequest
    ):
        yield "its body is not read by StrictRequest"


def _is_require_access(guard: Any) -> bool:
    return guard is require_access or getattr(guard, "func", None) is require_access
