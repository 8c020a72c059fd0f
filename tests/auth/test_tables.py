"""The Piccolo tables agree with the schema of the migrations."""

from typing import Any

import pytest
from piccolo.columns import ForeignKey, Varchar
from piccolo.columns.base import OnDelete

from app.auth.tables import ApiToken, LoginSession, UserAccount
from app.store.query import Param, built
from tests.harness.database import DB

TYPES = {"VARCHAR": "character varying", "TIMESTAMPTZ": "timestamp with time zone"}


@pytest.mark.parametrize("table", [UserAccount, ApiToken, LoginSession])
async def test_a_table_mirrors_its_columns(pool: None, table: Any) -> None:
    rows = await DB.fetch(
        "select column_name, data_type, is_nullable = 'YES' as nullable,"
        " character_maximum_length as length from information_schema.columns"
        " where table_name = $1 order by ordinal_position",
        table._meta.tablename,
    )
    columns = table._meta.columns
    names = [column._meta.db_column_name for column in columns]
    assert [row["column_name"] for row in rows] == names
    for row, column in zip(rows, columns, strict=True):
        if isinstance(column, ForeignKey):
            assert column._foreign_key_meta.on_delete is OnDelete.restrict
            continue
        kind = column.column_type.partition("(")[0]
        assert row["data_type"] == TYPES.get(kind, kind.lower())
        assert row["nullable"] == (column._meta.null and not column._meta.primary_key)
        if isinstance(column, Varchar):
            assert row["length"] == column.length


async def test_a_built_statement_reads_what_sql_wrote(emptied: None) -> None:
    await DB.fetch("insert into user_account (id, name) values ('someone', 'Some One')")
    query = UserAccount.select(UserAccount.id, UserAccount.role)
    find = built(query.where(UserAccount.id == Param("id")))
    rows = await DB.fetch(*find(id="someone"))
    assert [dict(row) for row in rows] == [{"id": "someone", "role": "user"}]
