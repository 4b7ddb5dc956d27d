"""A contract as an Iceberg schema, in the JSON of its specification (https://iceberg.apache.org/spec/#schemas)."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from beam_pipelines.contract.field import Field
from beam_pipelines.contract.model import Contract
from beam_pipelines.errors import ContractError

_PLAIN: tuple[tuple[Any, str], ...] = (
    (pa.types.is_string, "string"),
    (pa.types.is_boolean, "boolean"),
    (pa.types.is_int32, "int"),
    (pa.types.is_int64, "long"),
    (pa.types.is_float64, "double"),
    (pa.types.is_date32, "date"),
    (pa.types.is_timestamp, "timestamptz"),
)


def to_iceberg(contract: Contract) -> dict[str, Any]:
    """Return the Iceberg schema of a contract's rows; `pyiceberg.schema.Schema.model_validate` takes it.

    Ids of fields are given level by level, from 1; the primary key is its identifier fields, if none of them is
    a type that can't be one. ContractError for types that Iceberg has no word for.

    >>> to_iceberg(Contract("orders", (Field("id", pa.int64(), primary_key_position=1),)))["fields"]
    [{'id': 1, 'name': 'id', 'required': True, 'type': 'long'}]
    """
    wrong: list[str] = []
    fields = _fields(contract.fields, itertools.count(1), contract.name, wrong)
    if wrong:
        raise ContractError(contract.name, wrong)
    ids = {field["name"]: field["id"] for field in fields}
    key = [ids[name] for name in contract.primary_key]
    return {"type": "struct", "schema-id": 0, "identifier-field-ids": key, "fields": fields}


def _fields(fields: tuple[Field, ...], ids: Iterator[int], path: str, wrong: list[str]) -> list[dict[str, Any]]:
    numbered = [(next(ids), field) for field in fields]
    return [
        {
            "id": number,
            "name": field.name,
            "required": field.required or field.event_time,
            "type": _type(field, ids, f"{path}.{field.name}", wrong),
            **({} if field.description is None else {"doc": field.description}),
        }
        for number, field in numbered
    ]


def _type(field: Field, ids: Iterator[int], path: str, wrong: list[str]) -> Any:
    kind = field.type
    plain = next((name for is_kind, name in _PLAIN if is_kind(kind)), None)
    if plain is not None:
        return plain
    if pa.types.is_decimal128(kind):
        return f"decimal({kind.precision}, {kind.scale})"
    if pa.types.is_struct(kind):
        return {"type": "struct", "fields": _fields(field.children, ids, path, wrong)}
    if pa.types.is_list(kind):
        number, item = next(ids), field.children[0]
        inner = _type(item, ids, f"{path}[]", wrong)
        return {"type": "list", "element-id": number, "element-required": item.required, "element": inner}
    if pa.types.is_map(kind):
        (key, value), numbers = field.children, (next(ids), next(ids))
        return {
            "type": "map",
            "key-id": numbers[0],
            "key": _type(key, ids, f"{path}.key", wrong),
            "value-id": numbers[1],
            "value-required": value.required,
            "value": _type(value, ids, f"{path}[]", wrong),
        }
    wrong.append(f"field '{path}': Iceberg has no word for {kind}")
    return "string"
