"""The servers of the fan-out bench: how each is started, and how it is subscribed to and fed."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

PEERS = Path(__file__).parent / "peers"
MODULE = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")
SERVER_CPU, OTHER_CPU = 0, 1


class Peer(msgspec.Struct, frozen=True, kw_only=True):
    """A running server. `pids` are what its figures count; `feed` are the generator's options."""

    name: str
    port: int
    pids: list[int]
    feed: list[str]
    protocols: dict[str, str]  # the generator's protocol to a path
    options: list[str] = []


class Environment(msgspec.Struct, frozen=True, kw_only=True):
    """What peers need: where things are, and the running PostgreSQL, Redis and driver."""

    loadgen: Path
    npm: Path | None
    baseline: Path | None
    nginx: str | None
    nchan: Path
    folder: Path
    dsn: str
    redis: str
    driver: int


BOTH = {"sse": "/events/{p}", "ws": "/socket/{p}"}


def pinned(
    words: list[str], cpu: int, folder: Path | None = None, **more: str
) -> subprocess.Popen[str]:
    """A child on one processor, where there are several."""
    child = subprocess.Popen(
        words,
        stdout=subprocess.PIPE,
        stderr=None if os.environ.get("LOUD") else subprocess.DEVNULL,
        text=True,
        cwd=folder,
        env={**os.environ, **more},
    )
    if (os.cpu_count() or 1) > 1:
        os.sched_setaffinity(child.pid, {cpu})
    return child


def read_port(child: subprocess.Popen[str]) -> int:
    assert child.stdout
    line = child.stdout.readline()
    if not line.strip():
        raise RuntimeError(f"{child.args!r} did not start")
    return int(line)


def free_port() -> int:
    for port in range(23_000 + os.getpid() % 5000, 32_000):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError("no free port")


def wait_for(port: int, child: subprocess.Popen[str]) -> None:
    while True:
        if child.poll() is not None:
            raise RuntimeError(f"{child.args!r} ended")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)


@contextmanager
def running(name: str, environment: Environment) -> Iterator[Peer | None]:
    """A peer that serves; None, with a line that says why, when it is not installed."""
    lack = missing(name, environment)
    if lack:
        print(f"# {name}: skipped, {lack}", flush=True)
        yield None
        return
    child, peer = start(name, environment)
    try:
        yield peer
    finally:
        child.terminate()
        try:
            child.wait(10)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def missing(name: str, environment: Environment) -> str | None:
    if name in ("ws", "socket.io"):
        if shutil.which("node") is None:
            return "no node"
        if environment.npm is None or not (environment.npm / "node_modules" / name).exists():
            return f"no npm package {name}: say --npm DIR after `npm install ws socket.io redis`"
    if name.startswith("baseline") and environment.baseline is None:
        return "no other checkout: see --baseline"
    if name == "nchan" and not (environment.nginx and environment.nchan.exists()):
        return "no nginx with libnginx-mod-nchan: see --nginx and --nchan"
    return None


def start(name: str, environment: Environment) -> tuple[subprocess.Popen[str], Peer]:
    redis = environment.redis.rpartition(":")[2].partition("/")[0]
    feed = ["--pub", "redis", "--pub-port", redis]
    if name in ("reelroom", "reelroom asgi", "baseline", "baseline asgi"):
        return start_product(name, environment)
    if name == "channels":
        child = pinned(
            [sys.executable, "-m", "tests.bench._fanout_server", "channels", environment.redis],
            SERVER_CPU,
        )
        return child, peer_of(name, child, read_port(child), feed, BOTH)
    if name == "C floor":
        port = free_port()
        words = [str(environment.loadgen / "fanout"), "--port", str(port), "--redis-port", redis]
        child = pinned(words, SERVER_CPU)
        wait_for(port, child)
        paths = {"sse": "/events/{p}", "ws": "/events/{p}"}
        return child, peer_of(name, child, port, feed, paths)
    if name == "nchan":
        return start_nchan(environment)
    script = {"ws": "ws.mjs", "socket.io": "socketio.mjs"}[name]
    child = pinned(
        ["node", str(PEERS / script), str(environment.npm), environment.redis], SERVER_CPU
    )
    paths = (
        {"ws": "/socket/{p}"}
        if name == "ws"
        else {"sio": "/socket.io/?EIO=4&transport=websocket&p={p}"}
    )
    more = ["--plain"] if name == "socket.io" else []
    return child, peer_of(name, child, read_port(child), feed + more, paths)


def peer_of(
    name: str, child: subprocess.Popen[str], port: int, feed: list[str], paths: dict[str, str]
) -> Peer:
    return Peer(name=name, port=port, pids=family(child.pid), feed=feed, protocols=paths)


def family(pid: int) -> list[int]:
    """Return a process and all below it: `node` may be a script that starts the real one."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(one for child in children for one in family(int(child)))]


def start_product(name: str, environment: Environment) -> tuple[subprocess.Popen[str], Peer]:
    kind = "plain" if name.endswith(" asgi") else "product"
    folder = environment.baseline if name.startswith("baseline") else None
    child = pinned(
        [sys.executable, "-m", "tests.bench._fanout_server", kind],
        SERVER_CPU,
        folder,
        DATABASE_URL=environment.dsn,
        REDIS_URL=environment.redis,
        REELROOM_LOCAL_TOKEN="bench",
        LOG_LEVEL="error",
    )
    port = read_port(child)
    origin = f"http://127.0.0.1:{port}"
    return child, Peer(
        name=name,
        port=port,
        pids=[child.pid],
        feed=["--pub", "http", "--pub-port", str(environment.driver)],
        protocols=BOTH,
        options=["--header", "Authorization: Bearer bench", "--header", f"Origin: {origin}"],
    )


def start_nchan(environment: Environment) -> tuple[subprocess.Popen[str], Peer]:
    port = free_port()
    folder = environment.folder / f"nginx-{port}"
    folder.mkdir(exist_ok=True)
    text = (PEERS / "nchan.conf").read_text()
    config = folder / "nginx.conf"
    config.write_text(text.format(folder=folder, module=environment.nchan, port=port))
    child = pinned([environment.nginx or "", "-p", str(folder), "-c", str(config)], SERVER_CPU)
    wait_for(port, child)
    time.sleep(0.2)
    children = Path(f"/proc/{child.pid}/task/{child.pid}/children").read_text().split()
    feed = ["--pub", "http", "--pub-port", str(port)]
    pids = [int(pid) for pid in children]
    return child, Peer(name="nchan", port=port, pids=pids, feed=feed, protocols=BOTH)
