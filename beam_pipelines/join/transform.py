"""Joins in a pipeline: rows with a table, and two large inputs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import apache_beam as beam
import pyarrow as pa
from apache_beam import WindowInto
from apache_beam.transforms.window import GlobalWindows, TimestampCombiner, TimestampedValue
from apache_beam.utils.timestamp import MIN_TIMESTAMP, Timestamp

from beam_pipelines import ledger, outcome
from beam_pipelines.columnar.batches import concat, earliest_micros, split_to_bounds
from beam_pipelines.columnar.changes import check_columns, told
from beam_pipelines.columnar.shards import by_shard, shard_of, without_payload
from beam_pipelines.columnar.source_watermark import told_by_source
from beam_pipelines.contract.derived import Masks
from beam_pipelines.contract.model import Contract
from beam_pipelines.errors import UsageError
from beam_pipelines.join.join import PLACE, AsOf, How, Join, Keys, PreparedTable
from beam_pipelines.outcome import Outcome

MAX_TABLE_BYTES = 256 << 20
"""Bytes of a lookup table: each worker process holds it whole, and twice while it is put together."""

MAX_SHARD_BYTES = 512 << 20
"""Bytes of the right side's rows in one shard; a worker holds those of one shard at a time."""

_LEFT, _RIGHT = 0, 1


class JoinTable(beam.PTransform):
    """Add columns of a table that fits into memory: PCollection of batches to Outcome(good, dead_letters, ledger).

    `table` is a PCollection of batches, bounded and in the global window, that every worker gets as a side
    input; `of` and `table_of` say what is in both. Rows meet where their key columns are equal: `on` names
    them (`"carrier"`, or `[("dest", "faa")]` where names differ); a null equals nothing. `take` are the
    table's columns that are wanted, as SQL has them (`"name AS airline, lat"`; default: all but keys).

    A row that finds nothing stays with nulls (`how="left"`), is counted as filtered (`"inner"`), or is a dead
    letter of rule `join.unmatched` (`"required"`, or `"references"`, which lets a null in the key pass, as SQL's
    foreign keys do; `take=""` takes nothing and checks only). How many there are is in the ledger, as `unmatched`.

    The table's key must be unique, or the run fails and says so; with `many=True` a row becomes one for each
    row it finds, and the ledger has what came in addition. `as_of=AsOf("time", tolerance=…)` finds the latest
    row of the key that isn't after the row's time.

    Each worker process holds the table, 24 bytes of index a row (48 with `as_of`), and twice the table while
    it is prepared. The run fails when the table is empty (unless `allow_empty`), or has more than
    `max_bytes`: join such with JoinBatches.

    Masks: put it before MaskBatches. Columns of a table with a contract are hidden as that says; those of a
    mere schema, as derived from the key. UsageError for columns and types that don't fit.

    >>> flights = pa.record_batch({"carrier": ["UA", "XX"]})
    >>> airlines = pa.record_batch({"id": ["UA"], "name": ["United"]})
    >>> with beam.Pipeline("FnApiRunner") as pipeline:
    ...     table = pipeline | "Airlines" >> beam.Create([airlines])
    ...     rows = pipeline | "Flights" >> beam.Create([flights])
    ...     joined = rows | JoinTable(flights.schema, table, airlines.schema, [("carrier", "id")])
    ...     _ = joined.good | beam.Map(lambda batch: print(batch.to_pydict()))
    {'carrier': ['UA', 'XX'], 'name': ['United', None]}
    """

    def __init__(
        self,
        of: Contract | pa.Schema,
        table: beam.PCollection[pa.RecordBatch],
        table_of: Contract | pa.Schema,
        on: Keys,
        *,
        how: How = "left",
        take: str | Sequence[str] | None = None,
        as_of: AsOf | None = None,
        many: bool = False,
        masks: Masks | None = None,
        name: str = "the table",
        max_bytes: int = MAX_TABLE_BYTES,
        allow_empty: bool = False,
    ) -> None:
        super().__init__()
        self._join = Join.of(of, table_of, on, how=how, take=take, as_of=as_of, many=many, masks=masks, name=name)
        self._table = table
        self._max_bytes = max_bytes
        self._allow_empty = allow_empty

    @property
    def contract(self) -> Contract:
        """What comes out."""
        return self._join.contract

    def expand(self, batches: beam.PCollection[pa.RecordBatch]) -> Outcome:
        if not self._table.is_bounded or not isinstance(self._table.windowing.windowfn, GlobalWindows):
            raise UsageError(f"{self._join.name} must be bounded and in the global window, to be looked things up in")
        table = self._table | "Needed" >> beam.Map(_needed, self._join, "JoinTable").with_output_types(pa.RecordBatch)
        outputs = batches | "LookUp" >> beam.ParDo(
            _LookUp(self._join, self._max_bytes, self._allow_empty), beam.pvalue.AsList(table)
        ).with_output_types(
            pa.RecordBatch, **{outcome.DEAD_LETTERS: pa.RecordBatch, outcome.LEDGER: ledger.LedgerEntry}
        ).with_outputs(outcome.DEAD_LETTERS, outcome.LEDGER, main=outcome.GOOD)
        return Outcome(outputs[outcome.GOOD], outputs[outcome.DEAD_LETTERS], outputs[outcome.LEDGER])


def _needed(batch: pa.RecordBatch, join: Join, stage: str) -> pa.RecordBatch:
    """The table's columns that a join needs, and its rows' places: nothing else is sent to workers."""
    check_columns(batch, join.table, stage)
    places = [name for name in PLACE if name in batch.schema.names] if join.as_of is not None else []
    return batch.select([*join.needed, *places]).replace_schema_metadata(None)


def _empty(join: Join) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([], join.table.schema).select(join.needed)


class _LookUp(beam.DoFn):
    def __init__(self, join: Join, max_bytes: int, allow_empty: bool) -> None:
        self._join = join
        self._max_bytes = max_bytes
        self._allow_empty = allow_empty
        self._held: list[pa.RecordBatch] | None = None
        self._table: PreparedTable | None = None

    def process(self, batch: pa.RecordBatch, parts: list[pa.RecordBatch]) -> Iterator[Any]:
        check_columns(batch, self._join.source, "JoinTable")
        table = self._prepared(parts)
        for changed in self._join(batch, table):
            for element in told(changed, "JoinTable", self._join.source):
                yield told_by_source(element, batch) if isinstance(element, pa.RecordBatch) else element

    def _prepared(self, parts: list[pa.RecordBatch]) -> PreparedTable:
        # Some runners make a new list for each bundle: comparing it costs far less than a new index.
        if self._table is None or self._held is None or not _same(parts, self._held):
            size = sum(part.nbytes for part in parts)
            if size > self._max_bytes:
                raise UsageError(
                    f"{self._join.name} has {size >> 20} MiB, more than the {self._max_bytes >> 20} MiB that each "
                    "worker may hold: join it by JoinBatches, take fewer columns, or raise max_bytes"
                )
            if not sum(part.num_rows for part in parts) and not self._allow_empty:
                raise UsageError(f"{self._join.name} is empty: no row can find anything in it")
            rows = concat(parts) if parts else _empty(self._join)
            self._table = self._join.prepared(rows)
            self._held = parts
        return self._table


def _same(parts: Sequence[pa.RecordBatch], held: Sequence[pa.RecordBatch]) -> bool:
    return parts is held or (
        len(parts) == len(held) and all(new.equals(old) for new, old in zip(parts, held, strict=True))
    )


class JoinBatches(beam.PTransform):
    """Join two inputs of any size: (left, right) PCollections of batches to Outcome(good, dead_letters, ledger).

    Each left row becomes one for each right row whose key columns are equal; `on`, `take` and `as_of` are as in
    JoinTable. A left row that finds nothing stays with nulls (`how="left"`), is counted as filtered
    (`"inner"`) or is a dead letter (`"required"`, `"references"`). There is no full join: a row that only the right
    side has would lack what the left's contract requires. Right rows that nobody found are in the ledger, as
    unmatched.

    Both sides are shuffled, by a hash of their key, to `shards`. A worker holds the right rows of one shard at
    a time, with 24 bytes of index a row (48 with `as_of`), and passes the left ones by: the smaller side goes
    right, and a key with half of all left rows costs no memory. Above `max_bytes` of right rows in a shard
    the run fails, and asks for more shards; rows of one key are always in one.

    As in DeduplicateBatches payloads aren't shuffled, and what comes out is stamped with its rows' earliest
    event time. Bounded inputs in the global window only: a stream looks things up by JoinTable. UsageError for
    columns and types that don't fit.

    >>> left, right = pa.record_batch({"id": [1, 2]}), pa.record_batch({"id": [2, 2], "x": ["a", "b"]})
    >>> with beam.Pipeline("FnApiRunner") as pipeline:
    ...     both = (pipeline | "Left" >> beam.Create([left]), pipeline | "Right" >> beam.Create([right]))
    ...     joined = both | JoinBatches(left.schema, right.schema, "id", how="inner", shards=1)
    ...     _ = joined.good | beam.Map(lambda batch: print(batch.to_pydict()))
    {'id': [2, 2], 'x': ['a', 'b']}
    """

    def __init__(
        self,
        of: Contract | pa.Schema,
        right_of: Contract | pa.Schema,
        on: Keys,
        *,
        how: How = "left",
        take: str | Sequence[str] | None = None,
        as_of: AsOf | None = None,
        masks: Masks | None = None,
        name: str = "the right side",
        shards: int = 32,
        max_bytes: int = MAX_SHARD_BYTES,
    ) -> None:
        super().__init__()
        if shards < 1:
            raise UsageError(f"rows are joined in 1 shard or more, not {shards}")
        self._join = Join.of(
            of, right_of, on, how=how, take=take, as_of=as_of, many=as_of is None, masks=masks, name=name
        )
        self._shards = shards
        self._max_bytes = max_bytes

    @property
    def contract(self) -> Contract:
        """What comes out."""
        return self._join.contract

    def expand(self, both: tuple[beam.PCollection[pa.RecordBatch], beam.PCollection[pa.RecordBatch]]) -> Outcome:
        left, right = both
        for side in both:
            if not side.is_bounded:
                raise UsageError("two streams can't be joined: join a stream with a bounded table by JoinTable")
            if not isinstance(side.windowing.windowfn, GlobalWindows):
                raise UsageError("join before windowing: rows of one key may lie in different windows")
        join = self._join
        lefts = left | "LeftToShards" >> beam.ParDo(_ToShards(join, _LEFT, self._shards))
        rights = right | "RightToShards" >> beam.ParDo(_ToShards(join, _RIGHT, self._shards))
        outputs = (
            (lefts, rights)
            | "Both" >> beam.Flatten()
            # What comes out at its rows' times may not be late downstream; see DeduplicateBatches.
            | "HeldByRows" >> WindowInto(GlobalWindows(), timestamp_combiner=TimestampCombiner.OUTPUT_AT_EARLIEST)
            | "Group" >> beam.GroupByKey()
            | "Join"
            >> beam.ParDo(_JoinShard(join, self._max_bytes))
            .with_output_types(
                pa.RecordBatch, **{outcome.DEAD_LETTERS: pa.RecordBatch, outcome.LEDGER: ledger.LedgerEntry}
            )
            .with_outputs(outcome.DEAD_LETTERS, outcome.LEDGER, main=outcome.GOOD)
        )
        return Outcome(outputs[outcome.GOOD], outputs[outcome.DEAD_LETTERS], outputs[outcome.LEDGER])


_Sided = tuple[int, pa.RecordBatch]


@beam.typehints.with_output_types(tuple[int, _Sided])
class _ToShards(beam.DoFn):
    def __init__(self, join: Join, side: int, shards: int) -> None:
        self._join = join
        self._side = side
        self._contract, self._keys = (join.source, join.keys) if side == _LEFT else (join.table, join.table_keys)
        self._shards = shards

    def process(self, batch: pa.RecordBatch) -> Iterator[tuple[int, _Sided]]:
        check_columns(batch, self._contract, "JoinBatches")
        batch = without_payload(batch) if self._side == _LEFT else _needed(batch, self._join, "JoinBatches")
        for shard, piece in by_shard(batch, shard_of(batch, self._keys, self._shards)):
            yield shard, (self._side, piece)


class _JoinShard(beam.DoFn):
    def __init__(self, join: Join, max_bytes: int) -> None:
        self._join = join
        self._max_bytes = max_bytes

    def process(self, shard: tuple[int, Iterable[_Sided]]) -> Iterator[Any]:
        # Gone through twice: runners keep a large group outside and read it anew, so only the right is held.
        table = self._join.prepared(self._right(shard[1]))
        for side, batch in shard[1]:
            if side == _RIGHT:
                continue
            for changed in self._join(batch, table):
                for element in told(changed, "JoinBatches", self._join.source):
                    yield from self._stamped(element) if isinstance(element, pa.RecordBatch) else (element,)
        if unused := table.unused:
            yield outcome.note("JoinBatches", ledger.UNMATCHED, unused, f"rows of {self._join.name}", output="joined")

    def _right(self, pieces: Iterable[_Sided]) -> pa.RecordBatch:
        held, size = [], 0
        for side, batch in pieces:
            if side == _RIGHT:
                held.append(batch)
                size += batch.nbytes
                if size > self._max_bytes:
                    raise UsageError(
                        f"a shard holds more than {self._max_bytes >> 20} MiB of {self._join.name}: join with more "
                        "shards, put the smaller input on the right, or take fewer columns. If one key has most of "
                        "the rows, more shards don't help: aggregate or deduplicate that input first"
                    )
        return concat(held) if held else _empty(self._join)

    def _stamped(self, batch: pa.RecordBatch) -> Iterator[TimestampedValue]:
        time = self._join.source.event_time
        for piece in split_to_bounds(batch):
            micros = None
            if time is not None:
                micros = earliest_micros(piece.column(time.name).cast(pa.timestamp("us", "UTC")))
            yield TimestampedValue(piece, MIN_TIMESTAMP if micros is None else Timestamp(micros=micros))
