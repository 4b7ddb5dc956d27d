"""W1 in Beam with what a tuner would do and still have rows.

msgspec decodes and checks types in one step; only what is aggregated goes to the combiner, keyed by its minute instead
of a window, so that one dictionary of the lifted combiner holds all minutes; nothing carries a timestamp.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any

import apache_beam as beam

from benchmarks.events.rules import hashed
from benchmarks.w1.beam_idiomatic import Amounts
from benchmarks.w1.decoding import decode, reason
from benchmarks.w1.schemas import AGGREGATES, LETTERS, ROWS


class Judge(beam.DoFn):
    """A line to a clean row and what is aggregated of it, or to a dead letter."""

    def process(self, line: str) -> Iterator[Any]:
        try:
            event = decode(line)
        except ValueError:
            yield beam.pvalue.TaggedOutput("refused", {"payload": line, "field": reason(line)})
            return
        yield {
            "id": event.id,
            "user": event.user,
            "country": event.country,
            "kind": event.kind,
            "cents": event.cents,
            "at": event.at,
            "email": hashed(event.email),
        }
        minute = int(event.at.timestamp()) // 60
        yield beam.pvalue.TaggedOutput("amounts", ((minute, event.country, event.kind), event.cents))


def as_written(keyed: Any) -> dict[str, Any]:
    """An aggregate."""
    (minute, country, kind), (events, total, largest) = keyed
    start = datetime.fromtimestamp(minute * 60, timezone.utc)
    told = {"window_start": start, "country": country, "kind": kind}
    return {**told, "events": events, "total": total, "largest": largest}


def run(source: str, output: str) -> None:
    """Run it on FnApiRunner, as ours does."""
    with beam.Pipeline("FnApiRunner") as pipeline:
        judged = (
            pipeline
            | beam.io.ReadFromText(source)
            | beam.ParDo(Judge()).with_outputs("refused", "amounts", main="rows")
        )
        write = {"codec": "zstd", "file_name_suffix": ".parquet"}
        _ = judged.rows | "WriteRows" >> beam.io.WriteToParquet(f"{output}/rows/part", ROWS, **write)
        _ = judged.refused | "WriteRefused" >> beam.io.WriteToParquet(f"{output}/dead_letters/part", LETTERS, **write)
        _ = (
            judged.amounts
            | beam.CombinePerKey(Amounts())
            | beam.Map(as_written)
            | "WriteAggregates" >> beam.io.WriteToParquet(f"{output}/aggregates/part", AGGREGATES, **write)
        )


if __name__ == "__main__":
    from benchmarks.w1 import beam_tuned  # functions of __main__ are pickled with all they use, a decoder can't be

    beam_tuned.run(sys.argv[1], sys.argv[2])
