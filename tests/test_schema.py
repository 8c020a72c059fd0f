"""The tables in the code agree with the schema of the migrations."""

import pytest
from piccolo.table import Table

from app.piccolo_app import APP_CONFIG
from tests.harness.database import DB

COLUMNS = """
    select attname, format_type(atttypid, atttypmod), not attnotnull
    from pg_attribute where attrelid = $1::regclass and attnum > 0 and not attisdropped
"""
OURS = """
    select relname from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace
    and relname not in ('migration', 'migration_digest')
"""
SHORT = {"timestamp with time zone": "timestamptz", "character varying": "varchar"}


def short(kind: str) -> str:
    kind = kind.lower()
    for long, name in SHORT.items():
        kind = kind.replace(long, name)
    return kind


@pytest.mark.parametrize("table", APP_CONFIG.table_classes, ids=lambda table: table.__name__)
@pytest.mark.usefixtures("pool")
async def test_a_table_matches_the_migrated_schema(table: type[Table]) -> None:
    rows = await DB.fetch(COLUMNS, table._meta.tablename)
    migrated = {row[0]: (short(row[1]), row[2]) for row in rows}
    declared = {
        column._meta.db_column_name: (short(column.column_type), column._meta.null)
        for column in table._meta.columns
    }
    assert declared == migrated


@pytest.mark.usefixtures("pool")
async def test_every_migrated_table_is_named_by_the_code() -> None:
    migrated = {row["relname"] for row in await DB.fetch(OURS)}
    assert {table._meta.tablename for table in APP_CONFIG.table_classes} == migrated
