"""Rows written again and summed by key, in Polars."""

from __future__ import annotations

import sys
from pathlib import Path

import polars as pl

if __name__ == "__main__":
    source, output = sys.argv[1:]
    for folder in ("rows", "aggregates"):
        Path(output, folder).mkdir(parents=True)
    rows = pl.scan_parquet(source)
    sums = rows.group_by("k").agg(pl.len().cast(pl.Int64).alias("events"), pl.col("cents").sum().alias("total"))
    plans = {"rows": rows, "aggregates": sums}
    pl.collect_all(
        [
            plan.sink_parquet(f"{output}/{folder}/part.parquet", compression="zstd", lazy=True)
            for folder, plan in plans.items()
        ],
        engine="streaming",
    )
