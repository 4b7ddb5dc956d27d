"""The edges of a batched stage in a row-wise job: rows to batches and back."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any, Literal, get_args, get_type_hints

import apache_beam as beam
import pyarrow as pa
from apache_beam.transforms.window import BoundedWindow
from apache_beam.utils.timestamp import MAX_TIMESTAMP, Timestamp
from apache_beam.utils.windowed_value import WindowedValue

from beam_pipelines.columnar import coder  # noqa: F401  registers the coder of batches
from beam_pipelines.columnar.batches import MAX_BATCH_BYTES, MAX_BATCH_ROWS, split_to_bounds
from beam_pipelines.columnar.provenance import PROVENANCE
from beam_pipelines.columnar.row_values import EARLIEST_MICROS, LATEST_MICROS
from beam_pipelines.columnar.rows import as_mapping, batch_of, contract_of, dicts_of, payload_of, python_columns
from beam_pipelines.contract import beam_rows
from beam_pipelines.contract.model import Contract
from beam_pipelines.errors import UsageError, did_you_mean

RowKind = Literal["dict", "row"] | type[Any]
"""What a row is in Python: a dict, a Beam Row with a schema, or a NamedTuple or dataclass of one's own."""


class RowsToBatches(beam.PTransform):
    """Gather rows into batches: PCollection of rows to one of decoded batches.

    Rows are dicts, Beam Rows, NamedTuples or dataclasses, also mixed. Values that don't fit the contract
    (or the `pa.Schema` given in its place) are not refused here: `batch_of` says what fits, and
    ValidateBatches judges. Each batch holds rows of one window and is stamped with the earliest of their
    timestamps, each of which is in `__publish_time` (null if it has no date). A batch ends at `max_rows`,
    at about `max_bytes` (of the rows as JSON) or with its bundle, so nothing waits for rows to come.

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
    micros: list[int | None] = dataclasses.field(default_factory=list)
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
        micros = timestamp.micros  # those that Beam gives to elements without a time are out of all years
        buffer.micros.append(micros if EARLIEST_MICROS <= micros <= LATEST_MICROS else None)
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
        batch = batch_of(buffer.rows, self._contract, buffer.payloads, buffer.micros)
        # Columns can be larger than the JSON they came from, by the payload beside them at least.
        for piece in split_to_bounds(batch, self._max_rows, 4 * self._max_bytes):
            yield WindowedValue(piece, buffer.earliest, (window,))


class BatchesToRows(beam.PTransform):
    """Take batches apart: PCollection of batches to one of rows with a type (schema) of their own.

    The rows hold the contract's columns (or those of the `pa.Schema` given in its place), not the
    provenance. As `dict`, timestamps are datetimes in UTC. As `row`, they are Beam Rows with a schema:
    timestamps are Beam Timestamps. A NamedTuple or dataclass is called with the columns of its fields,
    timestamps as its annotations say. Each row keeps its batch's window, and its timestamp is its event
    time, or that of another column if `event_time` names one (its batch's where that is null).
    UsageError if a class asks for fields that are not there.

    >>> batch = pa.record_batch({"id": [1, 2], "name": ["a", None]})
    >>> with beam.Pipeline("FnApiRunner") as pipeline:
    ...     _ = pipeline | beam.Create([batch]) | BatchesToRows(batch.schema) | beam.Map(print)
    {'id': 1, 'name': 'a'}
    {'id': 2, 'name': None}
    """

    def __init__(self, contract: Contract | pa.Schema, as_: RowKind = "dict", event_time: str | None = None) -> None:
        super().__init__()
        if isinstance(contract, Contract):
            declared = contract.event_time.name if contract.event_time is not None else None
            self._schema = contract.schema
        else:
            declared, self._schema = None, contract
        self._kind = as_
        self._event_time = event_time or declared
        self._row_type = row_type(self._schema, as_)
        known = (*self._schema.names, *PROVENANCE)
        if self._event_time is not None and self._event_time not in known:
            raise UsageError(
                f"no column '{event_time}' to take timestamps from." + did_you_mean(self._event_time, known)
            )

    def expand(self, batches: beam.PCollection[pa.RecordBatch]) -> beam.PCollection[Any]:
        scatter = _Scatter(tuple(self._schema.names), self._kind, self._event_time)
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
        micros_of = times.cast(pa.timestamp("us", "UTC")).cast(pa.int64()).to_pylist()  # a date is its midnight
        for row, micros in zip(rows, micros_of, strict=True):
            yield row if micros is None else WindowedValue(row, Timestamp(micros=micros), windows)


def row_type(schema: pa.Schema, kind: RowKind) -> Any:
    """Return the Beam element type of a schema's rows as dicts, as Beam Rows or as a class.

    >>> row_type(pa.schema([pa.field("id", pa.int64(), nullable=False)]), "row")
    Row(id=<class 'int'>)
    """
    if kind == "dict":
        return dict[str, Any]
    if kind == "row":
        return beam_rows.row_type(contract_of(schema))
    if isinstance(kind, type) and (dataclasses.is_dataclass(kind) or hasattr(kind, "_make")):
        missing = [name for name in _class_fields(kind) if name not in schema.names]
        if missing:
            near = did_you_mean(missing[0], schema.names)
            raise UsageError(f"{kind.__name__} has a field '{missing[0]}', the batches have not.{near}")
        return kind
    raise UsageError(f"rows are 'dict', 'row', a NamedTuple or a dataclass, not {kind!r}")


def _class_fields(kind: type[Any]) -> tuple[str, ...]:
    if dataclasses.is_dataclass(kind):
        return tuple(field.name for field in dataclasses.fields(kind) if field.init)
    return tuple(kind._fields)


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
