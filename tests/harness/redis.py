"""A redis-server of the tests, which can be stopped, killed and frozen."""

import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from redis import Redis
from redis.exceptions import ConnectionError as NotListening

from tests.harness.ports import free_port

ADMIN_TIMEOUT_SECONDS = 2


class RedisServer:
    """A redis-server on a port that it keeps over restarts; it stores nothing on disk.

    As a context manager it runs until the block ends.
    """

    def __init__(self, folder: Path, *options: str) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.process: subprocess.Popen[bytes] | None = None
        self._folder = folder
        self.options = options  # of redis-server; may be changed before the start

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    @property
    def running(self) -> bool:
        return self.process is not None

    @property
    def admin(self) -> Redis:
        """A new synchronous client; close it."""
        return Redis(port=self.port, socket_timeout=ADMIN_TIMEOUT_SECONDS)

    def start(self) -> None:
        """Start it and return when it answers. Does nothing when it runs."""
        if self.process is not None:
            return
        program = shutil.which("redis-server")
        assert program, "the tests need redis-server"
        self.process = subprocess.Popen(
            [program, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "",
             "--appendonly", "no", "--dir", str(self._folder), *self.options],
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        while True:
            assert self.process.poll() is None, "redis-server ended"
            with self.admin as admin:
                try:
                    admin.ping()
                except NotListening:
                    continue
                return

    def kill(self) -> None:
        """End it as `kill -9` does. Does nothing when it does not run."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Within the block, it keeps its connections and answers nothing."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)
