"""The same events as typed columns, in CSV, Avro and Parquet: those that a type can hold, so some of the bad ones."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import fastavro
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from benchmarks.events import data
from benchmarks.events.rules import event_time
from scripts import cache

SCHEMA = pa.schema(
    [
        pa.field("id", pa.string()),
        pa.field("at", pa.timestamp("us", "UTC")),
        *(pa.field(name, pa.string()) for name in ("user", "country", "kind")),
        pa.field("cents", pa.int64()),
        pa.field("email", pa.string()),
    ]
)
_AVRO = {
    "type": "record",
    "name": "event",
    "fields": [
        {"name": field.name, "type": ["null", {"type": "long", "logicalType": "timestamp-micros"}]}
        if field.name == "at"
        else {"name": field.name, "type": ["null", "long" if field.name == "cents" else "string"]}
        for field in SCHEMA
    ],
}


def file(rows: int, format: str) -> Path:
    """A file made of so many lines of events, unless it is there."""
    path = cache.folder("benchmarks") / f"typed-{rows}.{format}"
    if not path.exists():
        unfinished = path.with_suffix(f".{os.getpid()}")
        _WRITERS[format](unfinished, _batches(rows))
        unfinished.rename(path)
    return path


def _batches(rows: int) -> Iterator[pa.RecordBatch]:
    for block in data.lines(rows):
        events = [event for line in block.splitlines() if (event := _typed(line))]
        yield pa.RecordBatch.from_pylist(events, SCHEMA)


def _typed(line: str) -> dict[str, object] | None:
    try:
        event = json.loads(line)
    except ValueError:
        return None
    if not isinstance(event, dict) or not isinstance(event["cents"], int):
        return None
    event["at"] = event_time(event["at"])
    return None if event["at"] is None else event


def _parquet(path: Path, batches: Iterator[pa.RecordBatch]) -> None:
    table = pa.Table.from_batches(batches)
    pq.write_table(table, path, compression="zstd", row_group_size=250_000)


def _csv(path: Path, batches: Iterator[pa.RecordBatch]) -> None:
    time = SCHEMA.get_field_index("at")
    with path.open("wb") as file:
        for number, batch in enumerate(batches):
            text = pa.compute.strftime(batch.column(time), "%Y-%m-%dT%H:%M:%SZ")
            shown = batch.set_column(time, "at", text)
            pa.csv.write_csv(shown, file, pa.csv.WriteOptions(include_header=number == 0, quoting_style="needed"))


def _avro(path: Path, batches: Iterator[pa.RecordBatch]) -> None:
    with path.open("wb") as file:
        rows = (row for batch in batches for row in batch.to_pylist())
        fastavro.writer(file, fastavro.parse_schema(_AVRO), rows, codec="deflate")


_WRITERS: dict[str, Callable[[Path, Iterator[pa.RecordBatch]], None]] = {
    "csv": _csv,
    "avro": _avro,
    "parquet": _parquet,
}
