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
# Seconds for a fast shutdown; then follows an immediate one, from which PostgreSQL recovers.
STOP_TIMEOUT_SECONDS = 30.0
POLL_INTERVAL_SECONDS = 0.005


class AlreadyRunningError(EmbeddedError):
    """Another Reelroom uses this data folder."""

    def __init__(self, folder: Path, pid: str, url: str) -> None:
        self.pid = int(pid) if pid.isdecimal() else None
        self.url = url or None
        at = f", at {url}" if url else ""
        super().__init__(f"Reelroom already runs on {folder} (process {pid or 'unknown'}{at})")


def claim_folder(data_dir: Path) -> int:
    """Lock the folder for the life of this process and return the lock's file descriptor.

    The kernel releases the lock however this process ends. Raises `AlreadyRunningError`.
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
    """Write this process's pid and URL into the lock, for the error of a second Reelroom."""
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
    """Return the major version of PostgreSQL that made the cluster; None without a cluster."""
    path = cluster / "PG_VERSION"
    return int(path.read_text()) if path.exists() else None


def create_cluster(cluster: Path, programs: Path, identity: Identity, *, durable: bool) -> None:
    """Create cluster and database under another name, then rename, so that neither is ever half."""
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
    """As root, make `uid` the owner of a file or of a whole folder; as another user do nothing.

    PostgreSQL opens only a cluster that its own user owns. A folder changes its owner last, so
    that an interrupted change is noticed.
    """
    if os.geteuid() != 0 or path.stat().st_uid == uid:
        return
    for parent, folders, files in os.walk(path, topdown=False):
        for name in (*folders, *files):
            os.chown(f"{parent}/{name}", uid, uid, follow_symlinks=False)
    os.chown(path, uid, uid)


def clean_up(cluster: Path) -> None:
    """Stop the server of a killed Reelroom, and remove a cluster that it had not completed."""
    end = time.monotonic() + STOP_TIMEOUT_SECONDS
    for half in cluster.parent.glob(f"{cluster.name}.new-*"):
        while half.exists() and time.monotonic() < end:  # an initdb may still be writing in it
            shutil.rmtree(half, ignore_errors=True)
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
    # Else PostgreSQL would take any process that has this pid now for its predecessor.
    (cluster / "postmaster.pid").unlink(missing_ok=True)


def read_status(cluster: Path) -> list[str]:
    """Return the lines of postmaster.pid: pid, folder, start time, port, …, state (line 8)."""
    try:
        return (cluster / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return []


def is_server(pid: int, cluster: Path) -> bool:
    """Return whether that process is the cluster's server and not another that has its pid now."""
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
