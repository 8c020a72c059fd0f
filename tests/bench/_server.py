"""A server to be measured, in a process of its own: the product, or a bare Litestar handler.

Prints its address; at the end of its standard input prints how long its event loop was blocked
at most, in milliseconds, and ends.
"""

import asyncio
import socket
import sys
import time
from collections.abc import AsyncIterator
from typing import Any

import uvicorn
import uvloop
from litestar import Litestar, post
from litestar.response import Stream

from app.main import create_app
from app.settings import Settings

TICK_SECONDS = 0.005  # between two measurements of the event loop's delay


async def _event() -> AsyncIterator[bytes]:
    yield b"event: hello\ndata: {}\n\n"


@post("/", status_code=200)
async def bare(data: dict[str, Any]) -> Stream:
    return Stream(_event(), media_type="text/event-stream")


async def watch_loop(worst: list[float]) -> None:
    """Record the longest delay of the event loop."""
    while True:
        began = time.perf_counter()
        await asyncio.sleep(TICK_SECONDS)
        worst[0] = max(worst[0], time.perf_counter() - began - TICK_SECONDS)


async def serve(app: Any) -> None:
    listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
    config = uvicorn.Config(app, log_level="error", ws_per_message_deflate=False, access_log=False)
    server = uvicorn.Server(config)
    worst = [0.0]
    task = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started:
        await asyncio.sleep(0.01)
    watch = asyncio.create_task(watch_loop(worst))
    print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    while await reader.readline():
        print(f"{worst[0] * 1000:.1f}", flush=True)
        worst[0] = 0.0
    watch.cancel()
    server.should_exit = True
    await task


if __name__ == "__main__":
    app = create_app(Settings.read()) if sys.argv[1] == "product" else Litestar([bare])
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:  # as `reelroom serve` does
        runner.run(serve(app))
