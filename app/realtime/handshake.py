"""The opening of a WebSocket whose HTTP request was parsed already (RFC 6455, 4.2)."""

import base64
import hashlib
import re
from typing import Any, NamedTuple
from urllib.parse import unquote

_KEY = re.compile(rb"[A-Za-z0-9+/]{21}[AQgw]==")  # 16 bytes in base64
_TARGET = re.compile(rb"[!-~]+")
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_ONCE = frozenset(
    {b"upgrade", b"connection", b"sec-websocket-key", b"sec-websocket-version", b"origin", b"host"}
)
_BODY = frozenset({b"content-length", b"transfer-encoding"})
_PROTOCOLS = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+([ \t]*,[ \t]*[!#$%&'*+.^_`|~0-9A-Za-z-]+)*")

Header = tuple[bytes, bytes]


class Handshake(NamedTuple):
    """What a client asked for that wants to speak WebSocket."""

    target: bytes
    headers: list[Header]
    key: bytes
    protocols: list[str]


def handshake_of(scope: Any, target: bytes) -> Handshake | None:
    """The handshake that a request is; None for all that is unusual, be it right or wrong."""
    if scope["method"] != "GET" or scope["http_version"] != "1.1" or not _TARGET.fullmatch(target):
        return None
    once: dict[bytes, bytes] = {}
    protocols: list[str] = []
    for name, value in scope["headers"]:
        if name in _ONCE:
            if name in once:
                return None
            once[name] = value
        elif name == b"sec-websocket-protocol":
            offered = value.decode("latin-1")
            if not _PROTOCOLS.fullmatch(offered):
                return None
            protocols += [part.strip() for part in offered.split(",")]
        elif name in _BODY:
            return None
    key = once.get(b"sec-websocket-key", b"")
    if once.get(b"sec-websocket-version") != b"13" or not _KEY.fullmatch(key):
        return None
    if once.get(b"upgrade", b"").lower() != b"websocket":
        return None
    return Handshake(target, scope["headers"], key, protocols)


def scope_of(http: Any, asked: Handshake, app_state: dict[str, Any]) -> dict[str, Any]:
    """The ASGI scope of the WebSocket; `http` is that of its request."""
    raw_path, _, query = asked.target.partition(b"?")
    root: str = http["root_path"]
    return {
        "type": "websocket",
        "asgi": {"version": http["asgi"]["version"], "spec_version": "2.4"},
        "http_version": "1.1",
        "scheme": "wss" if http["scheme"] == "https" else "ws",
        "server": http["server"],
        "client": http["client"],
        "root_path": root,
        "path": root + unquote(raw_path.decode("ascii")),
        "raw_path": root.encode("ascii") + raw_path,
        "query_string": query,
        "headers": asked.headers,
        "subprotocols": asked.protocols,
        "state": app_state.copy(),
        "extensions": {"websocket.http.response": {}},
    }


def welcome(key: bytes, headers: list[Header], subprotocol: str | None) -> bytes:
    """The answer that accepts."""
    accept = base64.b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest())
    lines = [
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: ", accept, b"\r\n",
    ]  # fmt: skip
    if subprotocol:
        lines += [b"Sec-WebSocket-Protocol: ", subprotocol.encode("ascii"), b"\r\n"]
    for name, value in headers:
        lines += [name, b": ", value, b"\r\n"]
    lines.append(b"\r\n")
    return b"".join(lines)
