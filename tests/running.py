"""Reelroom as its users run it: `python -m app …` in a process of its own."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import httpx

from app.store.cluster import command_of

ROOT = Path(__file__).parents[1]
READY = re.compile(r"^Reelroom is ready: (http://[^/\s]+)(/\S*)$", re.MULTILINE)
OURS = ("PATH", "HOME", "LANG", "TMPDIR", "PG_BIN")  # what a process gets of our environment
PATIENCE = 60.0  # seconds


def environment(**settings: str) -> dict[str, str]:
    kept = {name: os.environ[name] for name in OURS if name in os.environ}
    return {**kept, "PYTHONPATH": str(ROOT), "PORT": "0", **settings}


def wait_until(fact: Callable[[], Any], seconds: float = PATIENCE) -> Any:
    """What the fact gives once it is true."""
    end = time.monotonic() + seconds
    while not (found := fact()):
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)
    return found


def run(*arguments: str, cwd: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """A command that ends by itself."""
    return subprocess.run(
        [sys.executable, "-m", "app", *arguments],
        cwd=cwd,
        env=environment(**settings),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        stdin=subprocess.DEVNULL,
    )


class Reelroom:
    """A running one. Every process it started is known by the mark in its environment."""

    def __init__(self, *arguments: str, cwd: Path, **settings: str) -> None:
        self.mark = f"{time.monotonic_ns()}-{os.getpid()}"
        self._out, self._err = cwd / f"{self.mark}.out", cwd / f"{self.mark}.err"
        with self._out.open("w") as out, self._err.open("w") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "app", *arguments],
                cwd=cwd,
                env=environment(TEST_MARK=self.mark, **settings),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )
        self.postgres: list[int] = []
        self.data = Path(settings.get("REELROOM_DATA_DIR", "/nonexistent"))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pids = self.family()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue

    @property
    def out(self) -> str:
        return self._out.read_text()

    @property
    def err(self) -> str:
        return self._err.read_text()

    def lines(self) -> list[dict[str, Any]]:
        """The log; every line of it is JSON."""
        return [json.loads(line) for line in self.err.splitlines()]

    def ready(self) -> Self:
        """Wait for the line; learn address and link."""

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
        """Each connection is its own, so that several workers are met."""
        headers = {"origin": self.url}
        if token:
            headers["authorization"] = f"Bearer {token}"
        limits = httpx.Limits(max_keepalive_connections=0)
        return httpx.Client(base_url=self.url, headers=headers, limits=limits, timeout=30)

    def family(self) -> list[int]:
        """All live processes that this one started, and their children; PostgreSQL's too."""
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

    def tell(self, number: int) -> None:
        """Send the signal; a Ctrl-C goes to the whole group, as from a terminal."""
        if number == signal.SIGINT:
            os.killpg(self.process.pid, number)
        else:
            self.process.send_signal(number)

    def end(self, number: int = signal.SIGTERM, *, within: float = 20) -> int:
        """Send the signal; return the exit status once nothing is left of it."""
        self.tell(number)
        status = self.process.wait(within)
        wait_until(lambda: not self.family(), 10)
        return status
