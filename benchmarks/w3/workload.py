"""W3's sides."""

from __future__ import annotations

from functools import partial

from benchmarks.events import typed
from benchmarks.events.data import COUNTRIES, KINDS
from benchmarks.workload import Side, Table, Workload

_GOOD = f"""regexp_full_match(id, 'e[0-9]+') AND "user" <> '' AND country IN {COUNTRIES} AND kind IN {KINDS}
    AND cents >= 1"""
_MEASURED = 'count(DISTINCT "user") AS users, quantile_disc(cents, 0.5) AS middle, quantile_disc(cents, 0.99) AS top'

W3 = Workload(
    name="W3",
    title="exact distinct counts and quantiles",
    says="Events in Parquet → distinct users, median and 99th percentile by country and kind, all exact. Ours also "
    "writes the rows and the dead letters, which `event_analytics` always does.",
    sides=(
        Side(
            "beam_pipelines",
            "benchmarks.event_analytics",
            "`event_analytics`",
            arguments=(
                "--contract=benchmarks/events/events.odcs.yaml",
                "--group_by=country,kind",
                "--aggregate=count(distinct user) as users, quantile_disc(cents, 0.5) as middle, "
                "quantile_disc(cents, 0.99) as top",
            ),
        ),
        Side(
            "duckdb",
            "benchmarks.parquet_duckdb",
            "SQL",
            "duckdb",
            arguments=(f"aggregates=SELECT country, kind, {_MEASURED} FROM '{{source}}' WHERE {_GOOD} GROUP BY ALL",),
        ),
        Side(
            "polars",
            "benchmarks.parquet_polars",
            "lazy, streaming",
            "polars",
            arguments=("benchmarks.w3.polars_plans",),
        ),
    ),
    source=partial(typed.file, format="parquet"),
    tables=(Table("aggregates", "country, kind, users, middle, top"),),
    reference="duckdb",
    sizes=(2_000_000,),
    quick=100_000,
)
