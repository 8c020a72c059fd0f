"""Which hosts and origins a request may name: the cure for forged and rebound requests."""

import re
from collections.abc import Sequence
from typing import Any

from app.problems import Forbidden, InvalidInput, Problem

CHANGING = frozenset({"POST", "PUT", "PATCH", "DELETE"})
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
SESSION_COOKIE = "reelroom_session"
_HOST = re.compile(r"(?P<name>[a-z0-9_.\-]+|\[[0-9a-f:.]+\])(?::(?P<port>\d{1,5}))?")
_COOKIE = re.compile(rf"(?:^|;)\s*{SESSION_COOKIE}=([^;]*)")


def values_of(scope: Any, name: bytes) -> list[str]:
    """Every value of a header; `name` in lower case."""
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name]


def bearer_of(scope: Any) -> str | None:
    """The token of `Authorization: Bearer …`; None when there is no such header."""
    for value in values_of(scope, b"authorization"):
        kind, _, token = value.partition(" ")
        if kind.lower() == "bearer":
            return token.strip()
    return None


def session_of(scope: Any) -> str | None:
    """The value of the session cookie, unless a bearer token speaks for the request."""
    if bearer_of(scope) is not None:
        return None
    for value in values_of(scope, b"cookie"):
        if found := _COOKIE.search(value):
            return found.group(1).strip().strip('"')
    return None


def host_of(scope: Any) -> str:
    """The one Host of the request, in lower case; raise `InvalidInput` when it is not one."""
    hosts = values_of(scope, b"host")
    if len(hosts) != 1 or not _HOST.fullmatch(host := hosts[0].lower()):
        raise InvalidInput("The request must carry exactly one Host header.")
    return host


def host_problem(host: str, *, loopback: bool, allowed: frozenset[str]) -> Problem | None:
    """A server on loopback answers to loopback names only, else any page could rebind to it."""
    found = _HOST.fullmatch(host)
    name = found.group("name") if found else ""
    if not loopback or name in LOOPBACK_NAMES:
        return None
    if f"http://{host}" in allowed or f"https://{host}" in allowed:
        return None
    return Forbidden("This server does not answer to that host name.")


def origin_problem(scope: Any, host: str, allowed: frozenset[str]) -> Problem | None:
    """What is wrong with where a changing request or a WebSocket handshake comes from.

    A bearer token can't be sent by another site's page, so it needs no Origin. A proxy may have
    ended TLS before us, so a plain connection is also at home under https.
    """
    socket = scope["type"] == "websocket"
    if not socket and scope["method"] not in CHANGING:
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
