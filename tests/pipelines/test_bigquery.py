"""event_analytics from BigQuery into BigQuery."""

from __future__ import annotations

import json
from pathlib import Path

from beam_pipelines.launch.cli import main
from tests.servers.bigquery import DATASET, BigQuery

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
      - {name: id, logicalType: integer, required: true, primaryKey: true}
      - {name: country, logicalType: string, partitioned: true}
      - {name: price, logicalType: number, physicalType: "decimal(8,2)", logicalTypeOptions: {minimum: 0}}
      - {name: placed_at, logicalType: timestamp, required: true}
"""


def test_rows_of_a_table_become_rows_and_aggregates_of_others(bigquery_server: BigQuery, tmp_path: Path) -> None:
    orders = bigquery_server.table("id INTEGER, country STRING, price NUMERIC, placed_at TIMESTAMP")
    bigquery_server.ask(
        f"INSERT INTO {DATASET}.{orders} SELECT n, IF(MOD(n, 2) = 0, 'DE', 'FR'), CAST(n - 1.5 AS NUMERIC), "
        "TIMESTAMP_ADD(TIMESTAMP '2024-01-01 00:00:00+00', INTERVAL n * 10 MINUTE) FROM UNNEST(GENERATE_ARRAY(1, 60)) n"
    )
    (tmp_path / "orders.yaml").write_text(CONTRACT)
    asked = [
        *("run", "event_analytics", "--contract", str(tmp_path / "orders.yaml"), "--output", str(tmp_path / "lake")),
        *("--input", bigquery_server.uri(orders), "--event_time", "placed_at", "--runner", "FnApiRunner"),
        *("--rows_to", bigquery_server.uri("clean", "create=true&mode=upsert"), "--run_id", "run-1"),
        *("--window", "fixed:1h", "--group_by", "country", "--aggregate", "count(*) as orders, max(price) as dearest"),
        *("--aggregates_to", bigquery_server.uri("hourly", "create=true&method=storage_write")),
    ]
    for _ in range(2):
        assert main(asked) == 0
        assert bigquery_server.ask(f"SELECT COUNT(*) n, MIN(id) a, MAX(id) b FROM {DATASET}.clean") == [
            {"n": 59, "a": 2, "b": 60}  # one is below 0
        ]
        (told,) = bigquery_server.ask(f"SELECT SUM(orders) n, MAX(dearest) r FROM {DATASET}.hourly")
        assert (told["n"], float(told["r"])) == (59, 58.5)
    made = bigquery_server.described("clean")
    assert made.clustering_fields == ["country"]  # which the contract calls a partition
    assert [field.name for field in made.schema if field.mode == "REQUIRED"] == ["id", "placed_at"]
    manifest = json.loads((tmp_path / "lake/_runs/run-1/manifest.json").read_text())
    assert [each["output"] for each in manifest["tables"]] == ["rows", "aggregates"]
