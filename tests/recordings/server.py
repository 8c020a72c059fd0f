"""Server processes of this checkout or of another one."""

import asyncio
import os
import re
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

# Ours on uvicorn, ours without the folder `app/realtime/accelerated`, and any ASGI server.
Delivery = Literal["accelerated", "unaccelerated", "plain"]

PLAIN = Path(__file__).with_name("plain_asgi.py")
READY = re.compile(rb"Reelroom is ready: http://127.0.0.1:(\d+)(/\S*)")
KEPT = ("PATH", "HOME", "LANG", "TMPDIR", "PG_BIN")  # of our environment
LOCAL_TOKEN = "the-token-of-the-local-admin"
START_SECONDS = 60


class Server:
    """Holds a running server; `link` is the path in the address that it printed."""

    def __init__(self, process: Process, port: int, link: str) -> None:
        self.process, self.port, self.link = process, port, link

    def leave(self) -> None:
        """Send SIGTERM: the server ends its streams, finishes what it can, and exits."""
        self.process.send_signal(signal.SIGTERM)


@asynccontextmanager
async def running(
    checkout: Path, delivery: Delivery, folder: Path, **settings: str
) -> AsyncIterator[Server]:
    """Start a server and wait until it is ready; its log is in `folder`."""
    environment = {
        "REELROOM_LOCAL_TOKEN": LOCAL_TOKEN,
        **_environment(checkout, folder),
        **settings,
    }
    command = [str(PLAIN)] if delivery == "plain" else ["-m", "app", "serve"]
    with (folder / "log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, *command, cwd=checkout, env=environment, stdout=PIPE, stderr=log
        )
    try:
        port, link = await _ready(process, folder)
        yield Server(process, port, link)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def migrated(checkout: Path, folder: Path, database: str) -> None:
    """Migrate a database to the schema of the checkout."""
    environment = {**_environment(checkout, folder), "DATABASE_URL": database}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "app", "migrate", cwd=checkout, env=environment, stdout=DEVNULL
    )
    assert await process.wait() == 0, "the migration failed"


def _environment(checkout: Path, folder: Path) -> dict[str, str]:
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    own = {
        "PORT": "0",
        "LOG_LEVEL": "WARNING",
        "REELROOM_DATA_DIR": str(folder),
        "DATABASE_CONNECTIONS": "5",  # the tests' PostgreSQL takes 57, and several servers run
    }
    return {**kept, **own, "PYTHONPATH": str(checkout), "PYTHONSAFEPATH": "1"}


async def _ready(process: Process, folder: Path) -> tuple[int, str]:
    assert process.stdout is not None
    async with asyncio.timeout(START_SECONDS):
        while line := await process.stdout.readline():
            if found := READY.search(line):
                return int(found[1]), found[2].decode()
    raise AssertionError(f"the server did not start:\n{(folder / 'log').read_text()}")
