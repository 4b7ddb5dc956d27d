"""W1 as Beam's documentation would write it: a row an element, a DoFn with tagged outputs, CombinePerKey."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

import apache_beam as beam
from apache_beam.transforms.window import FixedWindows, TimestampedValue

from benchmarks.events.rules import broken_field, cleaned
from benchmarks.w1.schemas import AGGREGATES, LETTERS, ROWS


class Parse(beam.DoFn):
    """A line to a clean row, or to a dead letter."""

    def process(self, line: str) -> Iterator[Any]:
        try:
            event = json.loads(line)
        except ValueError:
            event = None
        field = broken_field(event)
        if field is not None:
            yield beam.pvalue.TaggedOutput("refused", {"payload": line, "field": field})
            return
        row = cleaned(event)
        yield TimestampedValue(row, row["at"].timestamp())


class Amounts(beam.CombineFn):
    """Count, sum and largest."""

    def create_accumulator(self) -> tuple[int, int, int]:
        return 0, 0, 0

    def add_input(self, sums: tuple[int, int, int], cents: int) -> tuple[int, int, int]:
        return sums[0] + 1, sums[1] + cents, max(sums[2], cents)

    def merge_accumulators(self, many: Any) -> tuple[int, int, int]:
        counts, totals, largest = zip(*many, strict=True)
        return sum(counts), sum(totals), max(largest)

    def extract_output(self, sums: tuple[int, int, int]) -> tuple[int, int, int]:
        return sums


def with_window(keyed: Any, window: Any = beam.DoFn.WindowParam) -> dict[str, Any]:
    """An aggregate as it is written."""
    (country, kind), (events, total, largest) = keyed
    start = window.start.to_utc_datetime(has_tz=True)
    told = {"window_start": start, "country": country, "kind": kind}
    return {**told, "events": events, "total": total, "largest": largest}


def run(source: str, output: str) -> None:
    """Run it on FnApiRunner, as ours does."""
    with beam.Pipeline("FnApiRunner") as pipeline:
        parsed = pipeline | beam.io.ReadFromText(source) | beam.ParDo(Parse()).with_outputs("refused", main="rows")
        write = {"codec": "zstd", "file_name_suffix": ".parquet"}
        _ = parsed.rows | "WriteRows" >> beam.io.WriteToParquet(f"{output}/rows/part", ROWS, **write)
        _ = parsed.refused | "WriteRefused" >> beam.io.WriteToParquet(f"{output}/dead_letters/part", LETTERS, **write)
        _ = (
            parsed.rows
            | "Minutes" >> beam.WindowInto(FixedWindows(60))
            | beam.Map(lambda row: ((row["country"], row["kind"]), row["cents"]))
            | beam.CombinePerKey(Amounts())
            | beam.Map(with_window)
            | "Global" >> beam.WindowInto(beam.window.GlobalWindows())
            | "WriteAggregates" >> beam.io.WriteToParquet(f"{output}/aggregates/part", AGGREGATES, **write)
        )


if __name__ == "__main__":
    run(sys.argv[1], sys.argv[2])
