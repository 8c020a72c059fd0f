"""The security headers of every answer; those that a handler has set itself take precedence."""

from typing import Any

Header = tuple[bytes, bytes]

APP_PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data: blob:; font-src 'self'; media-src 'self' blob:; connect-src 'self'; "
    "worker-src 'self' blob:; frame-src 'self'; manifest-src 'self'; base-uri 'none'; "
    "form-action 'self'; object-src 'none'; frame-ancestors 'none'"
)
API_POLICY = "default-src 'none'; frame-ancestors 'none'"

COMMON_HEADERS: tuple[Header, ...] = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), microphone=(), geolocation=()"),
)
API_HEADERS: tuple[Header, ...] = (
    (b"cache-control", b"no-store"),
    (b"content-security-policy", API_POLICY.encode()),
)
APP_PAGE_HEADERS: tuple[Header, ...] = ((b"content-security-policy", APP_PAGE_POLICY.encode()),)
HTTPS_HEADERS: tuple[Header, ...] = (
    (b"strict-transport-security", b"max-age=31536000; includeSubDomains"),
)


def is_api(path: str) -> bool:
    """Return whether this path belongs to the API."""
    return path == "/api" or path.startswith("/api/")


def required_headers(scope: Any) -> tuple[Header, ...]:
    """Return the headers that an answer on this path must have."""
    path: str = scope["path"]
    required = COMMON_HEADERS
    if is_api(path):
        required += API_HEADERS
    elif path == "/" or path.startswith(("/projects/", "/invites/")):
        required += APP_PAGE_HEADERS
    if scope["scheme"] in ("https", "wss"):
        required += HTTPS_HEADERS
    return required


def add_headers(
    headers: list[Header], required: tuple[Header, ...], request_id: str
) -> list[Header]:
    """Return `headers` with the missing ones of `required` and the request's id.

    An answer that is replayed for an idempotency key keeps the id of the first request.
    """
    present = {name.lower() for name, _ in headers}
    result = [*headers, *(header for header in required if header[0] not in present)]
    if b"x-request-id" not in present:
        result.append((b"x-request-id", request_id.encode()))
    return result
