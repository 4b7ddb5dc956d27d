"""event_analytics from databases into databases, with lookups in them."""

from __future__ import annotations

import json
from pathlib import Path

from beam_pipelines.launch.cli import main
from tests.servers.mariadb import MariaDB
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


COUNTRIES = """
apiVersion: v3.1.0
kind: DataContract
id: countries
name: countries
version: 1.0.0
status: active
schema:
  - name: countries
    properties:
      - {name: code, logicalType: string, required: true}
      - {name: name, logicalType: string}
"""


def test_rows_find_theirs_by_the_contracts_key_and_others_in_a_table_that_is_asked(
    postgresql: PostgreSQL, mariadb: MariaDB, tmp_path: Path
) -> None:
    countries = postgresql.table("code text PRIMARY KEY, name text", [("DE", "Germany"), ("FR", "France")])
    orders = mariadb.table("id int, country varchar(2), price decimal(8,2), at timestamp NULL")
    values = ", ".join(f"({n}, '{('DE', 'FR', 'XX')[n % 3]}', {n}.5, '2024-01-01 00:{n:02}:00')" for n in range(1, 31))
    mariadb.ask(f"INSERT INTO test.{orders} VALUES {values}")
    # Neither has a primary key: rows are found by the contract's.
    known = postgresql.table("id int UNIQUE, name text, price numeric, seen int", [(1, "old", 0, 7)])
    also = mariadb.table("id int NOT NULL, name varchar(20), price decimal(8,2), UNIQUE (id)", [(1, "old", 0)])
    added = postgresql.table("id int, name text, price numeric")
    (tmp_path / "orders.yaml").write_text(CONTRACT.replace("required: true}", "required: true, primaryKey: true}", 1))
    (tmp_path / "countries.yaml").write_text(COUNTRIES)
    join = f"{postgresql.uri(countries)} contract {tmp_path}/countries.yaml on country = code take (name)"
    rows = [(n, {"DE": "Germany", "FR": "France"}.get(("DE", "FR", "XX")[n % 3]), n + 0.5) for n in range(1, 31)]
    for number, into in enumerate(
        (postgresql.uri(known, "mode=upsert"), mariadb.uri(also, "mode=upsert"), postgresql.uri(added))
    ):
        asked = ["run", "event_analytics", "--contract", str(tmp_path / "orders.yaml"), "--runner", "FnApiRunner"]
        asked += ["--input", mariadb.uri(orders, "parts=2&split=id"), "--output", str(tmp_path / f"lake-{number}")]
        asked += ["--join", join, "--select", "id, name, price", "--rows_to", into]
        assert main(asked) == 0
    found = "SELECT id, name, price::float8 FROM {} ORDER BY id"
    assert postgresql.ask(found.format(known)) == postgresql.ask(found.format(added)) == rows
    assert postgresql.ask(f"SELECT seen FROM {known} WHERE id = 1") == [(7,)]
    assert mariadb.ask(f"SELECT id, name, price + 0e0 FROM test.{also} ORDER BY id") == rows
    balance = json.loads((tmp_path / "lake-0").glob("_runs/*/manifest.json").__next__().read_text())["balance"]
    assert balance
