"""Streams as data: what comes when, and how far the watermark is; and what a pipeline made of them."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.testing.test_stream import TestStream
from apache_beam.transforms.window import TimestampedValue
from apache_beam.utils.timestamp import MIN_TIMESTAMP

from beam_pipelines.aggregate.transform import AggregateBatches
from beam_pipelines.columnar.coder import RecordBatchCoder
from beam_pipelines.columnar.source_watermark import with_source_watermark

SCHEMA = pa.schema(
    [("at", pa.timestamp("us", "UTC")), ("user", pa.string()), ("amount", pa.int64()), ("__position", pa.int64())]
)
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)


def seconds(text: str | float, day: str) -> float:
    """A time as a scenario writes it, `12:00:30` of its day or a date with a time, in seconds since the epoch."""
    whole = str(text) if "T" in str(text) else f"{day}T{text}"
    return (datetime.datetime.fromisoformat(whole).replace(tzinfo=datetime.timezone.utc) - EPOCH).total_seconds()


def batch(rows: list[str], day: str, first: int) -> pa.RecordBatch:
    """Rows are written `time user amount`; they are numbered as they come."""
    columns: list[list[Any]] = [[], [], [], []]
    for position, row in enumerate(rows, first):
        at, user, amount = row.split()
        values = (EPOCH + datetime.timedelta(seconds=seconds(at, day)), user, int(amount), position)
        for column, value in zip(columns, values, strict=True):
            column.append(value)
    return pa.RecordBatch.from_arrays(
        [pa.array(column, field.type) for column, field in zip(columns, SCHEMA, strict=True)], schema=SCHEMA
    )


def batches_of(scenario: dict[str, Any]) -> list[pa.RecordBatch]:
    found: list[pa.RecordBatch] = []
    for event in scenario["stream"]:
        if "rows" in event:
            found.append(batch(event["rows"], scenario["day"], sum(each.num_rows for each in found)))
    return found


def _stream(scenario: dict[str, Any], *, tells: bool) -> beam.PTransform:
    """The scenario's stream; one that `tells` its watermark with each batch is what our sources are."""
    coder, reached = RecordBatchCoder(), MIN_TIMESTAMP.micros
    # As bytes, since runners in other languages take the stream's elements apart.
    stream = TestStream(coder=beam.coders.BytesCoder()).with_output_types(bytes)
    waiting = iter(batches_of(scenario))
    for event in scenario["stream"]:
        if "rows" in event:
            rows = next(waiting)
            earliest = min(rows.column("at").to_pylist()).timestamp()
            told = with_source_watermark(rows, reached) if tells else rows
            stream = stream.add_elements([TimestampedValue(coder.encode(told), earliest)])
        elif "watermark" in event:
            stream = stream.advance_watermark_to(seconds(event["watermark"], scenario["day"]))
            reached = round(seconds(event["watermark"], scenario["day"]) * 1_000_000)
        else:
            stream = stream.advance_processing_time(event["pass_seconds"])
    return stream.advance_watermark_to_infinity()


def run(scenario: dict[str, Any], flags: list[str], folder: Path, *, tells: bool = False) -> dict[str, list[Any]]:
    """Run a scenario; return its panes, late rows and ledger entries."""
    aggregate = AggregateBatches(
        SCHEMA, scenario["aggregate"], group_by=scenario.get("group_by", []), event_time="at", **scenario["how"]
    )
    with beam.Pipeline(options=PipelineOptions([*flags, "--streaming"])) as pipeline:
        encoded = pipeline | _stream(scenario, tells=tells)
        batches = encoded | "Decode" >> beam.Map(RecordBatchCoder().decode).with_output_types(pa.RecordBatch)
        outputs = batches | aggregate
        for name, values in (
            ("panes", outputs.panes | beam.FlatMap(lambda each: each.to_pylist())),
            ("late", outputs.late | "LateRows" >> beam.FlatMap(lambda each: each.to_pylist())),
            ("ledger", outputs.ledger),
        ):
            values | f"Keep({name})" >> beam.ParDo(_Keep(str(folder / name)))
    return {
        name: [json.loads(line) for line in Path(folder / name).read_text().splitlines()]
        if (folder / name).exists()
        else []
        for name in ("panes", "late", "ledger")
    }


class _Keep(beam.DoFn):
    """Append to a file: workers of the runners these tests use are on this machine."""

    def __init__(self, path: str) -> None:
        self._path = path

    def process(self, value: Any) -> Iterator[None]:
        with Path(self._path).open("a") as file:
            file.write(json.dumps(value, default=str) + "\n")
        return iter(())
