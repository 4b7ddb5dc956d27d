"""A contract as a JSON Schema of its rows, draft 2020-12 (https://json-schema.org/draft/2020-12)."""

from __future__ import annotations

import datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa

from beam_pipelines.contract.field import Field
from beam_pipelines.contract.model import Contract

_BOUNDS = {
    "minimum": "minimum",
    "maximum": "maximum",
    "exclusive_minimum": "exclusiveMinimum",
    "exclusive_maximum": "exclusiveMaximum",
}


def to_json_schema(contract: Contract) -> dict[str, Any]:
    """Return the JSON Schema of a row as JSON Lines have it: fields by the keys they are read from.

    It takes what is read and validated, and refuses what isn't as far as JSON Schema can tell: not that a date in
    a format of its own is one, nor bounds of dates and times. Decimals may be numbers or strings. Unknown fields
    are refused where the contract refuses them. `on_failure` and quality rules are no part of it.

    >>> to_json_schema(Contract("orders", (Field("id", pa.int64(), required=True, minimum=1),)))["properties"]
    {'id': {'type': 'integer', 'minimum': 1, 'maximum': 9223372036854775807}}
    """
    closed = contract.on_schema_change in ("freeze", "discard_row")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": contract.name,
        **({} if contract.description is None else {"description": contract.description}),
        **_object(contract.fields, closed),
    }


def _object(fields: tuple[Field, ...], closed: bool) -> dict[str, Any]:
    required = [field.source_name for field in fields if field.required or field.event_time]
    return {
        "type": "object",
        "properties": {field.source_name: _field(field, closed) for field in fields},
        **({"required": required} if required else {}),
        **({"additionalProperties": False} if closed else {}),
    }


def _field(field: Field, closed: bool) -> dict[str, Any]:
    told = {} if field.description is None else {"description": field.description}
    rule = _rule(field, closed)
    if not (field.required or field.event_time):
        if "anyOf" in rule:
            rule["anyOf"].append({"type": "null"})
        else:
            rule["type"] = [rule["type"], "null"]
        if "enum" in rule:
            rule["enum"] = [*rule["enum"], None]
    return {**told, **rule}


def _rule(field: Field, closed: bool) -> dict[str, Any]:
    kind = field.type
    if pa.types.is_struct(kind):
        return {**_object(field.children, closed), **_sizes(field, "Properties")}
    if pa.types.is_list(kind):
        distinct = {"uniqueItems": True} if field.unique_items else {}
        return {"type": "array", "items": _field(field.children[0], closed), **_sizes(field, "Items"), **distinct}
    if pa.types.is_map(kind):
        key, value = field.children
        names = {"propertyNames": _rule(key, closed)} if pa.types.is_string(key.type) else {}
        return {"type": "object", **names, "additionalProperties": _field(value, closed), **_sizes(field, "Properties")}
    enum = {} if field.enum is None else {"enum": [_json(value) for value in field.enum]}
    if pa.types.is_boolean(kind):
        return {"type": "boolean", **enum}
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return {"type": "integer" if pa.types.is_integer(kind) else "number", **_numeric(field), **enum}
    if pa.types.is_decimal(kind):
        number = {"type": "number", **_numeric(field)}
        if enum:
            number |= {"enum": [float(value) for value in enum["enum"]]}
        return {"anyOf": [number, {"type": "string", "pattern": r"^-?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"}]}
    if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        zoned = pa.types.is_timestamp(kind) and field.default_timezone is None
        word = "date" if pa.types.is_date(kind) else "date-time"
        iso = {"format": word} if field.date_format is None and (zoned or word == "date") else {}
        return {"type": "string", **iso}
    lengths = {"minLength": field.min_length, "maxLength": field.max_length, "pattern": field.pattern}
    return {"type": "string", **{key: value for key, value in lengths.items() if value is not None}, **enum}


def _numeric(field: Field) -> dict[str, Any]:
    bounds = {word: getattr(field, attribute) for attribute, word in _BOUNDS.items()}
    found = {word: _json(value) for word, value in bounds.items() if value is not None}
    if pa.types.is_integer(field.type):
        last = (1 << (field.type.bit_width - 1)) - 1
        if "exclusiveMinimum" not in found:
            found.setdefault("minimum", -last - 1)
        if "exclusiveMaximum" not in found:
            found.setdefault("maximum", last)
    if field.multiple_of is not None:
        found["multipleOf"] = _json(field.multiple_of)
    return found


def _sizes(field: Field, what: str) -> dict[str, int]:
    sizes = {f"min{what}": field.min_items, f"max{what}": field.max_items}
    return {key: value for key, value in sizes.items() if value is not None}


def _json(value: Any) -> Any:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return value.isoformat() if isinstance(value, datetime.date) else value
