"""The OpenAPI descriptions of the answers that most routes share."""

from typing import Any

from litestar.openapi.datastructures import ResponseSpec

from app.http.envelope import Envelope

ERROR_DESCRIPTIONS = {
    400: "INVALID_INPUT: malformed JSON, a wrong type, an unknown or missing field, a bad cursor.",
    401: "UNAUTHORIZED: no or bad credentials.",
    403: "FORBIDDEN: the role is too low, a scene of another project, or a bad Origin.",
    404: "NOT_FOUND: absent, deleted, or another user's.",
    409: "ALREADY_EXISTS or CONFLICT; `error.details` holds the current state.",
    413: "PAYLOAD_TOO_LARGE: the body or a field is over its limit.",
    415: "UNSUPPORTED_MEDIA_TYPE: a changing request must be application/json.",
    422: "VALIDATION_FAILED: well-formed but breaks a rule; `error.details` lists which.",
    429: "RATE_LIMITED: wait for `Retry-After` seconds.",
    500: "INTERNAL_ERROR: a bug of ours; the request id finds it.",
    503: "DATABASE_ERROR or SERVICE_UNAVAILABLE: wait for `Retry-After` seconds.",
}
STATUSES_OF_CHANGES = (409, 413, 415)


def errors(*, changes: bool) -> dict[int, ResponseSpec]:
    """Return the errors of a route that reads, or of one that `changes` something."""
    return {
        status: ResponseSpec(Envelope[None], description=meaning, generate_examples=False)
        for status, meaning in ERROR_DESCRIPTIONS.items()
        if changes or status not in STATUSES_OF_CHANGES
    }


READS: dict[str, Any] = {"responses": errors(changes=False)}
STREAM = {
    200: ResponseSpec(
        str,
        description="Server-Sent Events: `event:` a type, `id:` a cursor, `data:` one JSON object.",
        media_type="text/event-stream",
        generate_examples=False,
    )
}
CHANGES: dict[str, Any] = {"responses": errors(changes=True)}
# A change that creates nothing: without it Litestar would document 201 or 204 for some methods.
UPDATES: dict[str, Any] = {"status_code": 200, **CHANGES}
