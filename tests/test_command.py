"""The command `reelroom`: its first start, its login link, every way to end, and a restart."""

import os
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from tests.harness.process import Reelroom, run
from tests.harness.waiting import wait_until

pytestmark = pytest.mark.slow


@pytest.fixture(scope="session")
def first_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder that was started once; it is copied, for making one takes seconds."""
    cwd = tmp_path_factory.mktemp("first")
    with Reelroom(cwd=cwd, REELROOM_DATA_DIR=str(cwd / "data")) as reelroom:
        assert reelroom.ready().end() == 0
    return cwd / "data"


@pytest.fixture
def data(first_data: Path, tmp_path: Path) -> str:
    subprocess.run(["cp", "-a", str(first_data), str(tmp_path / "data")], check=True)
    return str(tmp_path / "data")


def test_the_first_start_makes_everything_and_its_link_logs_in_once(tmp_path: Path) -> None:
    data = str(tmp_path / "new" / "data")
    with Reelroom(cwd=tmp_path, REELROOM_DATA_DIR=data) as reelroom:
        reelroom.ready()
        assert reelroom.out.count("\n") == 1
        assert reelroom.url.startswith("http://127.0.0.1:")
        assert not reelroom.url.endswith(":0")
        assert reelroom.link.startswith("/login/")
        with reelroom.browser() as browser:
            me = browser.get("/api/auth/me").json()["data"]
            assert me["id"] == "local"
        with reelroom.client() as other:
            again = other.get(reelroom.link)
            assert again.status_code == 410, again.text
            assert not other.cookies
        assert reelroom.end() == 0
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["new"]


def test_after_others_have_registered_no_link_is_printed(data: str, tmp_path: Path) -> None:
    with Reelroom(cwd=tmp_path, REELROOM_DATA_DIR=data) as reelroom:
        with reelroom.ready().client() as client:
            account = {"email": "ann@example.test", "password": "a long secret 1", "name": "Ann"}
            assert client.post("/api/auth/register", json=account).status_code == 201
        assert reelroom.end() == 0
    with Reelroom(cwd=tmp_path, REELROOM_DATA_DIR=data) as reelroom:
        assert reelroom.ready().link == "/"
        assert reelroom.end() == 0


def test_a_server_that_others_can_reach_has_no_local_mode(data: str, tmp_path: Path) -> None:
    token = "local-token-of-this-test"
    settings = {"REELROOM_DATA_DIR": data, "HOST": "0.0.0.0", "REELROOM_LOCAL_TOKEN": token}
    with Reelroom(cwd=tmp_path, **settings) as reelroom:
        assert reelroom.ready().link == "/"
        with reelroom.client(token) as client:
            assert client.get("/api/auth/me").status_code == 401
        assert reelroom.end() == 0


@pytest.mark.parametrize("host", ["::1", "localhost"])
def test_the_printed_address_can_be_opened(host: str, data: str, tmp_path: Path) -> None:
    with Reelroom(cwd=tmp_path, REELROOM_DATA_DIR=data, HOST=host) as reelroom:
        with reelroom.ready().browser() as browser:
            assert browser.get("/api/auth/me").status_code == 200
        assert reelroom.end() == 0


@pytest.mark.parametrize(
    "signals",
    [["INT"], ["TERM"], ["INT", "INT"], ["TERM", "TERM"], ["TERM", "INT"], ["KILL"]],
    ids=" ".join,
)
def test_every_end_leaves_no_process_and_a_database_that_starts_again(
    signals: list[str], data: str, tmp_path: Path
) -> None:
    with Reelroom(cwd=tmp_path, REELROOM_DATA_DIR=data) as reelroom:
        with reelroom.ready().browser() as browser:
            made = browser.post("/api/projects", json={"title": "Kept"})
            assert made.status_code == 201, made.text
        assert len(reelroom.family()) > 2
        for name in signals[:-1]:
            reelroom.send_signal(getattr(signal, f"SIG{name}"))
        last = getattr(signal, f"SIG{signals[-1]}")
        assert reelroom.end(last) == (-last if last == signal.SIGKILL else 0), reelroom.err
        assert "Traceback" not in reelroom.err
    with Reelroom(cwd=tmp_path, REELROOM_DATA_DIR=data) as again:
        with again.ready().browser() as browser:
            kept = browser.get("/api/projects").json()["data"]["items"]
            assert "Kept" in [project["title"] for project in kept]
        checked = run("check", cwd=tmp_path, REELROOM_DATA_DIR=data)
        assert (checked.returncode, checked.stdout) == (0, "all invariants hold\n")
        assert again.end() == 0


def test_repeated_signals_do_not_shorten_the_shutdown(data: str, tmp_path: Path) -> None:
    with Reelroom(cwd=tmp_path, REELROOM_DATA_DIR=data) as reelroom:
        reelroom.ready()
        while reelroom.process.poll() is None:
            reelroom.send_signal(signal.SIGTERM)
            time.sleep(0.005)
        assert reelroom.family() == []
        assert reelroom.process.returncode == 0
        assert "Traceback" not in reelroom.err


def test_a_signal_at_any_moment_of_the_start_ends_it(data: str, tmp_path: Path) -> None:
    running = Path(data, "database", "postmaster.pid")
    for fact in (lambda: True, running.exists):
        with Reelroom(cwd=tmp_path, REELROOM_DATA_DIR=data) as reelroom:
            # Python itself dies of a signal that comes before our handlers are there.
            wait_until(fact)
            wait_until(lambda: _handled(reelroom.process.pid, signal.SIGTERM))
            assert reelroom.end() == 0, reelroom.err
            assert reelroom.err == ""


def _handled(pid: int, number: int) -> bool:
    status = Path(f"/proc/{pid}/status").read_text()
    caught = next(line for line in status.splitlines() if line.startswith("SigCgt"))
    return bool(int(caught.split()[1], 16) >> (number - 1) & 1)


def test_a_second_server_on_the_same_data_is_refused_with_the_first_address(
    data: str, tmp_path: Path
) -> None:
    with Reelroom(cwd=tmp_path, REELROOM_DATA_DIR=data) as reelroom:
        reelroom.ready()
        second = run(cwd=tmp_path, REELROOM_DATA_DIR=data)
        assert second.returncode == 2
        assert second.stdout == ""
        assert second.stderr == (
            f"reelroom: Reelroom already runs on {data}"
            f" (process {reelroom.process.pid}, at {reelroom.url}/)\n"
        )
        assert is_well(reelroom)
        assert reelroom.end() == 0


def is_well(reelroom: Reelroom) -> bool:
    with reelroom.client() as client:
        said = client.get("/health/ready").json()
    return bool(said == {"status": "ok", "database": True, "redis": None})


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="finds the process in /proc")
def test_it_ends_when_its_own_postgresql_was_killed(data: str, tmp_path: Path) -> None:
    with Reelroom(cwd=tmp_path, REELROOM_DATA_DIR=data) as reelroom:
        reelroom.ready()
        os.kill(int(Path(data, "database", "postmaster.pid").read_text().split()[0]), 9)
        assert reelroom.process.wait(20) == 2
        assert reelroom.err.splitlines()[-1] == (
            f"reelroom: PostgreSQL has ended by itself, see {data}/postgres.log"
        )
        wait_until(lambda: not reelroom.family())
    checked = run("check", cwd=tmp_path, REELROOM_DATA_DIR=data)
    assert checked.returncode == 0


def test_commands_use_the_database_of_the_one_that_serves(data: str, tmp_path: Path) -> None:
    settings = {"cwd": tmp_path, "REELROOM_DATA_DIR": data}
    with Reelroom(**settings) as reelroom:  # type: ignore[arg-type]
        reelroom.ready()
        token = run("token", "local", **settings)  # type: ignore[arg-type]
        assert token.returncode == 0, token.stderr
        with reelroom.client(token.stdout.strip()) as client:
            assert client.get("/api/auth/me").json()["data"]["id"] == "local"
        login = run("user", "login", **settings)  # type: ignore[arg-type]
        reelroom.link = login.stdout.strip()
        with reelroom.browser() as browser:
            assert browser.get("/api/auth/me").status_code == 200
        migrated = run("migrate", **settings)  # type: ignore[arg-type]
        assert (migrated.returncode, migrated.stdout) == (0, "the schema is up to date\n")
        assert is_well(reelroom)
        assert reelroom.end() == 0


def test_commands_start_the_database_when_no_server_runs(data: str, tmp_path: Path) -> None:
    checked = run("check", cwd=tmp_path, REELROOM_DATA_DIR=data)
    assert (checked.returncode, checked.stdout) == (0, "all invariants hold\n")
    assert not Path(data, "database", "postmaster.pid").exists()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"PORT": "abc"}, "PORT is wrong: Expected `int`, got `str`"),
        ({"PORT": "70000"}, "PORT is wrong: Expected `int` <= 65535"),
        ({"LOG_LEVEL": "loud"}, "LOG_LEVEL is wrong: loud is no level"),
        ({"REDIS_URL": "http://here"}, "REDIS_URL is wrong"),
        ({"HOST": "192.0.2.1"}, "can't listen on 192.0.2.1:0"),
        ({"DATABASE_URL": "garbage"}, "DATABASE_URL can't be used"),
        ({"DATABASE_URL": "postgresql://here:port/x"}, "DATABASE_URL can't be used"),
        ({"WEB_CONCURRENCY": "2"}, "2 workers need REDIS_URL"),
        ({"REELROOM_DATA_DIR": "/dev/null/data"}, "the data folder /dev/null/data can't be used"),
        ({"PG_BIN": "/nowhere"}, "PG_BIN"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) else "",
)
def test_a_wrong_setting_is_named_in_one_line(
    settings: dict[str, str], said: str, tmp_path: Path
) -> None:
    done = run(cwd=tmp_path, **{"REELROOM_DATA_DIR": str(tmp_path / "data"), **settings})
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert done.stderr.startswith("reelroom: ")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = run(cwd=tmp_path, PORT=port, REELROOM_DATA_DIR=str(tmp_path / "data"))
    assert done.returncode == 2
    assert done.stderr == f"reelroom: can't listen on 127.0.0.1:{port}: Address already in use\n"
    assert not (tmp_path / "data").exists()


def test_several_workers_and_a_server_without_runs_need_redis(tmp_path: Path) -> None:
    settings = {"REELROOM_DATA_DIR": str(tmp_path / "data")}
    many = run("serve", "--workers", "2", cwd=tmp_path, **settings)
    assert many.returncode == 2
    assert "2 workers need REDIS_URL" in many.stderr
    apart = run("serve", "--no-runs", cwd=tmp_path, **settings)
    assert apart.returncode == 2
    assert "--no-runs needs REDIS_URL" in apart.stderr
    worker = run("worker", cwd=tmp_path, **settings)
    assert worker.returncode == 2
    assert "DATABASE_URL and REDIS_URL" in worker.stderr


@pytest.mark.parametrize("name", ["token local", "user login", "check"])
def test_a_command_makes_no_database_where_the_server_has_none(name: str, tmp_path: Path) -> None:
    done = run(*name.split(), cwd=tmp_path, REELROOM_DATA_DIR=str(tmp_path / "data"))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"reelroom: there is no database in {tmp_path / 'data'}: start `reelroom` first, or set"
        " REELROOM_DATA_DIR or DATABASE_URL to what the server has\n"
    )
    assert not (tmp_path / "data").exists()
