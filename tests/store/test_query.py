"""Statements with named parameters, built by Piccolo or written as SQL."""

from datetime import UTC, datetime

import pytest
from piccolo.querystring import QueryString

from app.auth.tables import ApiToken, UserAccount
from app.scenes.tables import SceneRow
from app.store.columns import NOW
from app.store.query import Param, built, compiled, named


def test_a_built_statement_puts_its_values_in_the_order_of_its_placeholders() -> None:
    statement = built(
        SceneRow.update({SceneRow.name: Param("name"), SceneRow.props: Param("props")}).where(
            SceneRow.id == Param("id"), SceneRow.revision == 7
        )
    )
    sql, *values = statement(id="i", name="n", props={"a": 1})
    assert sql.startswith('UPDATE "scene" SET "name" = $1, "props" = $2 WHERE')
    assert values == ["n", {"a": 1}, "i", 7]


def test_a_named_statement_numbers_each_name_once_and_leaves_casts_alone() -> None:
    statement = named("select :id::uuid, :n + 1 where id = :id and t = '12:30:00'")
    assert statement(n=2, id="i") == ("select $1::uuid, $2 + 1 where id = $1 and t = '12:30:00'",
                                      "i", 2)  # fmt: skip


def test_a_missing_or_an_unknown_name_is_an_error() -> None:
    statement = named("select :id")
    with pytest.raises(TypeError, match="'id' is missing"):
        statement()
    with pytest.raises(TypeError, match="unknown parameters"):
        statement(id=1, other=2)


def test_a_query_without_parameters_is_compiled_with_its_values() -> None:
    sql, *values = compiled(UserAccount.count().where(UserAccount.role == "admin"))
    assert sql.endswith('WHERE "user_account"."role" = $1')
    assert values == ["admin"]


def test_a_row_without_its_times_leaves_them_to_the_database() -> None:
    row = UserAccount(id=Param("id"), name=Param("name"))
    statement = built(UserAccount.insert(row).on_conflict(action="DO NOTHING"))
    sql, *values = statement(id="i", name="n")
    assert sql.endswith("VALUES ($1,$2,$3,$4,$5,DEFAULT,DEFAULT) ON CONFLICT DO NOTHING"
                        ' RETURNING "id"')  # fmt: skip
    assert values == ["i", None, "n", None, "user"]


def test_a_statement_is_not_built_with_the_time_of_its_building() -> None:
    row = UserAccount(id=Param("id"), name=Param("name"), created_at=datetime.now(UTC))
    with pytest.raises(ValueError, match="the clock was read"):
        built(UserAccount.insert(row))


def test_an_expression_is_a_value_and_a_limit_a_parameter() -> None:
    later = QueryString("clock_timestamp() + {} * interval '1 day'", Param("days"))
    change = ApiToken.update({ApiToken.expires_at: later, ApiToken.revoked_at: NOW})
    sql, *values = built(change.where(ApiToken.id == Param("id")))(id="i", days=3)
    assert '"revoked_at" = clock_timestamp() WHERE' in sql
    assert values == [3, "i"]
    query = ApiToken.select(ApiToken.id).where(ApiToken.id < Param("before"))
    page = built(query.order_by(ApiToken.id, ascending=False), limit=Param("limit"))
    sql, *values = page(before="b", limit=20)
    assert sql.endswith("DESC LIMIT $2")
    assert values == ["b", 20]
