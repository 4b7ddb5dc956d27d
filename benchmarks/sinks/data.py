"""Orders, made up from a seed, and what of them a store is asked afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from scripts import cache

SCHEMA = pa.schema(
    [
        pa.field("id", pa.int64(), nullable=False),
        ("country", pa.string()),
        ("quantity", pa.int32()),
        ("price", pa.float64()),
        ("amount", pa.decimal128(12, 2)),
        ("placed_at", pa.timestamp("us", "UTC")),
        ("note", pa.string()),
    ]
)
GROUP_ROWS = 100_000
"""Rows of a row group, which is what a bundle reads."""

BATCH_ROWS = 16_384
_START = 1_704_067_200_000_000  # 2024-01-01, in microseconds


def source(rows: int) -> Path:
    """A Parquet file of so many orders."""
    path = cache.folder("benchmarks") / f"sink-orders-{rows}.parquet"
    if not path.exists():
        random = np.random.default_rng(7)
        unfinished = path.with_suffix(".part")
        with pq.ParquetWriter(unfinished, SCHEMA) as writer:
            for first in range(0, rows, GROUP_ROWS):
                writer.write_batch(_group(random, first, min(GROUP_ROWS, rows - first)))
        unfinished.rename(path)
    return path


def batches(path: str, group: int) -> Iterator[pa.RecordBatch]:
    """The orders of a row group."""
    with pq.ParquetFile(path) as file:
        yield from file.iter_batches(BATCH_ROWS, [group])


def groups(path: str) -> list[int]:
    """The row groups of a file."""
    return list(range(pq.read_metadata(path).num_row_groups))


def totals(table: pa.Table) -> tuple[int, int, int]:
    """How many orders, the sum of their ids, and the sum of amounts in cents."""
    cents = pc.sum(table.column("amount")).as_py()
    return table.num_rows, pc.sum(table.column("id")).as_py(), int(cents * 100)


def _group(random: np.random.Generator, first: int, rows: int) -> pa.RecordBatch:
    cents = pa.array(random.integers(1, 1_000_000, rows)).cast(pa.decimal128(19, 0))
    hundredth = pa.array(["0.01"], pa.string()).cast(pa.decimal128(3, 2))[0]
    notes = pa.array([f"{number:016x} left with the neighbour" for number in random.integers(0, 1 << 62, rows)])
    columns = [
        pa.array(range(first, first + rows), pa.int64()),
        pa.array(["DE", "FR", "IT", "ES"]).take(pa.array(random.integers(0, 4, rows))),
        pa.array(random.integers(1, 100, rows), pa.int32()),
        pa.array(random.random(rows) * 100),
        pc.multiply(cents, hundredth).cast(pa.decimal128(12, 2)),
        pa.array(_START + np.sort(random.integers(0, 86_400_000_000, rows)), pa.timestamp("us", "UTC")),
        notes,
    ]
    return pa.RecordBatch.from_arrays(columns, schema=SCHEMA)
