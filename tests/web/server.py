"""The server as a user starts it, in a process of its own that a test can kill."""

import asyncio
import os
import re
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path
from typing import Self

ROOT = Path(__file__).parents[2]
OUR_VARIABLES = ("OPENAI_", "REELROOM_", "REDIS_URL", "DATABASE_", "WEB_CONCURRENCY", "CRON_SECRET")
START_TIMEOUT_SECONDS = 60
STOP_TIMEOUT_SECONDS = 20
READY = re.compile(rb"Reelroom is ready: ((http://[^/]+)/\S*)")


class Server:
    """A process of `python -m app`; `link` is the login link that it printed at its last start."""

    process: Process
    url: str
    link: str

    def __init__(self, dsn: str, folder: Path, port: int, **environment: str) -> None:
        self.folder = folder
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(OUR_VARIABLES)
        }
        self.environment = {
            **kept,
            "DATABASE_URL": dsn,
            "PORT": str(port),
            "REELROOM_DATA_DIR": str(folder),
            "LOG_LEVEL": "WARNING",
            **environment,
        }

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self.process.returncode is None:
            self.process.terminate()
        async with asyncio.timeout(STOP_TIMEOUT_SECONDS):
            await self.process.wait()
        await self.command("check")

    async def start(self) -> None:
        """Start the process and wait for its ready line."""
        with (self.folder / "log").open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "app", cwd=ROOT, env=self.environment, stdout=PIPE, stderr=log
            )
        assert self.process.stdout
        async with asyncio.timeout(START_TIMEOUT_SECONDS):
            while line := await self.process.stdout.readline():
                if found := READY.search(line):
                    self.link, self.url = found[1].decode(), found[2].decode()
                    return
        raise AssertionError(f"the server did not start:\n{(self.folder / 'log').read_text()}")

    async def kill(self) -> None:
        """Kill the process with SIGKILL."""
        self.process.kill()
        await self.process.wait()

    async def command(self, *words: str) -> str:
        """Run a command of `reelroom` on the same database, assert success, return its output."""
        done = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "app", *words, cwd=ROOT, env=self.environment, stdout=PIPE
        )
        printed = (await done.communicate())[0].decode()
        assert done.returncode == 0, printed
        return printed
