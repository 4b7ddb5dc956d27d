"""W5's sides."""

from __future__ import annotations

from benchmarks.w5 import data
from benchmarks.workload import Side, Table, Workload

_QUERY = """SELECT o.*, name FROM (SELECT DISTINCT ON (id) * FROM '{source}/orders.parquet') o
    LEFT JOIN '{source}/customers.parquet' USING (customer)"""

W5 = Workload(
    name="W5",
    title="exact deduplication and a join with a table a tenth as large",
    says="Orders in Parquet, a tenth of them twice → one of each id, with the name of its customer where there is one.",
    sides=(
        Side(
            "beam_pipelines",
            "benchmarks.event_analytics",
            "`event_analytics --join`, `deduplicate` in the contract",
            arguments=(
                "--input={source}/orders.parquet",
                "--contract=benchmarks/w5/orders.odcs.yaml",
                "--join={source}/customers.parquet on customer take (name)",
            ),
        ),
        Side("duckdb", "benchmarks.parquet_duckdb", "SQL", "duckdb", arguments=(f"rows={_QUERY}",)),
        Side(
            "polars",
            "benchmarks.parquet_polars",
            "lazy, streaming",
            "polars",
            arguments=("benchmarks.w5.polars_plans",),
        ),
    ),
    source=data.folder,
    tables=(Table("rows", 'id, "at"::TIMESTAMPTZ, customer, cents, name'),),
    reference="duckdb",
    sizes=(1_000_000, 10_000_000),
    quick=100_000,
)
