"""Statements with named parameters, built by Piccolo or written as SQL."""

import pytest

from app.auth.tables import UserAccount
from app.scenes.tables import SceneRow
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
