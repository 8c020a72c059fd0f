"""Checks Host and Origin, against cross-site request forgery and DNS rebinding."""

import re
from collections.abc import Sequence
from typing import Any

from app.problems import Forbidden, InvalidInput, Problem

CHANGING_METHODS = frozenset({"POST", "PUT", "PATCH", "DELETE"})
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
SESSION_COOKIE = "reelroom_session"
_HOST = re.compile(r"(?P<name>[a-z0-9_.\-]+|\[[0-9a-f:.]+\])(?::(?P<port>\d{1,5}))?")
_COOKIE = re.compile(rf"(?:^|;)\s*{SESSION_COOKIE}=([^;]*)")


def values_of(scope: Any, name: bytes) -> list[str]:
    """Return every value of a header; `name` is in lower case."""
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name]


def bearer_of(scope: Any) -> str | None:
    """Return the token of `Authorization: Bearer …`; None without such a header."""
    for value in values_of(scope, b"authorization"):
        kind, _, token = value.partition(" ")
        if kind.lower() == "bearer":
            return token.strip()
    return None


def session_of(scope: Any) -> str | None:
    """Return the value of the session cookie; None without one, or with a bearer token."""
    if bearer_of(scope) is not None:
        return None
    for value in values_of(scope, b"cookie"):
        if found := _COOKIE.search(value):
            return found.group(1).strip().strip('"')
    return None


def host_of(scope: Any) -> str:
    """Return the request's Host in lower case; raise `InvalidInput` unless there is exactly one."""
    hosts = values_of(scope, b"host")
    if len(hosts) != 1 or not _HOST.fullmatch(host := hosts[0].lower()):
        raise InvalidInput("The request must carry exactly one Host header.")
    return host


def host_problem(host: str, *, loopback: bool, allowed: frozenset[str]) -> Problem | None:
    """Return the problem of the host name; None if it is allowed.

    A server on loopback answers to loopback names only; else any page could reach it by a domain
    that resolves to loopback.
    """
    found = _HOST.fullmatch(host)
    name = found.group("name") if found else ""
    if not loopback or name in LOOPBACK_NAMES:
        return None
    if f"http://{host}" in allowed or f"https://{host}" in allowed:
        return None
    return Forbidden("This server does not answer to that host name.")


def origin_problem(scope: Any, host: str, allowed: frozenset[str]) -> Problem | None:
    """Return the problem of the Origin of a changing request or a WebSocket handshake, if any.

    A page of another site cannot send a bearer token, so a request with one needs no Origin. A
    proxy may have terminated TLS, so the https origin is also accepted on a plain connection.
    """
    socket = scope["type"] == "websocket"
    if not socket and scope["method"] not in CHANGING_METHODS:
        return None
    if bearer_of(scope) is not None:
        return None
    if "cross-site" in values_of(scope, b"sec-fetch-site"):
        return Forbidden("Requests from another site are refused.")
    origins = values_of(scope, b"origin")
    if not origins and not socket and session_of(scope) is None:
        return None
    if len(origins) == 1 and _allowed(origins[0].lower(), scope["scheme"], host, allowed):
        return None
    return Forbidden("The Origin of this request is not allowed.")


def _allowed(origin: str, scheme: str, host: str, allowed: frozenset[str]) -> bool:
    own: Sequence[str] = (f"https://{host}",)
    if scheme in ("http", "ws"):
        own = (f"http://{host}", f"https://{host}")
    return origin in own or origin in allowed
