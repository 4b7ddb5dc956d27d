"""W2's formats and sides."""

from __future__ import annotations

from functools import partial

from benchmarks.events import typed
from benchmarks.w1.workload import OURS, TABLES
from benchmarks.workload import Side, Table, Workload

_ROWS = 2_000_000
ALL = tuple(
    Workload(
        name=f"W2, {shown}",
        title=f"event analytics from {shown}",
        says="As W1 from typed columns, so only some kinds of bad rows; payloads of dead letters, which these formats "
        "don't have, are made by each side in its own way and not compared, fields that are wrong are.",
        sides=tuple(
            side
            for side in (
                OURS,
                Side("duckdb", "benchmarks.w2.duckdb_sql", "SQL", "duckdb"),
                Side("polars", "benchmarks.w2.polars_lazy", "lazy, streaming", "polars"),
                Side("beam_idiomatic", "benchmarks.w2.beam_idiomatic", "a row an element", "beam", slow=True),
            )
            # DuckDB reads Avro by an extension that it fetches when it is first used.
            if (shown, side.implementation) != ("Avro", "duckdb")
        ),
        source=partial(typed.file, format=shown.lower()),
        tables=(*TABLES[:2], Table("dead_letters", "field")),
        reference="polars" if shown == "Avro" else "duckdb",
        sizes=(_ROWS,),
        quick=100_000 if shown == "Parquet" else None,
    )
    for shown in ("CSV", "Avro", "Parquet")
)
