"""BigQuery's types and Arrow's. Pure: a schema is BigQuery's own JSON (https://cloud.google.com/bigquery/docs/schemas).

>>> made = fields_of(pa.schema([pa.field("id", pa.int64(), False), ("tags", pa.list_(pa.string()))]))
>>> made[1]
{'name': 'tags', 'type': 'STRING', 'mode': 'REPEATED'}
>>> arrow_schema(made)
id: int64 not null
tags: list<item: string>
  child 0, item: string
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

Json = Mapping[str, Any]

JSON, KIND = "JSON", b"bigquery"
"""Of a column that Arrow has as a text: what it is in BigQuery, in the field's metadata."""

_NAME = re.compile(r"[\w&%+=:'<>#| -]{1,300}")
_RESERVED = ("_TABLE_", "_FILE_", "_PARTITION", "_ROW_TIMESTAMP", "__ROOT__", "_COLIDENTIFIER", "_CHANGE_")
MAX_COLUMNS = 10_000

_ARROW: dict[str, pa.DataType] = {
    "BIGNUMERIC": pa.decimal256(76, 38),
    "BOOL": pa.bool_(),
    "BYTES": pa.binary(),
    "DATE": pa.date32(),
    "DATETIME": pa.timestamp("us"),
    "FLOAT64": pa.float64(),
    "INT64": pa.int64(),
    "JSON": pa.string(),
    "NUMERIC": pa.decimal128(38, 9),
    "STRING": pa.string(),
    "TIME": pa.time64("us"),
    "TIMESTAMP": pa.timestamp("us", "UTC"),
}
_SAME = {"BOOLEAN": "BOOL", "FLOAT": "FLOAT64", "INTEGER": "INT64", "STRUCT": "RECORD"}


def kind_of(field: Json) -> str:
    """The name of a field's type, of which BigQuery has two for some."""
    kind = str(field["type"]).upper()
    return _SAME.get(kind, kind)


def arrow_schema(fields: Sequence[Json]) -> pa.Schema:
    """The columns in Arrow. A REPEATED one is a list; one that Arrow has no type for is null there."""
    return pa.schema([_arrow_field(field) for field in fields])


def arrow_type(field: Json, *, whole: bool = False) -> pa.DataType:
    """The Arrow type of a field's values. `whole`: inner fields tell whether they may be null."""
    item = _item_type(field, whole)
    return pa.list_(pa.field("item", item, not whole)) if field.get("mode") == "REPEATED" else item


def longest_of(field: Json) -> int | None:
    """Characters or bytes that a value may have."""
    return int(field["maxLength"]) if field.get("maxLength") else None


def _arrow_field(field: Json) -> pa.Field:
    told = {KIND: kind_of(field).encode()} if kind_of(field) == JSON else None
    return pa.field(field["name"], arrow_type(field), field.get("mode") != "REQUIRED", told)


def _item_type(field: Json, whole: bool) -> pa.DataType:
    kind = kind_of(field)
    if kind == "RECORD":
        inner = field.get("fields", ())
        return pa.struct(
            [
                pa.field(each["name"], arrow_type(each, whole=whole), not whole or each.get("mode") != "REQUIRED")
                for each in inner
            ]
        )
    if kind in ("NUMERIC", "BIGNUMERIC") and field.get("precision"):
        made = pa.decimal128 if kind == "NUMERIC" else pa.decimal256
        return made(int(field["precision"]), int(field.get("scale") or 0))
    return _ARROW.get(kind, pa.null())


def fields_of(schema: pa.Schema, required: Sequence[str] = ()) -> list[dict[str, Any]]:
    """The columns of a table that is made for rows. ValueError tells all that BigQuery can't have.

    A decimal is a NUMERIC as far as one holds it, else a BIGNUMERIC; a map is an array of records `key` and `value`.
    """
    wrong: list[str] = []
    if len(schema) > MAX_COLUMNS:
        wrong.append(f"the rows have {len(schema):,} columns, and a table has at most {MAX_COLUMNS:,}")
    found = [_field(field, field.name, wrong, field.name in required) for field in schema]
    named = Counter(name.lower() for name in schema.names)
    wrong += [
        f"column '{name}': differs from another one by nothing but capitals"
        for name in sorted(set(schema.names))
        if named[name.lower()] > 1
    ]
    if wrong:
        raise ValueError("\n  ".join(wrong))
    return found


def _field(field: pa.Field, path: str, wrong: list[str], required: bool = False) -> dict[str, Any]:
    if not _NAME.fullmatch(field.name) or field.name.upper().startswith(_RESERVED):
        wrong.append(f"column '{path}': is no name of a column in BigQuery")
    kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
    mode = "NULLABLE" if field.nullable and not required else "REQUIRED"
    if pa.types.is_map(kind):
        inner = [_field(each, f"{path}.{each.name}", wrong) for each in (kind.key_field, kind.item_field)]
        return {"name": field.name, "type": "RECORD", "mode": "REPEATED", "fields": inner}
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        item = kind.value_type
        if pa.types.is_nested(item) and not pa.types.is_struct(item):
            wrong.append(f"column '{path}': BigQuery has no arrays in arrays: put an object between them")
            return {"name": field.name, "type": "STRING", "mode": "REPEATED"}
        return {"name": field.name, **_described(item, f"{path}[]", wrong), "mode": "REPEATED"}
    described = _described(kind, path, wrong)
    return {"name": field.name, "type": described.pop("type"), "mode": mode, **described}


def _described(kind: pa.DataType, path: str, wrong: list[str]) -> dict[str, Any]:
    kinds = pa.types
    if kinds.is_struct(kind):
        return {"type": "RECORD", "fields": [_field(each, f"{path}.{each.name}", wrong) for each in kind]}
    if kinds.is_decimal(kind):
        before = kind.precision - kind.scale
        if 0 <= kind.scale <= 9 and before <= 29:
            return {"type": "NUMERIC", "precision": str(kind.precision), "scale": str(kind.scale)}
        if 0 <= kind.scale <= 38 and before <= 38:
            return {"type": "BIGNUMERIC", "precision": str(kind.precision), "scale": str(kind.scale)}
    for is_kind, name in (
        (kinds.is_string, "STRING"),
        (kinds.is_large_string, "STRING"),
        (kinds.is_boolean, "BOOLEAN"),
        (lambda each: kinds.is_integer(each) and not kinds.is_uint64(each), "INTEGER"),
        (kinds.is_uint64, "NUMERIC"),
        (kinds.is_floating, "FLOAT"),
        (kinds.is_binary, "BYTES"),
        (kinds.is_large_binary, "BYTES"),
        (kinds.is_fixed_size_binary, "BYTES"),
        (kinds.is_date, "DATE"),
        (kinds.is_time, "TIME"),
        (kinds.is_null, "STRING"),
    ):
        if is_kind(kind):
            return {"type": name}
    if kinds.is_timestamp(kind):
        return {"type": "DATETIME" if kind.tz is None else "TIMESTAMP"}
    wrong.append(f"column '{path}': BigQuery has no word for {kind}")
    return {"type": "STRING"}
