"""Turns every exception of a route into an envelope with its code and HTTP status."""

import logging
import re
from collections.abc import Iterable
from typing import Any

import msgspec
from litestar import Response
from litestar.enums import MediaType
from litestar.exceptions import (
    ClientException,
    HTTPException,
    MethodNotAllowedException,
    SerializationException,
    ValidationException,
)
from litestar.types import ExceptionHandlersMap

from app.http.envelope import Envelope, failure
from app.http.request import AnyRequest, info_of
from app.problems import (
    Forbidden,
    InternalError,
    InvalidInput,
    MethodNotAllowed,
    NotFound,
    PayloadTooLarge,
    Problem,
    RateLimited,
    ServiceUnavailable,
    Unauthorized,
    UnsupportedMediaType,
    ValidationFailed,
)

logger = logging.getLogger(__name__)

Detail = dict[str, str]

NOT_JSON_MESSAGE = "The body is not valid JSON."
PROBLEMS_BY_STATUS: dict[int, type[Problem]] = {
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    405: MethodNotAllowed,
    413: PayloadTooLarge,
    415: UnsupportedMediaType,
    422: ValidationFailed,
    429: RateLimited,
    503: ServiceUnavailable,
}
RULES_BY_PHRASE: tuple[tuple[str, str], ...] = (  # phrases in the messages of msgspec
    ("of length >=", "minLength"),
    ("of length <=", "maxLength"),
    ("` >=", "minimum"),
    ("` <=", "maximum"),
    ("` >", "exclusiveMinimum"),
    ("` <", "exclusiveMaximum"),
    ("a multiple of", "multipleOf"),
    ("matching regex", "pattern"),
    ("Invalid enum value", "enum"),
)
_PLACE = re.compile(r"^(?P<message>.*) - at `(?:key in )?\$?(?P<path>[^`]*)`$", re.DOTALL)
_FIELD = re.compile(r"(?P<kind>missing required|contains unknown) field `(?P<name>[^`]*)`")
_INDEX = re.compile(r"\[(\d+|\.\.\.)\]")


class StoredRefusal(Exception):
    """The refusal of a change, answered with exactly the bytes that its key has stored."""

    def __init__(self, response: Response[Any]) -> None:
        self.response = response
        super().__init__(f"refused with status {response.status_code}")


def detail_of(text: str, path: str = "") -> Detail:
    """Return an error message of msgspec as `{path, rule, message}`; the path is dotted."""
    if found := _PLACE.match(text):
        text, path = found.group("message"), found.group("path")
    path = _INDEX.sub(lambda index: "." + index.group(1).replace("...", "*"), path).strip(".")
    if field := _FIELD.search(text):
        rule = "required" if field.group("kind") == "missing required" else "unknown"
        path = f"{path}.{field.group('name')}".strip(".")
        message = "This field is required." if rule == "required" else "There is no such field."
        return {"path": path, "rule": rule, "message": message}
    rule = next((rule for words, rule in RULES_BY_PHRASE if words in text), "type")
    message = "This does not have the right form." if rule == "pattern" else text
    return {"path": path, "rule": rule, "message": message}


def problem_of_details(details: Iterable[Detail]) -> Problem:
    """Return `InvalidInput` if a type is wrong, or a field missing or unknown.

    All else breaks a rule, which is `ValidationFailed`.
    """
    listed = list(details)
    unreadable = [one for one in listed if one["rule"] in ("type", "required", "unknown")]
    kind: type[Problem] = InvalidInput if unreadable else ValidationFailed
    first = (unreadable or listed)[0]
    message = f"{first['path']}: {first['message']}" if first["path"] else first["message"]
    return kind(message, details=listed)


def problem_of_decoding(error: Exception) -> Problem:
    """Return the problem for a client's text that msgspec could not decode."""
    if isinstance(error, msgspec.ValidationError):
        return problem_of_details([detail_of(str(error))])
    if isinstance(error, RecursionError):
        return InvalidInput("The body is nested too deeply.")
    return InvalidInput(
        NOT_JSON_MESSAGE, details=[{"path": "", "rule": "json", "message": str(error)}]
    )


def problem_of_parameters(error: ValidationException) -> Problem:
    """Return the problem for what Litestar found wrong in path, query, headers or body."""
    found: Any = error.extra
    if not isinstance(found, list) or not found:
        return InvalidInput(error.detail.partition(" for path ")[0] + ".")
    if any(one.get("source") == "path" for one in found):
        return NotFound()
    if any(one.get("key") == "data" and one["message"] == "'data'" for one in found):
        return InvalidInput("A JSON body is required.")
    return problem_of_details(detail_of(one["message"], one.get("key", "")) for one in found)


def problem_of_http(error: HTTPException) -> Problem:
    """Return the problem for an HTTP exception of Litestar."""
    cause: BaseException | None = error.__cause__
    if isinstance(error, ValidationException):
        return problem_of_parameters(error)
    if isinstance(error, ClientException) and isinstance(cause, SerializationException):
        inner = cause.__cause__
        return problem_of_decoding(inner if isinstance(inner, Exception) else cause)
    if error.status_code == 405 and (error.headers or {}).get("allow") == "websocket":
        return MethodNotAllowed("This is a WebSocket: connect to it with ws:// or wss://.")
    if kind := PROBLEMS_BY_STATUS.get(error.status_code):
        return kind()
    return InvalidInput(error.detail) if error.status_code < 500 else InternalError()


def reply(
    request: AnyRequest, problem: Problem, headers: dict[str, str] | None = None
) -> Response[Envelope[None]]:
    """Return the response to a request that failed with a problem."""
    headers = headers or {}
    if problem.retry_after is not None:
        headers["retry-after"] = str(problem.retry_after)
    return Response(
        failure(request.scope, problem),
        status_code=problem.status,
        media_type=MediaType.JSON,
        headers=headers,
    )


def respond_to_problem(request: AnyRequest, problem: Problem) -> Response[Envelope[None]]:
    log_problem(request.scope, problem)
    return reply(request, problem)


def respond_to_stored_refusal(request: AnyRequest, refusal: StoredRefusal) -> Response[Any]:
    return refusal.response


def log_problem(scope: Any, problem: Problem) -> None:
    """Log a problem that is a failure of the server, not of the client."""
    if problem.status >= 500:
        logger.warning(
            "request %s: %s: %s",
            info_of(scope).request_id,
            problem.code,
            problem.message,
            exc_info=problem.__cause__,
        )


def respond_to_http_error(request: AnyRequest, error: HTTPException) -> Response[Envelope[None]]:
    problem = problem_of_http(error)
    if isinstance(problem, InternalError):
        return respond_to_bug(request, error)
    headers = dict(error.headers or {}) if isinstance(error, MethodNotAllowedException) else {}
    return reply(request, problem, headers)


def respond_to_decoding_error(request: AnyRequest, error: Exception) -> Response[Envelope[None]]:
    """Answer, and log: bodies are decoded before a route runs, so this was raised inside one."""
    logger.warning(
        "request %s sent unreadable data", info_of(request.scope).request_id, exc_info=error
    )
    return reply(request, problem_of_decoding(error))


def respond_to_bug(request: AnyRequest, error: Exception) -> Response[Envelope[None]]:
    logger.error(
        "request %s failed: %s %s",
        info_of(request.scope).request_id,
        request.method,
        request.scope.get("path_template", "no route"),
        exc_info=error,
    )
    return reply(request, InternalError())


HANDLERS: ExceptionHandlersMap = {
    Problem: respond_to_problem,
    StoredRefusal: respond_to_stored_refusal,
    HTTPException: respond_to_http_error,
    msgspec.MsgspecError: respond_to_decoding_error,
    UnicodeDecodeError: respond_to_decoding_error,
    RecursionError: respond_to_decoding_error,
    Exception: respond_to_bug,
}
