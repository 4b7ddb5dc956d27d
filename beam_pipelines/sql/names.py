"""Names of tables and columns: read from URIs, and quoted in statements, always.

A name is taken as it is written, capitals too; one with a dot, a slash or a quote in it stands in double quotes, as in
SQL, and a quote in it is written twice.

>>> parse_path('shop/sales."order.lines"')
('shop', Name(schema='sales', table='order.lines'))
>>> parse_path("orders")
('', Name(schema='', table='orders'))
"""

from __future__ import annotations

import re
from typing import NamedTuple

_PART = re.compile(r'"((?:[^"]|"")+)"|([^"./]+)')


class Name(NamedTuple):
    """A table's name; without a schema it is looked for where the server looks."""

    schema: str
    table: str

    def quoted(self, quote: str = '"') -> str:
        """The name in a statement.

        >>> Name("", 'a"; DROP TABLE b; --').quoted()
        '"a""; DROP TABLE b; --"'
        """
        return ".".join(quoted(part, quote) for part in self if part)


def quoted(identifier: str, quote: str = '"') -> str:
    """An identifier as it stands in a statement.

    >>> quoted("order"), quoted("a`b", "`")
    ('"order"', '`a``b`')
    """
    return f"{quote}{identifier.replace(quote, quote * 2)}{quote}"


def literal(value: str) -> str:
    """A text as it stands in a statement, where the server takes no parameters. ValueError for one with a NUL.

    >>> literal("O'Neil")
    "'O''Neil'"
    """
    if "\0" in value:
        raise ValueError("a text with the character NUL is none that a database takes")
    doubled = value.replace("'", "''")
    return f"'{doubled}'"


def parse_path(path: str) -> tuple[str, Name]:
    """The database (empty if none is named) and the table of `[database/][schema.]table`. ValueError for others."""
    parts: list[str] = []
    marks: list[str] = []
    place = 0
    while match := _PART.match(path, place):
        parts.append(match[1].replace('""', '"') if match[1] is not None else match[2])
        place = match.end()
        if place == len(path) or path[place] not in "./":
            break
        marks.append(path[place])
        place += 1
    if place != len(path) or not parts or len(marks) != len(parts) - 1:
        raise ValueError(_form(path))
    database = parts.pop(0) if marks[:1] == ["/"] else ""
    if len(parts) > 2 or "/" in marks[1 if database else 0 :] or any("\0" in part for part in (database, *parts)):
        raise ValueError(_form(path))
    return database, Name(parts[0] if len(parts) == 2 else "", parts[-1])


def _form(path: str) -> str:
    return (
        f"'{path}' names no table: write DATABASE/SCHEMA.TABLE, of which DATABASE/ and SCHEMA. may be left out; a name "
        'with a dot or a slash in it stands in double quotes, as in shop/"order.lines"'
    )
