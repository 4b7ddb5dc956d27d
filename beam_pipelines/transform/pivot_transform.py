"""Pivot batches in a pipeline."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import apache_beam as beam
import pyarrow as pa
from apache_beam import WindowInto
from apache_beam.transforms.window import GlobalWindows, TimestampCombiner, TimestampedValue
from apache_beam.utils.timestamp import MIN_TIMESTAMP, Timestamp

from beam_pipelines import ledger, outcome
from beam_pipelines.columnar import coder  # noqa: F401  registers the coder of batches
from beam_pipelines.columnar.batches import earliest_micros, split_to_bounds
from beam_pipelines.columnar.changes import check_columns
from beam_pipelines.columnar.shards import by_shard, shard_of, without_payload
from beam_pipelines.contract.derived import Masks
from beam_pipelines.contract.model import Contract
from beam_pipelines.errors import UsageError
from beam_pipelines.ledger import LedgerEntry
from beam_pipelines.transform.deduplicate import Keep
from beam_pipelines.transform.deduplicate_transform import Deduplicated
from beam_pipelines.transform.pivot import Pivoting

STAGE = "PivotBatches"


class PivotBatches(beam.PTransform):
    """Turn rows of names and values into columns: PCollection of batches to `Deduplicated` (good, ledger).

    All rows of the same `keys` become one, with a column for each of the names in `columns`: the value of
    the row that has this name, else null. Of two rows of one key and name the first by event time stays, or
    with `keep="last"` the last. The new row has the earliest event time of those it is made of, and the
    provenance of that one; other columns are left behind. In the ledger are rows of other names as filtered,
    second ones of a name as duplicates, and those that went into others as merged.

    Rows are shuffled to `shards` by a hash of their keys; a worker holds one shard at a time, see
    DeduplicateBatches. Bounded input in the global window only: a stream is pivoted by AggregateBatches,
    `max(value) FILTER (WHERE name = 'jan') AS jan`. UsageError for columns that don't fit.

    >>> long = pa.schema([("id", pa.int64()), ("name", pa.string()), ("value", pa.int64())])
    >>> PivotBatches(long, ["id"], "name", "value", ["jan", "feb"]).contract.names
    ('id', 'jan', 'feb')
    """

    def __init__(
        self,
        of: Contract | pa.Schema,
        keys: Sequence[str],
        names: str,
        values: str,
        columns: Sequence[str],
        *,
        keep: Keep = "first",
        masks: Masks | None = None,
        shards: int = 32,
    ) -> None:
        super().__init__()
        if shards < 1:
            raise UsageError(f"rows are pivoted in 1 shard or more, not {shards}")
        self._pivot = Pivoting.of(of, keys, names, values, columns, keep=keep, masks=masks)
        self._shards = shards

    @property
    def contract(self) -> Contract:
        """What comes out."""
        return self._pivot.contract

    def expand(self, batches: beam.PCollection[pa.RecordBatch]) -> Deduplicated:
        if not batches.is_bounded:
            raise UsageError("a stream can't be pivoted: aggregate with FILTER (WHERE …) for each column instead")
        if not isinstance(batches.windowing.windowfn, GlobalWindows):
            raise UsageError("pivot before windowing: rows of one key may lie in different windows")
        sharded = batches | "ToShards" >> beam.ParDo(_ToShards(self._pivot, self._shards)).with_output_types(
            tuple[int, pa.RecordBatch], **{outcome.LEDGER: LedgerEntry}
        ).with_outputs(outcome.LEDGER, main="sharded")
        made = (
            sharded["sharded"]
            # See DeduplicateBatches: what comes out at its rows' times may not be late downstream.
            | "HeldByRows" >> WindowInto(GlobalWindows(), timestamp_combiner=TimestampCombiner.OUTPUT_AT_EARLIEST)
            | "Group" >> beam.GroupByKey()
            | "Pivot"
            >> beam.ParDo(_Pivot(self._pivot))
            .with_output_types(pa.RecordBatch, **{outcome.LEDGER: LedgerEntry})
            .with_outputs(outcome.LEDGER, main=outcome.GOOD)
        )
        merged = made[outcome.LEDGER] | "InOneWindow" >> WindowInto(GlobalWindows())
        entries = (sharded[outcome.LEDGER], merged) | "Ledger" >> beam.Flatten()
        return Deduplicated(made[outcome.GOOD], entries)


class _ToShards(beam.DoFn):
    def __init__(self, pivot: Pivoting, shards: int) -> None:
        self._pivot = pivot
        self._shards = shards

    def process(self, batch: pa.RecordBatch) -> Iterator[Any]:
        check_columns(batch, self._pivot.source, STAGE)
        wanted = self._pivot.wanted(without_payload(batch))
        if batch.num_rows > wanted.num_rows:
            yield outcome.note(STAGE, ledger.FILTERED, batch.num_rows - wanted.num_rows, "pivot.name")
        if wanted.num_rows:
            yield from by_shard(wanted, shard_of(wanted, self._pivot.keys, self._shards))


class _Pivot(beam.DoFn):
    def __init__(self, pivot: Pivoting) -> None:
        self._pivot = pivot

    def process(self, shard: tuple[int, Iterable[pa.RecordBatch]]) -> Iterator[Any]:
        made = self._pivot(shard[1])
        for batch in split_to_bounds(made.rows):
            yield TimestampedValue(batch, self._time_of(batch))
        for kind, rows in ((ledger.DUPLICATE, made.duplicates), (ledger.MERGED, made.merged)):
            if rows:
                yield outcome.note(STAGE, kind, rows)

    def _time_of(self, batch: pa.RecordBatch) -> Timestamp:
        name = self._pivot.event_time
        micros = None if name is None else earliest_micros(batch.column(name).cast(pa.timestamp("us", "UTC")))
        return MIN_TIMESTAMP if micros is None else Timestamp(micros=micros)
