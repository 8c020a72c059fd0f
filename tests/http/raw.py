"""Malformed requests over a plain socket, and scopes without a server."""

import asyncio
from typing import Any

from app.http.request import REQUEST_KEY, RequestInfo


async def send_raw(address: str, request: bytes) -> tuple[int, bytes]:
    """Send raw bytes; return the status and all bytes up to the server's close."""
    host, port = address.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(request)
        await writer.drain()
        async with asyncio.timeout(20):
            answer = await reader.read()
    finally:
        writer.close()
        await writer.wait_closed()
    return int(answer.split(b" ", 2)[1]), answer


def guarded_scope(scope: dict[str, Any]) -> dict[str, Any]:
    """A scope as the guard passes it on, for tests without a server."""
    scope.setdefault("state", {})[REQUEST_KEY] = RequestInfo(request_id="test", began=0.0)
    return scope
