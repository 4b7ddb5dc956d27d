"""Rules about a data set: each count as DuckDB makes it, whatever the batches, and what becomes of a run."""

import datetime
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import apache_beam as beam
import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beam_pipelines import CheckQuality, Contract, Field, ledger
from beam_pipelines.contract.rules import QualityRule
from beam_pipelines.errors import UsageError
from beam_pipelines.launch.cli import main
from beam_pipelines.validate.quality import count_by_rule, count_distinct, distinct_keys

FIELDS = (
    Field("id", pa.int64()),
    Field("unit", pa.string(), unique=True),
    Field("price", pa.decimal128(6, 2)),
    Field("day", pa.date32()),
)
TABLE = pa.schema([(field.name, field.type) for field in FIELDS])
RULES: dict[QualityRule, str] = {
    QualityRule("rowCount", "mustBeBetween", (3, 5)): "count(*)",
    QualityRule("nullValues", "mustBe", 0, ("price",)): "count(*) filter (price is null)",
    QualityRule("missingValues", "mustBe", 0, ("unit",), listed=(None, "", "n/a")): (
        "count(*) filter (unit is null or unit in ('', 'n/a'))"
    ),
    QualityRule("missingValues", "mustBe", 0, ("price",), listed=(Decimal("0.5"),)): "count(*) filter (price = 0.5)",
    QualityRule("invalidValues", "mustBe", 0, ("unit",), listed=("kg", "lb"), pattern="^k"): (
        "count(*) filter (not (unit in ('kg', 'lb') and unit like 'k%'))"
    ),
    QualityRule("invalidValues", "mustBe", 0, ("day",), listed=(datetime.date(2024, 1, 1),)): (
        "count(*) filter (day <> date '2024-01-01')"
    ),
    QualityRule("duplicateValues", "mustBe", 0, ("unit",)): "count(unit) - count(distinct unit)",
    QualityRule("duplicateValues", "mustBe", 0, ("price", "day")): (
        "count(*) filter (price is not null and day is not null) - "
        "count(distinct (price, day)) filter (price is not null and day is not null)"
    ),
    QualityRule("sql", "mustBe", 0, query="SELECT count(*) FROM {object} WHERE price * id > 1"): (
        "count(*) filter (price * id > 1)"
    ),
    QualityRule("sql", "mustBe", 0, ("id",), query="select count(${property}) from ${table};"): "count(id)",
}
CONTRACT = Contract("t", FIELDS, quality=tuple(RULES))

ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "id": st.none() | st.integers(-3, 3),
            "unit": st.none() | st.sampled_from(["kg", "lb", "", "n/a", "k"]),
            "price": st.none() | st.sampled_from([Decimal("0.50"), Decimal("1.00"), Decimal("-2.00")]),
            "day": st.none() | st.dates(datetime.date(2024, 1, 1), datetime.date(2024, 1, 2)),
        }
    ),
    max_size=12,
)


@settings(max_examples=30, deadline=None)
@given(ROWS, st.integers(1, 5))
def test_each_metric_is_what_duckdb_counts(rows: list[dict[str, Any]], size: int) -> None:
    held = pa.Table.from_pylist(rows, TABLE)
    parts = [part for start in range(0, len(rows), size) for part in held.slice(start, size).to_batches()]
    rules = CONTRACT.data_set_rules
    counts = [sum(column) for column in zip(*(count_by_rule(part, CONTRACT) for part in parts), strict=True)]
    for number, rule in enumerate(rules if parts else ()):
        if rule.metric == "duplicateValues":
            counts[number] -= count_distinct([distinct_keys(part, rule.fields) for part in parts])
    [wanted] = duckdb.sql(f"select {', '.join(RULES[rule] for rule in CONTRACT.quality)} from held").fetchall()
    unique = RULES[QualityRule("duplicateValues", "mustBe", 0, ("unit",))]
    [first] = duckdb.sql(f"select {unique} from held").fetchall()
    assert (counts or [0] * len(rules)) == [*first, *wanted], "the unique field comes first"


def test_many_keys_are_counted_exactly_and_too_many_are_refused() -> None:
    pieces = [pa.record_batch({"a": pa.array(range(start, start + 1000))}) for start in range(0, 50_000, 500)]
    assert count_distinct(pieces) == 50_500
    with pytest.raises(UsageError, match="Give CheckQuality more shards"):
        count_distinct([pa.record_batch({"a": pa.array(range(8 << 20))})], max_bytes=1 << 20)


@pytest.mark.parametrize(
    ("operator", "expected", "passing"),
    [
        ("mustBe", 3, [3]), ("mustNotBe", 3, [2, 4]), ("mustBeGreaterThan", 3, [4]),
        ("mustBeGreaterOrEqualTo", 3, [3, 4]), ("mustBeLessThan", 3, [2]), ("mustBeLessOrEqualTo", 3, [2, 3]),
        ("mustBeBetween", (3, 4), [3, 4]), ("mustNotBeBetween", (3, 4), [2]),
    ],
)  # fmt: skip
def test_operators_compare(operator: Any, expected: Any, passing: list[int]) -> None:
    rule = QualityRule("rowCount", operator, expected)
    assert [count for count in (2, 3, 4) if rule.passes(count, 4)] == passing
    percent = QualityRule("nullValues", operator, expected, ("a",), unit="percent")
    assert [count for count in (2, 3, 4) if percent.passes(count * 5, 500)] == passing


def test_a_pipeline_tells_each_rule_also_when_there_are_no_rows() -> None:
    rules = (
        QualityRule("rowCount", "mustBeGreaterThan", 0),
        QualityRule("nullValues", "mustBeLessThan", 50, ("a",), unit="percent", severity="warning"),
    )
    contract = Contract("t", (Field("a", pa.int64(), unique=True),), quality=rules)
    with beam.Pipeline("FnApiRunner") as pipeline:
        for name, batches in {
            "some": [pa.record_batch({"a": pa.array([1, None, 2])}), pa.record_batch({"a": pa.array([2, None, None])})],
            "none": [],
        }.items():
            source = pipeline | name >> beam.Create(batches).with_output_types(pa.RecordBatch)
            report = source | f"Check {name}" >> CheckQuality(contract, shards=3)
            balance = report.ledger | f"List {name}" >> beam.combiners.ToList()
            _ = balance | f"Write {name}" >> beam.Map(_expect, name)


def _expect(entries: list[ledger.LedgerEntry], name: str) -> None:
    balance = ledger.Balance.of(entries)
    wanted = {
        "some": {
            "passed": ["rowCount is 6, must be above 0"],
            "warned": ["nullValues of a is 50, must be below 50 percent"],
            "failed": ["duplicateValues of a is 1, must be 0"],
        },
        "none": {
            "passed": ["duplicateValues of a is 0, must be 0", "nullValues of a is 0, must be below 50 percent"],
            "warned": [],
            "failed": ["rowCount is 0, must be above 0"],
        },
    }
    assert balance.quality == wanted[name]


CONTRACT_TEXT = """
apiVersion: v3.1.0
kind: DataContract
id: orders
version: 1.0.0
schema:
  - name: orders
    quality:
      - {metric: rowCount, mustBeGreaterThan: 1, severity: warning}
    properties:
      - {name: id, logicalType: integer, unique: true}
      - name: price
        logicalType: integer
        quality:
          - {type: sql, name: positive, query: 'price > 0', mustBe: true}
      - {name: revenue, semanticType: measure, transformLogic: sum(price)}
"""


def test_measures_are_what_is_aggregated_when_nothing_else_is_said(tmp_path: Path) -> None:
    (tmp_path / "orders.odcs.yaml").write_text(CONTRACT_TEXT)
    (tmp_path / "in.jsonl").write_text('{"id": 1, "price": 5}\n{"id": 2, "price": 7}\n')
    told = ["--input", f"{tmp_path}/in.jsonl", "--contract", f"{tmp_path}/orders.odcs.yaml", "--group_by", "id"]
    assert main(["run", "event_analytics", *told, "--output", str(tmp_path / "lake"), "--runner", "FnApiRunner"]) == 0
    aggregates = pq.read_table(tmp_path / "lake/aggregates").to_pylist()
    assert sorted((row["id"], row["revenue"]) for row in aggregates) == [(1, 5), (2, 7)]


def test_a_run_whose_rules_fail_publishes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "orders.odcs.yaml").write_text(CONTRACT_TEXT)
    (tmp_path / "good.jsonl").write_text('{"id": 1, "price": 5}\n{"id": 2, "price": -5}\n')
    (tmp_path / "bad.jsonl").write_text('{"id": 1, "price": 5}\n{"id": 1, "price": 6}\n')
    codes = {}
    for name in ("good", "bad"):
        told = ["--input", f"{tmp_path}/{name}.jsonl", "--contract", f"{tmp_path}/orders.odcs.yaml"]
        lake = ["--output", str(tmp_path / name), "--run_id", "r", "--runner", "FnApiRunner"]
        codes[name] = main(["run", "event_analytics", *told, *lake])
    assert codes == {"good": 0, "bad": 7}
    assert "duplicateValues of id is 1, must be 0" in capsys.readouterr().err
    assert not (tmp_path / "bad/_runs/r/manifest.json").exists()
    balance = json.loads((tmp_path / "good/_runs/r/balance.json").read_text())
    assert balance["dead_letters_by_rule"] == {"quality.positive": 1}
    assert balance["quality"] == {
        "passed": ["duplicateValues of id is 0, must be 0"],
        "warned": ["rowCount is 1, must be above 1"],
        "failed": [],
    }
