"""A contract as a BigQuery table's schema (https://cloud.google.com/bigquery/docs/schemas)."""

from __future__ import annotations

import re
from typing import Any

import pyarrow as pa

from beam_pipelines.contract.field import Field
from beam_pipelines.contract.model import Contract
from beam_pipelines.errors import ContractError

_NAME = re.compile(r"[A-Za-z_\u0080-\U0010ffff][A-Za-z0-9_\u0080-\U0010ffff -]{0,299}")
_RESERVED = ("_TABLE_", "_FILE_", "_PARTITION", "_ROW_TIMESTAMP", "__ROOT__", "_COLIDENTIFIER")
"""Prefixes that a column can't have."""
_MAX_DESCRIPTION = 1024  # characters
_PLAIN: tuple[tuple[Any, str], ...] = (
    (pa.types.is_string, "STRING"),
    (pa.types.is_boolean, "BOOL"),
    (pa.types.is_integer, "INTEGER"),
    (pa.types.is_float64, "FLOAT"),
    (pa.types.is_date32, "DATE"),
    (pa.types.is_timestamp, "TIMESTAMP"),
)


def to_bigquery(contract: Contract) -> list[dict[str, Any]]:
    """Return a table's schema in BigQuery's own JSON; `SchemaField.from_api_repr` takes each of the fields.

    A decimal is a NUMERIC as far as one holds it (38 digits, 9 of them after the point), else a BIGNUMERIC. An
    array is REPEATED, and a map an array of records `key` and `value`, as BigQuery loads Parquet and Avro.
    There an array is never null, and holds neither nulls nor arrays. ContractError for arrays in arrays, and
    for names that BigQuery can't have.

    >>> to_bigquery(Contract("orders", (Field("price", pa.decimal128(12, 2), required=True),)))
    [{'name': 'price', 'type': 'NUMERIC', 'mode': 'REQUIRED', 'precision': '12', 'scale': '2'}]
    """
    wrong: list[str] = []
    fields = [_field(field, field.name, wrong) for field in contract.fields]
    if wrong:
        raise ContractError(contract.name, wrong)
    return fields


def _field(field: Field, path: str, wrong: list[str]) -> dict[str, Any]:
    if not _NAME.fullmatch(field.name) or field.name.upper().startswith(_RESERVED):
        wrong.append(
            f"field '{path}': a name in BigQuery has letters, digits, _, - and spaces, begins with a letter or _, "
            f"has at most 300 characters, and doesn't begin with {', '.join(_RESERVED)}"
        )
    mode = "REQUIRED" if field.required or field.event_time else "NULLABLE"
    told = {} if field.description is None else {"description": field.description[:_MAX_DESCRIPTION]}
    kind = field.type
    if pa.types.is_list(kind):
        item = field.children[0]
        if pa.types.is_list(item.type) or pa.types.is_map(item.type):
            wrong.append(f"field '{path}': BigQuery has no arrays in arrays: put an object between them")
            return {}
        return {"name": field.name, **_type(item, f"{path}[]", wrong), "mode": "REPEATED", **told}
    if pa.types.is_map(kind):
        inner = [_field(child, f"{path}.{child.name}", wrong) for child in field.children]
        return {"name": field.name, "type": "RECORD", "mode": "REPEATED", "fields": inner, **told}
    described = _type(field, path, wrong)
    return {"name": field.name, "type": described.pop("type"), "mode": mode, **described, **told}


def _type(field: Field, path: str, wrong: list[str]) -> dict[str, Any]:
    kind = field.type
    plain = next((name for is_kind, name in _PLAIN if is_kind(kind)), None)
    if plain is not None:
        return {"type": plain}
    if pa.types.is_decimal128(kind):
        numeric = kind.scale <= 9 and kind.precision - kind.scale <= 29
        name = "NUMERIC" if numeric else "BIGNUMERIC"
        return {"type": name, "precision": str(kind.precision), "scale": str(kind.scale)}
    if pa.types.is_struct(kind):
        inner = [_field(child, f"{path}.{child.name}", wrong) for child in field.children]
        return {"type": "RECORD", "fields": inner}
    wrong.append(f"field '{path}': BigQuery has no word for {kind}")
    return {"type": "STRING"}
