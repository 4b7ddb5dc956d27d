"""W2 in Polars, lazily; Avro by its reader, which is not lazy."""

from __future__ import annotations

import sys
from pathlib import Path

import polars as pl
import polars_hash as plh

from benchmarks.events.data import COUNTRIES, KINDS
from benchmarks.events.rules import KEY


def _read(source: str) -> pl.LazyFrame:
    if source.endswith("avro"):
        return pl.read_avro(source).lazy()
    if source.endswith("parquet"):
        return pl.scan_parquet(source)
    texts = dict.fromkeys(("id", "at", "user", "country", "kind", "email"), pl.String)
    time = pl.col("at").str.to_datetime("%Y-%m-%dT%H:%M:%S%.fZ", strict=False, time_zone="UTC", time_unit="us")
    return pl.scan_csv(source, schema_overrides={**texts, "cents": pl.Int64}).with_columns(time)


def run(source: str, output: str) -> None:
    """Judge all rows once; the three outputs read that."""
    for folder in ("rows", "dead_letters", "aggregates"):
        Path(output, folder).mkdir(parents=True)
    judged = _read(source).with_columns(
        pl.when(~pl.col("id").str.contains("^e[0-9]+$").fill_null(False))
        .then(pl.lit("id"))
        .when(pl.col("at").is_null())
        .then(pl.lit("at"))
        .when(~(pl.col("user") != "").fill_null(False))
        .then(pl.lit("user"))
        .when(~pl.col("country").is_in(COUNTRIES).fill_null(False))
        .then(pl.lit("country"))
        .when(~pl.col("kind").is_in(KINDS).fill_null(False))
        .then(pl.lit("kind"))
        .when(~(pl.col("cents") >= 1).fill_null(False))
        .then(pl.lit("cents"))
        .alias("field")
    )
    good = judged.filter(pl.col("field").is_null())
    rows = good.select(
        *("id", "user", "country", "kind", "cents", "at"),
        plh.col("email").chash.hmac_sha256(key=KEY.decode()).str.head(32),
    )
    bad = judged.filter(pl.col("field").is_not_null())
    refused = bad.select(pl.struct(pl.exclude("field")).struct.json_encode().alias("payload"), "field")
    aggregates = (
        good.group_by(pl.col("at").dt.truncate("1m").alias("window_start"), "country", "kind")
        .agg(pl.len().alias("events"), pl.col("cents").sum().alias("total"), pl.col("cents").max().alias("largest"))
        .with_columns(pl.col("events").cast(pl.Int64))
    )
    plans = {"rows": rows, "dead_letters": refused, "aggregates": aggregates}
    pl.collect_all(
        [
            plan.sink_parquet(f"{output}/{folder}/part.parquet", compression="zstd", lazy=True)
            for folder, plan in plans.items()
        ],
        engine="streaming",
    )


if __name__ == "__main__":
    run(sys.argv[1], sys.argv[2])
