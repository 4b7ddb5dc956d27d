"""JSON Lines of many columns to Parquet, in Polars; all rows are good, so its JSON reader does."""

from __future__ import annotations

import sys
from pathlib import Path

import polars as pl

if __name__ == "__main__":
    source, output = sys.argv[1:]
    Path(output, "rows").mkdir(parents=True)
    rows = pl.scan_ndjson(f"{source}/rows.jsonl")
    rows.sink_parquet(f"{output}/rows/part.parquet", compression="zstd", engine="streaming")
