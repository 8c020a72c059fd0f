"""The security headers of every answer; what a handler has set itself stays as it is."""

from typing import Any

Header = tuple[bytes, bytes]

APP_PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data: blob:; font-src 'self'; media-src 'self' blob:; connect-src 'self'; "
    "worker-src 'self' blob:; frame-src 'self'; manifest-src 'self'; base-uri 'none'; "
    "form-action 'self'; object-src 'none'; frame-ancestors 'none'"
)
API_POLICY = "default-src 'none'; frame-ancestors 'none'"

ALWAYS: tuple[Header, ...] = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), microphone=(), geolocation=()"),
)
OF_API: tuple[Header, ...] = (
    (b"cache-control", b"no-store"),
    (b"content-security-policy", API_POLICY.encode()),
)
OF_APP_PAGE: tuple[Header, ...] = ((b"content-security-policy", APP_PAGE_POLICY.encode()),)
OF_HTTPS: tuple[Header, ...] = (
    (b"strict-transport-security", b"max-age=31536000; includeSubDomains"),
)


def is_api(path: str) -> bool:
    return path == "/api" or path.startswith("/api/")


def headers_for(scope: Any) -> tuple[Header, ...]:
    """What an answer on this path must carry."""
    path: str = scope["path"]
    wanted = ALWAYS
    if is_api(path):
        wanted += OF_API
    elif path == "/" or path.startswith(("/projects/", "/invites/")):
        wanted += OF_APP_PAGE
    if scope["scheme"] in ("https", "wss"):
        wanted += OF_HTTPS
    return wanted


def completed(headers: list[Header], wanted: tuple[Header, ...], request_id: str) -> list[Header]:
    """`headers` with what is lacking of `wanted`, and with the request's id unless it has one.

    A reply that is given again for an idempotency key keeps the id of the request it answered.
    """
    present = {name.lower() for name, _ in headers}
    result = [*headers, *(header for header in wanted if header[0] not in present)]
    if b"x-request-id" not in present:
        result.append((b"x-request-id", request_id.encode()))
    return result
