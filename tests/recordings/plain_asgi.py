"""Serves the app of the current folder through uvicorn's own protocols, as any ASGI server would.

Run as a script in the root of a checkout; it takes the server's settings from the environment.
"""

import socket

import uvicorn

from app.main import create_app
from app.settings import Settings


class Server(uvicorn.Server):
    """Prints its address when it is ready, as `reelroom serve` does."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        assert sockets
        print(f"Reelroom is ready: http://127.0.0.1:{sockets[0].getsockname()[1]}/", flush=True)


def main() -> None:
    config = uvicorn.Config(
        create_app(Settings.read()),
        http="httptools",
        ws="websockets-sansio",
        ws_max_size=64 * 1024,
        ws_per_message_deflate=False,
        timeout_graceful_shutdown=4,
        proxy_headers=False,
        server_header=False,
        access_log=False,
        log_level="warning",
    )
    with socket.create_server(("127.0.0.1", 0), backlog=2048) as listener:
        Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
