"""W2 as Beam's documentation would write it: a row an element, from Beam's own readers."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator
from typing import Any

import apache_beam as beam
from apache_beam.transforms.window import FixedWindows, TimestampedValue

from benchmarks.events.rules import broken_field, event_time, hashed
from benchmarks.w1.beam_idiomatic import Amounts, with_window
from benchmarks.w1.schemas import AGGREGATES, LETTERS, ROWS

_NAMES = ("id", "at", "user", "country", "kind", "cents", "email")


def of_line(line: str) -> dict[str, Any]:
    """A line of CSV: an empty cell without quotes can't be told from an empty text by the csv module, so it is null."""
    row: dict[str, Any] = dict(zip(_NAMES, (cell or None for cell in next(csv.reader([line]))), strict=True))
    row["cents"] = None if row["cents"] is None else int(row["cents"])
    row["at"] = event_time(row["at"])
    return row


class Judge(beam.DoFn):
    """A row to a clean one, or to a dead letter."""

    def process(self, row: dict[str, Any]) -> Iterator[Any]:
        time = row["at"]
        field = broken_field({**row, "at": time.isoformat()})
        if field is not None:
            payload = json.dumps({**row, "at": time.isoformat()})
            yield beam.pvalue.TaggedOutput("refused", {"payload": payload, "field": field})
            return
        yield TimestampedValue({**row, "email": hashed(row["email"])}, time.timestamp())


def run(source: str, output: str) -> None:
    """Run it on FnApiRunner, as ours does."""
    with beam.Pipeline("FnApiRunner") as pipeline:
        if source.endswith("csv"):
            rows = pipeline | beam.io.ReadFromText(source, skip_header_lines=1) | beam.Map(of_line)
        else:
            read = beam.io.ReadFromAvro if source.endswith("avro") else beam.io.ReadFromParquet
            rows = pipeline | read(source)
        judged = rows | beam.ParDo(Judge()).with_outputs("refused", main="rows")
        write = {"codec": "zstd", "file_name_suffix": ".parquet"}
        _ = judged.rows | "WriteRows" >> beam.io.WriteToParquet(f"{output}/rows/part", ROWS, **write)
        _ = judged.refused | "WriteRefused" >> beam.io.WriteToParquet(f"{output}/dead_letters/part", LETTERS, **write)
        _ = (
            judged.rows
            | "Minutes" >> beam.WindowInto(FixedWindows(60))
            | beam.Map(lambda row: ((row["country"], row["kind"]), row["cents"]))
            | beam.CombinePerKey(Amounts())
            | beam.Map(with_window)
            | "Global" >> beam.WindowInto(beam.window.GlobalWindows())
            | "WriteAggregates" >> beam.io.WriteToParquet(f"{output}/aggregates/part", AGGREGATES, **write)
        )


if __name__ == "__main__":
    run(sys.argv[1], sys.argv[2])
