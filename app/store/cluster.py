"""The data folder of the embedded PostgreSQL: lock, creation, and cleaning up after a crash."""

import fcntl
import os
import secrets
import shutil
import signal
import subprocess
import time
from pathlib import Path

from app.store.binaries import ENVIRONMENT, EmbeddedError, Identity

DATABASE = "reelroom"
STOP_TIMEOUT_SECONDS = 30.0  # for a fast shutdown, before an immediate one
POLL_INTERVAL_SECONDS = 0.005


class AlreadyRunningError(EmbeddedError):
    """Another Reelroom uses this data folder."""

    def __init__(self, folder: Path, pid: str, url: str) -> None:
        self.pid = int(pid) if pid.isdecimal() else None
        self.url = url or None
        at = f", at {url}" if url else ""
        super().__init__(f"Reelroom already runs on {folder} (process {pid or 'unknown'}{at})")


def claim_folder(data_dir: Path) -> int:
    """Lock the folder until this process ends and return the lock's file descriptor.

    The kernel releases the lock, also after a crash. Raises `AlreadyRunningError`.
    """
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
    write_lock(lock, "")
    return lock


def write_lock(lock: int, url: str) -> None:
    """Write this process's pid and URL into the lock, for `AlreadyRunningError` elsewhere."""
    text = f"{os.getpid()}\n{url}\n".encode()
    os.pwrite(lock, text, 0)
    os.ftruncate(lock, len(text))


def ensure_password(path: Path) -> str:
    """Return the data folder's password, created at the first start, readable only by its owner."""
    if not path.exists():
        new = path.with_name("password.new")
        new.unlink(missing_ok=True)
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(24))
            file.flush()
            os.fsync(file.fileno())
        new.rename(path)
    return path.read_text()


def read_major(cluster: Path) -> int | None:
    """Return the major version of the cluster; None without a cluster."""
    path = cluster / "PG_VERSION"
    return int(path.read_text()) if path.exists() else None


def create_cluster(cluster: Path, programs: Path, identity: Identity, *, durable: bool) -> None:
    """Create cluster and database in a temporary folder, and rename it when they are complete."""
    new = cluster.with_name(f"{cluster.name}.new-{secrets.token_hex(4)}")
    new.mkdir(mode=0o700)
    change_owner(new, identity.uid)
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


def _run(command: list[str], standard_input: str = "") -> None:
    done = subprocess.run(
        command, input=standard_input, capture_output=True, text=True, env=ENVIRONMENT, cwd="/"
    )
    if done.returncode or "ERROR:" in done.stderr or "FATAL:" in done.stderr:
        printed = (done.stderr or done.stdout).strip()
        raise EmbeddedError(f"the database cluster could not be created: {printed}")


def change_owner(path: Path, uid: int) -> None:
    """As root, make `uid` the owner of a file or a folder with its content; else do nothing.

    PostgreSQL opens only a cluster that its own user owns. The owner of the folder itself is
    changed last, so that an interrupted change is repeated.
    """
    if os.geteuid() != 0 or path.stat().st_uid == uid:
        return
    for parent, folders, files in os.walk(path, topdown=False):
        for name in (*folders, *files):
            os.chown(f"{parent}/{name}", uid, uid, follow_symlinks=False)
    os.chown(path, uid, uid)


def clean_up(cluster: Path) -> None:
    """Stop the server and remove the incomplete clusters that a killed process left behind."""
    end = time.monotonic() + STOP_TIMEOUT_SECONDS
    for incomplete in cluster.parent.glob(f"{cluster.name}.new-*"):
        while incomplete.exists() and time.monotonic() < end:  # an initdb may still write in it
            shutil.rmtree(incomplete, ignore_errors=True)
    status = read_status(cluster)
    pid = int(status[0]) if status and status[0].strip().isdecimal() else 0
    while pid and is_server(pid, cluster):
        late = time.monotonic() - end
        if late > STOP_TIMEOUT_SECONDS:
            raise EmbeddedError(f"the PostgreSQL left on {cluster} (process {pid}) does not stop")
        try:
            os.kill(pid, signal.SIGQUIT if late > 0 else signal.SIGINT)
        except ProcessLookupError:
            break
        time.sleep(POLL_INTERVAL_SECONDS)
    # Otherwise PostgreSQL refuses to start when an unrelated process has this pid now.
    (cluster / "postmaster.pid").unlink(missing_ok=True)


def read_status(cluster: Path) -> list[str]:
    """Return the lines of postmaster.pid: pid, folder, start time, port, …, state (line 8)."""
    try:
        return (cluster / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return []


def is_server(pid: int, cluster: Path) -> bool:
    """Return whether the process is the cluster's server, and not a later one with its pid."""
    return f"-D {cluster} " in command_of(pid)


def command_of(pid: int) -> str:
    """Return the command line of a live process; empty for one that has ended, or a zombie."""
    if Path("/proc/self").exists():
        try:
            line = Path(f"/proc/{pid}/cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            return ""
        return line.replace(b"\0", b" ").decode(errors="replace")
    ps = ["ps", "-o", "command=", "-p", str(pid)]
    return subprocess.run(ps, capture_output=True, text=True).stdout
