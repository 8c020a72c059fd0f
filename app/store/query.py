"""Statements with named parameters: built by Piccolo once, or written as SQL."""

import re
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from piccolo.columns import Column
from piccolo.query.base import Query

_NAME = re.compile(r"(?<![:\w]):([a-z_][a-z_0-9]*)")


class Param(str):
    """A named parameter, used in place of a value while a Piccolo query is built."""

    __slots__ = ()


class Statement:
    """One SQL statement and the names of its parameters, in the order of `$1`, `$2` and so on.

    Call it with a value for each name and spread the result over a reader's method:
    `await tx.fetchrow(*FIND_SCENE(id=scene_id))`. A missing or unknown name is a `TypeError`.
    """

    __slots__ = ("_known", "_values", "sql")

    def __init__(self, sql: str, values: list[Any]) -> None:
        self.sql = sql
        self._values = values
        self._known = frozenset(value for value in values if isinstance(value, Param))

    @property
    def constants(self) -> list[Any]:
        """The values that are not parameters."""
        return [value for value in self._values if not isinstance(value, Param)]

    def __call__(self, **arguments: Any) -> tuple[Any, ...]:
        values = []
        for value in self._values:
            if not isinstance(value, Param):
                values.append(value)
            elif value in arguments:
                values.append(arguments[value])
            else:
                raise TypeError(f"the parameter {str(value)!r} is missing")
        if unknown := arguments.keys() - self._known:
            raise TypeError(f"unknown parameters: {sorted(unknown)}")
        return (self.sql, *values)


def built(query: Query[Any, Any], *, limit: Param | None = None) -> Statement:
    """Compile a query of Piccolo's builder whose variable parts are `Param`s.

    Building a query takes about 0.1 ms, so build it once, at module level. Values that Piccolo
    would convert itself, such as dicts for JSONB columns, are converted by the driver's codecs.
    Piccolo writes the number of `.limit()` into the SQL; `limit` names a parameter for it.
    Raises `ValueError` for a constant point in time, which is the default of a `Timestamptz`
    column without `ClockTimestamp`.
    """
    statement = _compile(query, limit)
    if any(isinstance(value, datetime) for value in statement.constants):
        raise ValueError(f"the clock was read when this was built: {statement.sql}")
    return statement


def compiled(query: Query[Any, Any]) -> tuple[Any, ...]:
    """Return the SQL and values of a query built at run time, such as a filtered list.

    Spread it over a reader's method: `await reader.fetch(*compiled(query))`.
    """
    return _compile(query, None)()


def _compile(query: Query[Any, Any], limit: Param | None) -> Statement:
    (querystring,) = query.querystrings
    sql, values = querystring.compile_string()
    if limit is not None:
        values = [*values, limit]
        sql = f"{sql} LIMIT ${len(values)}"
    return Statement(sql, list(values))


def named(sql: str) -> Statement:
    """Return a statement of hand-written SQL with named parameters such as `:project_id`."""
    order: list[str] = []

    def place(match: re.Match[str]) -> str:
        name = match[1]
        if name not in order:
            order.append(name)
        return f"${order.index(name) + 1}"

    text = _NAME.sub(place, sql)
    return Statement(text, [Param(name) for name in order])


def column_list(columns: Iterable[Column], *, alias: str = "") -> str:
    """Return the columns' names for a hand-written statement: `id, name` or `s.id, s.name`."""
    prefix = f"{alias}." if alias else ""
    return ", ".join(f"{prefix}{column._meta.db_column_name}" for column in columns)
