"""W3 in Polars. Rows that break a rule are left out, as on the other sides."""

from __future__ import annotations

import polars as pl

from benchmarks.events.data import COUNTRIES, KINDS


def plans(source: str) -> dict[str, pl.LazyFrame]:
    """One for each folder."""
    good = pl.scan_parquet(source).filter(
        pl.col("id").str.contains("^e[0-9]+$"),
        pl.col("user") != "",
        pl.col("country").is_in(COUNTRIES),
        pl.col("kind").is_in(KINDS),
        pl.col("cents") >= 1,
    )
    cents = pl.col("cents")
    measured = good.group_by("country", "kind").agg(
        pl.col("user").n_unique().cast(pl.Int64).alias("users"),
        cents.quantile(0.5, "equiprobable").cast(pl.Int64).alias("middle"),
        cents.quantile(0.99, "equiprobable").cast(pl.Int64).alias("top"),
    )
    return {"aggregates": measured}
