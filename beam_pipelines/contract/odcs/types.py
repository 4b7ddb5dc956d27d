"""The standard's logical and physical types as Arrow types."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import pyarrow as pa

from beam_pipelines.contract import values
from beam_pipelines.contract.findings import Report, shown
from beam_pipelines.contract.odcs.yaml_tree import Node
from beam_pipelines.contract.time_formats import read_time_format

NESTED = ("object", "array", "map")
"""Logical types whose values hold others."""

SUPPORTED = ("string", "boolean", "integer", "number", "date", "timestamp", *NESTED)
"""Logical types that a field can have."""

NOT_YET = ("vector", "time")
"""The standard's other logical types."""

BARE_DECIMAL = pa.decimal128(values.MAX_DECIMAL_PRECISION, 9)
"""A decimal of no stated size, as BigQuery's NUMERIC: what doesn't fit is refused, never rounded."""

_INTEGER_FORMATS: dict[str, tuple[pa.DataType, int | None, int | None]] = {
    "i8": (pa.int32(), -(1 << 7), (1 << 7) - 1),
    "u8": (pa.int32(), 0, (1 << 8) - 1),
    "i16": (pa.int32(), -(1 << 15), (1 << 15) - 1),
    "u16": (pa.int32(), 0, (1 << 16) - 1),
    "i32": (pa.int32(), None, None),
    "u32": (pa.int64(), 0, (1 << 32) - 1),
    "i64": (pa.int64(), None, None),
}
"""Format → the type that holds it, and the bounds that the format itself sets."""

_DECIMALS = frozenset({"decimal", "numeric", "dec", "number", "bignumeric", "bigdecimal", "money", "smallmoney"})
_INT32 = frozenset({"int32", "int4", "i32", "serial4"})  # "int" is 64 bits wide in some stores
_INTEGERS = _INT32 | frozenset(
    "int integer int2 int16 int64 i64 smallint mediumint tinyint bigint byteint long short "  # noqa: SIM905
    "serial smallserial bigserial serial8 int8 uint8 uint16 uint32".split()
)
_WITHOUT_ZONE = frozenset({"timestamp_ntz", "timestamp without time zone", "timestampntz"})
_LOGICAL: dict[str, frozenset[str]] = {
    "string": frozenset(
        "string varchar char text nvarchar nchar varchar2 nvarchar2 bpchar character clob uuid citext "  # noqa: SIM905
        "enum longtext mediumtext tinytext".split()
    )
    | {"character varying"},
    "boolean": frozenset({"boolean", "bool"}),
    "integer": _INTEGERS,
    "number": frozenset({"double", "float", "real", "float64", "float32", "float4", "float8", "double precision"})
    | _DECIMALS,
    "date": frozenset({"date"}),
    "timestamp": _WITHOUT_ZONE
    | frozenset({"timestamp", "timestamptz", "timestamp_tz", "timestamp_ltz", "datetime", "datetime2"})
    | {"timestamp with time zone", "timestamp with local time zone", "datetimeoffset"},
}
_PHYSICAL = re.compile(
    r"(?P<base>[a-z][a-z0-9_ ]*?)\s*(\(\s*(?P<size>\w+)\s*(,\s*(?P<scale>-?\d+))?\s*\))?(?P<rest>(\s+\w+)*)"
)


@dataclasses.dataclass(frozen=True)
class PhysicalType:
    """A store's own type: its name in lower case, and the numbers in brackets."""

    base: str
    size: int | None = None
    scale: int | None = None


def read_physical_type(text: str) -> PhysicalType:
    """Read `DECIMAL(10, 2)`, `varchar[20]`, `timestamp(6) without time zone`; what isn't of that form is its own name.

    >>> read_physical_type("NUMERIC(10,2)")
    PhysicalType(base='numeric', size=10, scale=2)
    """
    lower = " ".join(text.lower().replace("[", "(").replace("]", ")").split())
    match = _PHYSICAL.fullmatch(lower)
    if match is None:
        return PhysicalType(lower)
    size = int(match["size"]) if (match["size"] or "").isdecimal() else None
    scale = int(match["scale"]) if match["scale"] else None
    return PhysicalType(match["base"] + match["rest"], size, scale)


def logical_type(item: Node, version: str) -> str | None:
    """The logical type of a property, from its physical type when it states none; None when neither tells."""
    stated = item.get("logicalType")
    physical_text = item.get("physicalType")
    physical = read_physical_type(physical_text.text) if physical_text else None
    derived = None
    if physical is not None:
        derived = next((logical for logical, bases in _LOGICAL.items() if physical.base in bases), None)
    if stated is None:
        return derived
    if stated.value == "date" and version.startswith("v3.0.") and (derived == "timestamp" or _has_time_of_day(item)):
        return "timestamp"  # v3.0 had no timestamp: its date was for both
    float_format = item.get("logicalTypeOptions", "format") is not None
    if stated.value == "number" and physical is not None and physical.base in _INTEGERS and not float_format:
        return "integer"  # as in the standard's own example, where keys are number and int4
    return stated.string


def _has_time_of_day(item: Node) -> bool:
    stated = item.get("logicalTypeOptions", "format")
    try:
        return stated is not None and read_time_format(stated.text).has_time_of_day
    except ValueError:
        return False  # it is told where the format is read


@dataclasses.dataclass(frozen=True)
class FieldType:
    """An Arrow type, and the bounds that a format such as u16 sets."""

    type: pa.DataType
    least: int | None = None
    greatest: int | None = None


def field_type(item: Node, logical: str, report: Report) -> FieldType | None:
    """The Arrow type of a property that holds no others; None when the report says why there is none."""
    stated = item.get("physicalType")
    physical = read_physical_type(stated.text) if stated else None
    if stated is not None and physical is not None and logical == "date" and physical.base in _LOGICAL["timestamp"]:
        message = f"{shown(stated.text)} has a time of day, a date has none: for both it is logicalType: timestamp"
        report.warning(stated.line, stated.path, message)
    match logical:
        case "integer":
            return _integer(item, physical, report)
        case "number":
            return _number(item, physical, report)
        case _:
            simple: dict[str, pa.DataType] = {
                "string": pa.string(),
                "boolean": pa.bool_(),
                "date": pa.date32(),
                "timestamp": values.TIMESTAMP,
            }
            return FieldType(simple[logical])


def _integer(item: Node, physical: PhysicalType | None, report: Report) -> FieldType | None:
    stated = item.get("logicalTypeOptions", "format")
    if stated is None:
        narrow = physical is not None and physical.base in _INT32
        return FieldType(pa.int32() if narrow else pa.int64())
    if stated.text in _INTEGER_FORMATS:
        return FieldType(*_INTEGER_FORMATS[stated.text])
    if stated.text in ("u64", "i128", "u128"):
        allowed = ", ".join(_INTEGER_FORMATS)
        message = f"{shown(stated.text)} doesn't fit 64 bits: take {allowed}, or logicalType number with decimal(38,0)"
        report.error(stated.line, stated.path, message)
    return None  # other words: the standard's schema refuses them


def _number(item: Node, physical: PhysicalType | None, report: Report) -> FieldType | None:
    kind = number_type(physical)
    stated: Any = item.get("physicalType")
    if kind is None:
        allowed = f"1 to {values.MAX_DECIMAL_PRECISION} digits p, and s of them, 0 to p, after the point"
        report.error(stated.line, stated.path, f"{shown(stated.text)}: decimal(p,s) has {allowed}")
        return None
    if pa.types.is_decimal(kind) and physical is not None and physical.size is None:
        report.warning(stated.line, stated.path, f"{shown(stated.text)} has no size: it is read as decimal(38,9)")
    return FieldType(kind)


def number_type(physical: PhysicalType | None) -> pa.DataType | None:
    """The type of numbers of a physical type; None for a decimal of a size that there can't be.

    >>> number_type(read_physical_type("decimal(10,2)"))
    Decimal128Type(decimal128(10, 2))
    """
    if physical is None or physical.base not in _DECIMALS or (physical.base == "number" and physical.size is None):
        return pa.float64()
    if physical.size is None:
        return BARE_DECIMAL
    scale = physical.scale or 0
    fits = 1 <= physical.size <= values.MAX_DECIMAL_PRECISION and 0 <= scale <= physical.size
    return pa.decimal128(physical.size, scale) if fits else None


def has_no_zone(item: Node) -> bool:
    """True when the physical type says that the timestamps carry no zone."""
    stated = item.get("physicalType")
    return stated is not None and read_physical_type(stated.text).base in _WITHOUT_ZONE
