"""Fingerprints of all rows: equal before and after a migration when nothing was lost."""

from collections.abc import Iterator

import asyncpg
import msgspec
from asyncpg import Connection, Record

RECORD_TABLES = ("migration", "migration_digest")

LIST_TABLES = """
    select c.oid, n.nspname as schema, c.relname as name, c.oid::regclass::text as title,
        array(select quote_ident(attname) from pg_attribute
            where attrelid = c.oid and attnum > 0 and not attisdropped order by attnum) as columns,
        array(select quote_ident(attname) from pg_index i
            join pg_attribute a on a.attrelid = i.indrelid and a.attnum = any (i.indkey)
            where i.indrelid = c.oid and i.indisprimary order by attnum) as key
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.relkind = 'r' and c.relpersistence <> 't' and n.nspname !~ '^pg_'
        and n.nspname <> 'information_schema' and c.relname <> all ($1)
    order by c.oid
"""
LIST_FOREIGN_KEYS = """
    select conrelid::regclass::text as child, confrelid::regclass::text as parent,
        array_agg(format('%I', a.attname) order by place) as child_columns,
        array_agg(format('%I', b.attname) order by place) as parent_columns
    from pg_constraint, unnest(conkey, confkey) with ordinality as pair (x, y, place)
        join pg_attribute a on a.attnum = x join pg_attribute b on b.attnum = y
    where contype = 'f' and a.attrelid = conrelid and b.attrelid = confrelid
    group by pg_constraint.oid, conrelid, confrelid
"""


class Join(msgspec.Struct, frozen=True, kw_only=True):
    """A foreign key before the migration, which may drop its constraint."""

    child: str
    parent: str
    child_columns: tuple[str, ...]
    parent_columns: tuple[str, ...]

    @property
    def title(self) -> str:
        return f"{self.child} ({', '.join(self.child_columns)}) -> {self.parent}"


class Fingerprint(msgspec.Struct, frozen=True, kw_only=True):
    """Rows per table, an order-independent hash per column, and joined rows per foreign key."""

    rows: dict[str, int]
    columns: dict[str, str]
    joined: dict[Join, int]


async def list_tables(connection: Connection) -> list[Record]:
    """Return every table except those that record the migrations."""
    return await connection.fetch(LIST_TABLES, RECORD_TABLES)


async def has_rows(connection: Connection, tables: list[Record]) -> bool:
    """Return whether any of the tables has a row."""
    for table in tables:
        if await connection.fetchval(f"select exists (select from {table['title']})"):
            return True
    return False


async def take_fingerprint(
    connection: Connection, joins: dict[Join, int] | None = None
) -> Fingerprint:
    """Read every row once and return the fingerprint.

    `joins` are the foreign keys of an earlier fingerprint, to be counted again. The primary key is
    part of each hash, so that swapped values of two rows are detected. The caller locks the tables
    against writes, which would count as changes of the migration.
    """
    rows, columns = dict[str, int](), dict[str, str]()
    for table in await list_tables(connection):
        title = table["title"]
        key = "".join(f"{name}::text, " for name in table["key"])
        sums = "".join(
            f", sum(hashtextextended(concat_ws(chr(31), {key}coalesce({name}::text, chr(30))), 7)"
            "::numeric)::text"
            for name in table["columns"]
        )
        read = await connection.fetchrow(f"select count(*){sums} from {title}")
        assert read is not None
        rows[title] = read[0]
        for at, name in enumerate(table["columns"], start=1):
            columns[f"{title}.{name}"] = read[at] or ""
    known = (
        [_join(found) for found in await connection.fetch(LIST_FOREIGN_KEYS)]
        if joins is None
        else joins
    )
    joined = {join: await _count(connection, join) for join in known}
    return Fingerprint(rows=rows, columns=columns, joined=joined)


def list_losses(
    before: Fingerprint, after: Fingerprint, may_change: frozenset[str]
) -> Iterator[str]:
    """Yield what was lost or changed, except in the tables and columns named in `may_change`."""
    for table, count in before.rows.items():
        if table in may_change:
            continue
        if table not in after.rows:
            yield f"table {table} is gone"
        elif after.rows[table] != count:
            yield f"{table} had {count} rows, now {after.rows[table]}"
    for column, value in before.columns.items():
        table = column.rpartition(".")[0]
        if may_change & {column, table} or table not in after.rows:
            continue
        if column not in after.columns:
            yield f"column {column} is gone"
        elif after.columns[column] != value:
            yield f"column {column} has changed"
    for join, count in before.joined.items():
        if after.joined[join] < count and not may_change & {join.child, join.parent}:
            yield f"{join.title} joined {count} rows, now {after.joined[join]}"


def _join(found: Record) -> Join:
    return Join(
        child=found["child"],
        parent=found["parent"],
        child_columns=tuple(found["child_columns"]),
        parent_columns=tuple(found["parent_columns"]),
    )


async def _count(connection: Connection, join: Join) -> int:
    pairs = zip(join.child_columns, join.parent_columns, strict=True)
    equal = " and ".join(f"x.{child}::text = y.{parent}::text" for child, parent in pairs)
    try:
        async with connection.transaction():
            count: int = await connection.fetchval(
                f"select count(*) from {join.child} x join {join.parent} y on {equal}"
            )
    except (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError):
        return 0
    return count
