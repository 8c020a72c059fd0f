"""Migration files for the tests, and the schema of a database."""

from pathlib import Path
from typing import Any

import asyncpg

FILE = '''"""A migration of a test."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from app.store.migration import script

ID = "{number}"
VERSION = "1.38.0"
DESCRIPTION = "test"
{more}
FORWARDS = """
{sql}
"""


async def forwards() -> MigrationManager:
    manager = MigrationManager(migration_id=ID, app_name="reelroom", description=DESCRIPTION)
    manager.add_raw(script(FORWARDS))
    return manager
'''
SHAPE = """
    select 'column', attrelid::regclass::text, attname || ' ' || format_type(atttypid, atttypmod)
        || ' ' || attnotnull from pg_attribute join pg_class c on c.oid = attrelid
        where relnamespace = 'public'::regnamespace and relkind = 'r' and attnum > 0
        and not attisdropped
    union all select 'constraint', conrelid::regclass::text, conname || pg_get_constraintdef(oid)
        from pg_constraint where connamespace = 'public'::regnamespace
    union all select 'index', tablename, indexdef from pg_indexes where schemaname = 'public'
    union all select 'record', app_name, name from migration
    union all select 'digest', name, sha256 from migration_digest
    order by 1, 2, 3
"""


def write(folder: Path, name: str, sql: str, more: str = "") -> Path:
    """Write a migration, e.g. `0001_users`; `more` are lines such as `REVIEWED = "…"`."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.py"
    path.write_text(FILE.format(number=name[:4], sql=sql, more=more))
    return path


async def ask(dsn: str, sql: str) -> Any:
    """Return the only value, or the rows as tuples when there are more."""
    connection = await asyncpg.connect(dsn)
    try:
        rows = [tuple(row) for row in await connection.fetch(sql)]
    finally:
        await connection.close()
    return rows[0][0] if len(rows) == 1 and len(rows[0]) == 1 else rows


async def run(dsn: str, sql: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(sql)
    finally:
        await connection.close()


async def shape(dsn: str) -> Any:
    """Return everything that is equal in two databases with the same schema."""
    return await ask(dsn, SHAPE)
