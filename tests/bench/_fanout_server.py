"""A server of the fan-out bench in a process of its own: the product, or Litestar's Channels.

`/events/<n>` and `/socket/<n>` lead to the n-th project, so that a load generator can count them.
"""

import signal
import socket
import sys
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import uvicorn

PROJECT = 0x01900000_0000_7000_8000_000000000000  # the first project's id


def project_id(number: int) -> str:
    return str(UUID(int=PROJECT + number))


def product() -> uvicorn.Config:
    from app.main import create_app
    from app.serve import _config
    from app.settings import Settings

    settings = Settings.read()
    inner: Any = create_app(settings, run_jobs=False)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        path = scope.get("path", "")
        for short, long in (("/events/", "events"), ("/socket/", "socket")):
            if path.startswith(short):
                number = int(path.removeprefix(short))
                path = f"/api/projects/{project_id(number)}/{long}"
                scope["path"], scope["raw_path"] = path, path.encode()
        await inner(scope, receive, send)

    config: uvicorn.Config = _config(settings, app)
    return config


def plain() -> uvicorn.Config:
    """The product without the connections of its server: plain ASGI."""
    config = product()
    config.http, config.ws = "httptools", "websockets-sansio"
    return config


def channels() -> uvicorn.Config:
    """What Litestar's documentation shows: the plugin, a queue and a generator for each client."""
    from litestar import Litestar, WebSocket, get, websocket
    from litestar.channels import ChannelsPlugin
    from litestar.channels.backends.redis import (
        RedisChannelsPubSubBackend,
    )
    from litestar.params import FromPath
    from litestar.response import ServerSentEvent
    from redis.asyncio import Redis

    backend = RedisChannelsPubSubBackend(redis=Redis.from_url(sys.argv[2]))
    plugin = ChannelsPlugin(backend=backend, arbitrary_channels_allowed=True)

    @get("/events/{number:int}")
    async def events(number: FromPath[int]) -> ServerSentEvent:
        subscriber = await plugin.subscribe([f"ch:{number}"])

        async def received() -> AsyncIterator[bytes]:
            async for event in subscriber.iter_events():
                yield event

        return ServerSentEvent(received())

    @websocket("/socket/{number:int}")
    async def sockets(socket: WebSocket[Any, Any, Any], number: FromPath[int]) -> None:
        await socket.accept()
        async with plugin.start_subscription([f"ch:{number}"]) as subscriber:
            async for event in subscriber.iter_events():
                await socket.send_text(event.decode())

    async def connect() -> None:
        """Before many subscribe at once: each would open a connection of its own."""
        await plugin.subscribe(["ch:none"])

    app = Litestar(
        [events, sockets], plugins=[plugin], on_startup=[connect], openapi_config=None,
        logging_config=None,
    )  # fmt: skip
    return uvicorn.Config(
        app, ws="websockets-sansio", ws_per_message_deflate=False, access_log=False,
        log_level="error", timeout_graceful_shutdown=1,
    )  # fmt: skip


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # so that a profiler gets to write
    kinds = {"product": product, "plain": plain, "channels": channels}
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    config = kinds[sys.argv[1]]()

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if sys.argv[1] != "channels":
                from app.serve import freeze_garbage_collector

                freeze_garbage_collector()
            print(listener.getsockname()[1], flush=True)

    Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
