"""Beam's own query, unchanged, in batch: `SOURCE OUTPUT QUERY RUNNER`.

Read, parsed and timed as Beam's launcher does with a file, without its counters; the launcher itself writes nothing.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.testing.benchmarks.nexmark import nexmark_util
from apache_beam.testing.benchmarks.nexmark.models.nexmark_model import construct_json_dict
from apache_beam.transforms.window import GlobalWindows, TimestampedValue

from benchmarks.w6.schemas import WRITTEN
from scripts import prism

QUERY_ARGUMENTS = {  # as the launcher has them
    "auction_skip": 123,
    "window_size_sec": 10,
    "window_period_sec": 5,
    "fanout": 5,
    "num_max_workers": 5,
    "max_log_events": 100_000,
    "occasional_delay_sec": 3,
    "max_auction_waiting_time": 600,
}


def as_row(result: Any, columns: list[str]) -> dict[str, Any]:
    """What a query yields, a dict or one of Beam's models, as a row that is written."""
    row = result if isinstance(result, dict) else construct_json_dict(result)
    if "bid" in row:  # an AuctionBid
        row = row["auction"] | {f"bid_{name}": value for name, value in row["bid"].items()}
    return {name: row.get(name) for name in columns}


def run(source: str, output: str, number: int, runner: str) -> None:
    """Run a query."""
    query = importlib.import_module(f"apache_beam.testing.benchmarks.nexmark.queries.query{number}")
    flags = [f"--runner={runner}", "--allow_unsafe_triggers"]
    if runner == "PrismRunner":
        flags.append(f"--prism_location={prism.binary()}")
    options = PipelineOptions(flags)
    schema = WRITTEN[number]
    nexmark_util.setup_coder()
    with beam.Pipeline(options=options) as pipeline:
        events = (
            pipeline
            | beam.io.ReadFromText(source)
            | beam.ParDo(nexmark_util.ParseJsonEventFn())
            | beam.Map(lambda event: TimestampedValue(event, event.date_time))
        )
        results = query.load(events, QUERY_ARGUMENTS, options)
        _ = (
            results
            | "Global" >> beam.WindowInto(GlobalWindows())
            | "Row" >> beam.Map(as_row, schema.names)
            | beam.io.WriteToParquet(f"{output}/results/part", schema, codec="zstd", file_name_suffix=".parquet")
        )


if __name__ == "__main__":
    run(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4])
