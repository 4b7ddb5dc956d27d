"""A contract as an Avro schema (https://avro.apache.org/docs/1.12.0/specification/)."""

from __future__ import annotations

import re
from typing import Any

import pyarrow as pa

from beam_pipelines.contract.field import Field
from beam_pipelines.contract.model import Contract
from beam_pipelines.errors import ContractError

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_NOT_NAME = re.compile(r"[^A-Za-z0-9_]", re.ASCII)
_PLAIN: tuple[tuple[Any, Any], ...] = (
    (pa.types.is_string, "string"),
    (pa.types.is_boolean, "boolean"),
    (pa.types.is_int32, "int"),
    (pa.types.is_int64, "long"),
    (pa.types.is_float64, "double"),
    (pa.types.is_date32, {"type": "int", "logicalType": "date"}),
    (pa.types.is_timestamp, {"type": "long", "logicalType": "timestamp-micros"}),
)


def to_avro(contract: Contract) -> dict[str, Any]:
    """Return the Avro schema of a contract's rows, as `fastavro.parse_schema` takes it.

    What isn't required is a union with null, whose default is null. Keys of maps are strings in Avro.
    ContractError for names that Avro can't have, and for types and keys that it has no word for.

    >>> to_avro(Contract("orders", (Field("id", pa.int64(), required=True), Field("note", pa.string()))))["fields"]
    [{'name': 'id', 'type': 'long'}, {'name': 'note', 'type': ['null', 'string'], 'default': None}]
    """
    wrong: list[str] = []
    record = _record(_NOT_NAME.sub("_", contract.name), contract.fields, contract.description, contract.name, wrong)
    if wrong:
        raise ContractError(contract.name, wrong)
    return record


def _record(name: str, fields: tuple[Field, ...], doc: str | None, path: str, wrong: list[str]) -> dict[str, Any]:
    told = {} if doc is None else {"doc": doc}
    name = name if _NAME.fullmatch(name) else f"_{name}"
    return {"type": "record", "name": name, **told, "fields": [_field(each, name, path, wrong) for each in fields]}


def _field(field: Field, inside: str, path: str, wrong: list[str]) -> dict[str, Any]:
    place = f"{path}.{field.name}"
    if not _NAME.fullmatch(field.name):
        wrong.append(f"field '{place}': a name in Avro has letters, digits and _, and doesn't begin with a digit")
    kind = _type(field, f"{inside}_{field.name}", place, wrong)
    told = {} if field.description is None else {"doc": field.description}
    if field.required or field.event_time:
        return {"name": field.name, **told, "type": kind}
    return {"name": field.name, **told, "type": ["null", kind], "default": None}


def _type(field: Field, name: str, path: str, wrong: list[str]) -> Any:
    kind = field.type
    plain = next((avro for is_kind, avro in _PLAIN if is_kind(kind)), None)
    if plain is not None:
        return plain
    if pa.types.is_decimal128(kind):
        return {"type": "bytes", "logicalType": "decimal", "precision": kind.precision, "scale": kind.scale}
    if pa.types.is_struct(kind):
        return _record(name, field.children, field.description, path, wrong)
    if pa.types.is_list(kind):
        return {"type": "array", "items": _inner(field.children[0], f"{name}_item", path, wrong)}
    if pa.types.is_map(kind):
        if not pa.types.is_string(kind.key_type):
            wrong.append(f"field '{path}': keys of a map in Avro are strings, not {kind.key_type}")
        return {"type": "map", "values": _inner(field.children[1], f"{name}_value", path, wrong)}
    wrong.append(f"field '{path}': Avro has no word for {kind}")
    return "null"


def _inner(field: Field, name: str, path: str, wrong: list[str]) -> Any:
    kind = _type(field, name, f"{path}[]", wrong)
    return kind if field.required else ["null", kind]
