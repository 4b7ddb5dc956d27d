"""What the catalog of MySQL and MariaDB tells of a table: its columns with their types, and its unique keys."""

from __future__ import annotations

import dataclasses
import re

import pyarrow as pa

from beam_pipelines.errors import UsageError, did_you_mean
from beam_pipelines.sql.mysql.connection import Server, Session
from beam_pipelines.sql.names import Name

_INTEGERS = {"tinyint": 8, "smallint": 16, "mediumint": 32, "int": 32, "bigint": 64}
_TEXTS = ("char", "varchar", "tinytext", "text", "mediumtext", "longtext", "enum", "set", "json")
_BYTES = ("binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob")


@dataclasses.dataclass(frozen=True)
class ColumnType:
    """A column as the catalog has it."""

    name: str
    kind: str
    text: str
    longest: int | None
    precision: int | None
    scale: int | None
    fraction: int | None
    required: bool
    filled: bool
    generated: bool

    @property
    def arrow(self) -> pa.DataType | None:
        """The Arrow type of the same values; None if there is none.

        >>> ColumnType("n", "int", "int(10) unsigned", None, 10, 0, None, False, False, False).arrow
        DataType(uint32)
        """
        if self.kind in _INTEGERS:
            return getattr(pa, f"{'u' if 'unsigned' in self.text else ''}int{_INTEGERS[self.kind]}")()
        if self.kind == "decimal" and self.precision is not None and self.precision <= 38:
            return pa.decimal128(self.precision, self.scale or 0)
        if self.kind in ("datetime", "timestamp"):
            # What a column cuts off is a value that doesn't fit, and no other value.
            unit = {0: "s", 3: "ms"}.get(self.fraction or 0, "us")
            return pa.timestamp(unit, "UTC" if self.kind == "timestamp" else None)
        if self.kind in _TEXTS:
            return pa.string()
        if self.kind in _BYTES:
            return pa.binary()
        return {"float": pa.float32(), "double": pa.float64(), "date": pa.date32()}.get(self.kind)

    @property
    def boolean(self) -> bool:
        """Whether it may be what MySQL calls BOOLEAN, which is a number of one digit."""
        return self.text == "tinyint(1)"

    @property
    def labels(self) -> tuple[str, ...]:
        """Values of an enumeration."""
        if self.kind != "enum":
            return ()
        return tuple(label.replace("''", "'") for label in re.findall(r"'((?:[^']|'')*)'", self.text))


@dataclasses.dataclass(frozen=True)
class TableDescription:
    """A table as it is now; `keys` are the columns of its unique keys, the primary key first."""

    name: Name
    columns: tuple[ColumnType, ...]
    keys: tuple[tuple[str, ...], ...]
    has_primary_key: bool
    rows: int
    """About how many there are; 0 of a view."""
    bytes: int

    def column(self, name: str, option: str, server: Server) -> ColumnType:
        """A column. UsageError, which says of what option it is the value, if there is none."""
        for each in self.columns:
            if each.name == name:
                return each
        names = [each.name for each in self.columns]
        near = did_you_mean(name, names)
        raise UsageError(f"{server.endpoint}: {option}: {'.'.join(self.name)} has no column '{name}'.{near}")


_COLUMNS = """
SELECT column_name, data_type, column_type, character_maximum_length, numeric_precision, numeric_scale,
       datetime_precision, is_nullable = 'NO', column_default IS NOT NULL OR extra LIKE '%%auto_increment%%',
       extra LIKE '%%GENERATED%%'
FROM information_schema.columns WHERE table_schema = %s AND table_name = %s ORDER BY ordinal_position
"""
_KEYS = """
SELECT index_name, column_name, sub_part IS NOT NULL FROM information_schema.statistics
WHERE table_schema = %s AND table_name = %s AND non_unique = 0
ORDER BY index_name <> 'PRIMARY', index_name, seq_in_index
"""
_SIZE = (
    "SELECT coalesce(table_rows, 0), coalesce(data_length, 0) FROM information_schema.tables "
    "WHERE table_schema = %s AND table_name = %s"
)
_NEAR = "SELECT table_name FROM information_schema.tables WHERE table_schema = %s ORDER BY 1 LIMIT 50"


def describe(session: Session, name: Name, server: Server, hint: str = "") -> TableDescription:
    """Look a table up. UsageError with the nearest there is if there is none."""
    found = find(session, name)
    if found is None:
        tables = [row[0] for row in session.ask(_NEAR, name.schema)]
        raise UsageError(
            f"{server.endpoint}: there is no table '{name.table}' in '{name.schema}', or {server.who} may not see it."
            f"{did_you_mean(name.table, tables)}{hint}"
        )
    return found


def find(session: Session, name: Name) -> TableDescription | None:
    """Look a table up; None if there is none, or it is hidden from us."""
    columns = session.ask(_COLUMNS, *name)
    if not columns:
        return None
    keys: dict[str, list[str]] = {}
    partial = set()
    for index, column, is_prefix in session.ask(_KEYS, *name):
        keys.setdefault(index, []).append(column)
        if is_prefix or column is None:
            partial.add(index)
    whole = {index: tuple(found) for index, found in keys.items() if index not in partial}
    rows, size = session.ask(_SIZE, *name)[0]
    return TableDescription(
        name,
        tuple(ColumnType(*(*row[:7], bool(row[7]), bool(row[8]), bool(row[9]))) for row in columns),
        tuple(whole.values()),
        "PRIMARY" in whole,
        int(rows),
        int(size),
    )
