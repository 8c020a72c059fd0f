"""What the tables say of values that PostgreSQL computes itself."""

from typing import Any

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
