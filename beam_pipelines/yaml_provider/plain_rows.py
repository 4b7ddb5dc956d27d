"""Batches with columns that Beam Rows have no place for, made ready for the edge to rows."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from beam_pipelines.columnar.json_text import json_text
from beam_pipelines.contract.beam_rows import MAX_DECIMAL_DIGITS

_KEPT = (
    pa.types.is_string,
    pa.types.is_boolean,
    pa.types.is_int32,
    pa.types.is_int64,
    pa.types.is_float64,
    pa.types.is_date32,
    pa.types.is_timestamp,
)


def plain_schema(schema: pa.Schema) -> pa.Schema:
    """The schema with text in place of what a Beam row can't hold: arrays, structs, bytes, decimals over 28 digits.

    >>> plain_schema(pa.schema([("id", pa.int64()), ("tags", pa.list_(pa.string()))])).types
    [DataType(int64), DataType(string)]
    """
    fields = [field if _kept(field.type) else field.with_type(pa.string()) for field in schema]
    return pa.schema(fields)


def plain_batch(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """A batch's columns of the schema as `plain_schema` has them; the others as they are.

    Arrays and structs are JSON. Bytes are text, in which those that aren't UTF-8 are escaped, as `\\xff`.

    >>> batch = pa.record_batch({"tags": [["a"]], "payload": [bytes([0x61, 0xFF])]})
    >>> plain_batch(batch, batch.schema).to_pydict()
    {'tags': ['["a"]'], 'payload': ['a\\\\xff']}
    """
    for place, name in enumerate(batch.schema.names):
        if name in schema.names and not _kept(schema.field(name).type):
            batch = batch.set_column(place, name, _text(batch.column(place)))
    return batch


def _kept(kind: pa.DataType) -> bool:
    if pa.types.is_decimal(kind):
        return bool(kind.precision <= MAX_DECIMAL_DIGITS)
    return any(is_kind(kind) for is_kind in _KEPT)


def _text(column: pa.Array) -> pa.Array:
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_string(column.type):
        return column
    if pa.types.is_decimal(column.type):
        return column.cast(pa.string())
    if pa.types.is_binary(column.type):
        try:
            return column.cast(pa.string())
        except pa.ArrowInvalid:
            cells = column.to_pylist()
            return pa.array([cell and cell.decode("utf-8", "backslashreplace") for cell in cells], pa.string())
    return pc.if_else(pc.is_valid(column), json_text(column), None)
