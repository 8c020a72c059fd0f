"""Free TCP ports for servers that are started by a number."""

import itertools
import os
import socket
from collections.abc import Iterator

FIRST_PORT = 20_000  # below the range of ephemeral ports
PORTS_PER_WORKER = 1500


def _ports_of_worker() -> Iterator[int]:
    """Each worker of pytest-xdist has a range of its own."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    low = FIRST_PORT + PORTS_PER_WORKER * (worker % 8)
    return itertools.cycle(
        low + (os.getpid() + step) % PORTS_PER_WORKER for step in range(PORTS_PER_WORKER)
    )


_ports = _ports_of_worker()


def free_port() -> int:
    """A port on which no process listens and which was not returned just before."""
    for port in _ports:
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError("no free port")
