"""Reelroom as its users run it: `python -m app …` in a process of its own."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Self

import httpx

from app.store.cluster import command_of
from tests.harness.person import Person
from tests.harness.waiting import wait_until

ROOT = Path(__file__).parents[2]
READY = re.compile(r"^Reelroom is ready: (http://[^/\s]+)(/\S*)$", re.MULTILINE)
INHERITED = ("PATH", "HOME", "LANG", "TMPDIR", "PG_BIN")  # environment variables
COMMAND_SECONDS = 60.0  # after which a command is killed
LOCAL_TOKEN = "local-token-of-the-tests"


def environment(**settings: str) -> dict[str, str]:
    """The environment of a process: the inherited variables, a free port, and these settings."""
    kept = {name: os.environ[name] for name in INHERITED if name in os.environ}
    return {**kept, "PYTHONPATH": str(ROOT), "PORT": "0", **settings}


def run(*arguments: str, cwd: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run a command that ends by itself."""
    return subprocess.run(
        [sys.executable, "-m", "app", *arguments],
        cwd=cwd,
        env=environment(**settings),
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
        stdin=subprocess.DEVNULL,
    )


class Reelroom:
    """One process, which may be started again after its end, and its descendants.

    A mark in the environment identifies each of them. As a context manager it kills those that
    are left when the block ends.
    """

    process: subprocess.Popen[bytes]
    url: str
    link: str

    def __init__(self, *arguments: str, cwd: Path, **settings: str) -> None:
        self.mark = f"{time.monotonic_ns()}-{os.getpid()}"
        self.data = Path(settings.get("REELROOM_DATA_DIR", "/nonexistent"))
        self._arguments, self._cwd, self.settings = arguments, cwd, settings
        self._out, self._err = cwd / f"{self.mark}.out", cwd / f"{self.mark}.err"
        self.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pids = self.family()
        self.kill()
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue

    def start(self) -> None:
        """Start the process; `ready` waits until it serves."""
        with self._out.open("w") as out, self._err.open("a") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "app", *self._arguments],
                cwd=self._cwd,
                env=environment(TEST_MARK=self.mark, **self.settings),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )

    @property
    def out(self) -> str:
        """Its standard output since the last start."""
        return self._out.read_text()

    @property
    def err(self) -> str:
        """Its standard error since the first start."""
        return self._err.read_text()

    def lines(self) -> list[dict[str, Any]]:
        """The log; every line of it is JSON."""
        return [json.loads(line) for line in self.err.splitlines()]

    def ready(self) -> Self:
        """Wait until it prints its address and login link, which are then known."""

        def look() -> Any:
            assert self.process.poll() is None, self.err
            return READY.search(self.out)

        found = wait_until(look)
        self.url, self.link = found.groups()
        return self

    @contextmanager
    def browser(self) -> Iterator[httpx.Client]:
        """A client with the local admin's session."""
        with self.client() as client:
            answer = client.get(self.link)
            assert answer.status_code in (302, 303), answer.text
            yield client

    def client(self, token: str | None = None) -> httpx.Client:
        """A client that connects anew for each request, so that it meets all workers."""
        headers = {"origin": self.url}
        if token:
            headers["authorization"] = f"Bearer {token}"
        limits = httpx.Limits(max_keepalive_connections=0)
        return httpx.Client(base_url=self.url, headers=headers, limits=limits, timeout=30)

    def local_admin(self) -> Person:
        """The local admin, by the token in the settings."""
        return Person(self.url, "local", self.settings["REELROOM_LOCAL_TOKEN"])

    def command(self, *arguments: str) -> str:
        """What `reelroom …` prints with the same settings; it must succeed."""
        done = run(*arguments, cwd=self._cwd, **self.settings)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def family(self) -> list[int]:
        """The live descendants of this process and itself, with those of PostgreSQL."""
        mark = f"TEST_MARK={self.mark}".encode()
        pids = []
        for folder in Path("/proc").iterdir():
            if not folder.name.isdecimal():
                continue
            pid = int(folder.name)
            try:
                marked = mark in (folder / "environ").read_bytes()
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue
            if command_of(pid) and (marked or f"{self.data}/" in command_of(pid)):
                pids.append(pid)
        return pids

    def send_signal(self, number: int) -> None:
        """Send a signal; a Ctrl-C goes to the whole group, as from a terminal."""
        if number == signal.SIGINT:
            os.killpg(self.process.pid, number)
        else:
            self.process.send_signal(number)

    def end(self, number: int = signal.SIGTERM, *, within: float = 20) -> int:
        """Send the signal; return the exit status once no descendant is left."""
        self.send_signal(number)
        status = self.process.wait(within)
        wait_until(lambda: not self.family(), 10)
        return status

    def kill(self) -> None:
        """End it as `kill -9` does, also when it is stopped. Its children end by themselves."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


@asynccontextmanager
async def started(*arguments: str, cwd: Path, **settings: str) -> AsyncIterator[Reelroom]:
    """A process that serves, with a token for its local admin, until the block ends."""
    settings = {"REELROOM_LOCAL_TOKEN": LOCAL_TOKEN, **settings}
    with Reelroom(*arguments, cwd=cwd, **settings) as reelroom:
        await asyncio.to_thread(reelroom.ready)
        yield reelroom
