"""The embedded server: starts for any user, recovers from every kill, leaves no process."""

import asyncio
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncpg
import pytest

from app.store import embedded
from app.store.binaries import EmbeddedError, Identity, find_programs, identities_for_root
from app.store.cluster import AlreadyRunningError, command_of
from app.store.embedded import running_dsn, start

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
CHILD = """
import sys
from pathlib import Path
from app.store import binaries, embedded

only = sys.argv[2]
if only:
    found = tuple(i for i in binaries.identities_for_root() if i.prefix[0] == only)
    binaries.identities_for_root = lambda uid: found
server = embedded.start(Path(sys.argv[1]))
server.announce("http://127.0.0.1:8000/")
print(server.pid, server.dsn, flush=True)
sys.stdin.read()
"""
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has to lend an identity")


@pytest.fixture
def reelroom(tmp_path: Path) -> Iterator[Callable[..., tuple[subprocess.Popen[str], int, str]]]:
    """Start a Reelroom in a process of its own; return it, its postmaster's pid and its DSN."""
    children = []

    def launch(only: str = "") -> tuple[subprocess.Popen[str], int, str]:
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(tmp_path / "data"), only],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        children.append(child)
        assert child.stdout is not None
        pid, server_dsn = child.stdout.readline().split()
        return child, int(pid), server_dsn

    yield launch
    for child in children:
        child.kill()
        child.communicate()


def value(dsn: str, sql: str) -> object:
    async def ask() -> object:
        connection = await asyncpg.connect(dsn)
        try:
            return await connection.fetchval(sql)
        finally:
            await connection.close()

    return asyncio.run(ask())


def gone(pid: int) -> bool:
    return not command_of(pid)


def wait_until(fact: Callable[[], bool], seconds: float = 15) -> None:
    end = time.monotonic() + seconds
    while not fact():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


def kill(child: subprocess.Popen[str]) -> None:
    child.kill()
    child.communicate()


def test_a_second_start_has_the_data_and_takes_under_a_second(tmp_path: Path) -> None:
    with start(tmp_path) as first:
        assert first.dsn.endswith("/reelroom")
        value(first.dsn, "create table kept as select 7 as n")
    begun = time.monotonic()
    with start(tmp_path) as second:
        assert time.monotonic() - begun < 30
        assert value(second.dsn, "select n from kept") == 7
        assert value(second.dsn, "show fsync") == "on"
    assert gone(second.pid)


def test_the_server_needs_its_password_and_listens_on_loopback_alone(tmp_path: Path) -> None:
    with start(tmp_path, durable=False) as server:
        assert stat.S_IMODE((tmp_path / "password").stat().st_mode) == 0o600
        secret = (tmp_path / "password").read_text()
        with pytest.raises(asyncpg.InvalidPasswordError):
            value(server.dsn.replace(secret, "wrong"), "select 1")
        assert value(server.dsn, "show listen_addresses") == "127.0.0.1"
        assert value(server.dsn, "show unix_socket_directories") == ""
        methods = "select array_agg(distinct auth_method) from pg_hba_file_rules"
        assert value(server.dsn, methods) == ["scram-sha-256"]
        assert value(server.dsn, "show fsync") == "off"


@as_root
@pytest.mark.parametrize("route", identities_for_root(), ids=lambda route: route.prefix[0])
def test_root_needs_no_changed_mode_of_any_parent_folder(
    route: Identity, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not shutil.which(route.prefix[0]):
        pytest.skip(f"no {route.prefix[0]} here")
    monkeypatch.setattr("app.store.binaries.identities_for_root", lambda uid: (route,))
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    before = [(path, path.stat().st_mode, path.stat().st_uid) for path in closed.parents]
    programs = closed / "bin"  # as in a virtual environment of root
    programs.symlink_to(find_programs(None, None))
    with start(closed / "a" / "data", durable=False, pg_bin=str(programs)) as server:
        assert value(server.dsn, "select 1") == 1
    assert [(path, path.stat().st_mode, path.stat().st_uid) for path in closed.parents] == before
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700


@as_root
def test_the_same_folder_opens_after_the_user_of_the_server_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for route in (*identities_for_root(), identities_for_root()[0]):
        monkeypatch.setattr(
            "app.store.binaries.identities_for_root", lambda uid, route=route: (route,)
        )
        with start(tmp_path, durable=False) as server:
            value(server.dsn, "create table if not exists kept (n int)")
            value(server.dsn, "insert into kept values (1)")
    with start(tmp_path, durable=False) as server:
        assert value(server.dsn, "select count(*) from kept") == 3


@as_root
@pytest.mark.parametrize("owner", [pwd.getpwnam("daemon").pw_uid, 54321])
def test_root_starts_in_the_folder_of_a_user_and_leaves_it_to_that_user(
    owner: int, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    os.chown(data, owner, owner)
    with start(data, durable=False) as server:
        assert value(server.dsn, "select 1") == 1
    owners = {path.stat().st_uid for path in (data, *data.rglob("*"))}
    account = pwd.getpwnam("nobody").pw_uid  # PostgreSQL runs only as a user that has a name
    assert owners == ({owner} if owner < 54321 else {owner, account})


def test_a_server_that_lost_its_supervisor_still_stops(tmp_path: Path) -> None:
    server = start(tmp_path, durable=False)
    os.kill(server._supervisor.pid, signal.SIGKILL)
    server.stop()
    assert gone(server.pid)


@pytest.mark.parametrize("route", ["", "unshare", "setpriv"])
def test_kill_9_leaves_no_server_and_loses_no_committed_row(
    route: str, reelroom: Callable[..., tuple[subprocess.Popen[str], int, str]]
) -> None:
    if route and os.geteuid() != 0:
        pytest.skip("only root has to lend an identity")
    child, pid, server_dsn = reelroom(route)
    value(server_dsn, "create table kept as select 7 as n")
    kill(child)
    wait_until(lambda: gone(pid))
    _, _, again = reelroom(route)
    assert value(again, "select n from kept") == 7


def test_a_start_right_after_kill_9_takes_over(
    reelroom: Callable[..., tuple[subprocess.Popen[str], int, str]],
) -> None:
    child, pid, server_dsn = reelroom()
    value(server_dsn, "create table kept as select 7 as n")
    kill(child)
    _, other, again = reelroom()
    assert other != pid
    assert gone(pid)
    assert value(again, "select n from kept") == 7


def test_a_server_whose_supervisor_was_killed_too_is_stopped_by_the_next_start(
    reelroom: Callable[..., tuple[subprocess.Popen[str], int, str]],
) -> None:
    child, pid, server_dsn = reelroom()
    value(server_dsn, "create table kept as select 7 as n")
    # The session of the supervisor is its own; only it and its reader are in its group.
    supervisor = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    watchers = [
        int(path.name)
        for path in Path("/proc").iterdir()
        if path.name.isdecimal()
        and "reelroom-postgres" in command_of(int(path.name))
        and os.getsid(int(path.name)) == supervisor
    ]
    assert supervisor in watchers
    for watcher in watchers:
        os.kill(watcher, signal.SIGKILL)
    kill(child)
    assert not gone(pid)
    _, other, again = reelroom()
    assert gone(pid)
    assert other != pid
    assert value(again, "select n from kept") == 7


def test_kill_9_of_the_server_itself_is_recovered(
    tmp_path: Path,
) -> None:
    server = start(tmp_path)
    value(server.dsn, "create table kept as select 7 as n")
    os.kill(server.pid, signal.SIGKILL)
    wait_until(lambda: gone(server.pid))
    server.stop()
    with start(tmp_path) as again:
        assert value(again.dsn, "select n from kept") == 7


@pytest.mark.parametrize("kind", ["dead", "foreign", "zombie", "garbage"])
def test_a_stale_pid_file_stops_no_process(kind: str, tmp_path: Path) -> None:
    start(tmp_path, durable=False).stop()
    other = subprocess.Popen(["sleep", "60" if kind == "foreign" else "0"])
    if kind == "dead":
        other.wait()
    if kind == "zombie":
        wait_until(lambda: gone(other.pid))
    file = tmp_path / "database" / "postmaster.pid"
    lines = f"{other.pid}\n{tmp_path}/database\n1\n1\n\n127.0.0.1\n 1 1\nready\n"
    file.write_text("" if kind == "garbage" else lines)
    assert running_dsn(tmp_path) is None
    with start(tmp_path, durable=False) as server:
        assert value(server.dsn, "select 1") == 1
        assert (other.poll() is None) == (kind == "foreign")
    other.kill()
    other.wait()


def test_a_second_reelroom_is_refused_with_the_address_of_the_first(
    tmp_path: Path, reelroom: Callable[..., tuple[subprocess.Popen[str], int, str]]
) -> None:
    child, _, server_dsn = reelroom()
    with pytest.raises(AlreadyRunningError) as refused:
        start(tmp_path / "data")
    assert refused.value.pid == child.pid
    assert refused.value.url == "http://127.0.0.1:8000/"
    assert str(child.pid) in str(refused.value)
    assert "http://127.0.0.1:8000/" in str(refused.value)
    assert value(server_dsn, "select 1") == 1
    kill(child)
    start(tmp_path / "data").stop()


def test_a_start_recovers_from_a_kill_at_any_time_of_the_first_start(tmp_path: Path) -> None:
    cluster = tmp_path / "data" / "database"
    moments = 0
    for delay in (0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4):
        shutil.rmtree(tmp_path / "data", ignore_errors=True)
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(tmp_path / "data"), ""],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        )
        wait_until(lambda: any((tmp_path / "data").glob("database.new-*")))
        time.sleep(delay)  # the time of the kill, not a wait for a condition
        child.kill()
        child.communicate()
        moments += not cluster.exists()
        with start(tmp_path / "data", durable=False) as server:
            assert value(server.dsn, "select current_database()") == "reelroom"
            assert not any((tmp_path / "data").glob("database.new-*"))
    assert moments >= 3


def test_the_log_stays_bounded_and_keeps_no_values(tmp_path: Path) -> None:
    with start(tmp_path, durable=False) as server:
        value(server.dsn, "create table person (email text unique)")
        value(server.dsn, "insert into person values ('canary@example.org')")
        with pytest.raises(asyncpg.UniqueViolationError):
            value(server.dsn, "insert into person values ('canary@example.org')")
    log = tmp_path / "postgres.log"
    assert "person_email_key" in log.read_text()
    assert "canary" not in log.read_text()
    with log.open("a") as file:
        file.write("x" * embedded.MAX_LOG_BYTES)
    start(tmp_path, durable=False).stop()
    assert "xxx" not in log.read_text()


def test_a_missing_or_unsuitable_postgresql_is_named(tmp_path: Path) -> None:
    with pytest.raises(EmbeddedError, match="PG_BIN"):
        start(tmp_path, pg_bin=str(tmp_path / "nowhere"))
    with pytest.raises(EmbeddedError, match="PostgreSQL 14"):
        find_programs(None, 14)


def test_a_cluster_of_an_older_version_gets_its_own_programs(tmp_path: Path) -> None:
    older = find_programs(None, 16)
    with start(tmp_path, durable=False, pg_bin=str(older)) as server:
        value(server.dsn, "create table kept as select 7 as n")
    with start(tmp_path, durable=False) as again:
        assert str(value(again.dsn, "show server_version")).startswith("16")
        assert value(again.dsn, "select n from kept") == 7


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="only Linux shows it")
def test_our_secrets_and_variables_do_not_reach_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "canary")
    with start(tmp_path, durable=False) as server:
        listed = Path(f"/proc/{server.pid}/environ").read_bytes()
    assert b"LC_ALL=C" in listed
    assert b"canary" not in listed


def test_a_command_finds_the_server_that_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert running_dsn(tmp_path) is None
    monkeypatch.chdir(tmp_path.parent)
    with start(tmp_path, durable=False) as server:
        assert running_dsn(Path(tmp_path.name)) == server.dsn
    assert running_dsn(tmp_path) is None


def test_a_second_stop_does_nothing(tmp_path: Path) -> None:
    server = start(tmp_path, durable=False)
    server.stop()
    with start(tmp_path, durable=False) as other:
        server.stop()
        server.announce("http://127.0.0.1:1/")
        assert value(other.dsn, "select 1") == 1
