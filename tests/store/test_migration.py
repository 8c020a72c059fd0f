"""The migration runner: one at a time, each one atomic, and without loss of data."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import asyncpg
import pytest

from app.store.migration import MIGRATIONS, MigrationError, migrate, pending
from app.store.migration_rules import list_sources
from tests.store.migrations import ask, run, shape, write

ROOT = Path(__file__).parents[2]
RUNNER = """
import asyncio, sys
from pathlib import Path
from app.store.migration import migrate
print(asyncio.run(migrate(sys.argv[1], Path(sys.argv[2]))))
"""
# Each line asks to run the migrations in a fork that dies at its nth crash point. Each exchange
# that changes something, BEGIN and COMMIT included, has two: once it is sent, and once it is
# answered. (To die after a read is to die before what comes next.)
CRASHING = """
import asyncio, os, sys
from pathlib import Path
import asyncpg
from app.store.migration import migrate

left = 0

def crash_point():
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), 9)

def wrap(name):
    real = getattr(asyncpg.Connection, name)
    async def wrapped(self, *args, **named):
        sent = asyncio.ensure_future(real(self, *args, **named))
        await asyncio.sleep(0)
        crash_point()
        result = await sent
        crash_point()
        return result
    setattr(asyncpg.Connection, name, wrapped)

for name in ("execute", "copy_from_table"):
    wrap(name)
for line in sys.stdin:
    at, dsn, folder, backups = line.split()
    child = os.fork()
    if not child:
        left = int(at)
        asyncio.run(migrate(dsn, Path(folder), backups=Path(backups)))
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
WAITERS = "select count(*) from pg_locks where locktype = 'advisory' and not granted"


async def until(fact: Callable[[], Awaitable[object]], seconds: float = 15) -> None:
    end = time.monotonic() + seconds
    while not await fact():
        assert time.monotonic() < end, "it did not happen in time"
        await asyncio.sleep(0.01)


def runner(dsn: str, folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", RUNNER, dsn, str(folder)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "migrations"
    write(
        path,
        "0001_people",
        """
        create table person (id int primary key, name text not null);
        create table project (id int primary key,
            owner int not null references person (id) on delete restrict, title text);
        insert into person values (1, 'Ada'), (2, 'Grace; of the navy');
        insert into project values (1, 1, 'one'), (2, 2, 'two');
        """,
    )
    write(
        path,
        "0002_mail",
        "alter table person add column mail text; update person set mail = name where id > 0;",
    )
    return path


async def test_pending_migrations_run_once_and_in_order(dsn: str, folder: Path) -> None:
    assert await pending(dsn, folder) == ["0001_people", "0002_mail"]
    assert await ask(dsn, "select to_regclass('migration')") is None
    assert await migrate(dsn, folder) == ["0001_people", "0002_mail"]
    assert await pending(dsn, folder) == []
    assert await migrate(dsn, folder) == []
    assert await ask(dsn, "select array_agg(mail order by id) from person") == [
        "Ada",
        "Grace; of the navy",
    ]


async def test_our_own_migrations_run(dsn: str) -> None:
    assert "0001_spine" in await migrate(dsn)
    assert await pending(dsn) == []


async def test_concurrent_runners_run_one_after_the_other(dsn: str, folder: Path) -> None:
    holder = await asyncpg.connect(dsn)
    await holder.execute("select pg_advisory_lock(hashtext('reelroom migrations'))")
    runners = [runner(dsn, folder) for _ in range(3)]
    await until(lambda: ask(dsn, f"select ({WAITERS}) = 3"))
    await holder.close()
    said = sorted([(await asyncio.to_thread(one.communicate))[0].strip() for one in runners])
    assert [one.returncode for one in runners] == [0, 0, 0]
    assert said == ["['0001_people', '0002_mail']", "[]", "[]"]
    assert await ask(dsn, "select array_agg(name order by id) from migration") == ["0001", "0002"]


async def test_a_runner_without_the_lock_applies_nothing_twice(dsn: str, folder: Path) -> None:
    """Even without the lock, the primary key of the record admits one runner."""
    holder = await asyncpg.connect(dsn)
    await holder.execute("begin; create table person (x int)")  # the first statement waits for it
    first = asyncio.create_task(migrate(dsn, folder))
    blocked = "select count(*) = {} from pg_stat_activity where wait_event_type = 'Lock'"
    await until(lambda: ask(dsn, blocked.format(1)))
    await ask(dsn, "select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory'")
    second = asyncio.create_task(migrate(dsn, folder))
    await until(lambda: ask(dsn, blocked.format(2)))
    await holder.execute("rollback")
    await holder.close()
    done = await asyncio.gather(first, second, return_exceptions=True)
    assert ["0001_people", "0002_mail"] in done
    assert "another runner" in "".join(str(one) for one in done)
    assert await ask(dsn, "select array_agg(name order by id) from migration") == ["0001", "0002"]


async def test_a_kill_at_any_statement_ends_in_the_same_schema(
    empty_database: Callable[[], Awaitable[str]], folder: Path, tmp_path: Path
) -> None:
    (folder / "0002_mail.py").unlink()
    write(
        folder,
        "0002_less",
        "alter table person add column mail text; update person set mail = name where id > 0;"
        "alter table project drop column title; create index on project (owner)",
        'REVIEWED = "titles moved to scenes"\nMAY_CHANGE = {"project.title"}',
    )
    whole = await empty_database()
    await migrate(whole, folder, backups=tmp_path / "b")
    expected = await shape(whole), await ask(whole, "select * from person order by id")
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        CRASHING,
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert child.stdin is not None
    assert child.stdout is not None
    point, ended = 0, -9
    while ended == -9:
        point += 1
        dsn = await empty_database()
        child.stdin.write(f"{point} {dsn} {folder} {tmp_path / 'b'}\n".encode())
        ended = int(await child.stdout.readline())
        await migrate(dsn, folder, backups=tmp_path / "b")
        assert (await shape(dsn), await ask(dsn, "select * from person order by id")) == expected
    child.stdin.close()
    await child.wait()
    assert ended == 0
    assert point > 40
    assert all((one / "manifest.json").exists() for one in (tmp_path / "b").iterdir())


async def test_the_next_run_completes_a_migration_killed_in_a_statement(
    dsn: str, folder: Path
) -> None:
    holder = await asyncpg.connect(dsn)
    await holder.execute("begin; create table person (x int)")
    killed = runner(dsn, folder)
    blocked = "select count(*) = 1 from pg_stat_activity where wait_event_type = 'Lock'"
    await until(lambda: ask(dsn, blocked))
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    again = asyncio.create_task(migrate(dsn, folder))
    await holder.execute("rollback")
    await holder.close()
    assert await again == ["0001_people", "0002_mail"]
    assert await ask(dsn, "select count(*) from migration") == 2


async def test_a_body_that_runs_sql_is_refused_and_does_not_run(
    dsn: str, folder: Path, tmp_path: Path
) -> None:
    """Piccolo runs the body of `forwards()` for `--preview` and `--fake` as well."""
    await migrate(dsn, folder)
    path = write(folder, "0003_evil", "create table evil (a int)")
    marker = tmp_path / "ran"
    body = (
        f"    open({str(marker)!r}, 'w').close()\n"
        f"    import asyncpg\n"
        f"    await (await asyncpg.connect({dsn!r})).execute('delete from project')\n"
        "    return manager\n"
    )
    path.write_text(path.read_text().replace("    return manager\n", body))
    for attempt in (migrate, pending):
        with pytest.raises(MigrationError, match="awaited"):
            await attempt(dsn, folder)
    assert not marker.exists()
    assert await ask(dsn, "select count(*) from project") == 2
    path.write_text(f"open({str(marker)!r}, 'w').close()\n" + path.read_text())
    with pytest.raises(MigrationError, match="does not belong"):
        await migrate(dsn, folder)
    assert not marker.exists()


async def test_a_retype_and_a_key_without_on_delete_are_refused(dsn: str, folder: Path) -> None:
    await migrate(dsn, folder)
    before = await shape(dsn)
    path = write(folder, "0003_x", "alter table person alter column id type uuid using null")
    with pytest.raises(MigrationError, match="changes a column's type"):
        await migrate(dsn, folder)
    path.unlink()
    write(folder, "0003_y", "create table note (person int references person (id))")
    with pytest.raises(MigrationError, match="ON DELETE"):
        await migrate(dsn, folder)
    assert await shape(dsn) == before


LOSSES = {
    "random ids, equal counts": (
        "alter table project drop constraint project_owner_fkey;"
        "update person set id = id + 10 where true; alter table project alter owner type bigint",
        "person.id has changed",
    ),
    "joins lost, columns allowed": (
        "alter table project drop constraint project_owner_fkey;"
        "update project set owner = 99 where id = 1",
        r"project \(owner\) -> person joined 2 rows, now 1",
        "project.owner",
    ),
    "delete": ("delete from project", "project had 2 rows, now 0"),
    "one row": ("delete from project where id = 2", "project had 2 rows, now 1"),
    "truncate": ("truncate person cascade", "person had 2 rows, now 0"),
    "drop": ("drop table person cascade", "table person is gone"),
    "drop and make again": (
        "drop table person cascade; create table person (id int, name text, mail text)",
        "person had 2 rows",
    ),
    "rename by drop and add": (
        "alter table project drop column title; alter table project add column name text",
        "project.title is gone",
    ),
    "swapped": (
        "update person p set name = o.name from person o where o.id = 3 - p.id",
        "person.name has changed",
    ),
    "narrowed": (
        "alter table person alter name type varchar(3) using substring(name, 1, 3)",
        "person.name has changed",
    ),
    "unseen": (
        "do $$ begin execute 'trun' || 'cate project'; end $$",
        "project had 2 rows",
    ),
}


@pytest.mark.parametrize("case", LOSSES.values(), ids=LOSSES.keys())
async def test_a_reviewed_migration_that_loses_something_is_undone(
    case: tuple[str, ...], dsn: str, folder: Path, tmp_path: Path
) -> None:
    """Equal row counts prove nothing: every value that the file does not name must stay."""
    sql, loss, *allowed = case
    await migrate(dsn, folder)
    before = await shape(dsn), await ask(dsn, "select * from person, project")
    write(folder, "0003_x", sql, f'REVIEWED = "seen"\nMAY_CHANGE = {allowed}')
    with pytest.raises(MigrationError, match=loss):
        await migrate(dsn, folder, backups=tmp_path / "b")
    assert (await shape(dsn), await ask(dsn, "select * from person, project")) == before
    assert await pending(dsn, folder) == ["0003_x"]


async def test_a_reviewed_migration_runs_once_there_is_a_backup(
    dsn: str, folder: Path, tmp_path: Path
) -> None:
    await migrate(dsn, folder)
    reviewed = 'REVIEWED = "moved to scenes"\nMAY_CHANGE = {"project.title"}'
    write(folder, "0003_less", "alter table project drop column title", reviewed)
    with pytest.raises(MigrationError, match="backups"):
        await migrate(dsn, folder)
    assert await ask(dsn, "select title from project where id = 1") == "one"
    assert await migrate(dsn, folder, backups=tmp_path / "b") == ["0003_less"]
    (backup,) = (tmp_path / "b").iterdir()
    assert backup.name.endswith("-before-0003_less")
    assert backup.stat().st_mode & 0o077 == 0
    manifest = json.loads((backup / "manifest.json").read_text())
    assert manifest["rows"] == {"public.person.csv": 2, "public.project.csv": 2}
    assert sorted(manifest["migrations"]) == ["0001", "0002"]
    connection = await asyncpg.connect(dsn)
    await connection.execute("create table again (id int, owner int, title text)")
    await connection.copy_to_table(
        "again", source=backup / "public.project.csv", format="csv", header=True
    )
    assert await connection.fetchval("select array_agg(title order by id) from again") == [
        "one",
        "two",
    ]
    await connection.close()


async def test_an_empty_database_needs_no_backup(dsn: str, tmp_path: Path) -> None:
    write(tmp_path / "m", "0001_a", "create table a (b int)")
    write(tmp_path / "m", "0002_b", "alter table a drop column b", 'REVIEWED = "young"')
    assert await migrate(dsn, tmp_path / "m") == ["0001_a", "0002_b"]


async def test_an_update_that_was_not_declared_is_undone(dsn: str, folder: Path) -> None:
    await migrate(dsn, folder)
    path = write(folder, "0003_x", "update project set title = 'x' where id = 1")
    with pytest.raises(MigrationError, match=r"project\.title has changed"):
        await migrate(dsn, folder)
    path.unlink()
    more = 'MAY_CHANGE = {"project.title"}'
    write(folder, "0003_x", "update project set title = 'x' where id = 1", more)
    assert await migrate(dsn, folder) == ["0003_x"]


async def test_an_applied_migration_must_exist_unchanged(dsn: str, folder: Path) -> None:
    await migrate(dsn, folder)
    path = folder / "0002_mail.py"
    text = path.read_text()
    path.write_text(text.replace("\n", "\r\n"))
    assert await pending(dsn, folder) == []
    path.write_text(text + "# a thought\n")
    with pytest.raises(MigrationError, match="0002_mail was changed after it was applied"):
        await migrate(dsn, folder)
    path.unlink()
    with pytest.raises(MigrationError, match="0002 is applied but unknown here"):
        await migrate(dsn, folder)
    path.write_text(text)
    await run(dsn, "insert into migration (name, app_name) values ('0003', 'reelroom')")
    write(folder, "0003_x", "create table x (a int)")
    with pytest.raises(MigrationError, match="recorded by another tool"):
        await migrate(dsn, folder)


async def test_a_migration_before_an_applied_one_is_refused(dsn: str, tmp_path: Path) -> None:
    write(tmp_path / "m", "0002_b", "create table b (a int)")
    await migrate(dsn, tmp_path / "m")
    write(tmp_path / "m", "0001_a", "create table a (a int)")
    with pytest.raises(MigrationError, match="0001_a comes before 0002"):
        await migrate(dsn, tmp_path / "m")


async def test_a_failing_statement_undoes_its_migration_alone(dsn: str, folder: Path) -> None:
    write(folder, "0003_x", "create table x (a int); create table person (a int)")
    with pytest.raises(MigrationError, match=r"0003_x was rolled back: .*person.* already exists"):
        await migrate(dsn, folder)
    assert await pending(dsn, folder) == ["0003_x"]
    assert await ask(dsn, "select to_regclass('x')") is None


@pytest.mark.parametrize("freed", [True, False], ids=["freed in time", "never freed"])
async def test_a_locked_table_is_retried(freed: bool, dsn: str, folder: Path) -> None:
    await migrate(dsn, folder)
    write(folder, "0003_x", "alter table project add column x int")
    holder = await asyncpg.connect(dsn)
    await holder.execute("begin; select * from project")
    task = asyncio.create_task(migrate(dsn, folder, lock_timeout=0.15, retry_pause=0.02))
    if freed:
        me = "where application_name = 'reelroom migrate' and wait_event_type = 'Lock'"
        first = f"select pid from pg_stat_activity {me}"
        await until(lambda: ask(dsn, first))
        pid = await ask(dsn, first)
        await until(lambda: ask(dsn, f"{first} and pid <> {pid}"))
        await holder.execute("rollback")
        assert await task == ["0003_x"]
    else:
        with pytest.raises(MigrationError, match="stay in use"):
            await task
        assert await pending(dsn, folder) == ["0003_x"]
    await holder.close()


async def test_piccolo_reads_our_records_and_cannot_run_a_migration(
    dsn: str, folder: Path, tmp_path: Path
) -> None:
    await migrate(dsn, folder)
    write(folder, "0003_x", "create table x (a int)")
    (tmp_path / "store_conf.py").write_text(
        "from piccolo.conf.apps import AppRegistry\n"
        "from piccolo.engine.postgres import PostgresEngine\n"
        f"DB = PostgresEngine(config={{'dsn': {dsn!r}}})\n"
        "APP_REGISTRY = AppRegistry(apps=['store_app'])\n"
    )
    (tmp_path / "store_app.py").write_text(
        "from piccolo.conf.apps import AppConfig\n"
        f"APP_CONFIG = AppConfig(app_name='reelroom', migrations_folder_path={str(folder)!r})\n"
    )
    conf = {"PICCOLO_CONF": "store_conf", "PYTHONPATH": f"{tmp_path}:{ROOT}"}
    listed = await piccolo("check", "reelroom", **conf)
    assert [line.split()[-1] for line in listed.splitlines() if "reelroom" in line] == [
        "True",
        "True",
        "False",
    ]
    assert "reelroom migrate" in await piccolo("forwards", "reelroom", **conf)
    assert await ask(dsn, "select to_regclass('x')") is None
    assert await migrate(dsn, folder) == ["0003_x"]


async def test_the_projects_own_piccolo_configuration_agrees_about_what_is_applied(
    dsn: str,
) -> None:
    def applied(listed: str) -> dict[str, str]:
        rows = [re.split(r"\s*\|\s*|\s{2,}", line) for line in listed.splitlines()]
        return {row[1]: row[-1] for row in rows if row[0] == "reelroom"}

    conf = {"PICCOLO_CONF": "app.piccolo_conf", "DATABASE_URL": dsn}
    numbers = {path.name[:4] for path in list_sources(MIGRATIONS)}
    before = applied(await piccolo("check", **conf))
    assert set(before) == numbers
    assert set(before.values()) == {"False"}
    await migrate(dsn)
    after = applied(await piccolo("check", **conf))
    assert set(after) == numbers
    assert set(after.values()) == {"True"}


async def piccolo(*arguments: str, **environment: str) -> str:
    """Run `piccolo migrations` with these arguments; return its output."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "piccolo.main",
        "migrations",
        *arguments,
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"} | environment,
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    printed, _ = await process.communicate()
    return printed.decode()
