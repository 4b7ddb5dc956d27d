"""What Redshift's catalog tells of a table, by the views that it has in common with PostgreSQL."""

from __future__ import annotations

import dataclasses

import pyarrow as pa

from beam_pipelines.errors import UsageError, did_you_mean
from beam_pipelines.sql.names import Name
from beam_pipelines.sql.postgresql.connection import Server, Session

MAX_COLUMNS = 1_600
MAX_NAME_BYTES = 127

_SIMPLE = {
    "smallint": pa.int16(),
    "integer": pa.int32(),
    "bigint": pa.int64(),
    "real": pa.float32(),
    "double precision": pa.float64(),
    "boolean": pa.bool_(),
    "character varying": pa.string(),
    "character": pa.string(),
    "date": pa.date32(),
    "timestamp without time zone": pa.timestamp("us"),
    "timestamp with time zone": pa.timestamp("us", "UTC"),
}


@dataclasses.dataclass(frozen=True)
class ColumnType:
    """A column as the catalog has it."""

    name: str
    kind: str
    longest: int | None
    """Bytes of a text."""
    precision: int | None
    scale: int | None
    required: bool
    filled: bool

    @property
    def text(self) -> str:
        """The type in a statement.

        >>> ColumnType("price", "numeric", None, 10, 2, False, False).text
        'numeric(10,2)'
        """
        if self.kind == "numeric" and self.precision is not None:
            return f"numeric({self.precision},{self.scale or 0})"
        return f"{self.kind}({self.longest})" if self.longest is not None else self.kind

    @property
    def arrow(self) -> pa.DataType | None:
        """The Arrow type of the same values; None if COPY takes none from Parquet."""
        if self.kind == "numeric" and self.precision is not None:
            return pa.decimal128(self.precision, self.scale or 0)
        return _SIMPLE.get(self.kind)


_COLUMNS = """
SELECT table_schema, column_name, data_type, character_maximum_length, numeric_precision, numeric_scale,
       is_nullable, column_default
FROM information_schema.columns
WHERE table_name = $1 AND table_schema = coalesce(nullif($2, ''), current_schema())
ORDER BY ordinal_position
"""
_NEAR = "SELECT table_schema, table_name FROM information_schema.tables ORDER BY 1, 2 LIMIT 200"


def describe(session: Session, name: Name, server: Server) -> tuple[Name, tuple[ColumnType, ...]]:
    """The table's whole name, and its columns. UsageError with the nearest there is if there is none."""
    found = session.ask(_COLUMNS, name.table, name.schema)
    if not found:
        known = [table if not name.schema else f"{schema}.{table}" for schema, table in session.ask(_NEAR)]
        shown = ".".join(filter(None, name))
        raise UsageError(
            f"{server.endpoint}: there is no table {shown}, or {server.who} may not see it.{did_you_mean(shown, known)}"
        )
    columns = tuple(
        ColumnType(
            row[1], row[2], _number(row[3]), _number(row[4]), _number(row[5]), row[6] == "NO", row[7] is not None
        )
        for row in found
    )
    return Name(found[0][0], name.table), columns


def _number(found: object) -> int | None:
    return None if found is None else int(str(found))
