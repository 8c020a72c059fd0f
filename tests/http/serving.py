"""A live uvicorn on the tests' own loop, and requests that no decent client would send."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import uvicorn

from app.http.connection import Connection
from app.http.request import REQUEST_KEY, RequestInfo
from app.realtime.accelerated.protocols import (
    AcceleratedHttpProtocol,
    AcceleratedWebSocketProtocol,
)


@asynccontextmanager
async def serving(
    app: Callable[..., Any], *, direct: bool = True, ws_ping: float = 20.0
) -> AsyncIterator[str]:
    """Serve the app on a free port; yield its address. Not `direct`: as any ASGI server would.

    `ws_ping`: seconds, as is its patience.
    """
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    config = uvicorn.Config(
        app,
        log_level="warning",
        http=AcceleratedHttpProtocol if direct else Connection,
        ws=AcceleratedWebSocketProtocol if direct else "websockets-sansio",
        ws_per_message_deflate=False,
        ws_ping_interval=ws_ping,
        ws_ping_timeout=ws_ping,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started:
        assert not task.done(), "the server did not start"
        await asyncio.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await task


async def spoken(address: str, request: bytes) -> tuple[int, bytes]:
    """Send raw bytes; return the status and everything that came until the server closed."""
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


def introduced(scope: dict[str, Any]) -> dict[str, Any]:
    """A scope as the guard leaves it, for what is tested without a server."""
    scope.setdefault("state", {})[REQUEST_KEY] = RequestInfo(request_id="test", began=0.0)
    return scope
