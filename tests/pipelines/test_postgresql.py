"""event_analytics from PostgreSQL into PostgreSQL."""

from __future__ import annotations

import json
from pathlib import Path

from beam_pipelines.launch.cli import main
from tests.servers.postgresql import PostgreSQL

CONTRACT = """
apiVersion: v3.1.0
kind: DataContract
id: orders
name: orders
version: 1.0.0
status: active
schema:
  - name: orders
    properties:
      - {name: id, logicalType: integer, required: true}
      - {name: country, logicalType: string}
      - {name: price, logicalType: number, physicalType: "decimal(8,2)", logicalTypeOptions: {minimum: 0}}
      - {name: at, logicalType: timestamp, required: true}
"""


def test_rows_of_a_table_become_rows_and_aggregates_of_others(postgresql: PostgreSQL, tmp_path: Path) -> None:
    orders = postgresql.table("id int, country text, price numeric(8,2), at timestamptz")
    postgresql.do(
        f"INSERT INTO {orders} SELECT n, CASE n % 2 WHEN 0 THEN 'DE' ELSE 'FR' END, n - 1.5, "
        "'2024-01-01Z'::timestamptz + n * interval '10 minutes' FROM generate_series(1, 60) n"
    )
    clean, hourly = postgresql.table("id int PRIMARY KEY, country text, price numeric, at timestamptz"), "hourly"
    (tmp_path / "orders.yaml").write_text(CONTRACT)
    asked = [
        *("run", "event_analytics", "--contract", str(tmp_path / "orders.yaml"), "--output", str(tmp_path / "lake")),
        *("--input", postgresql.uri(orders, "parts=2"), "--event_time", "at", "--runner", "FnApiRunner"),
        *("--rows_to", postgresql.uri(clean), "--run_id", "run-1"),
        *("--window", "fixed:1h", "--group_by", "country", "--aggregate", "count(*) as orders, sum(price) as revenue"),
        *("--aggregates_to", postgresql.uri(hourly, "create=true&mode=upsert&key=window_start,country")),
    ]
    for _ in range(2):
        assert main(asked) == 0
        assert postgresql.ask(f"SELECT count(*), min(id), max(id) FROM {clean}") == [(59, 2, 60)]  # one is below 0
        assert postgresql.ask(f"SELECT sum(orders), sum(revenue)::float8 FROM {hourly}") == [(59, 1740.5)]
    manifest = json.loads((tmp_path / "lake/_runs/run-1/manifest.json").read_text())
    assert [(each["output"], each["commit"]) for each in manifest["tables"]] == [
        ("rows", "run-1-rows"),
        ("aggregates", "run-1-aggregates"),
    ]
