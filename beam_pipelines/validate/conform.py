"""Whether a batch has a contract's columns, and the lossless casts that give them their types."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from beam_pipelines.columnar.failures import Failed, failed
from beam_pipelines.columnar.nested import Places
from beam_pipelines.columnar.provenance import FAILURES, PAYLOAD, PROVENANCE, RECORD
from beam_pipelines.columnar.zones import localise
from beam_pipelines.contract.model import Contract, Field
from beam_pipelines.errors import ContractViolation, UsageError, did_you_mean
from beam_pipelines.validate.inside import cast_inside, misfits_inside, unknown_inside

UNKNOWN_FIELD = "schema.unknown_field"
TYPE = "type"

_OURS = frozenset({PAYLOAD, RECORD, FAILURES, *PROVENANCE})
_DIGITS = {8: 3, 16: 5, 32: 10, 64: 19}
"""Decimal digits that integers of so many bits may have."""


class Conformed(NamedTuple):
    """The contract's columns in its types, names of other columns that stay, failures by column."""

    columns: dict[str, pa.Array]
    others: list[str]
    found: dict[str, list[Failed]]


def conform(batch: pa.RecordBatch, contract: Contract) -> Conformed:
    """Find a contract's columns in a batch, in any order, and cast them where nothing can be lost.

    Timestamps of nanoseconds are cut to microseconds, as they are when read from text. Columns that the
    contract doesn't know (provenance aside) are dropped, or dealt with as its `on_schema_change` says.
    Raises UsageError for missing columns and other types, ContractViolation if the contract is frozen.

    >>> numbers = Contract("numbers", (Field("n", pa.int64()),))
    >>> conform(pa.record_batch({"n": pa.array([1], pa.int32())}), numbers).columns["n"].type
    DataType(int64)
    """
    _check_schema(batch.schema, contract)
    unknown_fields = list(_unknown_inside(batch.schema, contract))
    found: dict[str, list[Failed]] = {}
    columns = {field.name: _cast(batch.column(field.name), field, found) for field in contract.fields}
    unknown = [name for name in batch.schema.names if name not in columns and name not in _OURS]
    if (unknown or unknown_fields) and contract.on_schema_change == "freeze":
        raise ContractViolation(
            f"unknown column '{[*unknown, *unknown_fields][0]}' in a batch of the contract '{contract.name}' "
            f"{contract.version}, which says onSchemaChange: freeze"
        )
    if contract.on_schema_change == "discard_row":
        everything = np.arange(batch.num_rows)
        for name in [*unknown, *unknown_fields]:
            found[name] = [failed(everything, UNKNOWN_FIELD, name, "is not a field of the contract")]
    ours = [name for name in batch.schema.names if name in _OURS and name != FAILURES]
    return Conformed(columns, [*(unknown if contract.on_schema_change == "evolve" else []), *ours], found)


def _check_schema(schema: pa.Schema, contract: Contract) -> None:
    if {PAYLOAD, RECORD} & set(schema.names) and not set(schema.names) & set(contract.names):
        raise UsageError("a raw batch reached ValidateBatches: put DecodeBatches before it")
    problems = []
    for field in contract.fields:
        if schema.names.count(field.name) != 1:
            times = "no" if field.name not in schema.names else "more than one"
            known = [name for name in schema.names if name not in contract.names and name not in _OURS]
            problems.append(f"{times} column '{field.name}' ({field.type})." + did_you_mean(field.name, known))
        else:
            source = schema.field(field.name).type
            reasons = misfits_inside(source, field, _unfit, field.name)
            problems += [f"column '{path}' {reason}" for path, reason in reasons]
    if contract.on_schema_change == "evolve":
        problems += [
            f"column '{path}' is not in the contract, and onSchemaChange: evolve can't keep what is inside another "
            "column: add it to the contract, or choose discard_value"
            for path in _unknown_inside(schema, contract)
        ]
    if problems:
        lines = "\n".join(f"  {problem}" for problem in problems)
        raise UsageError(f"a batch doesn't fit the contract '{contract.name}' {contract.version}:\n{lines}")


def _unknown_inside(schema: pa.Schema, contract: Contract) -> Iterator[str]:
    for field in contract.fields:
        if field.children:
            yield from unknown_inside(schema.field(field.name).type, field, field.name)


def _unfit(source: pa.DataType, field: Field) -> str | None:
    """Why values of a type can't become the field's; None when they can, without loss."""
    if pa.types.is_dictionary(source):
        source = source.value_type
    if is_lossless(source, field.type):
        return None
    if pa.types.is_timestamp(source) and pa.types.is_timestamp(field.type):
        if source.tz is None and field.default_timezone is not None:
            return None
        return f"is {source}, which has no zone, the contract says {field.type}: cast it, or state a default time zone"
    return f"is {source}, the contract says {field.type}: no cast keeps every value"


def is_lossless(source: pa.DataType, target: pa.DataType) -> bool:
    """Tell whether each value of one type is a value of the other (nanoseconds may become microseconds).

    >>> is_lossless(pa.int32(), pa.float64()), is_lossless(pa.int64(), pa.float64())
    (True, False)
    """
    kinds = pa.types
    if source == target or kinds.is_null(source):
        return True
    if kinds.is_string(target):
        return bool(kinds.is_large_string(source) or kinds.is_string_view(source))
    if kinds.is_integer(target):
        if not kinds.is_integer(source):
            return False
        if kinds.is_signed_integer(source) == kinds.is_signed_integer(target):
            return bool(source.bit_width <= target.bit_width)
        return bool(kinds.is_unsigned_integer(source) and source.bit_width < target.bit_width)
    if kinds.is_floating(target):
        if kinds.is_floating(source):
            return bool(source.bit_width <= target.bit_width)
        return bool(kinds.is_integer(source) and source.bit_width * 2 <= target.bit_width)
    if kinds.is_decimal(target):
        whole = target.precision - target.scale
        if kinds.is_integer(source):
            return whole >= _DIGITS[source.bit_width]
        return bool(
            kinds.is_decimal(source) and source.scale <= target.scale and source.precision - source.scale <= whole
        )
    if kinds.is_date(target):
        return bool(kinds.is_date(source))
    if kinds.is_timestamp(target):
        return bool(kinds.is_timestamp(source) and (source.tz is None) == (target.tz is None))
    return False


def _cast(values: pa.Array, field: Field, found: dict[str, list[Failed]]) -> pa.Array:
    missed: list[Failed] = []
    cast = cast_inside(values, field, Places(field), functools.partial(_cast_plain, missed))
    if missed:
        found[field.name] = missed
    return cast


def _cast_plain(missed: list[Failed], values: pa.Array, field: Field, places: Places) -> pa.Array:
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    if pa.types.is_timestamp(values.type) and values.type.unit == "ns":
        values = pc.floor_temporal(values, unit="microsecond")
    if pa.types.is_timestamp(values.type) and values.type.tz is None and field.type.tz is not None:
        local = values.cast(pa.timestamp("us"))
        values, invalid = localise(local, str(field.default_timezone))
        if invalid is not None:
            rows = np.flatnonzero(invalid.to_numpy(zero_copy_only=False))
            message = f"names no instant, or two, in {field.default_timezone}"
            missed.append(places.failed(rows, TYPE, message, local.take(pa.array(rows))))
    return values.cast(field.type)
