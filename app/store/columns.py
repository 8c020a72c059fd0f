"""Columns of the tables: values that PostgreSQL computes, and references."""

from typing import Any

from piccolo.columns import ForeignKey
from piccolo.columns.base import OnDelete, OnUpdate
from piccolo.columns.defaults.timestamptz import TimestamptzNow
from piccolo.querystring import QueryString

# Used as a value in a query: the time of the statement, also within a long transaction.
NOW = QueryString("clock_timestamp()")


class ClockTimestamp(TimestamptzNow):
    """The default `clock_timestamp()` of a `Timestamptz` column.

    A row of the table that is given no value for the column inserts `DEFAULT`. Piccolo's own
    default would read the clock of this process, and in a query that is built at import only once.
    """

    @property
    def postgres(self) -> str:
        return "clock_timestamp()"

    def python(self) -> Any:
        return QueryString("DEFAULT")


def reference(
    table: Any,
    *,
    null: bool = False,
    primary_key: bool = False,
    unique: bool = False,
    on_delete: OnDelete = OnDelete.restrict,
) -> Any:
    """Return a foreign key to the primary key of `table`.

    `table` is a table, "self", or the name of a table that its module defines later.
    """
    return ForeignKey(
        table,
        null=null,
        primary_key=primary_key,
        unique=unique,
        default=None,
        on_delete=on_delete,
        on_update=OnUpdate.no_action,
    )
