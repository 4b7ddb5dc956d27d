"""Arrow types as MySQL's, for tables that are made from a schema."""

from __future__ import annotations

import pyarrow as pa

from beam_pipelines.errors import UsageError

KEY_LENGTH = 190
"""Characters of a text in a key: four such, of four bytes each, are what InnoDB's keys may have (3,072 bytes)."""

MAX_COLUMNS = 1_017
"""Columns of a table of InnoDB (MySQL's manual, InnoDB limits)."""

MAX_NAME = 64
"""Characters of a name."""

_MAX_DIGITS, _MAX_SCALE = 65, 30


def column_type(name: str, kind: pa.DataType, *, keyed: bool = False) -> str:
    """The type of a column that takes all values of an Arrow type; texts of a key only short ones. UsageError if none.

    >>> column_type("at", pa.timestamp("us", "UTC")), column_type("tags", pa.list_(pa.string()))
    ('datetime(6)', 'json')
    """
    kinds = pa.types
    if kinds.is_dictionary(kind):
        return column_type(name, kind.value_type, keyed=keyed)
    if kinds.is_decimal(kind) and kind.precision <= _MAX_DIGITS and 0 <= kind.scale <= _MAX_SCALE:
        return f"decimal({kind.precision},{kind.scale})"
    if kinds.is_timestamp(kind):
        return "datetime(6)"  # a `timestamp` ends in 2038
    if kinds.is_string(kind) or kinds.is_large_string(kind):
        return f"varchar({KEY_LENGTH})" if keyed else "longtext"
    if kinds.is_binary(kind) or kinds.is_large_binary(kind) or kinds.is_fixed_size_binary(kind):
        return f"varbinary({KEY_LENGTH})" if keyed else "longblob"
    if kinds.is_nested(kind) and not keyed:
        return "json"
    if str(kind) in _TYPES:
        return _TYPES[str(kind)]
    raise UsageError(f"column '{name}' is {kind}, for which MySQL has no type: derive or select another")


_TYPES = {
    "bool": "boolean",
    "int8": "tinyint",
    "int16": "smallint",
    "int32": "int",
    "int64": "bigint",
    "uint8": "tinyint unsigned",
    "uint16": "smallint unsigned",
    "uint32": "int unsigned",
    "uint64": "bigint unsigned",
    "halffloat": "float",
    "float": "float",
    "double": "double",
    "date32[day]": "date",
}


def check_columns(names: list[str], *others: str) -> None:
    """Refuse columns and other names that no table can have. UsageError."""
    if len(names) > MAX_COLUMNS:
        raise UsageError(
            f"the rows have {len(names):,} columns, and a table of InnoDB has at most {MAX_COLUMNS:,}: select fewer, "
            "or put some into one JSON column"
        )
    for name in (*others, *names):
        if not name or "\0" in name or name.endswith(" "):
            raise UsageError(f"{name!r} can't be a name in MySQL: choose another")
        if len(name) > MAX_NAME:
            raise UsageError(f"'{name}' is longer than the {MAX_NAME} characters that a name may have: choose another")
