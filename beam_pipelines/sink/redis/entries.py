"""Rows → entries of Redis: key, order, fields, text. Pure: columns in, columns out."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from beam_pipelines.columnar.json_text import json_text
from beam_pipelines.columnar.provenance import without_provenance
from beam_pipelines.errors import UsageError, did_you_mean
from beam_pipelines.sink.records import RecordPlan, Records, records_of

ORDER = "beam-pipelines-order"
"""Field of a hash, and of a JSON object, that says which of two rows of one key is the newer."""

OF_PANES = ("window_end", "__pane_index")
"""What orders panes of an aggregation, if nothing else is said."""

_OURS = ("__rows", "__pane_index", "__pane_timing")
_DIGITS = 20  # of 64 bits


@dataclasses.dataclass(frozen=True)
class EntryPlan:
    """Which columns are the key and the order, what stands before each key, and what is kept under it."""

    key: tuple[str, ...]
    order: tuple[str, ...] = ()
    prefix: str = ""
    kind: Literal["hash", "json"] = "hash"


def check_entries(plan: EntryPlan, schema: pa.Schema) -> None:
    """Raise UsageError for a column that isn't there, or can't be what it is to be."""
    if not plan.key:
        raise UsageError("?key: say which columns are the key, as in ?key=country")
    order = order_of(plan, schema)
    if not order:
        raise UsageError(
            "?order: these rows are no panes of windows, so say by which columns one is newer than another of the same "
            "key, as in ?order=event_time"
        )
    for role, names in (("key", plan.key), ("order", order)):
        for name in names:
            if name not in schema.names:
                raise UsageError(f"?{role}: there is no column '{name}' to write.{did_you_mean(name, schema.names)}")
    for name in order:
        kind = schema.field(name).type
        if not (pa.types.is_integer(kind) or pa.types.is_timestamp(kind) or pa.types.is_date(kind)):
            raise UsageError(f"?order: '{name}' is {kind}; what orders rows is a whole number, a date or a timestamp")


def order_of(plan: EntryPlan, schema: pa.Schema) -> tuple[str, ...]:
    """The columns that order rows: those that were said, or those of panes."""
    if plan.order or OF_PANES[0] not in schema.names:
        return plan.order
    return tuple(name for name in OF_PANES if name in schema.names)  # a bounded run has one pane of each window


def entries_of(batch: pa.RecordBatch, _: RecordPlan, plan: EntryPlan) -> Records:
    """Make the entries of a batch's rows: keys, orders as ids, JSON as values, and fields as headers.

    An order is digits, as many for all rows: the order columns, then a hash of the row, so that of two rows that are
    equally new the same one stays, whichever comes last. Null is older than all.

    >>> rows = pa.record_batch({"country": ["DE"], "n": [7], "at": [3]})
    >>> entries = entries_of(rows, RecordPlan(), EntryPlan(("country",), ("at",), "sales:"))
    >>> entries.keys.to_pylist(), entries.headers.to_pylist(), entries.ids.to_pylist()[0][:20]
    ([b'sales:DE'], [[('country', b'DE'), ('n', b'7'), ('at', b'3')]], '09223372036854775811')
    """
    own = without_provenance(batch)
    own = own.select([name for name in own.schema.names if name not in _OURS])
    texts = json_text(pa.StructArray.from_arrays(own.columns, fields=list(own.schema)))
    keys = records_of(batch, RecordPlan(key=plan.key)).keys
    keys = pc.binary_join_element_wise(plan.prefix.encode(), keys, b"")
    orders = [_digits(batch.column(name)) for name in order_of(plan, batch.schema)]
    hashes = [hashlib.blake2b(text.encode(), digest_size=8).digest() for text in texts.to_pylist()]
    ties = pa.array([str(int.from_bytes(each)).zfill(_DIGITS) for each in hashes], pa.string())
    ids = pc.binary_join_element_wise(*orders, ties, "")
    if plan.kind == "json":
        begun = pc.utf8_slice_codeunits(texts, 0, -1)
        values = pc.binary_join_element_wise(begun, f',"{ORDER}":"', ids, '"}', "")
        return Records(values.cast(pa.binary()), keys, ids, pa.nulls(batch.num_rows), None)
    return Records(texts.cast(pa.binary()), keys, ids, pa.nulls(batch.num_rows), _fields(own))


def _digits(column: pa.Array) -> pa.Array:
    """Whole numbers and times as text that sorts as they do."""
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp("us", column.type.tz), safe=False).cast(pa.int64())
    elif pa.types.is_date(column.type):
        column = column.cast(pa.date32()).cast(pa.int32())
    above = pc.add(column.cast(pa.decimal128(20, 0)), pa.scalar(1 << 63, pa.decimal128(20, 0)))
    return pc.fill_null(pc.utf8_lpad(above.cast(pa.string()), _DIGITS, "0"), "0" * _DIGITS)


def _fields(rows: pa.RecordBatch) -> pa.Array:
    """Fields and values of each row: text as it is, other values as JSON; null ones are left out."""
    columns = [_text(column).to_pylist() for column in rows.columns]
    names: Sequence[str] = rows.schema.names
    pairs = [
        [(name, value) for name, value in zip(names, row, strict=True) if value is not None]
        for row in zip(*columns, strict=True)
    ]
    return pa.array(pairs, pa.map_(pa.string(), pa.binary()))


def _text(column: pa.Array) -> pa.Array:
    if isinstance(column, pa.DictionaryArray):
        column = column.dictionary_decode()
    if pa.types.is_string(column.type) or pa.types.is_binary(column.type):
        return column.cast(pa.binary())
    text = json_text(column)
    if pa.types.is_temporal(column.type) or pa.types.is_decimal(column.type):
        text = pc.utf8_trim(text, '"')
    return pc.if_else(column.is_valid(), text, None).cast(pa.binary())
