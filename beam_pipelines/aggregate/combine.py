"""Aggregates as CombineFns: of partials, as AggregateBatches merges them, and of rows in anybody's job."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import apache_beam as beam
import pyarrow as pa
from apache_beam.coders import Coder, ListCoder
from apache_beam.utils.timestamp import Timestamp

from beam_pipelines.aggregate.kernels import finish, merge_partials, nothing, partial_aggregate
from beam_pipelines.aggregate.plan import AggregationPlan
from beam_pipelines.columnar.batches import MAX_BATCH_BYTES, MAX_BATCH_ROWS, concat
from beam_pipelines.columnar.coder import RecordBatchCoder
from beam_pipelines.columnar.row_values import column_of
from beam_pipelines.columnar.rows import as_mapping, contract_of
from beam_pipelines.columnar.rows_transform import row_type
from beam_pipelines.contract.model import Contract
from beam_pipelines.errors import UsageError

MIN_MERGED_ROWS = 2_048
"""Fewer are joined, which takes 10 µs, not merged, unless they are large."""

MIN_MERGED_BYTES = 256 << 10
"""Bytes that are worth merging however few the rows: tallies and lists of distinct values."""

_LOOK_EVERY = 8
"""Partials that are added before their bytes are counted, which takes 1 µs a column: 64 MB at most."""

ROWS_TOGETHER = 512
"""Rows that wait in an accumulator to be computed as columns: 2 µs a row then, against 1 ms for one alone."""


class MergePartials(beam.CombineFn):
    """Combine partials of one aggregation (`kernels.partial_aggregate`) into one.

    The accumulator is a list of partials, merged when as many groups or bytes have come as are merged already.
    A merge costs 0.2 ms however small, so few rows are only joined, and a group may come out more than
    once: `kernels.merge_partials` does the rest, for many windows at once.
    """

    def __init__(self, plan: AggregationPlan) -> None:
        self._plan = plan

    def create_accumulator(self) -> list[pa.RecordBatch]:
        return []

    def add_input(self, accumulator: list[pa.RecordBatch], partial: pa.RecordBatch) -> list[pa.RecordBatch]:
        accumulator.append(partial)
        return self._bounded(accumulator)

    def merge_accumulators(self, accumulators: Iterable[list[pa.RecordBatch]]) -> list[pa.RecordBatch]:
        merged: list[pa.RecordBatch] = []
        for accumulator in accumulators:
            merged = self._bounded([*merged, *accumulator])
        return merged

    def compact(self, accumulator: list[pa.RecordBatch]) -> list[pa.RecordBatch]:
        if len(accumulator) < 2:
            return accumulator
        if _rows(accumulator) < MIN_MERGED_ROWS and _bytes(accumulator) < MIN_MERGED_BYTES:
            return [concat(accumulator)]
        return [merge_partials(accumulator, self._plan)]

    def extract_output(self, accumulator: list[pa.RecordBatch]) -> pa.RecordBatch:
        return concat(accumulator) if accumulator else merge_partials([], self._plan)

    def get_accumulator_coder(self) -> beam.coders.Coder:
        return beam.coders.ListCoder(RecordBatchCoder())

    def _bounded(self, accumulator: list[pa.RecordBatch]) -> list[pa.RecordBatch]:
        if len(accumulator) < 2:
            return accumulator
        first, *rest = accumulator
        is_full = _rows(rest) > max(MAX_BATCH_ROWS, first.num_rows)
        if not is_full and len(accumulator) % _LOOK_EVERY == 0:
            is_full = _bytes(rest) > max(MAX_BATCH_BYTES, first.nbytes)
        return self.compact(accumulator) if is_full else accumulator


def _rows(partials: list[pa.RecordBatch]) -> int:
    return sum(partial.num_rows for partial in partials)


def _bytes(partials: list[pa.RecordBatch]) -> int:
    return sum(partial.nbytes for partial in partials)


class Aggregate(beam.CombineFn):
    """SQL aggregates as a CombineFn, of rows or of batches: for CombinePerKey and CombineGlobally.

    In: dicts, Beam Rows, NamedTuples or dataclasses with fields of `schema` (a `pa.Schema` or Contract; more
    fields may be there, a missing one is a null), or batches with its columns, also mixed. Out: a dict of the
    aggregates by name; or a Beam Row with a schema if `as_` is "row". Of no rows it is what SQL has for none:
    counts are 0, the rest null. `event_time` names the column that first, last and funnel go by.

    `aggregates` are those of AggregateBatches, with its guarantees: results depend on no order. ExpressionError
    for text that is none where the CombineFn is made; ValueError for a row that doesn't fit the schema.

    >>> schema = pa.schema([("price", pa.float64())])
    >>> with beam.Pipeline("FnApiRunner") as pipeline:
    ...     prices = pipeline | beam.Create([{"price": 1.0}, {"price": 3.0}])
    ...     _ = prices | beam.CombineGlobally(Aggregate("stddev_pop(price) as sd", schema)) | beam.Map(print)
    {'sd': 1.0}
    """

    def __init__(
        self,
        aggregates: str,
        schema: pa.Schema | Contract,
        *,
        event_time: str | None = None,
        as_: Literal["dict", "row"] = "dict",
    ) -> None:
        # Imported here: it needs the parser, and a worker does not.
        from beam_pipelines.aggregate.planning import plan_aggregation

        super().__init__()
        if as_ not in ("dict", "row"):
            raise UsageError(f"the result is 'dict' or 'row', not {as_!r}")
        contract = schema if isinstance(schema, Contract) else contract_of(schema)
        if event_time is None and contract.event_time is not None:
            event_time = contract.event_time.name
        self._plan = plan_aggregation(contract.schema, aggregates, event_time=event_time)
        used = self._plan.columns
        self._fields = tuple(field for field in contract.fields if field.name in used)
        self._as_row = as_ == "row"
        outputs = pa.schema([(output.name, output.expression.type) for output in self._plan.outputs])
        self._merge = MergePartials(self._plan)
        self.with_input_types(Any)
        self.with_output_types(row_type(outputs, as_))

    def create_accumulator(self) -> _Held:
        return _Held([], [])

    def add_input(self, held: _Held, element: Any) -> _Held:
        if isinstance(element, pa.RecordBatch):
            held.partials = self._merge.add_input(held.partials, partial_aggregate(element, self._plan))
            return held
        row = as_mapping(element)
        try:
            held.rows.append(tuple(row.get(field.source_name, row.get(field.name)) for field in self._fields))
        except AttributeError:
            raise ValueError(f"a row is a dict, Beam Row, NamedTuple or dataclass, not {type(element)}") from None
        return self._columnar(held) if len(held.rows) >= ROWS_TOGETHER else held

    def merge_accumulators(self, accumulators: Iterable[_Held]) -> _Held:
        found = [self._columnar(held).partials for held in accumulators]
        return _Held([], self._merge.merge_accumulators(found))

    def compact(self, held: _Held) -> _Held:
        return _Held([], self._merge.compact(self._columnar(held).partials))

    def extract_output(self, held: _Held) -> Any:
        partials = self._columnar(held).partials
        result = finish(merge_partials([nothing(self._plan), *partials], self._plan), self._plan)
        values = {output.name: result.column(output.name)[0].as_py() for output in self._plan.outputs}
        if not self._as_row:
            return values
        for name, value in values.items():
            if value is not None and pa.types.is_timestamp(result.schema.field(name).type):
                values[name] = Timestamp(micros=result.column(name)[0].value)
        return beam.Row(**values)

    def get_accumulator_coder(self) -> Coder:
        return _HeldCoder(self)

    def _columnar(self, held: _Held) -> _Held:
        """Compute the rows that wait."""
        if held.rows:
            partial = partial_aggregate(self._batch_of(held.rows), self._plan)
            held.partials = self._merge.add_input(held.partials, partial)
            held.rows = []
        return held

    def _batch_of(self, rows: list[tuple[Any, ...]]) -> pa.RecordBatch:
        if not self._fields:  # count(*) alone
            return pa.RecordBatch.from_arrays([pa.nulls(len(rows))], names=[""])
        columns = []
        for field, values in zip(self._fields, zip(*rows, strict=True), strict=True):
            column, wrong = column_of(list(values), field)
            for what in wrong.values():
                raise ValueError(f"field '{field.name}' of a row: {what['message']}")
            columns.append(column)
        return pa.RecordBatch.from_arrays(columns, names=[field.name for field in self._fields])


class _Held:
    """Rows that wait, as tuples of the columns that are needed, and partials."""

    __slots__ = ("partials", "rows")

    def __init__(self, rows: list[tuple[Any, ...]], partials: list[pa.RecordBatch]) -> None:
        self.rows = rows
        self.partials = partials


class _HeldCoder(Coder):
    """Accumulators travel as partials, whose schema says their version."""

    def __init__(self, aggregate: Aggregate) -> None:
        self._aggregate = aggregate
        self._partials = ListCoder(RecordBatchCoder())

    def encode(self, held: _Held) -> bytes:
        encoded: bytes = self._partials.encode(self._aggregate.compact(held).partials)
        return encoded

    def decode(self, encoded: bytes) -> _Held:
        return _Held([], self._partials.decode(encoded))

    def is_deterministic(self) -> bool:
        return False
