"""A contract as Beam's own row type, for a PCollection with a schema."""

from __future__ import annotations

import datetime
import keyword
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Optional

import numpy as np
import pyarrow as pa
from apache_beam.typehints.row_type import RowTypeConstraint
from apache_beam.utils.timestamp import Timestamp

from beam_pipelines.contract.model import Contract, Field
from beam_pipelines.contract.values import is_supported
from beam_pipelines.errors import ContractError, did_you_mean

MAX_DECIMAL_DIGITS = 28
"""Beam 2.77's coder of decimals rounds to Python's default context, without a word."""


def row_type(contract: Contract) -> RowTypeConstraint:
    """Return the type of Beam Rows that hold a contract's columns, for `with_output_types`.

    Elements are `beam.Row(**columns)`. A field that isn't required is Optional; timestamps are Beam
    Timestamps (microseconds), dates are datetime.date. Beam's portable schema has no place for the
    precision and scale of a decimal. ContractError for decimals of more digits than Beam's coder keeps,
    and for names that a Beam row can't have.

    >>> from beam_pipelines.contract import Contract, Field
    >>> row_type(Contract("orders", (Field("id", pa.int64(), required=True), Field("note", pa.string()))))
    Row(id=<class 'int'>, note=typing.Optional[str])
    """
    wrong = [
        f"field '{field.name}' is {field.type}; Beam's rows keep {MAX_DECIMAL_DIGITS} digits of a decimal"
        for field in contract.fields
        if pa.types.is_decimal(field.type) and field.type.precision > MAX_DECIMAL_DIGITS
    ]
    wrong += [
        f"field '{name}': a field of a Beam row is named like a Python variable, and doesn't start with '_'"
        for name in contract.names
        if not name.isidentifier() or keyword.iskeyword(name) or name.startswith("_")
    ]
    if wrong:
        raise ContractError(contract.name, wrong)
    return RowTypeConstraint.from_fields([(field.name, _python_type(field)) for field in contract.fields])


def _nested_type(field: Field) -> Any:
    inner = [_python_type(child) for child in field.children]
    if pa.types.is_struct(field.type):
        names = [child.name for child in field.children]
        return RowTypeConstraint.from_fields(list(zip(names, inner, strict=True)))
    return Mapping[inner[0], inner[1]] if pa.types.is_map(field.type) else Sequence[inner[0]]  # type: ignore[valid-type]


_PYTHON_TYPES: tuple[tuple[Any, Any], ...] = (
    (pa.types.is_string, str),
    (pa.types.is_boolean, bool),
    (pa.types.is_int32, np.int32),
    (pa.types.is_int64, int),
    (pa.types.is_float64, float),
    (pa.types.is_decimal, Decimal),
    (pa.types.is_date32, datetime.date),
    (pa.types.is_timestamp, Timestamp),
)


def _python_type(field: Field) -> Any:
    if field.children and is_supported(field.type):
        nested = _nested_type(field)
        return nested if field.required else Optional[nested]  # noqa: UP045  as below
    found = next((python for is_kind, python in _PYTHON_TYPES if is_kind(field.type)), None)
    if found is None:
        known = ["string", "bool", "int32", "int64", "double", "decimal128", "date32[day]", "timestamp[us, tz=UTC]"]
        nearest = did_you_mean(str(field.type), known)
        raise ContractError(field.name, [f"the type {field.type} has no place in a Beam row.{nearest}"])
    return found if field.required else Optional[found]  # noqa: UP045  Beam 2.77 reads `X | None` as Any
