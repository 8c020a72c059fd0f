"""The embedded PostgreSQL server, which is stopped when this process ends."""

import os
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from app.store.binaries import ENVIRONMENT, EmbeddedError, find_identity, find_programs
from app.store.cluster import (
    DATABASE,
    POLL_INTERVAL_SECONDS,
    STOP_TIMEOUT_SECONDS,
    change_owner,
    claim_folder,
    clean_up,
    create_cluster,
    ensure_password,
    is_server,
    read_major,
    read_status,
    write_lock,
)

MAX_LOG_BYTES = 10_000_000  # a larger log is emptied at the next start
START_TIMEOUT_SECONDS = 60.0  # including recovery after a crash

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
    # The log must not hold users' data: neither the failing statement nor the conflicting key.
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
}
NON_DURABLE_OPTIONS = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}

# The server is the child of a shell that reads from a pipe whose only writer is this process. When
# this process ends for any reason, the pipe is closed and the shell stops the server. (A
# parent-death signal is tied to one thread, is lost when the identity changes, and exists on Linux
# only.) SIGINT is repeated, since the server ignores it until its handlers are installed; after
# 30 s an immediate shutdown follows.
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
TRANSIENT_ERROR_TEXTS = ("is still in use", "Address already in use")


class Embedded:
    """A running embedded server, stopped by `stop` or at the end of this process."""

    def __init__(
        self, *, dsn: str, pid: int, cluster: Path, supervisor: subprocess.Popen[bytes], lock: int
    ) -> None:
        self.dsn = dsn
        self.pid = pid
        self._cluster = cluster
        self._supervisor = supervisor
        self._lock: int | None = lock

    def announce(self, url: str) -> None:
        """Record the URL of this server for `AlreadyRunningError` in other processes."""
        if self._lock is not None:
            write_lock(self._lock, url)

    def wait(self) -> None:
        """Block until the server has ended, by `stop` or for another reason."""
        self._supervisor.wait()

    def stop(self) -> None:
        """Shut the server down and release the data folder; a second call does nothing."""
        if self._lock is None:
            return
        try:
            _end(self._supervisor)
            clean_up(self._cluster)  # a supervisor that was killed leaves the server running
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
    """Start the server of `data_dir`, creating it if needed; return once it accepts connections.

    Nothing outside `data_dir` is changed, not even as root. A server or an incomplete cluster of a
    killed process is stopped or removed first. `durable=False` is for tests: a crash of
    the machine may lose all data. `pg_bin` is the folder of PostgreSQL's programs. Raises
    `AlreadyRunningError` and `EmbeddedError`.
    """
    data_dir = data_dir.absolute()
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = claim_folder(data_dir)
    try:
        cluster = data_dir / "database"
        major = read_major(cluster)
        programs = find_programs(pg_bin, major)
        identity = find_identity(programs, data_dir)
        password = ensure_password(data_dir / "password")
        clean_up(cluster)
        if major is None:
            create_cluster(cluster, programs, identity, durable=durable)
        change_owner(cluster, identity.uid)
        options = OPTIONS | ({} if durable else NON_DURABLE_OPTIONS)
        settings = [word for item in options.items() for word in ("-c", "=".join(item))]
        command = [*identity.prefix, str(programs / "postgres"), "-D", str(cluster), *settings]
        supervisor, pid, port = _serve(command, cluster, data_dir / "postgres.log")
        for name in ("lock", "password", "postgres.log"):
            change_owner(data_dir / name, data_dir.stat().st_uid)
    except BaseException:
        os.close(lock)
        raise
    dsn = f"postgresql://{DATABASE}:{password}@127.0.0.1:{port}/{DATABASE}"
    return Embedded(dsn=dsn, pid=pid, cluster=cluster, supervisor=supervisor, lock=lock)


def running_dsn(data_dir: Path) -> str | None:
    """Return the DSN of the server that another process runs on this folder; None without one."""
    cluster = data_dir.absolute() / "database"
    status = read_status(cluster)
    if len(status) < 8 or status[7].strip() != "ready" or not is_server(int(status[0]), cluster):
        return None
    password = (data_dir / "password").read_text()
    return f"postgresql://{DATABASE}:{password}@127.0.0.1:{status[3]}/{DATABASE}"


def _serve(
    command: list[str], cluster: Path, log_path: Path
) -> tuple[subprocess.Popen[bytes], int, int]:
    """Start the server on a free port; return its supervisor, its pid and the port."""
    with open(log_path, "ab") as log:
        os.chmod(log_path, 0o600)
        if log_path.stat().st_size > MAX_LOG_BYTES:
            log.truncate(0)
        end = time.monotonic() + START_TIMEOUT_SECONDS
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
                start_new_session=True,  # a Ctrl-C is for this process, which stops the server
            )
            try:
                pid = _wait_ready(supervisor, cluster, port, end)
            except BaseException:
                _end(supervisor)
                raise
            if pid:
                return supervisor, pid, port
            _end(supervisor)
            printed = log_path.read_bytes()[before:].decode(errors="replace")
            if time.monotonic() > end or not any(
                words in printed for words in TRANSIENT_ERROR_TEXTS
            ):
                raise EmbeddedError(f"PostgreSQL did not start, see {log_path}:\n{printed[-2000:]}")
            time.sleep(0.1)


def _wait_ready(supervisor: subprocess.Popen[bytes], cluster: Path, port: int, end: float) -> int:
    """Return the server's pid once it accepts connections, or 0 when it ended instead."""
    while supervisor.poll() is None:
        status = read_status(cluster)
        if len(status) >= 8 and status[7].strip() == "ready" and status[3] == str(port):
            return int(status[0])
        if time.monotonic() > end:
            raise EmbeddedError(f"PostgreSQL was not ready within {START_TIMEOUT_SECONDS:.0f} s")
        time.sleep(POLL_INTERVAL_SECONDS)
    return 0


def _end(supervisor: subprocess.Popen[bytes]) -> None:
    assert supervisor.stdin is not None
    supervisor.stdin.close()
    supervisor.wait(2 * STOP_TIMEOUT_SECONDS)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
