"""Rows that a pipeline makes itself, and what becomes of them; the same for both sides."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa

from scripts import cache

_BLOCK = 1_000
_EVERY = 100  # one of so many rows is bad
TOTALS = pa.schema([("rows", pa.int64()), ("cents", pa.int64())])


def source(rows: int) -> Path:
    """A file that says how many rows there are."""
    path = cache.folder("benchmarks") / f"count-{rows}"
    path.write_text(str(rows))
    return path


def block(first: int) -> Iterator[dict[str, Any]]:
    """Rows from a number on."""
    for number in range(first, first + _BLOCK):
        cents = -1 if number % _EVERY == 0 else number % 1_000
        yield {"id": number, "user": f"u{number % 5_000}", "country": ("AT", "DE", "FR")[number % 3], "cents": cents}


def run(change: Callable[[beam.PCollection], beam.PCollection]) -> None:
    """Make rows, change them, and write how many there were and what they add up to."""
    rows, output = int(Path(sys.argv[1]).read_text()), sys.argv[2]
    with beam.Pipeline("FnApiRunner") as pipeline:
        made = pipeline | beam.Create(range(0, rows, _BLOCK)) | "Rows" >> beam.FlatMap(block)
        _ = (
            change(made)
            | beam.Map(lambda row: (1, row["cents"]))
            | beam.CombineGlobally(beam.combiners.TupleCombineFn(sum, sum))
            | "Totals" >> beam.Map(lambda sums: {"rows": sums[0], "cents": sums[1]})
            | beam.io.WriteToParquet(f"{output}/totals/part", TOTALS, file_name_suffix=".parquet")
        )
