"""A condition in a store's SQL, as an option of a URI: one expression, which asks and doesn't do anything. Pure."""

from __future__ import annotations

import logging

import sqlglot
from sqlglot import exp

_NONE_OF = (exp.Query, exp.DDL, exp.DML, exp.Command, exp.Into, exp.Placeholder, exp.Parameter)


def parse_condition(text: str, dialect: str) -> str:
    """Read a condition and return it as the dialect has it. ValueError for what isn't one.

    >>> parse_condition("country = 'DE' and price > 1", "postgres")
    "country = 'DE' AND price > 1"
    >>> parse_condition("true) OR (SELECT 1) = 1; DROP TABLE a", "postgres")
    Traceback (most recent call last):
    ValueError: 'true) OR (SELECT 1) = 1; DROP TABLE a' is no condition of one row: it can't be read
    """
    quiet = logging.getLogger("sqlglot")
    level = quiet.level
    quiet.setLevel(logging.CRITICAL)
    try:
        found = sqlglot.parse(text, read=dialect)
    except sqlglot.errors.SqlglotError:
        raise ValueError(f"'{text}' is no condition of one row: it can't be read") from None
    finally:
        quiet.setLevel(level)
    if len(found) != 1 or not isinstance(found[0], exp.Condition) or isinstance(found[0], (*_NONE_OF, exp.Alias)):
        raise ValueError(f"'{text}' is no condition of one row: write one as it stands after WHERE")
    forbidden = found[0].find(*_NONE_OF)
    if forbidden is not None:
        raise ValueError(f"'{text}' is no condition of one row: it has a query or a parameter in it")
    return found[0].sql(dialect=dialect, comments=False)
