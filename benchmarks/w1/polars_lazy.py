"""W1 in Polars, lazily.

Its JSON readers raise for a whole column if one line is wrong. So a regular expression tells the lines that are flat
objects with values of the right types, whatever their order, and those are decoded in one go; fields of the few others
are matched by path, which gives text, and their types are told by the line itself. Hashes are those of the plugin
polars-hash.
"""

from __future__ import annotations

import sys
from pathlib import Path

import polars as pl
import polars_hash as plh

from benchmarks.events.data import COUNTRIES, KINDS
from benchmarks.events.rules import KEY

_TEXTS = ("id", "at", "user", "country", "kind", "email")
_PAIR = rf'(?:"(?:{"|".join(_TEXTS)})": ?(?:"[^"\\]*"|null)|"cents": ?-?\d{{1,18}})'
_SIMPLE = rf"^\{{{_PAIR}(?:, ?{_PAIR})*\}}$"
_EVENT = pl.Struct({**dict.fromkeys(_TEXTS, pl.String), "cents": pl.Int64})


def _is_text(name: str) -> pl.Expr:
    return pl.col("is_simple") | pl.col("line").str.contains(rf'"{name}": ?"')


def _fields(lines: pl.LazyFrame) -> pl.LazyFrame:
    """Columns of the events, null where there is nothing of the kind; `is_record` where a line is an object."""
    simple, other = (pl.when(which).then("line") for which in (pl.col("is_simple"), ~pl.col("is_simple")))
    split = lines.with_columns(pl.col("line").str.contains(_SIMPLE).alias("is_simple")).with_columns(
        simple.str.json_decode(_EVENT).alias("event"), other.alias("other")
    )
    texts = {
        name: pl.coalesce(pl.col("event").struct.field(name), pl.col("other").str.json_path_match(f"$.{name}"))
        for name in _TEXTS
    }
    found = pl.col("other").str.extract(r'"cents": ?(-?\d+)[,}]').cast(pl.Int64, strict=False)
    at = texts.pop("at").str.to_datetime("%Y-%m-%dT%H:%M:%S%.fZ", strict=False, time_zone="UTC", time_unit="us")
    is_object = pl.col("other").str.json_path_match("$").str.starts_with("{").fill_null(False)
    return split.with_columns(
        **texts,
        at=at,
        cents=pl.coalesce(pl.col("event").struct.field("cents"), found),
        is_record=pl.col("is_simple") | is_object,
    )


def run(source: str, output: str) -> None:
    """Judge all lines once; the three outputs read that."""
    for folder in ("rows", "dead_letters", "aggregates"):
        Path(output, folder).mkdir(parents=True)
    fields = _fields(pl.scan_csv(source, has_header=False, new_columns=["line"], separator="\x01", quote_char=None))
    judged = fields.with_columns(
        pl.when(~pl.col("is_record"))
        .then(pl.lit("record"))
        .when(~(pl.col("id").str.contains("^e[0-9]+$") & _is_text("id")).fill_null(False))
        .then(pl.lit("id"))
        .when(pl.col("at").is_null())
        .then(pl.lit("at"))
        .when(~((pl.col("user") != "") & _is_text("user")).fill_null(False))
        .then(pl.lit("user"))
        .when(~pl.col("country").is_in(COUNTRIES).fill_null(False))
        .then(pl.lit("country"))
        .when(~pl.col("kind").is_in(KINDS).fill_null(False))
        .then(pl.lit("kind"))
        .when(~(pl.col("cents") >= 1).fill_null(False))
        .then(pl.lit("cents"))
        .when(pl.col("email").is_not_null() & ~_is_text("email"))
        .then(pl.lit("email"))
        .alias("field")
    )
    good = judged.filter(pl.col("field").is_null())
    rows = good.select(
        "id",
        "user",
        "country",
        "kind",
        "cents",
        "at",
        plh.col("email").chash.hmac_sha256(key=KEY.decode()).str.head(32),
    )
    refused = judged.filter(pl.col("field").is_not_null()).select(pl.col("line").alias("payload"), "field")
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
