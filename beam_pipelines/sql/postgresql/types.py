"""Arrow types as PostgreSQL's, for tables that are made from a schema."""

from __future__ import annotations

import pyarrow as pa

from beam_pipelines.errors import UsageError


def column_type(name: str, kind: pa.DataType) -> str:
    """The type of a column that takes all values of an Arrow type. UsageError if there is none.

    >>> column_type("at", pa.timestamp("us", "UTC")), column_type("tags", pa.list_(pa.string()))
    ('timestamptz', 'jsonb')
    """
    if pa.types.is_dictionary(kind):
        return column_type(name, kind.value_type)
    if pa.types.is_decimal(kind):
        return f"numeric({kind.precision},{kind.scale})"
    if pa.types.is_timestamp(kind):
        return "timestamptz" if kind.tz is not None else "timestamp"
    if pa.types.is_nested(kind):
        return "jsonb"
    for is_kind, found in _TYPES:
        if is_kind(kind):
            return found
    raise UsageError(f"column '{name}' is {kind}, for which PostgreSQL has no type: derive or select another")


_TYPES = (
    (pa.types.is_boolean, "boolean"),
    (pa.types.is_int8, "smallint"),
    (pa.types.is_int16, "smallint"),
    (pa.types.is_uint8, "smallint"),
    (pa.types.is_int32, "integer"),
    (pa.types.is_uint16, "integer"),
    (pa.types.is_int64, "bigint"),
    (pa.types.is_uint32, "bigint"),
    (pa.types.is_uint64, "numeric(20,0)"),
    (pa.types.is_float16, "real"),
    (pa.types.is_float32, "real"),
    (pa.types.is_float64, "double precision"),
    (pa.types.is_string, "text"),
    (pa.types.is_large_string, "text"),
    (pa.types.is_binary, "bytea"),
    (pa.types.is_large_binary, "bytea"),
    (pa.types.is_fixed_size_binary, "bytea"),
    (pa.types.is_date, "date"),
    (pa.types.is_time, "time"),
)
