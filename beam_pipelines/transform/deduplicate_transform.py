"""Deduplicate batches in a pipeline."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Any, NamedTuple, get_args

import apache_beam as beam
import pyarrow as pa
from apache_beam import WindowInto
from apache_beam.transforms.window import GlobalWindows, TimestampCombiner, TimestampedValue
from apache_beam.utils.timestamp import MIN_TIMESTAMP, Timestamp

from beam_pipelines import ledger, outcome
from beam_pipelines.columnar.batches import earliest_micros, split_to_bounds
from beam_pipelines.columnar.shards import by_shard, shard_of, without_payload
from beam_pipelines.columnar.source_watermark import told_by_source
from beam_pipelines.contract.model import Contract
from beam_pipelines.errors import UsageError
from beam_pipelines.ledger import LedgerEntry
from beam_pipelines.transform.deduplicate import Keep, deduplicate
from beam_pipelines.transform.deduplicate_stream import KeepFirstSeen

STAGE = "DeduplicateBatches"

DEFAULT_SHARDS = 32
"""Takes 16 GiB of distinct rows (see MAX_SHARD_BYTES); more shards make smaller pieces to shuffle."""


class Deduplicated(NamedTuple):
    """`good`: batches of distinct rows. `ledger`: how many were duplicates; they are no dead letters."""

    good: beam.PCollection[pa.RecordBatch]
    ledger: beam.PCollection[LedgerEntry]


class DeduplicateBatches(beam.PTransform):
    """Keep one row for each primary key, exactly: PCollection of validated batches to `Deduplicated`.

    *Bounded input*: the row with the earliest event time stays (`keep="last"`: the latest), among equal ones
    the first by source, partition and position, so a rerun keeps the same rows. Rows are shuffled to `shards`
    by a hash of their key. A worker holds the distinct rows of one shard at a time: their Arrow bytes (without
    the payload), and four times that while it sorts; above 512 MiB of distinct rows in a shard the run fails
    and asks for more shards.

    Put it before MaskBatches, since masked keys may collide. `__payload` is not shuffled: dead letters of
    later stages tell where the row is, not what was in it. What comes out is ordered by event time.

    *Unbounded input*: the row that comes first goes on at once, and its key is remembered for `time_to_live`
    of event time; what comes again in that time is a duplicate. State holds the key's columns and 16 bytes
    for each key, of which a shard reads all for each batch: more shards for millions of keys. `keep="last"`
    would have to hold rows back, and is refused.

    Input in the global window only. UsageError for windowed input, for a stream without `time_to_live`,
    and for a contract without a primary key.

    >>> from beam_pipelines.contract.model import Field
    >>> orders = Contract("orders", (Field("id", pa.int64(), required=True, primary_key_position=1),))
    >>> with beam.Pipeline("FnApiRunner") as pipeline:
    ...     batches = pipeline | beam.Create([pa.record_batch({"id": [7, 7]}), pa.record_batch({"id": [7]})])
    ...     distinct = batches | DeduplicateBatches(orders, shards=2)
    ...     _ = distinct.good | "Rows" >> beam.Map(lambda batch: print(batch.to_pydict()))
    ...     _ = distinct.ledger | "Ledger" >> beam.Map(print)
    {'id': [7]}
    (('', 'DeduplicateBatches', 'duplicate', ''), 2)
    """

    def __init__(
        self,
        contract: Contract,
        shards: int = DEFAULT_SHARDS,
        *,
        keep: Keep = "first",
        time_to_live: timedelta | None = None,
    ) -> None:
        super().__init__()
        if not contract.primary_key:
            raise UsageError(f"contract '{contract.name}' has no primary key to deduplicate by")
        if shards < 1:
            raise UsageError(f"rows are deduplicated in 1 shard or more, not {shards}")
        if keep not in get_args(Keep):
            raise UsageError(f"keep takes {' or '.join(get_args(Keep))}, not '{keep}'")
        if time_to_live is not None and time_to_live <= timedelta():
            raise UsageError(f"keys are remembered for some time, not {time_to_live}")
        self._contract = contract
        self._shards = shards
        self._keep: Keep = keep
        self._time_to_live = time_to_live

    def expand(self, batches: beam.PCollection[pa.RecordBatch]) -> Deduplicated:
        if not isinstance(batches.windowing.windowfn, GlobalWindows):
            raise UsageError("deduplicate before windowing: rows of one key may lie in different windows")
        event_time = self._contract.event_time.name if self._contract.event_time is not None else None
        keys = self._contract.primary_key
        sharded = batches | "ToShards" >> beam.ParDo(_ToShards(self._contract, self._shards, batches.is_bounded))
        if batches.is_bounded:
            # What comes out is stamped with rows' times: a group that is stamped later, as is Beam's default, doesn't
            # hold the watermark for them, and Prism drops them as late in the windows downstream.
            held = WindowInto(GlobalWindows(), timestamp_combiner=TimestampCombiner.OUTPUT_AT_EARLIEST)
            sharded = sharded | "HeldByRows" >> held | "Group" >> beam.GroupByKey()
            label, dofn = "KeepOne", _KeepOne(keys, event_time, self._keep)
        else:
            if self._time_to_live is None:
                raise UsageError(
                    "exact deduplication of a stream has no end to wait for: say how long keys are remembered "
                    "(time_to_live)"
                )
            if self._keep == "last":
                raise UsageError("the last row of a key is not known while a stream runs: keep='first', or aggregate")
            micros = self._time_to_live // timedelta(microseconds=1)
            label, dofn = "KeepFirstSeen", KeepFirstSeen(keys, event_time, micros, STAGE)
        outputs = sharded | label >> beam.ParDo(dofn).with_output_types(
            pa.RecordBatch, **{outcome.LEDGER: LedgerEntry}
        ).with_outputs(outcome.LEDGER, main=outcome.GOOD)
        return Deduplicated(outputs[outcome.GOOD], outputs[outcome.LEDGER])


@beam.typehints.with_output_types(tuple[int, pa.RecordBatch])
class _ToShards(beam.DoFn):
    def __init__(self, contract: Contract, shards: int, bounded: bool) -> None:
        self._keys = contract.primary_key
        self._shards = shards
        self._bounded = bounded

    def process(self, batch: pa.RecordBatch) -> Iterator[tuple[int, pa.RecordBatch]]:
        bare = without_payload(batch)
        batch = bare if self._bounded else told_by_source(bare, batch)  # batches of a stream aren't put together
        yield from by_shard(batch, shard_of(batch, self._keys, self._shards))


class _KeepOne(beam.DoFn):
    def __init__(self, keys: tuple[str, ...], event_time: str | None, keep: Keep) -> None:
        self._keys = keys
        self._event_time = event_time
        self._keep: Keep = keep

    def process(self, shard: tuple[int, Iterable[pa.RecordBatch]]) -> Iterator[Any]:
        distinct = deduplicate(shard[1], self._keys, self._event_time, keep=self._keep)
        for batch in split_to_bounds(distinct.rows):
            yield TimestampedValue(batch, self._time_of(batch))
        if distinct.duplicates:
            yield outcome.note(STAGE, ledger.DUPLICATE, distinct.duplicates)

    def _time_of(self, batch: pa.RecordBatch) -> Timestamp:
        if self._event_time is None:
            return MIN_TIMESTAMP
        times = batch.column(self._event_time).cast(pa.timestamp("us", "UTC"))  # a date is its midnight
        micros = earliest_micros(times)
        return MIN_TIMESTAMP if micros is None else Timestamp(micros=micros)
