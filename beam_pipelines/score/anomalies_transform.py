"""Anomalies among the rows of a key and window, as a Beam transform."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from apache_beam.transforms.window import (
    FixedWindows,
    GlobalWindows,
    TimestampCombiner,
    TimestampedValue,
    WindowFn,
)
from apache_beam.utils.timestamp import MIN_TIMESTAMP, Duration, Timestamp

from beam_pipelines.columnar.batches import earliest_micros, split_to_bounds
from beam_pipelines.columnar.changes import check_columns
from beam_pipelines.columnar.shards import by_shard, shard_of
from beam_pipelines.contract.derived import as_contract, with_fields
from beam_pipelines.contract.field import Field
from beam_pipelines.contract.model import Contract
from beam_pipelines.errors import UsageError, did_you_mean
from beam_pipelines.score.anomalies import METHODS, THRESHOLDS, Method, anomaly_scores, groups_of

STAGE = "DetectAnomalies"
SCORE, ANOMALY = "anomaly_score", "anomaly"

_MICROS = timedelta(microseconds=1)
_TIME = pa.timestamp("us", "UTC")


class DetectAnomalies(beam.PTransform):
    """Mark rows whose value is unlike the others of its group: PCollection of batches to PCollection of batches.

    Each row's value in `column` is scored against all rows of its group (equal in `group_by`) and window (of
    event time, `window` long; None: all rows). Adds `anomaly_score` and `anomaly`, which says whether the score
    is above `threshold`. Methods: `zscore`, `robust_zscore`, `iqr`; see `score.anomalies`. A row without a value
    has a null in both; no row is refused.

    Exact, in any order of rows: they meet by a hash of their group in `shards`, and a worker holds the rows of
    one shard and window at a time (their Arrow bytes, without payload). A stream has to have windows, and
    yields a window's rows when the watermark has passed it. For a score against what came before, in the order
    of arrival, use Beam's own `AnomalyDetection` between `BatchesToRows` and `RowsToBatches`.

    UsageError for columns that aren't there or aren't numbers, and for windowed input.

    >>> sales = pa.schema([("shop", pa.string()), ("amount", pa.float64())])
    >>> with beam.Pipeline("FnApiRunner") as pipeline:
    ...     rows = pa.record_batch({"shop": ["a"] * 4, "amount": [1.0, 2.0, 3.0, 100.0]}, schema=sales)
    ...     marked = pipeline | beam.Create([rows]) | DetectAnomalies(sales, "amount", group_by=["shop"], method="iqr")
    ...     _ = marked | beam.Map(lambda batch: print(batch.column("anomaly").to_pylist()))
    [False, False, False, True]
    """

    def __init__(
        self,
        of: Contract | pa.Schema,
        column: str,
        *,
        group_by: Sequence[str] = (),
        window: timedelta | None = None,
        event_time: str | None = None,
        method: Method = "robust_zscore",
        threshold: float | None = None,
        shards: int = 4,
    ) -> None:
        super().__init__()
        source = as_contract(of)
        self._source = source
        for name in (column, *group_by):
            _check_there(name, source)
        if not (pa.types.is_integer(kind := source.schema.field(column).type) or _is_real(kind)):
            raise UsageError(f"{STAGE} scores numbers; '{column}' is {kind}")
        if method not in METHODS:
            raise UsageError(f"there is no method '{method}' of {', '.join(METHODS)}.{did_you_mean(method, METHODS)}")
        if event_time is None and source.event_time is not None:
            event_time = source.event_time.name
        if window is not None:
            if window <= timedelta():
                raise UsageError(f"a window lasts some time, not {window}")
            if event_time is None:
                raise UsageError("windows are of event time: name its column")
            _check_there(event_time, source)
        if shards < 1:
            raise UsageError(f"rows meet in 1 shard or more, not {shards}")
        self._column, self._group_by, self._window = column, tuple(group_by), window
        self._event_time = event_time
        self._method: Method = method
        self._threshold = THRESHOLDS[method] if threshold is None else threshold
        self._shards = shards
        for name in (SCORE, ANOMALY):
            if name in source.names:
                raise UsageError(f"{STAGE} adds a column '{name}', and rows have one already")

    @property
    def contract(self) -> Contract:
        """What comes out."""
        added = [Field(SCORE, pa.float64()), Field(ANOMALY, pa.bool_())]
        return with_fields(self._source, [*self._source.fields, *added])

    def expand(self, batches: beam.PCollection[pa.RecordBatch]) -> beam.PCollection[pa.RecordBatch]:
        if not isinstance(batches.windowing.windowfn, GlobalWindows):
            raise UsageError(f"{STAGE} makes windows itself: give it rows in the global window")
        if self._window is None and not batches.is_bounded:
            raise UsageError("all rows of a stream are never there: say how long a window is")
        windows: WindowFn = GlobalWindows()
        if self._window is not None:
            windows = FixedWindows(Duration(micros=self._window // _MICROS))
        split = _Split(self._source, self._group_by, self._window, self._event_time, self._shards)
        detect = _Detect(self._column, self._group_by, self._method, self._threshold, self._event_time)
        return (
            batches
            | "ToShards" >> beam.ParDo(split)
            # Rows leave the group at their own times, which the watermark has to be held for.
            | "Windows" >> beam.WindowInto(windows, timestamp_combiner=TimestampCombiner.OUTPUT_AT_EARLIEST)
            | "Group" >> beam.GroupByKey()
            | "Detect" >> beam.ParDo(detect).with_output_types(pa.RecordBatch)
            | "InOneWindow" >> beam.WindowInto(GlobalWindows())
        )


def _is_real(kind: pa.DataType) -> bool:
    return bool(pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _check_there(name: str, source: Contract) -> None:
    if name not in source.names:
        raise UsageError(f"{STAGE}: there is no column '{name}'.{did_you_mean(name, source.names)}")


@beam.typehints.with_output_types(tuple[int, pa.RecordBatch])
class _Split(beam.DoFn):
    """Cuts a batch into pieces of one shard and window, stamped with their rows' earliest time."""

    def __init__(
        self,
        source: Contract,
        group_by: tuple[str, ...],
        window: timedelta | None,
        event_time: str | None,
        shards: int,
    ) -> None:
        self._source = source
        self._group_by = group_by
        self._micros = None if window is None else window // _MICROS
        self._event_time = event_time
        self._shards = shards

    def process(self, batch: pa.RecordBatch) -> Iterator[TimestampedValue]:
        check_columns(batch, self._source, STAGE)
        batch = batch.drop_columns([name for name in ("__payload", "__record") if name in batch.schema.names])
        for shard, piece in by_shard(batch, shard_of(batch, self._group_by, self._shards)):
            for part in self._by_window(piece):
                yield TimestampedValue((shard, part), _time_of(part, self._event_time))

    def _by_window(self, piece: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
        if self._micros is None:
            yield piece
            return
        times = piece.column(self._event_time).cast(_TIME).cast(pa.int64())
        # Rows without a time are judged among themselves, in the window of the beginning of time.
        places = np.floor_divide(times.fill_null(MIN_TIMESTAMP.micros).to_numpy(), self._micros)
        for place in np.unique(places):
            yield piece.filter(pa.array(places == place))


class _Detect(beam.DoFn):
    def __init__(
        self, column: str, group_by: tuple[str, ...], method: Method, threshold: float, event_time: str | None
    ) -> None:
        self._column = column
        self._group_by = group_by
        self._method: Method = method
        self._threshold = threshold
        self._event_time = event_time

    def process(self, shard: tuple[int, Iterable[pa.RecordBatch]]) -> Iterator[TimestampedValue]:
        rows = pa.concat_batches(list(shard[1]))
        scores = anomaly_scores(rows.column(self._column), groups_of(rows, self._group_by), self._method)
        own = [name for name in rows.schema.names if not name.startswith("__")]
        ours = [name for name in rows.schema.names if name.startswith("__")]
        marked = pa.RecordBatch.from_arrays(
            [*map(rows.column, own), scores, pc.greater(scores, self._threshold), *map(rows.column, ours)],
            [*own, SCORE, ANOMALY, *ours],
        )
        for batch in split_to_bounds(marked):
            yield TimestampedValue(batch, _time_of(batch, self._event_time))


def _time_of(batch: pa.RecordBatch, event_time: str | None) -> Timestamp:
    micros = None if event_time is None else earliest_micros(batch.column(event_time).cast(_TIME))
    return MIN_TIMESTAMP if micros is None else Timestamp(micros=micros)
