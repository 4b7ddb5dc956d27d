"""Every function's state lives in a stream's triggers and state as it does in files."""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.testing import test_stream
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms.window import TimestampedValue

from beam_pipelines.aggregate.functions import FUNCTIONS
from beam_pipelines.aggregate.kernels import aggregate
from beam_pipelines.aggregate.transform import AggregateBatches
from beam_pipelines.columnar.coder import RecordBatchCoder

SCHEMA = pa.schema([("k", pa.string()), ("x", pa.float64()), ("b", pa.bool_()), ("at", pa.timestamp("us", "UTC"))])
START = dt.datetime(2024, 3, 30, 20, tzinfo=dt.UTC)
ARGUMENTS = {
    "corr": "x, x + 1", "covar_samp": "x, 2 * x", "covar_pop": "x, x", "min_by": "k, x", "max_by": "k, x",
    "count_if": "b", "bool_and": "b", "bool_or": "b", "quantile_cont": "x, 0.9", "quantile_disc": "k, 0.5",
    "approx_quantile": "x, 0.5", "top_k": "k, 1", "approx_top_k": "k, 1", "funnel": "'1h', b, not b",
}  # fmt: skip
TEXT = ", ".join(f"{name}({ARGUMENTS.get(name, 'x')}) as {name}" for name in FUNCTIONS)
WINDOWS = ("session:20m", "calendar:day@Europe/Berlin")  # by Beam's windows, and by state and timers


@dataclasses.dataclass(frozen=True)
class Part:
    """Rows that come together, and how far the watermark is afterwards, in minutes."""

    minutes: tuple[int, ...]
    watermark: int


# Rows of one window on both sides of a watermark that does not close it, the day changing in Berlin, and all
# windows closed before the stream ends: what BundleBasedDirectRunner's timers fire at the end comes in a second pane.
PARTS = (Part((0, 7, 31, 35), 10), Part((20, 33, 58), 55), Part((90, 230, 260, 245), 240), Part((300, 301, 262), 2000))


def batch(part: Part) -> pa.RecordBatch:
    rows = [
        {"k": "ab"[minute % 2], "x": None if minute % 7 == 0 else minute / 10, "b": minute % 3 == 0,
         "at": START + dt.timedelta(minutes=minute)}
        for minute in part.minutes
    ]  # fmt: skip
    return pa.RecordBatch.from_pylist(rows, SCHEMA)


@pytest.mark.parametrize("window", WINDOWS)
def test_on_time_panes_of_a_stream_are_the_aggregates_of_its_rows(window: str) -> None:
    options: dict[str, Any] = {"group_by": ["k"], "window": window, "event_time": "at"}
    stream = test_stream.TestStream(coder=RecordBatchCoder())
    for part in PARTS:
        made = batch(part)
        stream = stream.add_elements([TimestampedValue(made, min(made["at"].to_pylist()).timestamp())])
        stream = stream.advance_watermark_to((START + dt.timedelta(minutes=part.watermark)).timestamp())
    wanted = [repr(row) for row in aggregate(pa.Table.from_batches([batch(part) for part in PARTS]), TEXT, **options)
              .to_pylist()]  # fmt: skip
    flags = PipelineOptions(["--runner=BundleBasedDirectRunner", "--streaming"])
    with beam.Pipeline(options=flags) as pipeline:
        panes, late, _ = pipeline | stream.advance_watermark_to_infinity() | AggregateBatches(SCHEMA, TEXT, **options)
        found = panes | beam.FlatMap(
            lambda each: [repr(row) for row in each.drop_columns(["__pane_index", "__pane_timing"]).to_pylist()]
        )
        assert_that(found, equal_to(wanted))
        assert_that(late, equal_to([]), "late")
