"""W1 in bytewax: an item is a line, msgspec decodes and checks it, windows are folded, Arrow writes Parquet."""

from __future__ import annotations

import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import bytewax.operators as op
import pyarrow as pa
import pyarrow.parquet as pq
from bytewax.connectors.files import FileSource
from bytewax.dataflow import Dataflow
from bytewax.operators import windowing
from bytewax.outputs import DynamicSink, StatelessSinkPartition
from bytewax.testing import run_main

from benchmarks.events.rules import hashed
from benchmarks.w1.decoding import decode, reason
from benchmarks.w1.schemas import AGGREGATES, LETTERS, ROWS

_ROW_GROUP = 50_000
_ALIGNED_TO = datetime(2026, 1, 1, tzinfo=timezone.utc)
_MINUTE = timedelta(minutes=1)


class _Writing(StatelessSinkPartition[dict[str, Any]]):
    def __init__(self, path: Path, schema: pa.Schema) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._schema, self._rows = schema, list[dict[str, Any]]()
        self._file = pq.ParquetWriter(path, schema, compression="zstd")

    def write_batch(self, items: list[dict[str, Any]]) -> None:
        self._rows += items
        if len(self._rows) >= _ROW_GROUP:
            self._flush()

    def _flush(self) -> None:
        self._file.write_table(pa.Table.from_pylist(self._rows, self._schema))
        self._rows.clear()

    def close(self) -> None:
        self._flush()
        self._file.close()


class ParquetSink(DynamicSink[dict[str, Any]]):
    """A file of each worker."""

    def __init__(self, folder: Path, schema: pa.Schema) -> None:
        self._folder, self._schema = folder, schema

    def build(self, step_id: str, worker_index: int, worker_count: int) -> _Writing:  # noqa: ARG002  as it calls it
        return _Writing(self._folder / f"part-{worker_index}.parquet", self._schema)


def judged(line: str) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    """A clean row, or a dead letter."""
    try:
        event = decode(line)
    except ValueError:
        return None, {"payload": line, "field": reason(line)}
    row = {
        "id": event.id,
        "user": event.user,
        "country": event.country,
        "kind": event.kind,
        "cents": event.cents,
        "at": event.at,
        "email": hashed(event.email),
    }
    return row, None


def folded(sums: tuple[int, int, int], row: dict[str, Any]) -> tuple[int, int, int]:
    """Count, sum and largest with one more."""
    cents = row["cents"]
    return sums[0] + 1, sums[1] + cents, max(sums[2], cents)


def joined(one: tuple[int, int, int], other: tuple[int, int, int]) -> tuple[int, int, int]:
    """Count, sum and largest of both."""
    return one[0] + other[0], one[1] + other[1], max(one[2], other[2])


def as_written(keyed: tuple[str, tuple[int, tuple[int, int, int]]]) -> dict[str, Any]:
    """An aggregate; windows are numbered from what they are aligned to."""
    key, (number, (events, total, largest)) = keyed
    country, kind = key.split(" ")
    told = {"window_start": _ALIGNED_TO + number * _MINUTE, "country": country, "kind": kind}
    return {**told, "events": events, "total": total, "largest": largest}


def flow(source: str, output: Path) -> Dataflow:
    """The dataflow. Events come up to 5 s out of order."""
    whole = Dataflow("w1")
    lines = op.input("lines", whole, FileSource(source, batch_size=1000))
    both = op.map("judge", lines, judged)
    rows = op.filter_map("rows", both, lambda pair: pair[0])
    op.output("write_rows", rows, ParquetSink(output / "rows", ROWS))
    letters = op.filter_map("letters", both, lambda pair: pair[1])
    op.output("write_letters", letters, ParquetSink(output / "dead_letters", LETTERS))
    keyed = op.key_on("key", rows, lambda row: f"{row['country']} {row['kind']}")
    clock = windowing.EventClock(lambda row: row["at"], wait_for_system_duration=timedelta(seconds=10))
    windower = windowing.TumblingWindower(length=_MINUTE, align_to=_ALIGNED_TO)
    windows = windowing.fold_window("minutes", keyed, clock, windower, lambda: (0, 0, 0), folded, joined, ordered=False)
    aggregates = op.map("aggregates", windows.down, as_written)
    op.output("write_aggregates", aggregates, ParquetSink(output / "aggregates", AGGREGATES))
    return whole


if __name__ == "__main__":
    run_main(flow(sys.argv[1], Path(sys.argv[2])))
