"""W1's sides, and what they have to agree on."""

from __future__ import annotations

from benchmarks.events import data
from benchmarks.workload import Side, Table, Workload

TABLES = (
    # What a WriteToParquet of Beam YAML's knows has no times and no nulls: there times are text, and no address is ''.
    Table("aggregates", "window_start::TIMESTAMPTZ, country, kind, events, total, largest"),
    # Each side's pseudonyms are its own: there has to be one for each address, and as many different ones.
    Table(
        "rows",
        """id, "at"::TIMESTAMPTZ, "user", country, kind, cents, nullif(email, '') IS NULL""",
        "count(DISTINCT nullif(email, ''))",
    ),
    # A payload is text on some sides and bytes on others.
    Table("dead_letters", "decode(payload::BLOB), coalesce(field, 'record')"),
)

OURS = Side(
    "beam_pipelines",
    "benchmarks.event_analytics",
    "`event_analytics`, from the command line",
    arguments=(
        "--contract=benchmarks/events/events.odcs.yaml",
        "--window=fixed:1m",
        "--group_by=country,kind",
        "--aggregate=count(*) as events, sum(cents) as total, max(cents) as largest",
    ),
)
W1 = Workload(
    name="W1",
    title="event analytics",
    says="JSON Lines (about 160 bytes each, 1% bad of 14 kinds) → judged by seven fields' rules, dead letters with "
    "their reasons, an address replaced by its HMAC, aggregates of 60 s by two keys, all in Parquet.",
    sides=(
        OURS,
        Side("duckdb", "benchmarks.w1.duckdb_sql", "SQL over lines of text", "duckdb"),
        Side("polars", "benchmarks.w1.polars_lazy", "lazy, streaming, fields matched by path", "polars"),
        Side("spark", "benchmarks.w1.spark_sql", "PySpark's DataFrames, `local[2]`", "spark", slow=True),
        Side("flink_sql", "benchmarks.w1.flink_sql", "Flink SQL in batch mode, two slots", "flink", slow=True),
        Side("bytewax", "benchmarks.w1.bytewax_flow", "a row an item, msgspec, one worker", "bytewax", slow=True),
        Side(
            "beam_tuned",
            "benchmarks.w1.beam_tuned",
            "a row an element, msgspec, tuples, FnApiRunner",
            "beam",
            slow=True,
        ),
        Side(
            "beam_idiomatic",
            "benchmarks.w1.beam_idiomatic",
            "a row an element, `json`, CombinePerKey, WriteToParquet, FnApiRunner",
            "beam",
            slow=True,
        ),
        Side("beam_yaml", "benchmarks.w1.beam_yaml", "Beam YAML with Python callables", "beam", slow=True),
    ),
    source=data.file,
    tables=TABLES,
    reference="duckdb",
    sizes=(2_000_000, 10_000_000),
    quick=200_000,
)
