"""A live uvicorn on the tests' own event loop."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Literal

import uvicorn
from litestar import Litestar

from app.http.connection import Connection
from app.main import create_app
from app.realtime.accelerated.protocols import (
    AcceleratedHttpProtocol,
    AcceleratedWebSocketProtocol,
)
from app.realtime.limits import Limits
from app.settings import Settings
from app.store.database import Database
from tests.harness.database import DB

# Who writes the bytes of a stream: this project's protocols of uvicorn on the transport itself,
# or ASGI's `send`, as on any other server.
Delivery = Literal["uvicorn", "asgi"]

BACKLOG = 2048  # connections that wait to be accepted
GRACEFUL_SHUTDOWN_SECONDS = 1
WS_PING_SECONDS = 20.0


class QuietServer(uvicorn.Server):
    """A uvicorn that leaves the signal handlers to pytest."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def serving(
    app: Any,
    *,
    delivery: Delivery = "uvicorn",
    http: type[asyncio.Protocol] | None = None,
    ws_ping: float = WS_PING_SECONDS,
) -> AsyncIterator[str]:
    """Serve an ASGI app on a free port until the block ends; yields its address.

    `http` is a protocol in place of that of the delivery. `ws_ping`: seconds between two pings of
    a WebSocket, and until an unanswered one ends it.
    """
    listener = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    accelerated = delivery == "uvicorn"
    config = uvicorn.Config(
        app,
        http=http or (AcceleratedHttpProtocol if accelerated else Connection),
        ws=AcceleratedWebSocketProtocol if accelerated else "websockets-sansio",
        log_level="warning",
        ws_per_message_deflate=False,
        ws_ping_interval=ws_ping,
        ws_ping_timeout=ws_ping,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=GRACEFUL_SHUTDOWN_SECONDS,
    )
    server = QuietServer(config)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started:
        assert not task.done(), "the server did not start"
        await asyncio.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await task


@asynccontextmanager
async def serving_reelroom(
    settings: Settings,
    *,
    database: Database | None = DB,
    run_jobs: bool = True,
    limits: Limits | None = None,
) -> AsyncIterator[str]:
    """Serve the whole server until the block ends; yields its address.

    It shares the tests' database object, or opens one of its own for `database=None`: then it
    learns of the commits of others only as another process does. Its streams end as at SIGTERM.
    """
    app: Any = create_app(settings, database=database, run_jobs=run_jobs, limits=limits)
    litestar = app
    while not isinstance(litestar, Litestar):
        litestar = litestar.app
    async with serving(app) as address:
        try:
            yield address
        finally:
            litestar.state.hubs.close()
