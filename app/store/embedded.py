"""The embedded PostgreSQL: its data folder, its server process, and who may use them."""

import fcntl
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from app.store.binaries import (
    ENVIRONMENT,
    EmbeddedError,
    Identity,
    find_identity,
    find_programs,
)

DATABASE = "reelroom"
LOG_LIMIT = 10_000_000  # bytes; a larger log is emptied at the next start
START_LIMIT = 60.0  # seconds, recovery after a crash included
STOP_LIMIT = 30.0  # seconds for an orderly shutdown, then an immediate one (which is recovered)
POLL = 0.005  # seconds

OPTIONS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "shared_buffers": "32MB",
    "max_connections": "60",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_logical_replication_workers": "0",
    "max_wal_size": "256MB",
    "max_parallel_workers_per_gather": "0",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    # A log keeps no values of users: neither the failing statement nor the conflicting key.
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
}
NOT_DURABLE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}

# The server is the child of a shell that reads a pipe held open by us alone. However we die, the
# pipe ends and the shell stops the server. (A parent-death signal would be tied to one thread, is
# lost when an identity changes, and exists on Linux only.) SIGINT is repeated, for the server
# ignores it until its handlers are in place.
SUPERVISOR = """
exec 3<&0
"$@" </dev/null 3<&- &
server=$!
{
    read -r _
    tries=0; kind=INT
    while kill -s $kind $server 2>/dev/null; do
        tries=$((tries + 1)); [ $tries -gt 150 ] && kind=QUIT
        sleep 0.2
    done
} <&3 &
watch=$!
exec 3<&- </dev/null
wait $server
code=$?
kill $watch 2>/dev/null
exit $code
"""
PASSING = ("is still in use", "Address already in use")


class AlreadyRunningError(EmbeddedError):
    """Another Reelroom lives on this data folder."""

    def __init__(self, folder: Path, pid: str, url: str) -> None:
        self.pid = int(pid) if pid.isdecimal() else None
        self.url = url or None
        at = f", at {url}" if url else ""
        super().__init__(f"Reelroom already runs on {folder} (process {pid or 'unknown'}{at})")


class Embedded:
    """A running server of our own; it ends with `stop`, or with this process, however that ends."""

    def __init__(self, *, dsn: str, pid: int, supervisor: subprocess.Popen[bytes], lock: int):
        self.dsn = dsn
        self.pid = pid
        self._supervisor = supervisor
        self._lock: int | None = lock

    def announce(self, url: str) -> None:
        """Tell who starts a second Reelroom on the same folder where this one is to be found."""
        if self._lock is not None:
            _sign(self._lock, url)

    def stop(self) -> None:
        """Shut the server down in order, then free the data folder; repeated, it does nothing."""
        if self._lock is None:
            return
        try:
            _end(self._supervisor, self.pid)
        finally:
            os.close(self._lock)
            self._lock = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        self.stop()


def start(data_dir: Path, *, durable: bool = True, pg_bin: str | None = None) -> Embedded:
    """Start the server of `data_dir`, made if new, and return once it takes connections.

    Nothing outside `data_dir` is touched, also as root. What a killed predecessor left is put in
    order first: its server stopped, its half-made cluster removed. `durable=False` is for tests:
    a crash of the machine may lose everything. `pg_bin` names the folder of PostgreSQL's programs.
    Raises `AlreadyRunningError`, or `EmbeddedError` that says what is missing.
    """
    data_dir = data_dir.absolute()
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = _claim(data_dir)
    try:
        cluster = data_dir / "database"
        exists = (cluster / "PG_VERSION").exists()
        major = int((cluster / "PG_VERSION").read_text()) if exists else None
        programs = find_programs(pg_bin, major)
        identity = find_identity(programs, data_dir)
        password = _password(data_dir / "password")
        _clean(data_dir, cluster)
        if not exists:
            _create(cluster, programs, identity, durable)
        _own(cluster, identity.uid)
        options = OPTIONS | ({} if durable else NOT_DURABLE)
        settings = [word for item in options.items() for word in ("-c", "=".join(item))]
        command = [*identity.prefix, str(programs / "postgres"), "-D", str(cluster), *settings]
        supervisor, pid, port = _serve(command, cluster, data_dir / "postgres.log")
    except BaseException:
        os.close(lock)
        raise
    dsn = f"postgresql://{DATABASE}:{password}@127.0.0.1:{port}/{DATABASE}"
    return Embedded(dsn=dsn, pid=pid, supervisor=supervisor, lock=lock)


def _claim(data_dir: Path) -> int:
    """Lock the folder for the life of this process; the kernel frees it, however we die."""
    path = data_dir / "lock"
    lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        pid, _, url = path.read_text().partition("\n")
        raise AlreadyRunningError(data_dir, pid, url.strip()) from None
    except BaseException:
        os.close(lock)
        raise
    _sign(lock, "")
    return lock


def _sign(lock: int, url: str) -> None:
    text = f"{os.getpid()}\n{url}\n".encode()
    os.pwrite(lock, text, 0)
    os.ftruncate(lock, len(text))


def _password(path: Path) -> str:
    if not path.exists():
        new = path.with_name("password.new")
        new.unlink(missing_ok=True)
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(24))
            file.flush()
            os.fsync(file.fileno())
        new.rename(path)
    return path.read_text()


def _create(cluster: Path, programs: Path, identity: Identity, durable: bool) -> None:
    """Make cluster and database beside their place, then rename: there is never half of one."""
    new = cluster.with_name(f"{cluster.name}.new-{secrets.token_hex(4)}")
    new.mkdir(mode=0o700)
    _own(new, identity.uid)
    initdb = [*identity.prefix, str(programs / "initdb"), "-D", str(new)]
    auth = ["-U", DATABASE, "--auth=scram-sha-256", f"--pwfile={cluster.parent / 'password'}"]
    _run([*initdb, *auth, "--encoding=UTF8", "--no-locale", "--no-sync"])
    single = [*identity.prefix, str(programs / "postgres"), "--single", "-F", "-D", str(new)]
    _run([*single, "postgres"], f"create database {DATABASE}\n")
    if durable:
        _run([*initdb, "--sync-only"])
    new.rename(cluster)
    if durable:
        folder = os.open(cluster.parent, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)


def _run(command: list[str], words: str = "") -> None:
    done = subprocess.run(
        command, input=words, capture_output=True, text=True, env=ENVIRONMENT, cwd="/"
    )
    if done.returncode or "ERROR:" in done.stderr or "FATAL:" in done.stderr:
        raise EmbeddedError(f"{command[-1]} failed: {(done.stderr or done.stdout).strip()}")


def _own(cluster: Path, uid: int) -> None:
    """Give the cluster's files to `uid`, as PostgreSQL demands; the folder itself last."""
    if os.geteuid() != 0 or cluster.stat().st_uid == uid:
        return
    for folder, _, files in os.walk(cluster, topdown=False):
        for name in (*(f"{folder}/{file}" for file in files), folder):
            os.chown(name, uid, uid, follow_symlinks=False)


def _clean(data_dir: Path, cluster: Path) -> None:
    """Stop the server of a killed Reelroom and remove what it left half-made."""
    for half in data_dir.glob(f"{cluster.name}.new-*"):
        shutil.rmtree(half, ignore_errors=True)
    told = _told(cluster)
    pid = int(told[0]) if told and told[0].strip().isdecimal() else 0
    end = time.monotonic() + STOP_LIMIT
    while pid and f"-D {cluster} " in _command(pid):
        late = time.monotonic() - end
        if late > STOP_LIMIT:
            raise EmbeddedError(f"the PostgreSQL left on {data_dir} (process {pid}) does not stop")
        _signal(pid, signal.SIGQUIT if late > 0 else signal.SIGINT)
        time.sleep(0.05)
    # Else PostgreSQL would take any process that has this number now for its predecessor.
    (cluster / "postmaster.pid").unlink(missing_ok=True)


def _serve(
    command: list[str], cluster: Path, log_path: Path
) -> tuple[subprocess.Popen[bytes], int, int]:
    with open(log_path, "ab") as log:
        os.chmod(log_path, 0o600)
        if log_path.stat().st_size > LOG_LIMIT:
            log.truncate(0)
        end = time.monotonic() + START_LIMIT
        while True:
            before = log_path.stat().st_size
            port = _free_port()
            supervisor = subprocess.Popen(
                ["/bin/sh", "-c", SUPERVISOR, "reelroom-postgres", *command, "-p", str(port)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=ENVIRONMENT,
                cwd="/",
                start_new_session=True,  # a Ctrl-C is for us; we then stop the server
            )
            try:
                pid = _wait_ready(supervisor, cluster, port, end)
            except BaseException:
                _end(supervisor, 0)
                raise
            if pid:
                return supervisor, pid, port
            _end(supervisor, 0)
            said = log_path.read_bytes()[before:].decode(errors="replace")
            if time.monotonic() > end or not any(words in said for words in PASSING):
                raise EmbeddedError(f"PostgreSQL did not start, see {log_path}:\n{said[-2000:]}")
            time.sleep(0.1)


def _wait_ready(supervisor: subprocess.Popen[bytes], cluster: Path, port: int, end: float) -> int:
    """Return the server's pid once it takes connections, 0 when it ended instead."""
    while supervisor.poll() is None:
        told = _told(cluster)
        if len(told) >= 8 and told[7].strip() == "ready" and told[3] == str(port):
            return int(told[0])
        if time.monotonic() > end:
            raise EmbeddedError(f"PostgreSQL was not ready within {START_LIMIT:.0f} s")
        time.sleep(POLL)
    return 0


def _end(supervisor: subprocess.Popen[bytes], pid: int) -> None:
    pipe: IO[bytes] | None = supervisor.stdin
    assert pipe is not None
    pipe.close()
    try:
        supervisor.wait(STOP_LIMIT)
    except subprocess.TimeoutExpired:
        _signal(pid, signal.SIGQUIT)
        supervisor.wait(STOP_LIMIT)


def _told(cluster: Path) -> list[str]:
    """Return what the server says of itself: pid, folder, start, port, …, state (line 8)."""
    try:
        return (cluster / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return []


def _command(pid: int) -> str:
    """Return the command line of a live process; empty for one that is gone, or a zombie."""
    if Path("/proc/self").exists():
        try:
            return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
        except (FileNotFoundError, ProcessLookupError):
            return ""
    listed = subprocess.run(
        ["ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True
    )
    return listed.stdout


def _signal(pid: int, kind: signal.Signals) -> None:
    try:
        if pid:
            os.kill(pid, kind)
    except ProcessLookupError:
        return


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
