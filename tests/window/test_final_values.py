"""Aggregates of every kind of window are those of a plain Beam pipeline, and each row is counted once."""

from __future__ import annotations

import itertools
import random

import apache_beam as beam
import pyarrow as pa
import pytest
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms.window import TimestampedValue

from beam_pipelines.aggregate.kernels import aggregate
from beam_pipelines.aggregate.transform import AggregateBatches
from tests.window import rowwise

WINDOWS = ("none", "fixed:10m", "sliding:1h/5m", "sliding:17m/7m", "session:2m", "calendar:day@Europe/Berlin")
ROWS = 150


def _results(batch: pa.RecordBatch) -> list[rowwise.Result]:
    return [tuple(row.values()) for row in batch.drop_columns(["__rows"]).to_pylist()]


@pytest.mark.parametrize("seed", [1, 2])
def test_final_values_are_those_of_a_plain_beam_pipeline(seed: int) -> None:
    rows = rowwise.random_rows(seed, ROWS, hours=4)
    cuts = [0, *sorted(random.Random(seed).sample(range(ROWS), 7)), ROWS]
    parts = [rows[start:end] for start, end in itertools.pairwise(cuts)]
    with beam.Pipeline(runner="FnApiRunner") as pipeline:
        batches = (
            pipeline
            | beam.Create(parts)
            | beam.Map(lambda rows: TimestampedValue(rowwise.to_batch(rows), min(row[0] for row in rows).timestamp()))
            | beam.Reshuffle()
        )
        for window in WINDOWS:
            ours = batches | f"Ours({window})" >> AggregateBatches(
                rowwise.SCHEMA, rowwise.AGGREGATES, group_by=["user"], window=window, event_time="at", shards=2
            )
            plain = pipeline | f"Plain({window})" >> beam.ptransform_fn(rowwise.aggregate)(rows, window)
            found = ours.panes | f"Rows({window})" >> beam.FlatMap(_results)
            found = found | f"Plus({window})" >> beam.Map(lambda row: (" ".join(map(str, row)), 1))
            plain = plain | f"Minus({window})" >> beam.Map(lambda row: (" ".join(map(str, row)), -1))
            both = (
                (found, plain)
                | f"Both({window})" >> beam.Flatten()
                | f"Compare({window})" >> beam.CombinePerKey(sum)
                | f"Different({window})" >> beam.Filter(lambda counted: counted[1] != 0)
            )
            assert_that(both, equal_to([]), f"Same({window})")
            counted = (
                ours.panes
                | f"Counted({window})" >> beam.Map(lambda batch: sum(batch.column("__rows").to_pylist()))
                | f"Sum({window})" >> beam.CombineGlobally(sum)
            )
            assert_that(counted, equal_to([ROWS]), f"CountedOnce({window})")


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("group_by", [[], ["user"]])
def test_the_kernel_finds_the_same_whatever_batches_rows_come_in(window: str, group_by: list[str]) -> None:
    rows = rowwise.random_rows(3, 300)
    told = {"group_by": group_by, "window": window, "event_time": "at"}
    whole = aggregate(rowwise.to_batch(rows), rowwise.AGGREGATES, **told)
    cut = pa.Table.from_batches([rowwise.to_batch(rows[start : start + 7]) for start in range(0, 300, 7)])
    pieces = aggregate(cut, rowwise.AGGREGATES, **told)
    order = [(name, "ascending") for name in ("window_start", *group_by)]
    assert whole.num_rows >= 1
    assert pieces.sort_by(order).equals(whole.sort_by(order))
    assert sum(whole.column("__rows").to_pylist()) == 300


@pytest.mark.parametrize("window", WINDOWS)
def test_no_rows_have_no_windows(window: str) -> None:
    assert aggregate(rowwise.to_batch([]), "count(*) as n", window=window, event_time="at").num_rows == 0
