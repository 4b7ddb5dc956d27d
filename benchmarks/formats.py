"""What each file format costs to read and to write: `python -m benchmarks.formats [ROWS]`.

The same made-up events in each format, written by the lake's writer and read to validated columns, in one
process, without Beam; CPU time of the process, best of two.
"""

from __future__ import annotations

import bz2
import datetime
import gzip
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa

from beam_pipelines.columnar.provenance import FAILURES
from beam_pipelines.contract.model import Contract, Field
from beam_pipelines.decode import FixedWidthLayout, decode
from beam_pipelines.ingest.content import ReadOptions, read_content
from beam_pipelines.sink.encoding import Codec, Encoding, Format
from beam_pipelines.sink.folder_writer import FolderLayout, FolderWriter, temporary_prefix

EVENTS = Contract(
    "events",
    (
        Field("id", pa.int64()),
        Field("at", pa.timestamp("us", "UTC")),
        Field("user", pa.string()),
        Field("page", pa.string()),
        Field("price", pa.decimal128(10, 2)),
        Field("weight", pa.float64()),
        Field("flag", pa.bool_()),
        Field("quantity", pa.int32()),
    ),
)
LAYOUT = FixedWidthLayout.parse(
    "id:1-12,at:13-39,user:40-51,page:52-67,price:68-79,weight:80-104,flag:105-109,quantity:110-113"
)
BATCH = 16_384


def events(rows: int) -> list[pa.RecordBatch]:
    """Made-up events."""
    chance = np.random.default_rng(7)
    start = datetime.datetime(2024, 1, 1, tzinfo=datetime.timezone.utc)
    columns = [
        pa.array(np.arange(rows)),
        pa.array(int(start.timestamp() * 1e6) + chance.integers(0, 10**12, rows)).cast(pa.timestamp("us", "UTC")),
        pa.array([f"user{n}" for n in chance.integers(0, 50_000, rows)]),
        pa.array([f"/page/{n}" for n in chance.integers(0, 900, rows)]),
        pa.array(chance.integers(0, 99_999, rows)).cast(pa.decimal128(38, 2)).cast(pa.decimal128(10, 2)),
        pa.array(chance.random(rows)),
        pa.array(chance.random(rows) < 0.5),
        pa.array(chance.integers(1, 9, rows), pa.int32()),
    ]
    return pa.Table.from_arrays(columns, schema=EVENTS.schema).combine_chunks().to_batches(BATCH)


def write(folder: Path, batches: list[pa.RecordBatch], encoding: Encoding) -> Path:
    """Write a file; returns where it is."""
    writer = FolderWriter(FolderLayout(str(folder), "run-1", "rows", EVENTS.schema, encoding=encoding))
    for batch in batches:
        writer.write(batch)
    (file,) = writer.close()
    return Path(f"{temporary_prefix(str(folder), 'run-1')}/{file.path}")


def read(path: Path, format: str) -> int:
    """Read a file to columns of the contract; returns the number of rows."""
    rows = 0
    with path.open("rb") as file:
        for batch in read_content(file, str(path), ReadOptions(format=format)):
            decoded = decode(batch, EVENTS, layout=LAYOUT)
            assert FAILURES not in decoded.schema.names, decoded.column(FAILURES).drop_null()[0]
            rows += decoded.num_rows
    return rows


def seconds(work: Callable[[], object], times: int = 2) -> float:
    """CPU seconds of the fastest of several runs."""
    taken = []
    for _ in range(times):
        start = time.process_time()
        work()
        taken.append(time.process_time() - start)
    return min(taken)


def others(folder: Path, lines: Path) -> dict[str, tuple[Path, str]]:
    """Files that we read and don't write, made of the JSON Lines."""
    content = lines.read_bytes()
    made = {
        "jsonl, gzip": (gzip.compress(content, 6), "jsonl"),
        "jsonl, bzip2": (bz2.compress(content), "jsonl"),
        "json (array)": (b"[" + content.strip().replace(b"\n", b",\n") + b"]", "json"),
    }
    xml, fixed = [b"<events>"], []
    for line in content.splitlines():
        row = {
            name: str(value).lower() if isinstance(value, bool) else str(value)
            for name, value in json.loads(line, parse_float=str).items()
        }
        xml.append(
            ("<event>" + "".join(f"<{name}>{value}</{name}>" for name, value in row.items()) + "</event>\n").encode()
        )
        widths = zip(row.values(), LAYOUT.columns, strict=True)
        fixed.append("".join(f"{value:<{last - first + 1}}" for value, (_, first, last) in widths).encode() + b"\n")
    made["xml"] = (b"".join([*xml, b"</events>"]), "xml")
    made["fixed width"] = (b"".join(fixed), "fixed")
    paths = {}
    for number, (name, (data, format)) in enumerate(made.items()):
        path = folder / f"other{number}"
        path.write_bytes(data)
        paths[name] = path, format
    return paths


def main() -> None:
    """Print the table."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 300_000
    batches = events(rows)
    written: tuple[tuple[Format, Codec], ...] = (
        *(("parquet", "zstd"), ("orc", "zstd"), ("avro", "gzip"), ("avro", "none")),
        *(("jsonl", "none"), ("csv", "none")),
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        print("| format | MB | read ns/row | read MB/s | write ns/row |\n| --- | --: | --: | --: | --: |")
        paths: dict[str, tuple[Path, str]] = {}
        costs: dict[str, float] = {}
        for format, codec in written:
            label = f"{format}, {codec}" if codec != "none" or format == "avro" else format
            place = folder / label
            place.mkdir()
            path = write(place, batches, Encoding(format, codec))
            costs[label] = seconds(lambda: write(place, batches, Encoding(format, codec)))  # noqa: B023  called at once
            paths[label] = path, format
        paths |= others(folder, paths["jsonl"][0])
        for label, (path, format) in paths.items():
            assert read(path, format) == rows
            taken = seconds(lambda: read(path, format))  # noqa: B023  called at once
            size = path.stat().st_size / 1e6
            cost = f"{costs[label] / rows * 1e9:,.0f}" if label in costs else ""
            print(f"| {label} | {size:.1f} | {taken / rows * 1e9:,.0f} | {size / taken:,.0f} | {cost} |")


if __name__ == "__main__":
    main()
