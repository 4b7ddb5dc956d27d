"""The edges of a batched stage in a row-wise job: rows to batches and back."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any, Literal, Optional, get_args, get_type_hints

import apache_beam as beam
import numpy as np
import pyarrow as pa
from apache_beam.transforms.window import BoundedWindow
from apache_beam.typehints.row_type import RowTypeConstraint
from apache_beam.utils.timestamp import MAX_TIMESTAMP, Timestamp
from apache_beam.utils.windowed_value import WindowedValue

from beam_pipelines.columnar import coder  # noqa: F401  registers the coder of batches
from beam_pipelines.columnar.batches import MAX_BATCH_BYTES, MAX_BATCH_ROWS, split_to_bounds
from beam_pipelines.columnar.rows import as_mapping, batch_of, contract_of, dicts_of, payload_of, python_columns
from beam_pipelines.contract.model import Contract, Field
from beam_pipelines.errors import UsageError, did_you_mean

RowKind = Literal["dict", "row"] | type[Any]
"""What a row is in Python: a dict, a Beam Row with a schema, or a NamedTuple or dataclass of one's own."""

BEAM_DECIMAL_DIGITS = 28
"""Beam 2.77's coder of schema decimals rounds to Python's default context."""


class RowsToBatches(beam.PTransform):
    """Gather rows into batches: PCollection of rows to one of decoded batches.

    Rows are dicts, Beam Rows, NamedTuples or dataclasses, also mixed. Values that don't fit the contract
    (or the `pa.Schema` given in its place) are not refused here: `batch_of` says what fits, and
    ValidateBatches judges. Each batch holds rows of one window and is stamped with the earliest of their
    timestamps; it ends at `max_rows`, at about `max_bytes` (of the rows as JSON) or with its bundle, so
    nothing waits for rows to come.

    >>> with beam.Pipeline("FnApiRunner") as pipeline:
    ...     _ = (
    ...         pipeline
    ...         | beam.Create([{"id": 1}, {"id": 2}])
    ...         | RowsToBatches(pa.schema([("id", pa.int64())]))
    ...         | beam.Map(lambda batch: print(batch.column("id").to_pylist()))
    ...     )
    [1, 2]
    """

    def __init__(
        self,
        contract: Contract | pa.Schema,
        max_rows: int = MAX_BATCH_ROWS,
        max_bytes: int = MAX_BATCH_BYTES,
    ) -> None:
        super().__init__()
        if max_rows < 1 or max_bytes < 1:
            raise UsageError(f"a batch holds at least one row and one byte, not {max_rows} rows, {max_bytes} bytes")
        self._contract = contract if isinstance(contract, Contract) else contract_of(contract)
        self._max_rows = max_rows
        self._max_bytes = max_bytes

    def expand(self, rows: beam.PCollection[Any]) -> beam.PCollection[pa.RecordBatch]:
        gather = _Gather(self._contract, self._max_rows, self._max_bytes)
        return rows | "Gather" >> beam.ParDo(gather).with_output_types(pa.RecordBatch)


@dataclasses.dataclass
class _Buffer:
    """Rows of one window that wait for their batch."""

    rows: list[Any] = dataclasses.field(default_factory=list)
    payloads: list[bytes] = dataclasses.field(default_factory=list)
    bytes: int = 0
    earliest: Timestamp = MAX_TIMESTAMP


class _Gather(beam.DoFn):
    def __init__(self, contract: Contract, max_rows: int, max_bytes: int) -> None:
        self._contract = contract
        self._max_rows = max_rows
        self._max_bytes = max_bytes
        self._buffers: dict[BoundedWindow, _Buffer] = {}
        self._buffered_bytes = 0

    def start_bundle(self) -> None:
        self._buffers = {}
        self._buffered_bytes = 0

    def process(
        self,
        row: Any,
        timestamp: Timestamp = beam.DoFn.TimestampParam,
        window: BoundedWindow = beam.DoFn.WindowParam,
    ) -> Iterator[WindowedValue]:
        row = as_mapping(row)
        payload = payload_of(row)
        buffer = self._buffers.get(window)
        if buffer is None:
            buffer = self._buffers[window] = _Buffer()
        elif buffer.bytes + len(payload) > self._max_bytes:
            yield from self._flush(window)
            buffer = self._buffers[window] = _Buffer()
        buffer.rows.append(row)
        buffer.payloads.append(payload)
        buffer.bytes += len(payload)
        self._buffered_bytes += len(payload)
        if timestamp < buffer.earliest:
            buffer.earliest = timestamp
        if len(buffer.rows) >= self._max_rows:
            yield from self._flush(window)
        elif self._buffered_bytes > 2 * self._max_bytes:  # in many windows, none of them full
            yield from self.finish_bundle()

    def finish_bundle(self) -> Iterator[WindowedValue]:
        for window in list(self._buffers):
            yield from self._flush(window)

    def _flush(self, window: BoundedWindow) -> Iterator[WindowedValue]:
        buffer = self._buffers.pop(window)
        self._buffered_bytes -= buffer.bytes
        batch = batch_of(buffer.rows, self._contract, buffer.payloads)
        # Columns can be larger than the JSON they came from, by the payload beside them at least.
        for piece in split_to_bounds(batch, self._max_rows, 4 * self._max_bytes):
            yield WindowedValue(piece, buffer.earliest, (window,))


class BatchesToRows(beam.PTransform):
    """Take batches apart: PCollection of batches to one of rows with a type (schema) of their own.

    The rows hold the contract's columns (or those of the `pa.Schema` given in its place), not the
    provenance. As `dict`, timestamps are datetimes in UTC. As `row`, they are Beam Rows with a schema:
    timestamps are Beam Timestamps. A NamedTuple or dataclass is called with the columns of its fields,
    timestamps as its annotations say. Each row keeps its batch's window and takes its event time as timestamp
    (the batch's, if it has none). UsageError if a class asks for fields that are not there.

    >>> batch = pa.record_batch({"id": [1, 2], "name": ["a", None]})
    >>> with beam.Pipeline("FnApiRunner") as pipeline:
    ...     _ = pipeline | beam.Create([batch]) | BatchesToRows(batch.schema) | beam.Map(print)
    {'id': 1, 'name': 'a'}
    {'id': 2, 'name': None}
    """

    def __init__(self, contract: Contract | pa.Schema, as_: RowKind = "dict", event_time: str | None = None) -> None:
        super().__init__()
        if isinstance(contract, pa.Schema):
            contract = contract_of(contract)
        declared = contract.event_time.name if contract.event_time is not None else None
        self._contract = contract
        self._kind = as_
        self._event_time = event_time or declared
        self._row_type = row_type(contract, as_)
        if self._event_time is not None:
            contract.field(self._event_time)

    def expand(self, batches: beam.PCollection[pa.RecordBatch]) -> beam.PCollection[Any]:
        scatter = _Scatter(self._contract.names, self._kind, self._event_time)
        return batches | "Scatter" >> beam.ParDo(scatter).with_output_types(self._row_type)


class _Scatter(beam.DoFn):
    def __init__(self, names: tuple[str, ...], kind: RowKind, event_time: str | None) -> None:
        self._names = names
        self._kind = kind
        self._event_time = event_time

    def setup(self) -> None:
        self._rows_of = _maker(self._kind, self._names)

    def process(
        self, batch: pa.RecordBatch, window: BoundedWindow = beam.DoFn.WindowParam
    ) -> Iterator[Any] | list[Any]:
        for name in self._names:
            if name not in batch.schema.names:
                raise UsageError(f"a batch has no column '{name}'." + did_you_mean(name, batch.schema.names))
        rows = self._rows_of(batch)
        return rows if self._event_time is None else self._stamped(rows, batch.column(self._event_time), window)

    def _stamped(self, rows: list[Any], times: pa.Array, window: BoundedWindow) -> Iterator[Any]:
        windows = (window,)
        for row, micros in zip(rows, times.cast(pa.int64()).to_pylist(), strict=True):
            yield row if micros is None else WindowedValue(row, Timestamp(micros=micros), windows)


def row_type(contract: Contract, kind: RowKind) -> Any:
    """Return the Beam element type of a contract's rows as dicts, as Beam Rows or as a class.

    >>> row_type(contract_of(pa.schema([pa.field("id", pa.int64(), nullable=False)])), "row")
    Row(id=<class 'int'>)
    """
    if kind == "dict":
        return dict[str, Any]
    if kind == "row":
        return RowTypeConstraint.from_fields([(field.name, _beam_type(field)) for field in contract.fields])
    if isinstance(kind, type) and (dataclasses.is_dataclass(kind) or hasattr(kind, "_make")):
        required = [name for name in _class_fields(kind) if name not in contract.names]
        if required:
            raise UsageError(
                f"{kind.__name__} has a field '{required[0]}', contract '{contract.name}' has not."
                + did_you_mean(required[0], contract.names)
            )
        return kind
    raise UsageError(f"rows are 'dict', 'row', a NamedTuple or a dataclass, not {kind!r}")


def _class_fields(kind: type[Any]) -> tuple[str, ...]:
    if dataclasses.is_dataclass(kind):
        return tuple(field.name for field in dataclasses.fields(kind) if field.init)
    return tuple(kind._fields)


def _beam_type(field: Field) -> Any:
    kind = field.type
    types: tuple[tuple[Callable[[pa.DataType], bool], Any], ...] = (
        (pa.types.is_string, str),
        (pa.types.is_boolean, bool),
        (pa.types.is_int64, int),
        (pa.types.is_int32, np.int32),
        (pa.types.is_float64, float),
        (pa.types.is_decimal, Decimal),
        (pa.types.is_date32, datetime.date),
        (pa.types.is_timestamp, Timestamp),
        (pa.types.is_binary, bytes),
    )
    if pa.types.is_decimal(kind) and kind.precision > BEAM_DECIMAL_DIGITS:
        raise UsageError(
            f"field '{field.name}' is {kind}, but Beam Rows keep {BEAM_DECIMAL_DIGITS} digits of a decimal: take dicts"
        )
    found = next((python_type for is_kind, python_type in types if is_kind(kind)), Any)
    return found if field.required else Optional[found]  # noqa: UP045  Beam 2.77 takes `X | None` for Any


def _maker(kind: RowKind, names: tuple[str, ...]) -> Callable[[pa.RecordBatch], list[Any]]:
    if isinstance(kind, str) and kind == "dict":
        return lambda batch: dicts_of(batch, names)
    if isinstance(kind, str):
        return lambda batch: [
            beam.Row(**dict(zip(names, values, strict=True)))
            for values in zip(*_columns(batch, names, names), strict=True)
        ]
    fields = _class_fields(kind)
    hints = get_type_hints(kind)
    stamps = tuple(name for name in fields if Timestamp in (hints.get(name), *get_args(hints.get(name))))
    return lambda batch: [
        kind(**dict(zip(fields, values, strict=True))) for values in zip(*_columns(batch, fields, stamps), strict=True)
    ]


def _columns(batch: pa.RecordBatch, names: tuple[str, ...], as_timestamps: tuple[str, ...]) -> list[list[Any]]:
    """Python columns in which the times of `as_timestamps` are Beam's."""
    columns = python_columns(batch, names)
    for place, name in enumerate(names):
        if name in as_timestamps and pa.types.is_timestamp(batch.schema.field(name).type):
            micros = batch.column(name).cast(pa.int64()).to_pylist()
            columns[place] = [None if moment is None else Timestamp(micros=moment) for moment in micros]
    return columns
