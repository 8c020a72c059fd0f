"""The data folder of the embedded PostgreSQL: who holds it, how it is made, what a crash left."""

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
STOP_LIMIT = 30.0  # seconds for an orderly shutdown, then an immediate one (which is recovered)
POLL = 0.005  # seconds


class AlreadyRunningError(EmbeddedError):
    """Another Reelroom lives on this data folder."""

    def __init__(self, folder: Path, pid: str, url: str) -> None:
        self.pid = int(pid) if pid.isdecimal() else None
        self.url = url or None
        at = f", at {url}" if url else ""
        super().__init__(f"Reelroom already runs on {folder} (process {pid or 'unknown'}{at})")


def claim_folder(data_dir: Path) -> int:
    """Lock the folder for the life of this process and return the open lock.

    The kernel frees it, however we die. Raises `AlreadyRunningError`.
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
    sign_lock(lock, "")
    return lock


def sign_lock(lock: int, url: str) -> None:
    """Write into the lock what a refused second Reelroom reads: our pid and URL."""
    text = f"{os.getpid()}\n{url}\n".encode()
    os.pwrite(lock, text, 0)
    os.ftruncate(lock, len(text))


def keep_password(path: Path) -> str:
    """Return the password of the data folder, made at the first start; only its owner reads it."""
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
    """Return the version of PostgreSQL that made the cluster, None when there is no cluster."""
    path = cluster / "PG_VERSION"
    return int(path.read_text()) if path.exists() else None


def create_cluster(cluster: Path, programs: Path, identity: Identity, *, durable: bool) -> None:
    """Make cluster and database beside their place, then rename: there is never half of one."""
    new = cluster.with_name(f"{cluster.name}.new-{secrets.token_hex(4)}")
    new.mkdir(mode=0o700)
    give_files(new, identity.uid)
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
        raise EmbeddedError(f"the cluster was not made: {(done.stderr or done.stdout).strip()}")


def give_files(path: Path, uid: int) -> None:
    """As root, give a file, or a folder and then itself, to `uid`; as another user do nothing.

    PostgreSQL opens only a cluster that its own user owns.
    """
    if os.geteuid() != 0 or path.stat().st_uid == uid:
        return
    for parent, folders, files in os.walk(path, topdown=False):
        for name in (*folders, *files):
            os.chown(f"{parent}/{name}", uid, uid, follow_symlinks=False)
    os.chown(path, uid, uid)


def put_in_order(cluster: Path) -> None:
    """Stop the server that a killed Reelroom left, and remove what was left half-made."""
    end = time.monotonic() + STOP_LIMIT
    for half in cluster.parent.glob(f"{cluster.name}.new-*"):
        while half.exists() and time.monotonic() < end:  # an initdb may still be writing in it
            shutil.rmtree(half, ignore_errors=True)
    told = read_status(cluster)
    pid = int(told[0]) if told and told[0].strip().isdecimal() else 0
    while pid and is_server(pid, cluster):
        late = time.monotonic() - end
        if late > STOP_LIMIT:
            raise EmbeddedError(f"the PostgreSQL left on {cluster} (process {pid}) does not stop")
        try:
            os.kill(pid, signal.SIGQUIT if late > 0 else signal.SIGINT)
        except ProcessLookupError:
            break
        time.sleep(POLL)
    # Else PostgreSQL would take any process that has this number now for its predecessor.
    (cluster / "postmaster.pid").unlink(missing_ok=True)


def read_status(cluster: Path) -> list[str]:
    """Return what the server says of itself: pid, folder, start, port, …, state (line 8)."""
    try:
        return (cluster / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return []


def is_server(pid: int, cluster: Path) -> bool:
    """True when that process is the cluster's live server, not another that has its number now."""
    return f"-D {cluster} " in command_of(pid)


def command_of(pid: int) -> str:
    """Return the command line of a live process; empty for one that is gone, or a zombie."""
    if Path("/proc/self").exists():
        try:
            line = Path(f"/proc/{pid}/cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            return ""
        return line.replace(b"\0", b" ").decode(errors="replace")
    ps = ["ps", "-o", "command=", "-p", str(pid)]
    return subprocess.run(ps, capture_output=True, text=True).stdout
