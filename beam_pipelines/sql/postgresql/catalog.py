"""What PostgreSQL's catalog tells of a table: its columns with their types, its unique keys, its size."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence

import pyarrow as pa

from beam_pipelines.errors import UsageError, did_you_mean
from beam_pipelines.sql.names import Name, quoted
from beam_pipelines.sql.postgresql.connection import Server, Session

MAX_COLUMNS = 1_600
"""Columns of a table (PostgreSQL's documentation, appendix K)."""

MAX_NAME_BYTES = 63
"""Bytes of a name; what is longer is cut off in silence, so that two names may be one."""

_SIMPLE = {
    "int2": pa.int16(),
    "int4": pa.int32(),
    "int8": pa.int64(),
    "float4": pa.float32(),
    "float8": pa.float64(),
    "bool": pa.bool_(),
    "text": pa.string(),
    "varchar": pa.string(),
    "bpchar": pa.string(),
    "bytea": pa.binary(),
    "date": pa.date32(),
    "time": pa.time64("us"),
    "timestamp": pa.timestamp("us"),
    "timestamptz": pa.timestamp("us", "UTC"),
}


@dataclasses.dataclass(frozen=True)
class ColumnType:
    """A column as the catalog has it. `kind` is the type's own name, of a domain that of its base type."""

    name: str
    text: str
    kind: str
    modifier: int
    required: bool
    filled: bool
    """Whether the server fills it when it isn't given: a default, an identity."""
    generated: bool
    domain: bool
    labels: tuple[str, ...]
    """Values of an enumeration."""

    @property
    def longest(self) -> int | None:
        """Characters of a `varchar(n)` or `char(n)`."""
        return self.modifier - 4 if self.kind in ("varchar", "bpchar") and self.modifier > 4 else None

    @property
    def arrow(self) -> pa.DataType | None:
        """The Arrow type of the same values; None if there is none that takes all of them.

        >>> ColumnType("price", "numeric(10,2)", "numeric", 655366, False, False, False, False, ()).arrow
        Decimal128Type(decimal128(10, 2))
        """
        if self.kind == "numeric":
            return _decimal(self.modifier)
        if self.kind.startswith("_") and self.kind[1:] in _SIMPLE:
            return pa.list_(_SIMPLE[self.kind[1:]])
        return _SIMPLE.get(self.kind)


@dataclasses.dataclass(frozen=True)
class TableDescription:
    """A table, view or foreign table as it is now."""

    name: Name
    kind: str
    """`r` table, `p` partitioned table, `v` view, `m` materialised view, `f` foreign table."""
    columns: tuple[ColumnType, ...]
    keys: tuple[tuple[str, ...], ...]
    """Columns of its unique indexes without conditions and expressions; the primary key is first."""
    has_primary_key: bool
    bytes: int

    def column(self, name: str, option: str, server: Server) -> ColumnType:
        """A column. UsageError, which says of what option it is the value, if there is none."""
        for each in self.columns:
            if each.name == name:
                return each
        names = [each.name for each in self.columns]
        raise UsageError(
            f"{server.endpoint}: {option}: {shown(self.name)} has no column '{name}'.{did_you_mean(name, names)}"
        )


_FIND = """
SELECT c.oid::int8, n.nspname, c.relname, c.relkind::text, pg_catalog.pg_relation_size(c.oid)
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.oid = pg_catalog.to_regclass($1)
"""
_COLUMNS = """
SELECT a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), coalesce(b.typname, t.typname),
       CASE WHEN t.typtype = 'd' THEN t.typtypmod ELSE a.atttypmod END, a.attnotnull OR t.typnotnull,
       a.atthasdef OR a.attidentity <> '', a.attgenerated <> '', t.typtype = 'd',
       (SELECT coalesce(array_agg(e.enumlabel::text ORDER BY e.enumsortorder), '{}')
        FROM pg_catalog.pg_enum e WHERE e.enumtypid = t.oid)
FROM pg_catalog.pg_attribute a
JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_catalog.pg_type b ON b.oid = t.typbasetype AND t.typtype = 'd'
WHERE a.attrelid = $1::oid AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum
"""
_KEYS = """
SELECT i.indisprimary,
       (SELECT array_agg(a.attname::text ORDER BY k.place)
        FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS k(number, place)
        JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number
        WHERE k.place <= i.indnkeyatts)
FROM pg_catalog.pg_index i
WHERE i.indrelid = $1::oid AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
ORDER BY i.indisprimary DESC, i.indexrelid
"""
_NEAR = """
SELECT n.nspname, c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
ORDER BY 1, 2 LIMIT 50
"""


def describe(session: Session, name: Name) -> TableDescription | None:
    """Look a table up; None if there is none, or its schema is hidden from us."""
    found = session.ask(_FIND, name.quoted())
    if not found:
        return None
    oid, schema, table, kind, size = found[0]
    columns = tuple(ColumnType(*(*row[:-1], tuple(row[-1] or ()))) for row in session.ask(_COLUMNS, oid))
    keys = session.ask(_KEYS, oid)
    # An index over a system column has no name of a column for it.
    named = tuple(tuple(each[1]) for each in keys if each[1])
    return TableDescription(Name(schema, table), kind, columns, named, bool(keys and keys[0][0]), size)


def missing(session: Session, name: Name, server: Server, hint: str = "") -> UsageError:
    """The error for a table that isn't there, with the nearest there is."""
    tables = [Name(*row) for row in session.ask(_NEAR)]
    known = {shown(each) if name.schema else shown(Name("", each.table)) for each in tables}
    return UsageError(
        f"{server.endpoint}: there is no table {shown(name)}, or {server.who} may not see it."
        f"{did_you_mean(shown(name), known)}{hint}"
    )


def check_columns(names: Sequence[str]) -> None:
    """Refuse columns that no table can have. UsageError."""
    if len(names) > MAX_COLUMNS:
        raise UsageError(
            f"the rows have {len(names):,} columns, and a table has at most {MAX_COLUMNS:,}: select fewer, or put some "
            "into one JSON column"
        )
    for name in names:
        check_name(name)


def check_name(name: str) -> None:
    """Refuse a name that PostgreSQL would cut. UsageError."""
    if len(name.encode()) > MAX_NAME_BYTES:
        raise UsageError(f"'{name}' is longer than the {MAX_NAME_BYTES} bytes that a name may have: choose another")
    if not name or "\0" in name:
        raise UsageError(f"{name!r} can't be a name in a database: choose another")


def shown(name: Name) -> str:
    """A table's name for people, quoted where it has to be."""
    return ".".join(part if re.fullmatch(r"\w+", part) else quoted(part) for part in name if part)


def _decimal(modifier: int) -> pa.DataType | None:
    """Of a `numeric(p,s)`; one without them takes more than any Arrow decimal."""
    if modifier < 4:
        return None
    precision, scale = (modifier - 4) >> 16, (modifier - 4) & 0x7FF
    scale -= (scale & 0x400) << 1  # the scale is signed, of 11 bits
    return pa.decimal128(precision, scale) if precision <= 38 and 0 <= scale <= precision else None
