"""The rules for migration files, which are checked in their source alone."""

from pathlib import Path

import pytest

from app.store.migration import MIGRATIONS
from app.store.migration_rules import check_folder, check_source, list_sources
from app.store.statements import split
from tests.store.migrations import FILE, write

HARMLESS = (
    "create table t (id uuid primary key, u uuid references u (id) on delete set null)",
    "create table t (a int references u on delete restrict, b int references v on delete cascade)",
    "alter table t add column a int not null default 0",
    "alter table t add constraint c check (a > 0) not valid; alter table t validate constraint c",
    "alter table t alter column a drop not null, alter column b drop default",
    "create table t (a int); alter table t alter column a set not null",
    "create index on t (a); drop index i",
    "alter type mood add value 'fine'",
    "update t set a = 1 where a is null",
    "insert into t values (1) on conflict (a) do update set a = 2",
    "create trigger g before update or delete on t for each row execute function f()",
    "create table t (a int references u (id) on update cascade on delete restrict)",
    "comment on table t is 'delete from t; drop table t -- truncate'",
    "-- drop table t;\ncreate table t (a text default 'it''s; drop table u')",
    "do $$ begin if false then raise notice 'x'; end if; end $$",
    "create function f() returns trigger language plpgsql as $$ begin return new; end $$",
)
DANGEROUS = {
    "drop table t": "drops",
    "DROP\n  TABLE if exists t": "drops",
    "drop/**/schema public": "drops",
    "drop view v cascade": "depends",
    "alter table t drop column a": "drops a column",
    "alter table t drop a": "drops a column",
    'alter table "T" add column b int, drop if exists a': "drops a column",
    "alter table t alter column a type uuid using a::uuid": "changes a column's type",
    "alter table t alter a set data type text": "changes a column's type",
    "alter type mood rename value 'a' to 'b'": "changes a type",
    "alter table t rename column a to b": "renames",
    "alter table t rename to u": "renames",
    "truncate t": "empties",
    "delete from t": "deletes",
    "delete from t where a = 1": "deletes",
    "with gone as (delete from t returning *) insert into u select * from gone": "deletes",
    "update t set a = 1": "every row",
    "update only t set a = 1 where true": "every row",
    "update t set a = 1 where 1=1": "every row",
    "update t set a = '1 where 2'": "every row",
    "with x as (update t set a = 1) insert into u values (1)": "every row",
    "alter table t alter column a set not null": "NOT NULL",
    "alter table t disable trigger all": "guard",
    "alter table t disable row level security": "guard",
    "set session_replication_role = replica": "guards",
    "do $$ begin delete from t; end $$": "DO block",
    "do $x$ begin execute 'trun' || 'cate t'; end $x$": "DO block",
    "do 'begin update t set a = 1; end'": "DO block",
    "create function f() returns void language sql as $$ delete from t $$": "destroys",
    "select destroy_everything()": "cannot see",
    "call destroy_everything()": "cannot see",
    "merge into t using u on true when matched then delete": "cannot see",
    "copy t from '/etc/passwd'": "cannot see",
    "refresh materialized view v": "cannot see",
}
NEVER = {
    "commit": "the runner controls the transaction",
    "create table t (a int); begin; create table u (a int)": "the runner controls the transaction",
    "create index concurrently i on t (a)": "cannot run in a transaction",
    "create table t (a uuid references u (id))": "ON DELETE",
    "create table t (a int references u, b int references v on delete cascade)": "ON DELETE",
    "alter table t add foreign key (a) references u (id)": "ON DELETE",
    "-- nothing": "empty",
}


def test_our_own_migrations_follow_the_rules() -> None:
    assert list_sources(MIGRATIONS)
    assert check_folder(MIGRATIONS) == []
    assert [fault for path in list_sources(MIGRATIONS) for fault in check_source(path)] == []


@pytest.mark.parametrize("sql", HARMLESS)
def test_harmless_sql_passes(sql: str, tmp_path: Path) -> None:
    assert check_source(write(tmp_path, "0001_a", sql)) == []


@pytest.mark.parametrize(("sql", "why"), DANGEROUS.items())
def test_sql_that_can_lose_data_needs_a_review(sql: str, why: str, tmp_path: Path) -> None:
    (first, *_) = check_source(write(tmp_path, "0001_a", sql))
    assert first.startswith("0001_a.py: not reviewed")
    assert why in first
    assert check_source(write(tmp_path, "0002_b", sql, 'REVIEWED = "seen"')) == []


@pytest.mark.parametrize(("sql", "why"), NEVER.items())
def test_some_sql_is_refused_even_when_reviewed(sql: str, why: str, tmp_path: Path) -> None:
    faults = check_source(write(tmp_path, "0001_a", sql, 'REVIEWED = "seen"'))
    assert why in "".join(faults)


RETURN = "    return manager\n"


@pytest.mark.parametrize(
    ("before", "after", "why"),
    [
        (RETURN, "    await run('delete from users')\n" + RETURN, "awaited"),
        (RETURN, "    run('delete from users')\n" + RETURN, "may only contain"),
        (RETURN, "    manager.drop_table('Users', 'users')\n" + RETURN, "may only contain"),
        (RETURN, "    async with x:\n        pass\n" + RETURN, "awaited"),
        ("script(FORWARDS)", "script(run())", "may only contain"),
        ("script(FORWARDS)", "lambda: run()", "may only contain"),
        ("def forwards()", "def forwards(x=run())", "may only contain"),
        ("async def", "@run\nasync def", "does not belong"),
        ("async def", "run()\n\n\nasync def", "does not belong"),
        ("async def", "class X:\n    run()\n\n\nasync def", "does not belong"),
        ("async def forwards", "async def other", "does not belong"),
        ("import script", "import script\nfrom app.scenes.tables import Scene", "does not belong"),
        ('DESCRIPTION = "test"', 'DESCRIPTION = run("x")', "literals"),
        ('DESCRIPTION = "test"', "DESCRIPTION = 1", "must be a text"),
        ('ID = "0001"', 'ID = "0002"', "file's name"),
        ('"reelroom"', '"other"', "may only contain"),
        ('ID = "0001"', 'ID = "0001"\nREVIEWED = " "', "reason"),
        ("FORWARDS = ", "FORWARDS += ", "does not belong"),
        ("async def", "a, b = run()\n\n\nasync def", "does not belong"),
        ("async def", "a = ID = run()\n\n\nasync def", "does not belong"),
        ("async def", "a.b = run()\n\n\nasync def", "does not belong"),
        ("async def", "a: run() = 1\n\n\nasync def", "does not belong"),
    ],
)
def test_forwards_only_registers(before: str, after: str, why: str, tmp_path: Path) -> None:
    """Piccolo runs the body of `forwards()` even for a preview."""
    text = FILE.format(number="0001", sql="create table t (a int)", more="")
    assert before in text
    path = tmp_path / "0001_a.py"
    path.write_text(text)
    assert check_source(path) == []
    path.write_text(text.replace(before, after, 1))
    assert why in "".join(check_source(path))


def test_numbers_are_unique_and_names_have_their_format(tmp_path: Path) -> None:
    write(tmp_path, "0001_a", "create table a (a int)")
    write(tmp_path, "0001_b", "create table b (a int)")
    write(tmp_path, "2_c", "create table c (a int)")
    first, second = check_folder(tmp_path)
    assert "taken by 0001_a.py" in first
    assert "2_c.py" in second


def test_a_script_is_split_at_the_ends_of_its_statements() -> None:
    script = """
        create table a (b text default ';'); -- one; two
        /* three; */ create function f() returns int language sql as $x$ select 1; $x$;
        insert into a values (E'it\\'s; "', '$$', 'x''; y'), ("c;");;
        create table d ()
    """
    assert [one.sql.split()[-1] for one in split(script)] == ["';')", "$x$", '("c;")', "()"]
