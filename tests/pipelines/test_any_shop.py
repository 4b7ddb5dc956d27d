"""Data sets and contracts that nobody here tuned to work at the first try."""

from __future__ import annotations

import gzip
import json
from decimal import Decimal
from pathlib import Path

import pyarrow.dataset as ds
import pytest

from beam_pipelines.launch.cli import main

ORDER_LINES = """\
apiVersion: v3.0.2
kind: DataContract
id: 53581432-6c55-4ba2-a65f-72344a91553a
name: Order lines
version: 2.1.0
status: active
domain: sales
tenant: shop
tags: [orders, finance]
description: {purpose: One line of an order., usage: Revenue reports.}
team:
  - {username: ada, role: Owner, dateIn: "2022-08-02"}
roles:
  - {role: reader, access: read, firstLevelApprovers: Reporting Manager}
servers:
  - {server: production, type: s3, location: "s3://shop/orders/*.csv", format: csv, delimiter: ";"}
slaProperties:
  - {property: latency, value: 4, unit: d, element: order_lines.ordered_at}
schema:
  - name: order_lines
    physicalType: table
    properties:
      - {name: order_id, logicalType: string, physicalType: varchar(20), required: true, primaryKey: true,
         primaryKeyPosition: 1}
      - {name: line, logicalType: integer, physicalType: int, required: true, primaryKey: true,
         primaryKeyPosition: 2, logicalTypeOptions: {minimum: 1}}
      - {name: ordered_at, logicalType: timestamp, required: true, physicalType: timestamp,
         logicalTypeOptions: {format: "yyyy-MM-dd HH:mm:ss", timezone: false, defaultTimezone: Europe/Berlin},
         customProperties: [{property: eventTime, value: true}]}
      - {name: sku, logicalType: string, required: true, logicalTypeOptions: {pattern: "^[A-Z]{2}-[0-9]{4}$"}}
      - {name: unit_price, logicalType: number, physicalType: "decimal(12,2)", required: true,
         logicalTypeOptions: {minimum: 0}}
      - {name: quantity, logicalType: integer, required: true, logicalTypeOptions: {minimum: 1, maximum: 999}}
      - {name: customer_email, logicalType: string, classification: restricted,
         customProperties: [{property: mask, value: redact}]}
      - {name: country, logicalType: string, partitioned: true, partitionKeyPosition: 1, required: true}
    customProperties:
      - {property: deduplicate, value: true}
      - {property: owner_slack, value: "#orders"}
"""

ORDERS = """\
order_id;line;ordered_at;sku;unit_price;quantity;customer_email;country
A1;1;2024-03-30 23:30:00;AB-0001;19.99;3;ada@example.com;DE
A1;2;2024-03-30 23:30:00;AB-0002;0.10;10;ada@example.com;DE
A1;2;2024-03-30 23:30:00;AB-0002;0.10;10;ada@example.com;DE
A2;1;2024-03-31 01:15:00;"XY-9999";1234567890.12;1;"bob ""b"" <b@example.com>";FR
A3;1;2024-03-31 04:00:00;bad-sku;5.00;0;;DE
A4;1;31.03.2024;AB-0001;5.001;1;;DE
A5;1;2024-03-31 04:00:00;AB-0003;5.00;2;
"""

CLICKS = """\
apiVersion: v3.1.0
kind: DataContract
id: clicks
name: Click stream
version: 0.3.0
status: draft
schema:
  - name: clicks
    properties:
      - {name: ts, logicalType: timestamp, required: true, customProperties: [{property: eventTime, value: true}]}
      - {name: user-id, logicalType: integer, required: true, logicalTypeOptions: {format: i64}}
      - {name: page, logicalType: string, required: true, logicalTypeOptions: {minLength: 1}}
      - {name: event, logicalType: string, required: true}
      - {name: value, logicalType: number}
      - {name: logged in, logicalType: boolean}
"""


def run(contract: str, files: dict[str, bytes], folder: Path, *arguments: str) -> tuple[int, Path]:
    data = folder / "in"
    data.mkdir()
    for name, content in files.items():
        (data / name).write_bytes(content)
    (folder / "c.odcs.yaml").write_text(contract)
    lake = folder / "lake"
    given = ["--input", f"{data}/*", "--contract", f"{folder}/c.odcs.yaml", "--output", str(lake), "--run_id", "r"]
    return main(["run", "event_analytics", *given, *arguments]), lake


def test_a_shops_order_lines(tmp_path: Path) -> None:
    code, lake = run(
        ORDER_LINES,
        {"orders.csv": ORDERS.encode()},
        tmp_path,
        *("--csv_delimiter", ";", "--window", "fixed:1d", "--group_by", "country"),
        *("--aggregate", "count(*) as n, sum(unit_price * quantity) as revenue, count(distinct order_id) as orders"),
    )
    assert code == 0
    balance = json.loads((lake / "_runs/r/balance.json").read_text())
    assert (balance["read"], balance["written"], balance["duplicate"], balance["dead_lettered"]) == (7, 3, 1, 3)
    rows = ds.dataset(lake / "rows", format="parquet", partitioning="hive").to_table().to_pylist()
    assert {row["country"] for row in rows} == {"DE", "FR"}
    assert not any("@" in str(row["customer_email"]) for row in rows)
    days = ds.dataset(lake / "aggregates", format="parquet").to_table().to_pylist()
    # 23:30 on 30 March in Berlin is 22:30 UTC; 01:15 on the 31st is 00:15 UTC.
    assert sorted((f"{day['window_start']:%m-%d}", day["country"], day["n"], day["revenue"]) for day in days) == [
        ("03-30", "DE", 2, Decimal("60.97")),
        ("03-31", "FR", 1, Decimal("1234567890.12")),
    ]
    letters = ds.dataset(lake / "dead_letters", format="parquet").to_table().to_pylist()
    broken = {letter["payload"].split(b";")[0]: letter for letter in letters}
    assert [(item["rule"], item["field"]) for item in broken[b"A3"]["failures"]] == [
        ("pattern", "sku"),
        ("minimum", "quantity"),
    ]
    assert [(item["rule"], item["field"]) for item in broken[b"A4"]["failures"]] == [
        ("type", "ordered_at"),
        ("type", "unit_price"),
    ]
    assert broken[b"A5"]["rule"] == "csv.ragged"


def test_a_click_stream(tmp_path: Path) -> None:
    lines = [
        b'{"ts":"2024-05-01T00:00:00.123Z","user-id":9007199254740993,"page":"/","event":"view","logged in":true}',
        b'{"ts":"2024-05-01T02:00:00+02:00","user-id":1,"page":"/a","event":"buy","value":9.5,"utm":{"x":1}}',
        b'{"ts":"2024-05-01T00:10:00Z","user-id":1.0,"page":"","event":"view"}',
        b'{"ts":"2024-05-01T00:10:00","user-id":2,"page":"/b","event":"view"}',
        b"not json",
    ]
    code, lake = run(
        CLICKS,
        {"a.jsonl.gz": gzip.compress(b"\n".join(lines[:3])), "b.ndjson": b"\r\n".join(lines[3:])},
        tmp_path,
        *("--window", "fixed:1h", "--group_by", "event", "--aggregate"),
        'count(distinct "user-id") as users, max(value) as top',
    )
    assert code == 0
    rows = ds.dataset(lake / "rows", format="parquet").to_table()
    assert sorted(rows["user-id"].to_pylist()) == [1, 9007199254740993]
    aggregates = ds.dataset(lake / "aggregates", format="parquet").to_table().to_pylist()
    assert sorted((row["event"], row["users"], row["top"]) for row in aggregates) == [
        ("buy", 1, 9.5),
        ("view", 1, None),
    ]
    balance = json.loads((lake / "_runs/r/balance.json").read_text())
    assert balance["dead_letters_by_rule"] == {"type": 2, "json.malformed": 1}


def test_a_run_under_the_same_id_changes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = b'{"ts":"2024-05-01T00:00:00Z","user-id":1,"page":"/","event":"view"}\n'
    code, lake = run(CLICKS, {"a.jsonl": line}, tmp_path)
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in lake.rglob("*") if path.is_file()}
    again = ["--input", f"{tmp_path}/in/*", "--contract", f"{tmp_path}/c.odcs.yaml", "--output", str(lake)]
    assert (code, main(["run", "event_analytics", *again, "--run_id", "r"])) == (0, 0)
    assert {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in lake.rglob("*") if path.is_file()} == before
    (tmp_path / "in" / "b.jsonl").write_bytes(line)
    capsys.readouterr()
    assert main(["run", "event_analytics", *again, "--run_id", "r"]) == 5
    assert "--run_id" in capsys.readouterr().err


DAILY = """\
apiVersion: v3.1.0
kind: DataContract
id: daily
name: Daily totals
version: 1.0.0
status: active
schema:
  - name: daily
    properties:
      - {name: day, logicalType: date, customProperties: [{property: eventTime, value: true}]}
      - {name: total, logicalType: number, physicalType: "decimal(9,2)"}
"""


def test_daily_data_with_dates_as_event_time(tmp_path: Path) -> None:
    days = b"day\ttotal\n2024-02-28\t1.10\n2024-02-29\t2.20\n2024-02-30\t3.30\n"
    code, lake = run(
        DAILY,
        {"days.tsv": days},
        tmp_path,
        *("--csv_delimiter", r"\t", "--window", "fixed:1d", "--aggregate", "sum(total) as total"),
    )
    assert code == 0
    found = ds.dataset(lake / "aggregates", format="parquet").to_table().to_pylist()
    assert sorted((f"{day['window_start']:%m-%d}", day["total"]) for day in found) == [
        ("02-28", Decimal("1.10")),
        ("02-29", Decimal("2.20")),
    ]
    assert json.loads((lake / "_runs/r/balance.json").read_text())["dead_letters_by_rule"] == {"type": 1}
